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

  private static let soldVersion: UInt8 = 1
  private static let heldVersion: UInt8 = 2
  /// The newest version that this program reads.
  public static let version = heldVersion
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
    let sku = purchase.sku.text.utf8
    let user = purchase.user.bytes
    let token = purchase.token.bytes
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 + sku.count + user.count + token.count + 8 + 3 + 8)
    bytes.append(isHeld ? Self.heldVersion : Self.soldVersion)
    bytes.append(UInt8(truncatingIfNeeded: sku.count))
    bytes.append(contentsOf: sku)
    bytes.append(UInt8(truncatingIfNeeded: user.count))
    bytes.append(contentsOf: user)
    bytes.append(UInt8(truncatingIfNeeded: token.count))
    bytes.append(contentsOf: token)
    Self.append(UInt64(purchase.quantity), to: &bytes)
    Self.append(UInt64(bucket), to: &bytes)
    Self.append(UInt64(createdAtMs), to: &bytes)
    return bytes
  }

  /// - Throws: ``PurchaseMessageError`` for anything that ``encoded()`` doesn't make.
  public init(decoding bytes: [UInt8]) throws(PurchaseMessageError) {
    var reader = Reader(bytes: bytes)
    let version = try reader.byte("version")
    guard version == Self.soldVersion || version == Self.heldVersion else { throw .newerVersion(version) }
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

  private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }
}

/// A message body that is not a purchase.
public enum PurchaseMessageError: Error, Hashable, Sendable, CustomStringConvertible {
  /// It was written by a program of another version.
  case newerVersion(UInt8)
  case malformed(String)

  public var description: String {
    switch self {
    case .newerVersion(let version):
      "purchase message of version \(version); this program knows versions 1 to \(PurchaseMessage.version)"
    case .malformed(let what): "malformed purchase message: \(what)"
    }
  }
}

/// Reads within bounds, whatever the bytes are.
private struct Reader {
  let bytes: [UInt8]
  var position = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { position == bytes.count }

  mutating func byte(_ what: String) throws(PurchaseMessageError) -> UInt8 {
    guard position < bytes.count else { throw .malformed("it ends before its \(what)") }
    defer { position += 1 }
    return bytes[position]
  }

  mutating func name(_ what: String) throws(PurchaseMessageError) -> ArraySlice<UInt8> {
    let count = Int(try byte(what))
    guard bytes.count - position >= count else { throw .malformed("it ends within its \(what)") }
    defer { position += count }
    return bytes[position..<position + count]
  }

  mutating func number(_ what: String, max: UInt64) throws(PurchaseMessageError) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 56, by: 7) {
      let next = try byte(what)
      value |= UInt64(next & 0x7F) << shift
      if next & 0x80 == 0 {
        guard next != 0 || shift == 0 else { throw .malformed("its \(what) is not in its shortest form") }
        guard value <= max else { throw .malformed("its \(what) is \(value); it must be \(max) at most") }
        return value
      }
    }
    throw .malformed("its \(what) is too long")
  }
}
