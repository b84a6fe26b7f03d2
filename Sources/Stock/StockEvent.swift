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
