/// The stock seam: what the orchestrator asks of a bucket, wherever it lives.
///
/// Every call may be repeated: the token or the transfer's name makes it count once. A call that throws ``StockError``
/// with ``StockError/Code/replyLost`` or ``StockError/Code/protocolViolation`` may or may not have been carried out; with
/// any other code it was not.
public protocol StockService: Sendable {
  /// Puts `quantity` units on sale in a new bucket. With `frozen` it sells nothing before it is thawed.
  /// - Throws: ``StockError`` `bucketExists` where it is there already, `evictable` where the server may evict it.
  func create(_ bucket: BucketID, quantity: Int64, terms: SaleTerms, frozen: Bool) async throws(StockError)

  /// Changes the window and the limit of a bucket. What is nil stays.
  func schedule(_ bucket: BucketID, limit: Int64?, opensMs: Int64?, closesMs: Int64?) async throws(StockError)

  // MARK: Purchases

  /// Takes a purchase's units, once. Not sent (again) after the deadline. With `holdMs` (from 1 ms), they are held for
  /// that long, to be confirmed; then they go back on sale by themselves.
  ///
  /// A lost reply is resolved here: sent again, and where a later sending is refused, `FENCE` decides.
  /// What can't be learnt by the deadline is ``DeductOutcome/unknown(_:)``, never a guess.
  nonisolated(nonsending) func deduct(
    _ purchase: Purchase,
    from bucket: BucketID,
    holdMs: Int64?,
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DeductOutcome

  /// Puts the units of transfers on sale and takes the purchase's, in one step, so that nobody takes them in between.
  /// A thrown error leaves open whether the deposits were made, as ``DepositedDeduction/isDeposited`` being false does.
  nonisolated(nonsending) func deduct(
    _ purchase: Purchase,
    from bucket: BucketID,
    holdMs: Int64?,
    depositing deposits: [Deposit],
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DepositedDeduction

  /// Makes a held purchase a sold one.
  /// - Throws: ``StockError`` `frozen` for a token that the frozen bucket does not know.
  nonisolated(nonsending) func confirm(_ token: Token, in bucket: BucketID) async throws(StockError) -> ConfirmOutcome

  /// Gives a purchase's units back. With `fence`, an unknown token is marked cancelled, so that a deduction on its
  /// way is refused. With `offSale`, the units leave the sale instead.
  /// - Throws: ``StockError`` `frozen` for a token that the frozen bucket does not know.
  func cancel(
    _ token: Token,
    in bucket: BucketID,
    fence: Bool,
    offSale: Bool
  ) async throws(StockError) -> CancelOutcome

  /// Decides an attempt that may still be on its way: marks an unknown token cancelled, leaves a live one alone.
  /// - Throws: ``StockError`` `frozen` for a token that the frozen bucket does not know.
  func fence(_ token: Token, in bucket: BucketID) async throws(StockError) -> FenceOutcome

  /// Restocks by `quantity`, once per token; a negative quantity takes unsold units off sale.
  /// - Throws: ``StockError`` `frozen` for a negative quantity.
  func add(_ token: Token, quantity: Int64, to bucket: BucketID) async throws(StockError) -> AddOutcome

  /// What the bucket knows of a token; nil if nothing.
  func purchase(_ token: Token, in bucket: BucketID) async throws(StockError) -> PurchaseRecord?

  // MARK: Transfers

  /// Takes up to `quantity` units (1 to 2^53) off sale, into a transfer for the sale's bucket `target`.
  /// - Throws: ``StockError`` `frozen`; `transferMismatch` where the name is known with another peer or direction.
  nonisolated(nonsending) func withdraw(
    _ transfer: TransferName,
    quantity: Int64,
    from bucket: BucketID,
    to target: Int
  ) async throws(StockError) -> WithdrawOutcome

  /// Puts a transfer's units on sale, once.
  /// - Throws: ``StockError`` `transferMismatch` where it is known with another peer, direction or quantity.
  nonisolated(nonsending) func deposit(_ deposit: Deposit, into bucket: BucketID) async throws(StockError)
    -> DepositOutcome

  /// Closes this bucket's half of a transfer: first the source's, once the target has its half, then the target's.
  nonisolated(nonsending) func settle(_ transfer: TransferName, in bucket: BucketID) async throws(StockError)
    -> SettleOutcome

  /// Up to `count` (1 to 10,000) open transfers (with `settled`, those that are settled too) in the order in which they
  /// were made; with `after`, those made after that one.
  func transfers(
    _ bucket: BucketID,
    settled: Bool,
    after: TransferName?,
    count: Int
  ) async throws(StockError) -> [ListedTransfer]

  /// Shares what buckets have on sale among them, in one step: evenly (sizes differ by one at most), or by `weights`, one
  /// a bucket. Returns what each has then. Repeated, it shares what is there by then.
  /// - Throws: ``StockError`` `bucketsApart` where they are not on one server; `frozen`.
  func rebalance(_ sku: SKU, buckets: [Int], weights: [Int64]?) async throws(StockError) -> [Int64]

  // MARK: Freezing and recovery

  /// Stops new deductions, withdrawals and the like until ``thaw(_:epoch:)``. Does nothing to a bucket that an operator
  /// has frozen already.
  func freeze(_ bucket: BucketID) async throws(StockError)

  /// Ends a freeze; the reason that an operator's had hidden comes back. A program thaws with the `epoch` that it has
  /// compared, and leaves an operator's freeze alone. Without one this is the only call that repeated does more: look at
  /// the bucket first where a reply was lost.
  /// - Throws: with `epoch`: ``StockError`` `epochMismatch` in another one, `frozenByOperator`.
  func thaw(_ bucket: BucketID, epoch: Int64?) async throws(StockError)

  /// Writes in what the bucket may have lost, frozen or not, without limit and window.
  /// - Throws: ``StockError`` `tokenMismatch`, `transferMismatch` where the bucket knows it otherwise.
  func record(_ entry: LostEntry, in bucket: BucketID) async throws(StockError) -> LostEntryOutcome

  // MARK: Log and books

  /// The bucket's books at one instant.
  func info(_ bucket: BucketID) async throws(StockError) -> BucketInfo

  /// Up to `count` (1 to 10,000) events after `position`, oldest first.
  /// - Throws: ``StockError`` `epochMismatch`, `logAhead`, `logTrimmed`.
  func log(_ bucket: BucketID, after position: LogPosition, count: Int) async throws(StockError) -> [StockEvent]

  /// Drops the events up to `position`; their tokens stay known. Returns how many went by this sending.
  /// - Throws: ``StockError`` `epochMismatch`, `logAhead`.
  func trim(_ bucket: BucketID, upTo position: LogPosition) async throws(StockError) -> Int64

  // MARK: Servers

  /// Makes sure that the bucket believes in as many buckets as its caller. Buyers' homes come from that number, so a
  /// caller with another one would look for tokens where they are not, and could sell twice.
  ///
  /// Cheap enough to stand before every purchase: an implementation asks the bucket once per connection.
  /// - Throws: ``StockError`` `bucketsMismatch`; what ``info(_:)`` throws.
  nonisolated(nonsending) func verify(_ bucket: BucketID, buckets: Int) async throws(StockError)

  /// What decides on which server a bucket lies: to be stored with a sale when it is created, and to be compared by
  /// ``verify(servers:)`` when it is met again. Never with a password.
  var serversText: String { get }

  /// What is known to be sold out; nil where nothing is kept of it. The caller asks it and declares to it; changes that
  /// put units on sale, by this service or, where its servers tell, by others, clear it.
  var soldOut: SoldOutCache? { get }

  /// The server that has the bucket, for people to read; nil where that is not known at the moment.
  func server(of bucket: BucketID) async -> String?

  /// Takes a lease of a sale's work of that name, or renews it; false while another holder has it. It ends `ms` after it
  /// was taken last. A lease keeps work from being done twice and nothing else: it may be lost, and had by two for a while.
  /// - Parameter work: 1 to 64 of `a-z -`.
  func lease(_ work: String, of sku: SKU, for holder: String, ms: Int64) async throws(StockError) -> Bool
}

extension StockService {
  public var soldOut: SoldOutCache? { nil }

  /// Where no leases are kept everybody has each of them.
  public func lease(_ work: String, of sku: SKU, for holder: String, ms: Int64) async throws(StockError) -> Bool {
    true
  }

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

  /// Makes sure that buckets are looked for where they were put.
  /// - Parameter recorded: the ``serversText`` that was stored with the sale.
  /// - Throws: ``StockError`` `serversMismatch`, which names both.
  public func verify(servers recorded: String) throws(StockError) {
    guard recorded != serversText else { return }
    throw StockError(
      .serversMismatch,
      "the sale was created on \(recorded), and is looked for on \(serversText): its buckets would be elsewhere"
    )
  }
}

/// The shorter forms.
extension StockService {
  @inlinable
  public func create(_ bucket: BucketID, quantity: Int64, terms: SaleTerms) async throws(StockError) {
    try await create(bucket, quantity: quantity, terms: terms, frozen: false)
  }

  @inlinable
  public nonisolated(nonsending) func deduct(
    _ purchase: Purchase,
    from bucket: BucketID,
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DeductOutcome {
    try await deduct(purchase, from: bucket, holdMs: nil, before: deadline)
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
