import Stock
import Testing

@Suite struct SoldOutCacheTests {
  private let cache = SoldOutCache(ageMax: .seconds(1), ageMaxUnwatched: .milliseconds(100))
  private let sku: SKU
  private let start = ContinuousClock.now

  init() throws { sku = try SKU("A-product-with-a-long-name") }

  private func at(_ ms: Int) -> ContinuousClock.Instant { start + .milliseconds(ms) }

  private func isSoldOut(_ quantity: Int64, at ms: Int) -> Bool {
    cache.isSoldOut(sku, quantity: quantity, at: at(ms))
  }

  @Test("What was refused holds for it and more, up to the bound, counted from before the buckets were asked")
  func bound() {
    #expect(!isSoldOut(1, at: 10))
    cache.watch(true, at: at(10))
    cache.declare(sku, quantity: 3, asOf: at(20))
    #expect(isSoldOut(3, at: 1019))
    #expect(isSoldOut(1 << 53, at: 500))
    #expect(!isSoldOut(2, at: 30))
    #expect(!isSoldOut(3, at: 1020))
  }

  @Test("While nothing is heard of changes elsewhere, the bound is shorter; coming to hear of them clears all")
  func unwatched() {
    cache.declare(sku, quantity: 1, asOf: at(10))
    #expect(isSoldOut(1, at: 109))
    #expect(!isSoldOut(1, at: 110))
    cache.declare(sku, quantity: 1, asOf: at(120))
    cache.watch(true, at: at(130))
    #expect(!isSoldOut(1, at: 131))
    cache.declare(sku, quantity: 1, asOf: at(140))
    cache.watch(true, at: at(150))
    #expect(isSoldOut(1, at: 500))
    cache.watch(false, at: at(510))
    #expect(!isSoldOut(1, at: 511))
  }

  @Test("The smallest refused quantity holds; a larger one comes to hold when that is out of date")
  func smallest() {
    cache.watch(true, at: at(0))
    cache.declare(sku, quantity: 5, asOf: at(10))
    cache.declare(sku, quantity: 2, asOf: at(20))
    cache.declare(sku, quantity: 4, asOf: at(30))
    #expect(isSoldOut(2, at: 1019) && !isSoldOut(1, at: 40))
    #expect(!isSoldOut(4, at: 1025))
    cache.declare(sku, quantity: 4, asOf: at(1030))
    #expect(isSoldOut(4, at: 1040) && !isSoldOut(3, at: 1040))
    cache.declare(sku, quantity: 4, asOf: at(1500))
    cache.declare(sku, quantity: 4, asOf: at(1400))
    #expect(isSoldOut(4, at: 2499))
  }

  @Test("What comes back clears it, also a verdict that was asked for before and comes later")
  func clearing() {
    cache.watch(true, at: at(0))
    cache.declare(sku, quantity: 1, asOf: at(10))
    cache.clear(sku, at: at(20))
    #expect(!isSoldOut(1, at: 21))
    cache.declare(sku, quantity: 1, asOf: at(20))
    #expect(!isSoldOut(1, at: 21))
    cache.declare(sku, quantity: 1, asOf: at(21))
    #expect(isSoldOut(1, at: 22))
    cache.clearAll(at: at(30))
    #expect(!isSoldOut(1, at: 31))
    cache.declare(sku, quantity: 1, asOf: at(30))
    #expect(!isSoldOut(1, at: 31))
  }

  @Test("What comes back of a product that nothing was known of counts against a later verdict too")
  func clearingOfTheUnknown() {
    cache.watch(true, at: at(0))
    cache.clear(sku, at: at(20))
    cache.declare(sku, quantity: 1, asOf: at(15))
    #expect(!isSoldOut(1, at: 25))
  }

  @Test("Products are kept apart, as many as there is room for, and the rest is not cached")
  func products() throws {
    cache.watch(true, at: at(0))
    let names = try (0..<(SoldOutCache.productsMax + 10)).map { try SKU("p\($0)") }
    for (index, name) in names.enumerated() { cache.declare(name, quantity: Int64(index % 7 + 1), asOf: at(10)) }
    let known = names.enumerated().count { index, name in
      let quantity = Int64(index % 7 + 1)
      return cache.isSoldOut(name, quantity: quantity, at: at(20))
        && !cache.isSoldOut(name, quantity: quantity - 1, at: at(20))
    }
    #expect(known == SoldOutCache.productsMax)
    cache.clearAll(at: at(30))
    #expect(names.allSatisfy { !cache.isSoldOut($0, quantity: 9, at: at(40)) })
  }

  @Test("A reader never sees one declaration's quantity with another's time")
  func tornReads() async {
    let (cache, sku, start) = (cache, sku, start)
    let falsehoods = await withTaskGroup(of: Int.self) { group in
      group.addTask {
        for turn in 0..<20_000 {
          let ms = turn * 10
          cache.clear(sku, at: start + .milliseconds(ms))
          // Of one unit for a short time, or of a hundred for a long one.
          let isShort = turn.isMultiple(of: 2)
          cache.watch(!isShort, at: start + .milliseconds(ms))
          cache.declare(sku, quantity: isShort ? 1 : 100, asOf: start + .milliseconds(ms + 1))
        }
        return 0
      }
      group.addTask {
        // By then only declarations of the long kind hold.
        let late = start + .milliseconds(20_000 * 10 + 500)
        return (0..<400_000).count { _ in cache.isSoldOut(sku, quantity: 1, at: late) }
      }
      return await group.reduce(0, +)
    }
    #expect(falsehoods == 0)
    #expect(cache.isSoldOut(sku, quantity: 100, at: start + .milliseconds(20_000 * 10 + 500)))
  }
}
