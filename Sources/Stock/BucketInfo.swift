/// Why a bucket is frozen. The raw value is the word in `STOCK.INFO`.
public enum FrozenReason: String, Hashable, Sendable, CaseIterable {
  /// By `FREEZE`; it hides one of the others, which comes back with `THAW`.
  case `operator`
  /// It was created so, to be filled before it sells.
  case create
  /// Its server was a replica, and may lack what the old master had acknowledged.
  case promotion
  /// Its server was started from files that may lack what was acknowledged.
  case load
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
  /// Nil while it is not frozen.
  public var frozen: FrozenReason?
  public var epoch: Int64
  /// Purchases and fences known.
  public var tokens: Int64
  /// Transfers that are not settled.
  public var transfers: Int64
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
    frozen: FrozenReason?,
    epoch: Int64,
    tokens: Int64,
    transfers: Int64,
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
    self.transfers = transfers
    self.logFirst = logFirst
    self.logLast = logLast
    self.bytes = bytes
  }
}
