import Stock

/// A stock service that passes the fuse around its calls.
struct FusedStock: StockService {
  let stock: any StockService
  let fuse: Fuse

  func create(_ bucket: BucketID, quantity: Int64, terms: SaleTerms) async throws(StockError) {
    try await stock.create(bucket, quantity: quantity, terms: terms)
  }

  func schedule(_ bucket: BucketID, limit: Int64?, opensMs: Int64?, closesMs: Int64?) async throws(StockError) {
    try await stock.schedule(bucket, limit: limit, opensMs: opensMs, closesMs: closesMs)
  }

  nonisolated(nonsending) func deduct(
    _ purchase: Purchase,
    from bucket: BucketID,
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DeductOutcome {
    fuse.pass(.deduct, .before)
    let outcome = try await stock.deduct(purchase, from: bucket, before: deadline)
    fuse.pass(.deduct, .after)
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

  func info(_ bucket: BucketID) async throws(StockError) -> BucketInfo { try await stock.info(bucket) }

  func log(_ bucket: BucketID, after position: LogPosition, count: Int) async throws(StockError) -> [StockEvent] {
    fuse.pass(.log, .before)
    let events = try await stock.log(bucket, after: position, count: count)
    fuse.pass(.log, .after)
    return events
  }

  nonisolated(nonsending) func verify(_ bucket: BucketID, buckets: Int) async throws(StockError) {
    try await stock.verify(bucket, buckets: buckets)
  }
}
