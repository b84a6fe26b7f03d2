import Stock

/// A stock service that passes the fuse around its calls.
struct FusedStock: StockService {
  let stock: any StockService
  let fuse: Fuse

  func create(_ bucket: BucketID, quantity: Int64, terms: SaleTerms, frozen: Bool) async throws(StockError) {
    fuse.pass(.create, .before)
    try await stock.create(bucket, quantity: quantity, terms: terms, frozen: frozen)
    fuse.pass(.create, .after)
  }

  func schedule(_ bucket: BucketID, limit: Int64?, opensMs: Int64?, closesMs: Int64?) async throws(StockError) {
    try await stock.schedule(bucket, limit: limit, opensMs: opensMs, closesMs: closesMs)
  }

  nonisolated(nonsending) func deduct(
    _ purchase: Purchase,
    from bucket: BucketID,
    holdMs: Int64?,
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DeductOutcome {
    fuse.pass(.deduct, .before)
    let outcome = try await stock.deduct(purchase, from: bucket, holdMs: holdMs, before: deadline)
    fuse.pass(.deduct, .after)
    return outcome
  }

  nonisolated(nonsending) func deduct(
    _ purchase: Purchase,
    from bucket: BucketID,
    holdMs: Int64?,
    depositing deposits: [Deposit],
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DepositedDeduction {
    fuse.pass(.deductDepositing, .before)
    let outcome = try await stock.deduct(
      purchase,
      from: bucket,
      holdMs: holdMs,
      depositing: deposits,
      before: deadline
    )
    fuse.pass(.deductDepositing, .after)
    return outcome
  }

  nonisolated(nonsending) func confirm(_ token: Token, in bucket: BucketID) async throws(StockError) -> ConfirmOutcome {
    fuse.pass(.confirm, .before)
    let outcome = try await stock.confirm(token, in: bucket)
    fuse.pass(.confirm, .after)
    return outcome
  }

  func cancel(
    _ token: Token,
    in bucket: BucketID,
    fence: Bool,
    offSale: Bool
  ) async throws(StockError) -> CancelOutcome {
    fuse.pass(.cancel, .before)
    let outcome = try await stock.cancel(token, in: bucket, fence: fence, offSale: offSale)
    fuse.pass(.cancel, .after)
    return outcome
  }

  func fence(_ token: Token, in bucket: BucketID) async throws(StockError) -> FenceOutcome {
    fuse.pass(.fence, .before)
    let outcome = try await stock.fence(token, in: bucket)
    fuse.pass(.fence, .after)
    return outcome
  }

  func add(_ token: Token, quantity: Int64, to bucket: BucketID) async throws(StockError) -> AddOutcome {
    try await stock.add(token, quantity: quantity, to: bucket)
  }

  func purchase(_ token: Token, in bucket: BucketID) async throws(StockError) -> PurchaseRecord? {
    try await stock.purchase(token, in: bucket)
  }

  nonisolated(nonsending) func withdraw(
    _ transfer: TransferName,
    quantity: Int64,
    from bucket: BucketID,
    to target: Int
  ) async throws(StockError) -> WithdrawOutcome {
    fuse.pass(.withdraw, .before)
    let outcome = try await stock.withdraw(transfer, quantity: quantity, from: bucket, to: target)
    fuse.pass(.withdraw, .after)
    return outcome
  }

  nonisolated(nonsending) func deposit(_ deposit: Deposit, into bucket: BucketID) async throws(StockError)
    -> DepositOutcome
  {
    fuse.pass(.deposit, .before)
    let outcome = try await stock.deposit(deposit, into: bucket)
    fuse.pass(.deposit, .after)
    return outcome
  }

  nonisolated(nonsending) func settle(_ transfer: TransferName, in bucket: BucketID) async throws(StockError)
    -> SettleOutcome
  {
    fuse.pass(.settle, .before)
    let outcome = try await stock.settle(transfer, in: bucket)
    fuse.pass(.settle, .after)
    return outcome
  }

  func transfers(
    _ bucket: BucketID,
    settled: Bool,
    after: TransferName?,
    count: Int
  ) async throws(StockError) -> [ListedTransfer] {
    try await stock.transfers(bucket, settled: settled, after: after, count: count)
  }

  func rebalance(_ sku: SKU, buckets: [Int], weights: [Int64]?) async throws(StockError) -> [Int64] {
    fuse.pass(.rebalance, .before)
    let outcome = try await stock.rebalance(sku, buckets: buckets, weights: weights)
    fuse.pass(.rebalance, .after)
    return outcome
  }

  func freeze(_ bucket: BucketID) async throws(StockError) { try await stock.freeze(bucket) }

  func thaw(_ bucket: BucketID, epoch: Int64?) async throws(StockError) {
    fuse.pass(.thaw, .before)
    try await stock.thaw(bucket, epoch: epoch)
    fuse.pass(.thaw, .after)
  }

  func record(_ entry: LostEntry, in bucket: BucketID) async throws(StockError) -> LostEntryOutcome {
    fuse.pass(.writeIn, .before)
    let outcome = try await stock.record(entry, in: bucket)
    fuse.pass(.writeIn, .after)
    return outcome
  }

  func info(_ bucket: BucketID) async throws(StockError) -> BucketInfo { try await stock.info(bucket) }

  func log(_ bucket: BucketID, after position: LogPosition, count: Int) async throws(StockError) -> [StockEvent] {
    fuse.pass(.log, .before)
    let events = try await stock.log(bucket, after: position, count: count)
    fuse.pass(.log, .after)
    return events
  }

  func trim(_ bucket: BucketID, upTo position: LogPosition) async throws(StockError) -> Int64 {
    fuse.pass(.trim, .before)
    let trimmed = try await stock.trim(bucket, upTo: position)
    fuse.pass(.trim, .after)
    return trimmed
  }

  var serversText: String { stock.serversText }

  var soldOut: SoldOutCache? { stock.soldOut }

  func server(of bucket: BucketID) async -> String? { await stock.server(of: bucket) }

  func lease(_ work: String, of sku: SKU, for holder: String, ms: Int64) async throws(StockError) -> Bool {
    try await stock.lease(work, of: sku, for: holder, ms: ms)
  }

  nonisolated(nonsending) func verify(_ bucket: BucketID, buckets: Int) async throws(StockError) {
    try await stock.verify(bucket, buckets: buckets)
  }
}
