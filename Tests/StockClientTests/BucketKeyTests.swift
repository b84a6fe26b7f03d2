import RedisDriver
import Stock
import Testing

@testable import StockClient

@Suite struct BucketKeyTests {
  @Test("A bucket's slot is its key's, and its place in a list its number", arguments: [0, 7, 10, 16_383])
  func places(index: Int) throws {
    for text in ["X", "a-product-with-a-name-that-is-not-short", String(repeating: "x", count: 64)] {
      let bucket = BucketID(sku: try SKU(text), index: index)
      #expect(bucket.key == "doorbuster:{\(text)/\(index)}")
      let place = BucketPlace(bucket)
      #expect(place.slot == HashSlot(ofKey: Array(bucket.key.utf8)))
      #expect(place.position == index)
    }
  }

  @Test("A key is read back as its bucket")
  func keys() throws {
    let bucket = BucketID(sku: try SKU("A.b_c:d-1"), index: 12)
    #expect(BucketID(key: Array(bucket.key.utf8)) == bucket)
    for text in [
      "", "doorbuster:", "doorbuster:{}", "doorbuster:{X}", "doorbuster:{X/}", "doorbuster:{/1}", "doorbuster:{X/-1}",
      "doorbuster:{X/1", "doorbuster:{X/1}x", "other:{X/1}", "doorbuster:{?/1}", "doorbuster:{X/one}",
      "doorbuster:{X/99999999999999999999}",
    ] {
      #expect(BucketID(key: Array(text.utf8)) == nil, "\(text)")
    }
    #expect(BucketID(key: [0xFF, 0x7D]) == nil)
  }
}

@Suite struct SoldOutWatchTests {
  private func flags(_ text: String) -> RESPValue {
    .array([.bulk(Array("notify-keyspace-events".utf8)), .bulk(Array(text.utf8))])
  }

  @Test(
    "Events by their name, and those of modules, are enough",
    arguments: ["Ed", "dE", "EA", "AKE", "gEd$", "AKEnm"]
  )
  func enough(text: String) { #expect(SoldOutWatch.state(by: flags(text)) == .watching) }

  @Test("Anything less is said, with what is needed", arguments: ["", "K", "E", "Kd", "KA", "AK", "E$"])
  func tooFew(text: String) {
    guard case .deaf(let why) = SoldOutWatch.state(by: flags(text)) else {
      Issue.record("\(text) was taken for enough")
      return
    }
    #expect(why.contains("\"\(text)\"") && why.contains("CONFIG SET notify-keyspace-events Ed"))
  }

  @Test("A server that does not say is not relied on")
  func unsaid() {
    for answer in [nil, .error("NOPERM this user has no permissions"), .array([]), .integer(1)] as [RESPValue?] {
      guard case .deaf(let why) = SoldOutWatch.state(by: answer) else {
        Issue.record("\(String(describing: answer)) was taken for a yes")
        return
      }
      #expect(why.contains("can't be learnt"))
    }
  }
}
