/// What a movement of units from one bucket to another is called in both: a byte string of 1 to 192 bytes, compared as
/// bytes.
public struct TransferName: Hashable, Sendable, CustomStringConvertible {
  public let bytes: [UInt8]

  /// - Throws: ``InvalidInput`` for an empty or longer string.
  public init(bytes: [UInt8]) throws(InvalidInput) {
    self.bytes = try boundedName(bytes, argument: "transfer", bytesMax: 192)
  }

  public init(_ text: String) throws(InvalidInput) { try self.init(bytes: Array(text.utf8)) }

  public var description: String { InvalidInput.shown(bytes) }
}

/// One bucket's half of a transfer.
public struct Transfer: Hashable, Sendable {
  /// The raw value is the word in `STOCK.RECORD` and `STOCK.TRANSFERS`.
  public enum Direction: String, Hashable, Sendable, CaseIterable {
    /// Withdrawn here, for the peer.
    case out = "OUT"
    /// Deposited here, from the peer.
    case `in` = "IN"
  }

  public var name: TransferName
  public var direction: Direction
  /// The other bucket of the sale.
  public var peer: Int
  /// Units, 1 to 2^53.
  public var quantity: Int64

  public init(name: TransferName, direction: Direction, peer: Int, quantity: Int64) {
    self.name = name
    self.direction = direction
    self.peer = peer
    self.quantity = quantity
  }
}

/// A half as its bucket lists it.
public struct ListedTransfer: Hashable, Sendable {
  public var transfer: Transfer
  /// When it was made, by the bucket's clock, ms since 1970.
  public var timestampMs: Int64

  public init(transfer: Transfer, timestampMs: Int64) {
    self.transfer = transfer
    self.timestampMs = timestampMs
  }
}

/// Units of a transfer that are put on sale together with a deduction.
public struct Deposit: Hashable, Sendable {
  public var name: TransferName
  /// The bucket that they were withdrawn from.
  public var source: Int
  /// Units, 1 to 2^53.
  public var quantity: Int64

  public init(name: TransferName, source: Int, quantity: Int64) {
    self.name = name
    self.source = source
    self.quantity = quantity
  }
}
