import Messaging
import Orders
import Stock

/// A cart as its message carries it: one message for all lines, so that its commit is the cart's decision.
///
/// Version 3, in this order: the version (1 byte); user and token, each behind its length (1 byte); creation time in ms
/// since 1970, and the number of lines; of each line the SKU behind its length, quantity, and bucket. Numbers are
/// unsigned LEB128 in their shortest form; lines are in the cart's order. Workers of a version of this program that knows no
/// carts put it aside as a dead message, to be replayed by newer ones.
public struct CartMessage: Hashable, Sendable {
  public let cart: Cart
  /// Its lines with the buckets that hold them: the buyer's homes.
  public let order: CartOrder

  static let version: UInt8 = 3

  /// - Parameters:
  ///   - buckets: for each line its bucket, 0 to 16383.
  ///   - createdAtMs: when the cart was bought, by the orchestrator's clock, ms since 1970.
  /// - Throws: ``InvalidInput`` unless there is a bucket for each line.
  public init(_ cart: Cart, buckets: [Int], createdAtMs: Int64) throws(InvalidInput) {
    self.cart = cart
    order = try CartOrder(
      cart,
      buckets: buckets.map { min(max($0, 0), PurchaseMessage.bucketMax) },
      createdAtMs: min(max(createdAtMs, 0), StockLimits.quantityMax)
    )
  }

  public var bucketIDs: [BucketID] { order.lines.map { BucketID(sku: $0.purchase.sku, index: $0.bucket) } }

  public func encoded() -> [UInt8] {
    var writer = MessageWriter(version: Self.version, capacity: 300 + 80 * order.lines.count)
    writer.name(cart.user.bytes)
    writer.name(cart.token.bytes)
    writer.number(UInt64(order.lines[0].createdAtMs))
    writer.number(UInt64(order.lines.count))
    for line in order.lines {
      writer.name(line.purchase.sku.text.utf8)
      writer.number(UInt64(line.purchase.quantity))
      writer.number(UInt64(line.bucket))
    }
    return writer.bytes
  }

  /// - Throws: ``PurchaseMessageError`` for anything that ``encoded()`` doesn't make.
  public init(decoding bytes: [UInt8]) throws(PurchaseMessageError) {
    var reader = MessageReader(bytes: bytes)
    let version = try reader.byte("version")
    guard version == Self.version else { throw .malformed("it is no cart's") }
    let user = try reader.name("user")
    let token = try reader.name("token")
    let createdAtMs = try reader.number("time", max: UInt64(StockLimits.quantityMax))
    let count = try reader.number("number of lines", max: UInt64(Cart.linesMax))
    var lines: [CartLine] = []
    var buckets: [Int] = []
    do {
      for _ in 0..<count {
        let sku = try SKU(String(decoding: try reader.name("SKU"), as: UTF8.self))
        let quantity = try reader.number("quantity", max: UInt64(StockLimits.quantityMax))
        if let last = lines.last, !last.sku.precedes(sku) {
          throw PurchaseMessageError.malformed("its lines are not in order")
        }
        lines.append(try CartLine(sku: sku, quantity: Int64(quantity)))
        buckets.append(Int(try reader.number("bucket", max: UInt64(PurchaseMessage.bucketMax))))
      }
      guard reader.isAtEnd else { throw PurchaseMessageError.malformed("bytes follow its end") }
      let cart = try Cart(user: UserID(bytes: Array(user)), token: Token(bytes: Array(token)), lines: lines)
      try self.init(cart, buckets: buckets, createdAtMs: Int64(createdAtMs))
    } catch let error as PurchaseMessageError {
      throw error
    } catch {
      throw .malformed("\(error)")
    }
  }

  /// The message under its topic. Its key is the token.
  func message(topic: Topic) -> Message { Message(topic: topic, key: cart.token.bytes, body: encoded()) }
}

/// What a message of the topic carries.
public enum OrderMessage: Hashable, Sendable {
  case purchase(PurchaseMessage)
  case cart(CartMessage)

  /// The newest version that this program reads.
  public static let version = CartMessage.version

  /// - Throws: ``PurchaseMessageError`` for anything that neither makes.
  public init(decoding bytes: [UInt8]) throws(PurchaseMessageError) {
    if bytes.first == CartMessage.version {
      self = .cart(try CartMessage(decoding: bytes))
    } else {
      self = .purchase(try PurchaseMessage(decoding: bytes))
    }
  }
}
