import Stock

extension ModelServers {
  func create(_ bucket: BucketID, quantity: Int64, terms: SaleTerms, frozen: Bool) async throws(StockError) {
    try stock { state throws(StockError) in
      try state.stock.create(bucket, quantity: quantity, terms: terms, frozen: frozen, nowMs: clock.wallMs)
    }
  }

  func schedule(_ bucket: BucketID, limit: Int64?, opensMs: Int64?, closesMs: Int64?) async throws(StockError) {
    try self.bucket(bucket) { bucket throws(StockError) in
      bucket.schedule(limit: limit, opensMs: opensMs, closesMs: closesMs, nowMs: clock.wallMs)
    }
  }

  // MARK: Purchases

  func deduct(
    _ purchase: Purchase,
    from bucket: BucketID,
    holdMs: Int64?,
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DeductOutcome {
    try self.bucket(bucket) { bucket throws(StockError) in
      try bucket.deduct(purchase, holdMs: holdMs, nowMs: clock.wallMs)
    }
  }

  func deduct(
    _ purchase: Purchase,
    from bucket: BucketID,
    holdMs: Int64?,
    depositing deposits: [Deposit],
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DepositedDeduction {
    try stock { state throws(StockError) in
      try state.stock.deduct(purchase, from: bucket, holdMs: holdMs, depositing: deposits, nowMs: clock.wallMs)
    }
  }

  func confirm(_ token: Token, in bucket: BucketID) async throws(StockError) -> ConfirmOutcome {
    try self.bucket(bucket) { bucket throws(StockError) in try bucket.confirm(token, nowMs: clock.wallMs) }
  }

  func cancel(
    _ token: Token,
    in bucket: BucketID,
    fence: Bool,
    offSale: Bool
  ) async throws(StockError) -> CancelOutcome {
    try self.bucket(bucket) { bucket throws(StockError) in
      try bucket.cancel(token, fence: fence, offSale: offSale, nowMs: clock.wallMs)
    }
  }

  func fence(_ token: Token, in bucket: BucketID) async throws(StockError) -> FenceOutcome {
    try self.bucket(bucket) { bucket throws(StockError) in try bucket.fence(token, nowMs: clock.wallMs) }
  }

  func add(_ token: Token, quantity: Int64, to bucket: BucketID) async throws(StockError) -> AddOutcome {
    try stock { state throws(StockError) in
      if let refusal = state.refusedRestocks[bucket] { throw refusal }
      return try state.stock.with(bucket) { bucket throws(StockError) in
        try bucket.add(token, quantity: quantity, nowMs: clock.wallMs)
      }
    }
  }

  func purchase(_ token: Token, in bucket: BucketID) async throws(StockError) -> PurchaseRecord? {
    try self.bucket(bucket) { bucket throws(StockError) in bucket.record(of: token) }
  }

  // MARK: Transfers

  func withdraw(
    _ transfer: TransferName,
    quantity: Int64,
    from bucket: BucketID,
    to target: Int
  ) async throws(StockError) -> WithdrawOutcome {
    try self.bucket(bucket) { bucket throws(StockError) in
      try bucket.withdraw(transfer, quantity: quantity, to: target, nowMs: clock.wallMs)
    }
  }

  func deposit(_ deposit: Deposit, into bucket: BucketID) async throws(StockError) -> DepositOutcome {
    try self.bucket(bucket) { bucket throws(StockError) in try bucket.deposit(deposit, nowMs: clock.wallMs) }
  }

  func settle(_ transfer: TransferName, in bucket: BucketID) async throws(StockError) -> SettleOutcome {
    try self.bucket(bucket) { bucket throws(StockError) in bucket.settle(transfer) }
  }

  func transfers(
    _ bucket: BucketID,
    settled: Bool,
    after: TransferName?,
    count: Int
  ) async throws(StockError) -> [ListedTransfer] {
    try self.bucket(bucket) { bucket throws(StockError) in
      try bucket.transfers(settled: settled, after: after, count: count)
    }
  }

  func rebalance(_ sku: SKU, buckets: [Int], weights: [Int64]?) async throws(StockError) -> [Int64] {
    try stock { state throws(StockError) in
      try state.stock.rebalance(sku, buckets, weights: weights, nowMs: clock.wallMs)
    }
  }

  // MARK: Freezing and recovery

  func freeze(_ bucket: BucketID) async throws(StockError) {
    try self.bucket(bucket) { bucket throws(StockError) in bucket.freeze(nowMs: clock.wallMs) }
  }

  func thaw(_ bucket: BucketID, epoch: Int64?) async throws(StockError) {
    try stock { state throws(StockError) in
      state.before(.thaw(bucket), &state)
      try state.stock.with(bucket) { bucket throws(StockError) in try bucket.thaw(epoch: epoch, nowMs: clock.wallMs) }
    }
  }

  func record(_ entry: LostEntry, in bucket: BucketID) async throws(StockError) -> LostEntryOutcome {
    try self.bucket(bucket) { bucket throws(StockError) in try bucket.record(entry, nowMs: clock.wallMs) }
  }

  // MARK: Log and books

  func info(_ bucket: BucketID) async throws(StockError) -> BucketInfo {
    try self.bucket(bucket) { bucket throws(StockError) in bucket.info }
  }

  func log(_ bucket: BucketID, after position: LogPosition, count: Int) async throws(StockError) -> [StockEvent] {
    try self.bucket(bucket) { bucket throws(StockError) in try bucket.events(after: position, count: count) }
  }

  func trim(_ bucket: BucketID, upTo position: LogPosition) async throws(StockError) -> Int64 {
    try self.bucket(bucket) { bucket throws(StockError) in try bucket.trim(upTo: position) }
  }

  var serversText: String { "one server" }

  func server(of bucket: BucketID) async -> String? { "model" }
}
