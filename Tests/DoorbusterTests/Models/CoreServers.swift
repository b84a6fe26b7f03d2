import Stock
import Synchronization

@testable import Doorbuster

/// Servers of buckets with the module's own rules, behind the seam: it counts the commands that they get, and any of them can
/// meet a fate.
final class CoreServers: StockService, @unchecked Sendable {
  enum Command: String, CaseIterable {
    case create, schedule, deduct, confirm, cancel, fence, add, get, withdraw, deposit, settle, transfers, rebalance,
      freeze
    case thaw, record, info, log, trim, transaction
  }

  /// What becomes of a command.
  enum Fate {
    /// It never arrives.
    case refused
    /// It is carried out, and its reply is lost.
    case silent
    /// It is not answered before that time is over.
    case hanging(Duration)
  }

  private struct State {
    var buckets: [BucketID: CoreBucket] = [:]
    var epochs: Int64 = 100
    var counts: [Command: Int] = [:]
    var fate: (Command, BucketID) -> Fate? = { _, _ in nil }
  }

  private let lock = Mutex<Void>(())
  private var state = State()
  let clock = RunningClock()
  let soldOut: SoldOutCache?
  /// The server of each bucket; buckets of one may be rebalanced in one step.
  let servers: Int

  init(soldOut: SoldOutCache? = SoldOutCache(), servers: Int = 3) {
    self.soldOut = soldOut
    self.servers = servers
  }

  func onCommand(_ fate: @escaping (Command, BucketID) -> Fate?) { locked { $0.fate = fate } }

  /// Commands that reached a server; a transaction counts as two more.
  var commands: Int { locked { $0.counts.values.reduce(0, +) + ($0.counts[.transaction] ?? 0) } }

  func count(_ command: Command) -> Int { locked { $0.counts[command] ?? 0 } }

  func resetCounts() { locked { $0.counts = [:] } }

  func infos(of sku: SKU) -> [BucketInfo] {
    locked { state in
      state.buckets.filter { $0.key.sku == sku }.sorted { $0.key.index < $1.key.index }.map(\.value.info)
    }
  }

  private func locked<R>(_ body: (inout State) -> R) -> R { lock.withLock { _ in body(&state) } }

  /// Reaches a server, or not.
  private func call<R: Sendable>(
    _ command: Command,
    _ id: BucketID,
    _ body: (inout State) throws(StockError) -> R
  ) async throws(StockError) -> R {
    let decide = locked { $0.fate }
    let fate = decide(command, id)
    switch fate {
    case .refused: throw Sample.stockGone
    case .hanging(let duration):
      try? await clock.sleep(until: clock.now.advanced(by: duration))
      throw StockError(Task.isCancelled ? .replyLost : .unavailable, "no reply")
    case .silent, nil: break
    }
    // The lock's own closure can't throw a type of its caller's choice, so the result carries it out.
    var result: Result<R, StockError> = .failure(Sample.stockGone)
    locked { state in
      state.counts[command, default: 0] += 1
      do throws(StockError) { result = .success(try body(&state)) } catch { result = .failure(error) }
    }
    if case .silent = fate { throw Sample.stockSilent }
    return try result.get()
  }

  private func bucket<R: Sendable>(
    _ command: Command,
    _ id: BucketID,
    _ body: (CoreBucket) throws(StockError) -> R
  ) async throws(StockError) -> R {
    try await call(command, id) { state throws(StockError) in
      guard let bucket = state.buckets[id] else { throw StockError(.noBucket, "there is no bucket \(id)") }
      return try body(bucket)
    }
  }

  /// The bucket comes back as it was created, as from a server that had not written down anything since.
  func loseWrites(of id: BucketID, quantity: Int64, terms: SaleTerms) {
    locked { state in
      state.epochs += 1
      state.buckets[id] = CoreBucket(quantity: quantity, terms: terms, epoch: state.epochs, nowMs: clock.wallMs)
    }
  }

  // MARK: The seam

  func create(_ id: BucketID, quantity: Int64, terms: SaleTerms, frozen: Bool) async throws(StockError) {
    try await call(.create, id) { state throws(StockError) in
      guard state.buckets[id] == nil else { throw StockError(.bucketExists, "\(id) is there") }
      state.epochs += 1
      state.buckets[id] = CoreBucket(
        quantity: quantity,
        terms: terms,
        frozen: frozen,
        epoch: state.epochs,
        nowMs: clock.wallMs
      )
    }
  }

  func schedule(_ id: BucketID, limit: Int64?, opensMs: Int64?, closesMs: Int64?) async throws(StockError) {
    try await bucket(.schedule, id) { bucket throws(StockError) in
      try bucket.schedule(limit: limit, opensMs: opensMs, closesMs: closesMs, nowMs: clock.wallMs)
    }
  }

  func deduct(
    _ purchase: Purchase,
    from id: BucketID,
    holdMs: Int64?,
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DeductOutcome {
    try await bucket(.deduct, id) { bucket throws(StockError) in
      try bucket.deduct(purchase, holdMs: holdMs, nowMs: clock.wallMs)
    }
  }

  func deduct(
    _ purchase: Purchase,
    from id: BucketID,
    holdMs: Int64?,
    depositing deposits: [Deposit],
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DepositedDeduction {
    try await call(.deduct, id) { state throws(StockError) in
      guard let bucket = state.buckets[id] else { throw StockError(.noBucket, "there is no bucket \(id)") }
      state.counts[.transaction, default: 0] += 1
      state.counts[.deposit, default: 0] += deposits.count
      var isDeposited = true
      for deposit in deposits {
        do throws(StockError) {
          _ = try bucket.deposit(deposit, nowMs: clock.wallMs)
        } catch {
          isDeposited = false
        }
      }
      let outcome = try bucket.deduct(purchase, holdMs: holdMs, nowMs: clock.wallMs)
      return DepositedDeduction(deduction: outcome, isDeposited: isDeposited)
    }
  }

  func confirm(_ token: Token, in id: BucketID) async throws(StockError) -> ConfirmOutcome {
    try await bucket(.confirm, id) { bucket throws(StockError) in try bucket.confirm(token, nowMs: clock.wallMs) }
  }

  func cancel(_ token: Token, in id: BucketID, fence: Bool, offSale: Bool) async throws(StockError) -> CancelOutcome {
    defer { soldOut?.clear(id.sku) }
    return try await bucket(.cancel, id) { bucket throws(StockError) in
      try bucket.cancel(token, fence: fence, offSale: offSale, nowMs: clock.wallMs)
    }
  }

  func fence(_ token: Token, in id: BucketID) async throws(StockError) -> FenceOutcome {
    try await bucket(.fence, id) { bucket throws(StockError) in try bucket.fence(token, nowMs: clock.wallMs) }
  }

  func add(_ token: Token, quantity: Int64, to id: BucketID) async throws(StockError) -> AddOutcome {
    defer { soldOut?.clear(id.sku) }
    return try await bucket(.add, id) { bucket throws(StockError) in
      try bucket.add(token, quantity: quantity, nowMs: clock.wallMs)
    }
  }

  func purchase(_ token: Token, in id: BucketID) async throws(StockError) -> PurchaseRecord? {
    try await bucket(.get, id) { bucket throws(StockError) in bucket.record(of: token) }
  }

  func withdraw(
    _ name: TransferName,
    quantity: Int64,
    from id: BucketID,
    to target: Int
  ) async throws(StockError) -> WithdrawOutcome {
    try await bucket(.withdraw, id) { bucket throws(StockError) in
      try bucket.withdraw(name, quantity: quantity, to: target, nowMs: clock.wallMs)
    }
  }

  func deposit(_ deposit: Deposit, into id: BucketID) async throws(StockError) -> DepositOutcome {
    try await bucket(.deposit, id) { bucket throws(StockError) in try bucket.deposit(deposit, nowMs: clock.wallMs) }
  }

  func settle(_ name: TransferName, in id: BucketID) async throws(StockError) -> SettleOutcome {
    try await bucket(.settle, id) { bucket throws(StockError) in try bucket.settle(name) }
  }

  func transfers(
    _ id: BucketID,
    settled: Bool,
    after: TransferName?,
    count: Int
  ) async throws(StockError) -> [ListedTransfer] {
    try await bucket(.transfers, id) { bucket throws(StockError) in
      try bucket.transfers(settled: settled, after: after, count: count)
    }
  }

  func rebalance(_ sku: SKU, buckets: [Int], weights: [Int64]?) async throws(StockError) -> [Int64] {
    guard Set(buckets.map { $0 % servers }).count == 1 else {
      throw StockError(.bucketsApart, "the buckets are on several servers")
    }
    return try await call(.rebalance, BucketID(sku: sku, index: buckets[0])) { state throws(StockError) in
      try CoreBucket.rebalance(
        buckets.compactMap { state.buckets[BucketID(sku: sku, index: $0)] },
        weights: weights,
        nowMs: clock.wallMs
      )
    }
  }

  func freeze(_ id: BucketID) async throws(StockError) {
    try await bucket(.freeze, id) { bucket throws(StockError) in try bucket.freeze(nowMs: clock.wallMs) }
  }

  func thaw(_ id: BucketID, epoch: Int64?) async throws(StockError) {
    try await bucket(.thaw, id) { bucket throws(StockError) in try bucket.thaw(epoch: epoch, nowMs: clock.wallMs) }
  }

  func record(_ entry: LostEntry, in id: BucketID) async throws(StockError) -> LostEntryOutcome {
    try await bucket(.record, id) { bucket throws(StockError) in try bucket.record(entry, nowMs: clock.wallMs) }
  }

  func info(_ id: BucketID) async throws(StockError) -> BucketInfo {
    try await bucket(.info, id) { bucket throws(StockError) in bucket.info }
  }

  func log(_ id: BucketID, after position: LogPosition, count: Int) async throws(StockError) -> [StockEvent] {
    try await bucket(.log, id) { bucket throws(StockError) in try bucket.events(after: position, count: count) }
  }

  func trim(_ id: BucketID, upTo position: LogPosition) async throws(StockError) -> Int64 {
    try await bucket(.trim, id) { bucket throws(StockError) in try bucket.trim(upTo: position) }
  }

  /// As the driver does, it asks once.
  func verify(_ bucket: BucketID, buckets: Int) async throws(StockError) {}

  var serversText: String { "\(servers) servers" }

  func server(of bucket: BucketID) async -> String? { "server \(bucket.index % servers)" }
}
