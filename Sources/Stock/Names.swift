/// A product on sale: 1 to 64 of `A-Z a-z 0-9 . _ : -`.
public struct SKU: Hashable, Sendable, CustomStringConvertible {
  public let text: String

  /// - Throws: ``InvalidInput`` for an empty or longer text, or a character outside the alphabet.
  public init(_ text: String) throws(InvalidInput) {
    let bytes = text.utf8
    guard (1...64).contains(bytes.count), bytes.allSatisfy(Self.isAllowed) else {
      throw InvalidInput(
        argument: "SKU",
        value: bytes,
        requirement: "1 to 64 characters of A-Z a-z 0-9 . _ : -"
      )
    }
    self.text = text
  }

  public var description: String { text }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":"),
      UInt8(ascii: "-"):
      true
    default: false
    }
  }
}

/// The name of one purchase attempt (or of one restock): a byte string of 1 to 128 bytes, compared as bytes.
public struct Token: Hashable, Sendable, CustomStringConvertible {
  public let bytes: [UInt8]

  /// - Throws: ``InvalidInput`` for an empty or longer string.
  public init(bytes: [UInt8]) throws(InvalidInput) {
    self.bytes = try boundedName(bytes, argument: "token")
  }

  public init(_ text: String) throws(InvalidInput) { try self.init(bytes: Array(text.utf8)) }

  public var description: String { InvalidInput.shown(bytes) }
}

/// A buyer: a byte string of 1 to 128 bytes, compared as bytes.
public struct UserID: Hashable, Sendable, CustomStringConvertible {
  public let bytes: [UInt8]

  /// - Throws: ``InvalidInput`` for an empty or longer string.
  public init(bytes: [UInt8]) throws(InvalidInput) {
    self.bytes = try boundedName(bytes, argument: "user")
  }

  public init(_ text: String) throws(InvalidInput) { try self.init(bytes: Array(text.utf8)) }

  public var description: String { InvalidInput.shown(bytes) }

  /// The buyer's home bucket among `buckets` of a sale: CRC16 modulo n. It never changes during a sale, so the
  /// buyer's tokens and purchase limit always meet in one place.
  public func homeBucket(among buckets: Int) -> Int {
    buckets <= 1 ? 0 : Int(crc16(bytes)) % buckets
  }
}

/// One bucket of a product's sale, numbered from 0.
public struct BucketID: Hashable, Sendable, CustomStringConvertible {
  public let sku: SKU
  public let index: Int

  public init(sku: SKU, index: Int) {
    self.sku = sku
    self.index = index
  }

  public var description: String { "\(sku)/\(index)" }
}

func boundedName(_ bytes: [UInt8], argument: String, bytesMax: Int = 128) throws(InvalidInput) -> [UInt8] {
  guard (1...bytesMax).contains(bytes.count) else {
    throw InvalidInput(argument: argument, value: bytes, requirement: "1 to \(bytesMax) bytes; it has \(bytes.count)")
  }
  return bytes
}
