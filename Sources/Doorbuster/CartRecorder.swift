import Messaging
import Orders
import Stock

/// Handles a batch's carts, some at a time: a thin shell around ``CartDeliveryMachine``.
struct CartRecorder: Sendable {
  let stock: any StockService
  let orders: any OrderStore
  let settler: Settler
  let reliever: Reliever
  let tally: WorkerTally

  /// Carts under way at a time; the store gathers what they record.
  static let lanes = 32

  /// One disposition per cart; and a fault of the database, where one met it.
  func handle(_ carts: [CartDeliveryMachine]) async -> ([Disposition], OrderStoreError?) {
    await withTaskGroup(of: [(Int, Disposition, OrderStoreError?)].self) { group in
      for lane in 0..<min(Self.lanes, carts.count) {
        group.addTask {
          var handled: [(Int, Disposition, OrderStoreError?)] = []
          for place in stride(from: lane, to: carts.count, by: Self.lanes) {
            let (disposition, fault) = await handle(carts[place])
            handled.append((place, disposition, fault))
          }
          return handled
        }
      }
      var dispositions = [Disposition](
        repeating: .retry("the batch ended without a word on it", countsAsAttempt: false),
        count: carts.count
      )
      var fault: OrderStoreError?
      for await handled in group {
        for (place, disposition, error) in handled {
          dispositions[place] = disposition
          fault = fault ?? error
        }
      }
      return (dispositions, fault)
    }
  }

  private func handle(_ cart: CartDeliveryMachine) async -> (Disposition, OrderStoreError?) {
    var machine = cart
    var fault: OrderStoreError?
    var action = machine.start()
    while true {
      switch action {
      case .record(let recording):
        do throws(OrderStoreError) {
          guard let outcome = try await orders.record(carts: [recording]).first else {
            return (.retry("the database answered nothing to a cart", countsAsAttempt: false), nil)
          }
          count(outcome)
          action = machine.recorded(outcome)
        } catch {
          if error.code != .refused { fault = error }
          action = machine.recordFailed(error)
        }
      case .relieve(let shortage):
        let outcome = await reliever.relieve(cart: shortage)
        count(outcome)
        action = machine.recorded(outcome)
      case .settle(let settlement):
        tally.add([settlement])
        let settled = await settler.settle([settlement])
        action = machine.settled(settled.first ?? .retry("a line was not settled", countsAsAttempt: false))
      case .confirm, .cancel: action = await ask(action, &machine)
      case .done(let disposition): return (disposition, fault)
      }
    }
  }

  /// What is asked of a bucket.
  private func ask(
    _ action: CartDeliveryMachine.Action,
    _ machine: inout CartDeliveryMachine
  ) async -> CartDeliveryMachine.Action {
    switch action {
    case .confirm(let token, let bucket):
      do throws(StockError) {
        return machine.confirmed(try await stock.confirm(token, in: bucket))
      } catch {
        return machine.confirmFailed(error)
      }
    case .cancel(let token, let bucket, let offSale):
      do throws(StockError) {
        return machine.cancelled(try await stock.cancel(token, in: bucket, fence: true, offSale: offSale))
      } catch {
        return machine.cancelFailed(error)
      }
    case .record, .relieve, .settle, .done: return action
    }
  }

  private func count(_ outcome: CartRecordOutcome) {
    guard case .over(let ends) = outcome else { return }
    let rejected = ends.count { $0 == .rejected }
    if rejected > 0 { tally.add { $0.rejected += Int64(rejected) } }
  }
}
