/// What a bucket did. The raw value is the word in `STOCK.LOG`.
public enum StockAction: String, Hashable, Sendable, CaseIterable {
  case create, add, deduct, hold, confirm, cancel, expire, fence, withdraw, deposit, rebalance, record, schedule
  case freeze, thaw
}

/// One entry of a bucket's operation log.
public struct StockEvent: Hashable, Sendable {
  /// From 1, without gaps.
  public var sequence: Int64
  public var action: StockAction
  /// The purchase's, restock's or transfer's name; nil where the event has none.
  public var token: [UInt8]?
  public var user: [UInt8]?
  /// Units on sale after the event, less those before it.
  public var change: Int64
  /// Units on sale before and after.
  public var from: Int64
  public var to: Int64
  /// The bucket's clock, ms since 1970.
  public var timestampMs: Int64

  public init(
    sequence: Int64,
    action: StockAction,
    token: [UInt8]?,
    user: [UInt8]?,
    change: Int64,
    from: Int64,
    to: Int64,
    timestampMs: Int64
  ) {
    self.sequence = sequence
    self.action = action
    self.token = token
    self.user = user
    self.change = change
    self.from = from
    self.to = to
    self.timestampMs = timestampMs
  }
}

/// A place in a bucket's log: everything up to `sequence` is behind it. Valid within one epoch.
public struct LogPosition: Hashable, Sendable {
  public var epoch: Int64
  public var sequence: Int64

  public init(epoch: Int64, sequence: Int64) {
    self.epoch = epoch
    self.sequence = sequence
  }
}

/// A bucket's books: `created + added + transferredIn = available + held + sold + transferredOut`, always.
public struct BucketInfo: Hashable, Sendable {
  public var created: Int64
  public var added: Int64
  public var available: Int64
  public var held: Int64
  public var sold: Int64
  /// Units ever cancelled.
  public var cancelled: Int64
  public var transferredIn: Int64
  public var transferredOut: Int64
  /// How many buckets the sale has.
  public var buckets: Int
  /// Units a user may have, held and sold; 0 for none.
  public var limit: Int64
  /// ms since 1970; 0 for none.
  public var opensMs: Int64
  public var closesMs: Int64
  public var frozen: Bool
  public var epoch: Int64
  /// Purchases and fences known.
  public var tokens: Int64
  public var logFirst: Int64
  public var logLast: Int64
  public var bytes: Int64

  public init(
    created: Int64,
    added: Int64,
    available: Int64,
    held: Int64,
    sold: Int64,
    cancelled: Int64,
    transferredIn: Int64,
    transferredOut: Int64,
    buckets: Int,
    limit: Int64,
    opensMs: Int64,
    closesMs: Int64,
    frozen: Bool,
    epoch: Int64,
    tokens: Int64,
    logFirst: Int64,
    logLast: Int64,
    bytes: Int64
  ) {
    self.created = created
    self.added = added
    self.available = available
    self.held = held
    self.sold = sold
    self.cancelled = cancelled
    self.transferredIn = transferredIn
    self.transferredOut = transferredOut
    self.buckets = buckets
    self.limit = limit
    self.opensMs = opensMs
    self.closesMs = closesMs
    self.frozen = frozen
    self.epoch = epoch
    self.tokens = tokens
    self.logFirst = logFirst
    self.logLast = logLast
    self.bytes = bytes
  }
}
