import Logging
import Messaging
import ServiceLifecycle
import Stock

/// The service that answers the broker's check-backs, from the first sale on that delivers by messages. Any number of
/// processes may run it.
public struct CheckBack: Service, MessageChecker {
  let stock: any StockService
  let broker: any MessageBroker
  let sales: SaleWatch
  let clock: any SaleClock
  let topic: Topic
  let logger: Logger

  /// Serves until the task is cancelled or the process shuts down gracefully.
  /// - Throws: ``DoorbusterError`` for what waiting can't mend (wrong password, no permission).
  public func run() async throws {
    try await cancelWhenGracefulShutdown {
      guard await sales.first(where: { $0.path.courier == .messages }) else { return }
      while !Task.isCancelled {
        try await asking(broker: broker) { broker throws(MessagingError) in
          try await broker.serveChecks(of: topic, by: self)
        }
        guard await clock.wait(ms: 100) else { return }
      }
    }
  }

  public func check(_ half: HalfMessage) async -> CheckDecision {
    let decision =
      if case .cart(let message) = try? OrderMessage(decoding: half.message.body) {
        await check(message)
      } else {
        await checkPurchase(half)
      }
    if case .undecided(let reason) = decision {
      logger.warning("half message \(half.id) is undecided after \(half.checks + 1) checks: \(reason)")
    }
    return decision
  }

  private func check(_ cart: CartMessage) async -> CheckDecision {
    var machine = CartCheckMachine(cart)
    var action = machine.start()
    while true {
      do throws(StockError) {
        switch action {
        case .fence(let token, let bucket):
          action = machine.fenced(try await stock.fence(token, in: bucket))
        case .lookUp(let token, let bucket):
          action = machine.found(try await stock.purchase(token, in: bucket))
        case .giveBack(let token, let bucket):
          action = machine.gaveBack(try await stock.cancel(token, in: bucket, fence: true, offSale: false))
        case .decide(let decision): return decision
        }
      } catch {
        action = machine.stockFailed(error)
      }
    }
  }

  private func checkPurchase(_ half: HalfMessage) async -> CheckDecision {
    let machine = CheckMachine(half)
    var action = machine.start()
    while true {
      do throws(StockError) {
        switch action {
        case .fence(let token, let bucket):
          action = machine.fenced(try await stock.fence(token, in: bucket))
        case .lookUp(let token, let bucket):
          action = machine.found(try await stock.purchase(token, in: bucket))
        case .decide(let decision): return decision
        }
      } catch {
        action = machine.stockFailed(error)
      }
    }
  }
}
