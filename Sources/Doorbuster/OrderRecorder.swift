import Logging
import Messaging
import Orders
import Stock
import Synchronization

/// Handles the worker's deliveries: a thin shell around ``RecordingMachine``.
final class OrderRecorder: MessageHandler {
  private let orders: any OrderStore
  private let settler: Settler
  private let reliever: Reliever
  private let carts: CartRecorder
  private let clock: any SaleClock
  private let tally: WorkerTally
  private let logger: Logger
  private let backOff = Mutex(BackOff())

  init(stock: any StockService, orders: any OrderStore, clock: any SaleClock, tally: WorkerTally, logger: Logger) {
    self.orders = orders
    settler = Settler(stock: stock)
    reliever = Reliever(stock: stock, orders: orders, logger: logger)
    carts = CartRecorder(stock: stock, orders: orders, settler: settler, reliever: reliever, tally: tally)
    self.clock = clock
    self.tally = tally
    self.logger = logger
  }

  /// A stop of the worker does not reach a batch under way: it is recorded and settled to its end.
  func handle(_ deliveries: [Delivery]) async -> [Disposition] {
    let (dispositions, waitMs) = await uncancelled { await self.record(deliveries) }
    if let waitMs { _ = await clock.wait(ms: waitMs) }
    return dispositions
  }

  /// The dispositions; and how long to hold back where the database failed, lest the whole topic be taken and retried.
  private func record(_ deliveries: [Delivery]) async -> ([Disposition], waitMs: Int64?) {
    var machine = RecordingMachine(deliveries)
    var action = machine.start()
    var waitMs: Int64?
    while true {
      switch action {
      case .record(let batch, let state):
        do throws(OrderStoreError) {
          let outcomes = try await orders.record(batch, as: state, rejecting: false)
          backOff.withLock { $0.succeeded() }
          action = machine.recorded(outcomes)
        } catch {
          if error.code != .refused { waitMs = hold(error) }
          action = machine.recordFailed(error)
        }
      case .relieve(let shortages):
        var outcomes: [[RecordOutcome]] = []
        for shortage in shortages { outcomes.append(await reliever.relieve(shortage)) }
        action = machine.relieved(shortages, outcomes)
      case .settle(let settlements):
        tally.add(settlements)
        action = machine.settled(await settler.settle(settlements))
      case .handleCarts(let machines):
        let (handled, fault) = await carts.handle(machines)
        if let fault { waitMs = hold(fault) }
        action = machine.cartsHandled(handled)
      case .finish(let dispositions):
        tally.add(dispositions)
        report(dispositions, of: deliveries)
        return (dispositions, waitMs)
      }
    }
  }

  private func hold(_ error: OrderStoreError) -> Int64 {
    let waitMs = backOff.withLock { $0.failed() }.jittered
    logger.error("the database does not take orders, next attempt in \(waitMs) ms: \(error.message)")
    return waitMs
  }

  private func report(_ dispositions: [Disposition], of deliveries: [Delivery]) {
    for (disposition, delivery) in zip(dispositions, deliveries) {
      switch disposition {
      case .acknowledge, .retry(_, countsAsAttempt: false): break
      case .retry(let reason, countsAsAttempt: true):
        logger.warning("message \(delivery.id) failed \(delivery.failures + 1) times: \(reason)")
      case .deadLetter(let reason):
        logger.error("message \(delivery.id) is dead: \(reason)")
      }
    }
  }
}

/// Runs to its end even if the caller's task is cancelled meanwhile. The caller waits, so nothing outlives it; the
/// inner task exists only because cancellation is not inherited by one made here.
func uncancelled<T: Sendable>(_ body: @escaping @Sendable () async -> T) async -> T {
  await Task { await body() }.value
}
