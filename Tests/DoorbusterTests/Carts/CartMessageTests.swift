import Orders
import Stock
import Testing

@testable import Doorbuster

@Suite("A cart and its message")
struct CartMessageTests {
  @Test("has lines of its products in order, each once")
  func order() throws {
    let cart = try Sample.cart()
    #expect(cart.purchases.map { "\($0.sku)=\($0.quantity)" } == ["hat=1", "shoe=2"])
    #expect(cart.purchases.allSatisfy { $0.user == cart.user && $0.token == cart.token })
  }

  @Test("is refused where it is empty, too long, or has a product twice, and says so")
  func bounds() throws {
    func error(_ lines: [CartLine]) -> String? {
      do {
        _ = try Cart(user: UserID("u"), token: Token("t"), lines: lines)
        return nil
      } catch {
        return "\(error)"
      }
    }
    #expect(error([]) == "cart is '0 lines'; it must be 1 to 32 lines")
    let lines = try (0..<33).map { try CartLine(sku: SKU("p\($0)")) }
    #expect(error(lines) == "cart is '33 lines'; it must be 1 to 32 lines")
    #expect(error(Array(lines[..<32])) == nil)
    let twice = try [CartLine(sku: SKU("a"), quantity: 1), CartLine(sku: SKU("a"), quantity: 2)]
    #expect(error(twice) == "cart is 'a'; it must be of products that are in it once")
    #expect(throws: InvalidInput.self) { try CartLine(sku: SKU("a"), quantity: 0) }
  }

  @Test("is encoded by the bytes that its documentation tells")
  func bytes() throws {
    let message = try Sample.message(try Sample.cart(), buckets: [0, 300])
    let bytes: [UInt8] =
      [3, 3] + Array("ann".utf8) + [2] + Array("t1".utf8) + [0xE8, 7, 2, 3] + Array("hat".utf8) + [1, 0, 4]
      + Array("shoe".utf8) + [2, 0xAC, 2]
    #expect(message.encoded() == bytes)
    #expect(try CartMessage(decoding: bytes) == message)
    #expect(try OrderMessage(decoding: bytes) == .cart(message))
    #expect(message.bucketIDs.map(\.description) == ["hat/0", "shoe/300"])
  }

  @Test("is told from a purchase's, whose messages stay readable")
  func kinds() throws {
    for isHeld in [false, true] {
      let purchase = PurchaseMessage(purchase: try Sample.purchase(), bucket: 2, createdAtMs: 5, isHeld: isHeld)
      #expect(try OrderMessage(decoding: purchase.encoded()) == .purchase(purchase))
      #expect(throws: PurchaseMessageError.self) { try CartMessage(decoding: purchase.encoded()) }
    }
    let cart = try Sample.message(try Sample.cart())
    #expect(throws: PurchaseMessageError.self) { try PurchaseMessage(decoding: cart.encoded()) }
    #expect(throws: PurchaseMessageError.newerVersion(4)) { try OrderMessage(decoding: [4, 1]) }
    #expect(throws: PurchaseMessageError.self) { try OrderMessage(decoding: []) }
  }

  @Test("is refused where it is cut off, goes on, or has lines out of order")
  func malformed() throws {
    let bytes = try Sample.message(try Sample.cart()).encoded()
    for count in 0..<bytes.count {
      #expect(throws: PurchaseMessageError.self) { try CartMessage(decoding: Array(bytes[..<count])) }
    }
    #expect(throws: PurchaseMessageError.malformed("bytes follow its end")) { try CartMessage(decoding: bytes + [0]) }
    let twice: [UInt8] = [3, 1, 0x75, 1, 0x74, 1, 2, 1, 0x61, 1, 0, 1, 0x61, 1, 0]
    #expect(throws: PurchaseMessageError.malformed("its lines are not in order")) {
      try CartMessage(decoding: twice)
    }
    #expect(throws: PurchaseMessageError.self) { try CartMessage(decoding: [3, 1, 0x75, 1, 0x74, 1, 0]) }
  }

  @Test("never traps, and what it accepts is written the same way again")
  func hostileBytes() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededRandom(seed: seed)
    let valid = try Sample.message(try Sample.cart(), buckets: [1, 16_000]).encoded()
    for _ in 0..<20_000 {
      var bytes = valid
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        bytes[place] = UInt8.random(in: 0...255, using: &random)
      }
      if let message = try? CartMessage(decoding: bytes) { #expect(message.encoded() == bytes, "seed \(seed)") }
    }
  }
}
