import Logging
import Orders
import Stock

/// Performs what shortages ask of the buckets and the database.
struct Reliever: Sendable {
  let stock: any StockService
  let orders: any OrderStore
  let logger: Logger

  /// Log events of one reading.
  static let readMax = 1000

  /// One outcome per order of the machine's.
  func relieve(_ shortage: ShortageMachine) async -> [RecordOutcome] {
    switch await run(shortage) {
    case .orders(let outcomes): outcomes
    case .cart: []
    }
  }

  /// What becomes of the machine's cart.
  func relieve(cart shortage: ShortageMachine) async -> CartRecordOutcome {
    switch await run(shortage) {
    case .orders: .refused("a cart was to be relieved, and orders were")
    case .cart(let outcome): outcome
    }
  }

  private enum Relief {
    case orders([RecordOutcome])
    case cart(CartRecordOutcome)
  }

  private func run(_ shortage: ShortageMachine) async -> Relief {
    var machine = shortage
    var action = machine.start()
    while true {
      switch action {
      case .finish(let outcomes): return .orders(outcomes)
      case .finishCart(let outcome): return .cart(outcome)
      case .load, .locate, .record, .recordCart, .read, .find, .repair: break
      }
      do {
        action = try await perform(action, &machine)
      } catch {
        tell(machine.orders.count, error)
        action = machine.failed()
      }
    }
  }

  /// A bucket that is lost keeps its product's orders waiting until somebody recovers it.
  private func tell(_ count: Int, _ error: any Error) {
    let isTransient = (error as? StockError)?.isTransient ?? (error as? OrderStoreError)?.isTransient ?? false
    logger.log(
      level: isTransient ? .debug : .warning,
      "\(count) orders for which the stock is short wait, as nobody can tell what their buckets gave back: \(error)"
    )
  }

  private func perform(
    _ action: ShortageMachine.Action,
    _ machine: inout ShortageMachine
  ) async throws -> ShortageMachine.Action {
    switch action {
    case .load(let sku):
      let buckets = try await orders.sale(sku)?.buckets.count
      return machine.loaded(buckets: buckets, try await orders.positions(of: sku))
    case .locate(let bucket): return machine.located(try await locate(bucket))
    case .record(let batch, let state, let rejecting):
      return machine.recorded(try await orders.record(batch, as: state, rejecting: rejecting))
    case .read(let bucket, let position):
      return machine.read(try await stock.log(bucket, after: position, count: Self.readMax))
    case .find(let sku, let tokens): return machine.found(try await orders.orders(of: sku, tokens: tokens))
    case .repair(let repairs):
      return machine.repaired(try await orders.repair(repairs))
    case .recordCart(let recording):
      guard let outcome = try await orders.record(carts: [recording]).first else { return machine.failed() }
      return machine.recordedCart(outcome)
    case .finish, .finishCart: return action
    }
  }

  private func locate(_ bucket: BucketID) async throws(StockError) -> LogPosition? {
    do throws(StockError) {
      let info = try await stock.info(bucket)
      return LogPosition(epoch: info.epoch, sequence: info.logFirst - 1)
    } catch {
      guard error.code == .noBucket else { throw error }
      return nil
    }
  }
}
