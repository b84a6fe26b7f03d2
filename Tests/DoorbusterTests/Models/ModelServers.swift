import Messaging
import Orders
import Stock
import Synchronization

@testable import Doorbuster

/// The three model servers behind the seams, for the services themselves. A caller can be cut off at any of its calls.
///
/// They are servers of their own or, with a world, the simulated world's: then each call lets the world go on for as long
/// as a request and its reply take, and waiting lets it go on for that long. One caller at a time.
final class ModelServers: StockService, MessageBroker, OrderStore {
  struct State {
    var stock = ModelStock()
    var broker = ModelBroker()
    var orders = ModelStore()
    var random = SeededRandom(seed: 1)
    var calls = 0
    /// From this call on (counted from 0) nothing is answered; with `carriesOut`, that call is still carried out.
    var cutOff: (at: Int, carriesOut: Bool)?
    var isSubscribed = false
    /// The sales whose next claim of buckets fails.
    var failingClaims: Set<SKU> = []
    /// What buckets' servers answer to a restock.
    var refusedRestocks: [BucketID: StockError] = [:]
    /// Called before such a call is carried out.
    var before: @Sendable (Step, inout State) -> Void = { _, _ in }
  }

  /// Calls at which a test may let something happen.
  enum Step: Hashable {
    case positions
    case orders(after: Token?)
    case thaw(BucketID)
  }

  let state = Mutex(State())
  let clock: any SaleClock
  nonisolated(unsafe) let world: World?

  init(_ world: World? = nil) {
    self.world = world
    clock = world.map { WorldClock(world: $0) } ?? RunningClock()
  }

  func with<R: Sendable>(_ body: (inout State) -> R) -> R { state.withLock { body(&$0) } }

  var calls: Int { state.withLock { $0.calls } }

  /// Cuts the caller off at that call from now on; nil lets it through again.
  func cutOff(at number: Int?, carriesOut: Bool = false) {
    state.withLock { state in
      state.calls = 0
      state.cutOff = number.map { ($0, carriesOut) }
    }
  }

  private func call<R, E: Error>(
    _ gone: E,
    _ body: (inout State) throws(E) -> R
  ) throws(E) -> R {
    // The lock's own closure can't throw a type of its caller's choice, so the result carries it out.
    var result: Result<R, E> = .failure(gone)
    world?.goOn()
    defer { world?.goOn() }
    state.withLock { state in
      state.exchange(with: world)
      defer { state.exchange(with: world) }
      let number = state.calls
      state.calls += 1
      if let cutOff = state.cutOff, number >= cutOff.at {
        if number == cutOff.at, cutOff.carriesOut { _ = try? body(&state) }
        return
      }
      do throws(E) { result = .success(try body(&state)) } catch { result = .failure(error) }
    }
    return try result.get()
  }

  func stock<R>(_ body: (inout State) throws(StockError) -> R) throws(StockError) -> R {
    try call(Sample.stockGone, body)
  }

  func bucket<R>(
    _ id: BucketID,
    _ body: (inout ModelBucket) throws(StockError) -> R
  ) throws(StockError) -> R {
    try stock { state throws(StockError) in try state.stock.with(id, body) }
  }

  private func broker<R>(_ body: (inout State) throws(MessagingError) -> R) throws(MessagingError) -> R {
    try call(Sample.brokerGone, body)
  }

  func orders<R>(_ body: (inout State) throws(OrderStoreError) -> R) throws(OrderStoreError) -> R {
    try call(Sample.databaseGone, body)
  }

  // MARK: Messages

  func sendHalf(_ message: Message) async throws(MessagingError) -> HalfMessage {
    try broker { state throws(MessagingError) in state.broker.sendHalf(message, nowMs: clock.wallMs) }
  }

  func commit(_ half: HalfMessage) async throws(MessagingError) -> CommitAnswer {
    try broker { state throws(MessagingError) in state.broker.commit(half) }
  }

  func rollBack(_ half: HalfMessage) async throws(MessagingError) {
    try broker { state throws(MessagingError) in state.broker.rollBack(half) }
  }

  func send(_ message: Message) async throws(MessagingError) {
    try broker { state throws(MessagingError) in state.broker.send(message) }
  }

  func subscribe(_ group: ConsumerGroup, to topic: Topic) async throws(MessagingError) {
    try broker { state throws(MessagingError) in state.isSubscribed = true }
  }

  func serveChecks(of topic: Topic, by checker: some MessageChecker) async throws(MessagingError) {
    repeat {
      let due = state.withLock { $0.broker.takeChecks(nowMs: clock.wallMs) }
      for half in due {
        let decision = await checker.check(half)
        state.withLock { $0.broker.decide(half, decision, nowMs: clock.wallMs) }
      }
    } while await clock.wait(ms: 5)
  }

  func consume(
    _ topic: Topic,
    as group: ConsumerGroup,
    batchMax: Int,
    handler: some MessageHandler
  ) async throws(MessagingError) {
    repeat {
      let deliveries = state.withLock { $0.broker.take(max: batchMax, nowMs: clock.wallMs, using: &$0.random) }
      guard !deliveries.isEmpty else { continue }
      let dispositions = await handler.handle(deliveries)
      state.withLock { state in
        for (delivery, disposition) in zip(deliveries, dispositions) {
          state.broker.settle(delivery, disposition, nowMs: clock.wallMs)
        }
      }
    } while await clock.wait(ms: 2)
  }

  func trim(_ topic: Topic) async throws(MessagingError) -> Int { 0 }

  func status(of topic: Topic, for group: ConsumerGroup) async throws(MessagingError) -> TopicStatus {
    try broker { state throws(MessagingError) in state.broker.status }
  }

  func setAside(
    _ kind: SetAsideMessage.Kind,
    in topic: Topic,
    after id: String?,
    count: Int
  ) async throws(MessagingError) -> [SetAsideMessage] {
    try broker { state throws(MessagingError) in kind == .dead ? state.broker.dead : state.broker.parked }
  }

  func resume(_ kind: SetAsideMessage.Kind, id: String, in topic: Topic) async throws(MessagingError) -> Bool { false }

  // MARK: Orders

  func create(_ sale: Sale) async throws(OrderStoreError) -> Sale {
    try orders { state throws(OrderStoreError) in state.orders.create(sale) }
  }

  func sale(_ sku: SKU) async throws(OrderStoreError) -> Sale? {
    try orders { state throws(OrderStoreError) in state.orders.sales[sku] }
  }

  func sales() async throws(OrderStoreError) -> [Sale] {
    try orders { state throws(OrderStoreError) in state.orders.sales.values.sorted { $0.sku.text < $1.sku.text } }
  }

  func reschedule(_ sku: SKU, limit: Int64?, opensMs: Int64?, closesMs: Int64?) async throws(OrderStoreError) {
    try orders { state throws(OrderStoreError) in
      state.orders.reschedule(sku, limit: limit, opensMs: opensMs, closesMs: closesMs)
    }
  }

  func restock(_ sku: SKU, token: Token, quantity: Int64) async throws(OrderStoreError) -> RestockOutcome {
    try orders { state throws(OrderStoreError) in state.orders.restock(sku, token: token, quantity: quantity) }
  }

  func undoRestock(_ sku: SKU, token: Token) async throws(OrderStoreError) {
    try orders { state throws(OrderStoreError) in state.orders.undoRestock(sku, token: token) }
  }

  func record(
    _ batch: [Order],
    as state: OrderState,
    rejecting: Bool
  ) async throws(OrderStoreError) -> [RecordOutcome] {
    try orders { servers throws(OrderStoreError) in
      try servers.orders.record(batch, as: state, rejecting: rejecting)
    }
  }

  func record(carts: [CartRecording]) async throws(OrderStoreError) -> [CartRecordOutcome] {
    try orders { servers throws(OrderStoreError) in carts.map { servers.orders.record($0) } }
  }

  func order(_ sku: SKU, token: Token) async throws(OrderStoreError) -> StoredOrder? {
    try orders { state throws(OrderStoreError) in state.orders.orders[.init(sku: sku, token: token)] }
  }

  func totals(of sku: SKU) async throws(OrderStoreError) -> SaleTotals? {
    try orders { state throws(OrderStoreError) in state.orders.totals(of: sku) }
  }

  func position(of bucket: BucketID) async throws(OrderStoreError) -> LogPosition? {
    try orders { state throws(OrderStoreError) in state.orders.positions[bucket] }
  }

  func follow(_ batch: LogBatch) async throws(OrderStoreError) -> LogBatchOutcome {
    try orders { state throws(OrderStoreError) in try state.orders.follow(batch) }
  }

  func close() async {}
}

extension ModelServers {
  func orchestrator(_ configuration: DoorbusterConfiguration = DoorbusterConfiguration()) throws -> Doorbuster {
    try Doorbuster(
      stock: self,
      broker: self,
      orders: self,
      clock: clock,
      configuration: configuration,
      logger: Sample.logger
    )
  }
}
