import Messaging
import Orders
import Stock

/// A purchase as its message carries it.
///
/// Version 1, in this order: the version (1 byte); SKU, user and token, each behind its length (1 byte); quantity,
/// bucket and creation time in ms since 1970, each as an unsigned LEB128 number in its shortest form. The purchase is
/// sold.
///
/// Version 2, of a purchase that is held: the same with another first byte. What is sold at once stays in version 1, so
/// that workers of an older version of this program can read it.
public struct PurchaseMessage: Hashable, Sendable {
  public var purchase: Purchase
  /// The buyer's home bucket, 0 to 16383.
  public var bucket: Int
  /// When the purchase was made, by the orchestrator's clock, ms since 1970, 0 to 2^53.
  public var createdAtMs: Int64
  /// Whether the units are held for the buyer, to be confirmed.
  public var isHeld: Bool

  static let soldVersion: UInt8 = 1
  static let heldVersion: UInt8 = 2
  static let bucketMax = 16383

  public init(purchase: Purchase, bucket: Int, createdAtMs: Int64, isHeld: Bool = false) {
    self.purchase = purchase
    self.isHeld = isHeld
    self.bucket = min(max(bucket, 0), Self.bucketMax)
    self.createdAtMs = min(max(createdAtMs, 0), StockLimits.quantityMax)
  }

  public var order: Order { Order(purchase: purchase, bucket: bucket, createdAtMs: createdAtMs) }

  /// How its order is to be recorded.
  var state: OrderState { isHeld ? .held : .sold }

  public var bucketID: BucketID { BucketID(sku: purchase.sku, index: bucket) }

  public func encoded() -> [UInt8] {
    var writer = MessageWriter(version: isHeld ? Self.heldVersion : Self.soldVersion, capacity: 160)
    writer.name(purchase.sku.text.utf8)
    writer.name(purchase.user.bytes)
    writer.name(purchase.token.bytes)
    writer.number(UInt64(purchase.quantity))
    writer.number(UInt64(bucket))
    writer.number(UInt64(createdAtMs))
    return writer.bytes
  }

  /// - Throws: ``PurchaseMessageError`` for anything that ``encoded()`` doesn't make.
  public init(decoding bytes: [UInt8]) throws(PurchaseMessageError) {
    var reader = MessageReader(bytes: bytes)
    let version = try reader.byte("version")
    switch version {
    case Self.soldVersion, Self.heldVersion: break
    case CartMessage.version: throw .malformed("it is a cart's")
    default: throw .newerVersion(version)
    }
    let skuBytes = try reader.name("SKU")
    let userBytes = try reader.name("user")
    let tokenBytes = try reader.name("token")
    let quantity = try reader.number("quantity", max: UInt64(StockLimits.quantityMax))
    let bucket = try reader.number("bucket", max: UInt64(Self.bucketMax))
    let createdAtMs = try reader.number("time", max: UInt64(StockLimits.quantityMax))
    guard reader.isAtEnd else { throw .malformed("bytes follow its end") }
    do {
      purchase = try Purchase(
        sku: SKU(String(decoding: skuBytes, as: UTF8.self)),
        user: UserID(bytes: Array(userBytes)),
        token: Token(bytes: Array(tokenBytes)),
        quantity: Int64(quantity)
      )
    } catch {
      throw .malformed(error.description)
    }
    isHeld = version == Self.heldVersion
    self.bucket = Int(bucket)
    self.createdAtMs = Int64(createdAtMs)
  }

  /// The message under its topic. Its key is the token.
  func message(topic: Topic) -> Message {
    Message(topic: topic, key: purchase.token.bytes, body: encoded())
  }
}

/// A message body that is neither a purchase nor a cart.
public enum PurchaseMessageError: Error, Hashable, Sendable, CustomStringConvertible {
  /// It was written by a program of another version.
  case newerVersion(UInt8)
  case malformed(String)

  public var description: String {
    switch self {
    case .newerVersion(let version):
      "purchase message of version \(version); this program knows versions 1 to \(OrderMessage.version)"
    case .malformed(let what): "malformed purchase message: \(what)"
    }
  }
}
