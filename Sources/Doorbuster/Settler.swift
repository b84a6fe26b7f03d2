import Messaging
import Stock

/// Performs what settlements ask of the buckets.
struct Settler: Sendable {
  let stock: any StockService

  func settle(_ settlements: [SettlementMachine]) async -> [Disposition] {
    var dispositions: [Disposition] = []
    dispositions.reserveCapacity(settlements.count)
    for settlement in settlements { dispositions.append(await settle(settlement)) }
    return dispositions
  }

  private func settle(_ settlement: SettlementMachine) async -> Disposition {
    var action = settlement.start()
    while true {
      do throws(StockError) {
        switch action {
        case .cancelOffSale(let token, let bucket):
          action = settlement.cancelled(try await stock.cancel(token, in: bucket, fence: true, offSale: true))
        case .lookUp(let token, let bucket):
          action = settlement.found(try await stock.purchase(token, in: bucket))
        case .giveBack(let token, let bucket):
          action = settlement.cancelled(try await stock.cancel(token, in: bucket, fence: false, offSale: false))
        case .done(let disposition):
          return disposition
        }
      } catch {
        action = settlement.stockFailed(error)
      }
    }
  }
}
