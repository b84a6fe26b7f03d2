import Stock
import Testing

@testable import Doorbuster

@Suite("The purchase message")
struct PurchaseMessageTests {
  @Test("has the bytes of its format, so that other versions of the program read it")
  func literalBytes() throws {
    let purchase = try Sample.purchase("t", user: "u", quantity: 300, sku: "s")
    let message = PurchaseMessage(purchase: purchase, bucket: 2, createdAtMs: 128)
    #expect(message.encoded() == [1, 1, 0x73, 1, 0x75, 1, 0x74, 0xAC, 0x02, 2, 0x80, 0x01])
    #expect(try PurchaseMessage(decoding: message.encoded()) == message)
    // What is held says so by its version; all else is the same.
    let held = PurchaseMessage(purchase: purchase, bucket: 2, createdAtMs: 128, isHeld: true)
    #expect(held.encoded() == [2, 1, 0x73, 1, 0x75, 1, 0x74, 0xAC, 0x02, 2, 0x80, 0x01])
    #expect(try PurchaseMessage(decoding: held.encoded()) == held)
  }

  @Test("comes back as it was, at all bounds", arguments: [1, 127, 128, StockLimits.quantityMax], [0, 1, 16383])
  func roundTrip(quantity: Int64, bucket: Int) throws {
    let purchase = try Purchase(
      sku: SKU(String(repeating: "x", count: 64)),
      user: UserID(bytes: Array(repeating: 0, count: 128)),
      token: Token(bytes: (0..<128).map { UInt8($0 + 128) }),
      quantity: quantity
    )
    for createdAtMs in [0, 1_700_000_000_000, StockLimits.quantityMax] {
      let message = PurchaseMessage(purchase: purchase, bucket: bucket, createdAtMs: createdAtMs)
      #expect(try PurchaseMessage(decoding: message.encoded()) == message)
    }
  }

  @Test("is refused wherever it is cut, and with a byte too many")
  func truncated() throws {
    let bytes = PurchaseMessage(purchase: try Sample.purchase(), bucket: 5, createdAtMs: 1_700_000_000_000).encoded()
    for count in 0..<bytes.count {
      #expect(throws: PurchaseMessageError.self) { try PurchaseMessage(decoding: Array(bytes[..<count])) }
    }
    #expect(throws: PurchaseMessageError.malformed("bytes follow its end")) {
      try PurchaseMessage(decoding: bytes + [0])
    }
  }

  @Test(
    "is refused where a field is outside its bounds",
    arguments: [
      // Empty SKU, user, token; a blank in the SKU; quantity 0, 2^53+1, ten bytes long, not in its shortest form;
      // bucket 16384; another version.
      [1, 0, 1, 0x75, 1, 0x74, 1, 0, 0],
      [1, 1, 0x73, 0, 1, 0x74, 1, 0, 0],
      [1, 1, 0x73, 1, 0x75, 0, 1, 0, 0],
      [1, 1, 0x20, 1, 0x75, 1, 0x74, 1, 0, 0],
      [1, 1, 0x73, 1, 0x75, 1, 0x74, 0, 0, 0],
      [1, 1, 0x73, 1, 0x75, 1, 0x74, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 0, 0],
      [1, 1, 0x73, 1, 0x75, 1, 0x74, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0, 0],
      [1, 1, 0x73, 1, 0x75, 1, 0x74, 0x81, 0x00, 0, 0],
      [1, 1, 0x73, 1, 0x75, 1, 0x74, 1, 0x80, 0x80, 0x01, 0],
      [0, 1, 0x73, 1, 0x75, 1, 0x74, 1, 0, 0],
      [3, 1, 0x73, 1, 0x75, 1, 0x74, 1, 0, 0],
    ] as [[UInt8]]
  )
  func outOfBounds(bytes: [UInt8]) {
    #expect(throws: PurchaseMessageError.self) { try PurchaseMessage(decoding: bytes) }
  }

  @Test("never traps, and what it accepts is written the same way again")
  func hostileBytes() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededRandom(seed: seed)
    let purchase = try Sample.purchase()
    let valid = [false, true].map {
      PurchaseMessage(purchase: purchase, bucket: 5, createdAtMs: 77, isHeld: $0).encoded()
    }
    for number in 0..<20_000 {
      var bytes = valid[number % 2]
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        bytes[place] = UInt8.random(in: 0...255, using: &random)
      }
      if let message = try? PurchaseMessage(decoding: bytes) {
        #expect(message.encoded() == bytes, "seed \(seed)")
      }
    }
  }
}
