/// The stock seam: what the orchestrator asks of a bucket, wherever it lives.
///
/// Every call may be repeated: the token makes it count once. A call that throws ``StockError`` with
/// ``StockError/Code/replyLost`` or ``StockError/Code/protocolViolation`` may or may not have been carried out; with any
/// other code it was not.
public protocol StockService: Sendable {
  /// Puts `quantity` units on sale in a new bucket.
  /// - Throws: ``StockError`` `bucketExists` where it is there already, `evictable` where the server may evict it.
  func create(_ bucket: BucketID, quantity: Int64, terms: SaleTerms) async throws(StockError)

  /// Changes the window and the limit of a bucket. What is nil stays.
  func schedule(_ bucket: BucketID, limit: Int64?, opensMs: Int64?, closesMs: Int64?) async throws(StockError)

  /// Takes a purchase's units, once. Not sent (again) after the deadline.
  ///
  /// A lost reply is resolved here: sent again, and where a later sending is refused, `FENCE` decides.
  /// What can't be learnt by the deadline is ``DeductOutcome/unknown(_:)``, never a guess.
  nonisolated(nonsending) func deduct(
    _ purchase: Purchase,
    from bucket: BucketID,
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DeductOutcome

  /// Gives a purchase's units back. With `fence`, an unknown token is marked cancelled, so that a deduction on its
  /// way is refused. With `offSale`, the units leave the sale instead.
  func cancel(
    _ token: Token,
    in bucket: BucketID,
    fence: Bool,
    offSale: Bool
  ) async throws(StockError) -> CancelOutcome

  /// Decides an attempt that may still be on its way: marks an unknown token cancelled, leaves a live one alone.
  func fence(_ token: Token, in bucket: BucketID) async throws(StockError) -> FenceOutcome

  /// Restocks by `quantity`, once per token; a negative quantity takes unsold units off sale.
  func add(_ token: Token, quantity: Int64, to bucket: BucketID) async throws(StockError) -> AddOutcome

  /// What the bucket knows of a token; nil if nothing.
  func purchase(_ token: Token, in bucket: BucketID) async throws(StockError) -> PurchaseRecord?

  /// The bucket's books at one instant.
  func info(_ bucket: BucketID) async throws(StockError) -> BucketInfo

  /// Up to `count` (1 to 10,000) events after `position`, oldest first.
  /// - Throws: ``StockError`` `epochMismatch`, `logAhead`, `logTrimmed`.
  func log(_ bucket: BucketID, after position: LogPosition, count: Int) async throws(StockError) -> [StockEvent]

  /// Makes sure that the bucket believes in as many buckets as its caller. Buyers' homes come from that number, so a
  /// caller with another one would look for tokens where they are not, and could sell twice.
  ///
  /// Cheap enough to stand before every purchase: an implementation asks the bucket once per connection.
  /// - Throws: ``StockError`` `bucketsMismatch`; what ``info(_:)`` throws.
  nonisolated(nonsending) func verify(_ bucket: BucketID, buckets: Int) async throws(StockError)
}

extension StockService {
  public nonisolated(nonsending) func verify(_ bucket: BucketID, buckets: Int) async throws(StockError) {
    try Self.require(try await info(bucket), bucket, buckets: buckets)
  }

  /// - Throws: ``StockError`` `bucketsMismatch`.
  public static func require(_ info: BucketInfo, _ bucket: BucketID, buckets: Int) throws(StockError) {
    guard info.buckets == buckets, (0..<buckets).contains(bucket.index) else {
      throw StockError(
        .bucketsMismatch,
        "bucket \(bucket) belongs to a sale of \(info.buckets) buckets, and is asked for as one of \(buckets)"
      )
    }
  }
}

/// What holds for all buckets of a sale.
public struct SaleTerms: Hashable, Sendable {
  /// How many buckets the sale has, fixed for its life.
  public var buckets: Int
  /// Units a user may have; 0 for no limit.
  public var limit: Int64
  /// ms since 1970; 0 for none.
  public var opensMs: Int64
  public var closesMs: Int64

  public init(buckets: Int = 1, limit: Int64 = 0, opensMs: Int64 = 0, closesMs: Int64 = 0) {
    self.buckets = buckets
    self.limit = limit
    self.opensMs = opensMs
    self.closesMs = closesMs
  }
}

/// Why a deduction was refused. A refused token is not remembered; it may succeed later.
public enum Refusal: String, Hashable, Sendable, CaseIterable {
  case soldOut, limit, early, closed, frozen
}

public enum DeductOutcome: Hashable, Sendable {
  /// The units are the buyer's: by this call, or by an earlier one of the same token (`isRepeat`).
  case accepted(remaining: Int64, sequence: Int64, isRepeat: Bool)
  /// Nothing was taken.
  case refused(Refusal, remaining: Int64)
  /// The attempt is over (cancelled or fenced); the buyer needs a new token.
  case cancelled
  /// Replies were lost and the outcome can't be learnt in time.
  case unknown(String)
}

public enum CancelOutcome: Hashable, Sendable {
  case cancelled, alreadyCancelled, unknownToken
}

public enum FenceOutcome: Hashable, Sendable {
  /// The token was unknown, and is cancelled now.
  case fenced
  case alreadyCancelled
  /// Held or sold; nothing changed.
  case live
}

public enum AddOutcome: Hashable, Sendable {
  case added(remaining: Int64)
  case alreadyAdded
  /// Fewer units are unsold than were to be taken off sale.
  case short(remaining: Int64)
}
