import Logging
import Orders
import Stock
import Synchronization

/// Looks again and again which sales there are. Sales that were created on another list of servers are left out, and said
/// to be: their buckets are not where they would be looked for.
struct SaleWatch: Sendable {
  let orders: any OrderStore
  /// Those of this process (``StockService/serversText``).
  let servers: String
  let clock: any SaleClock
  let intervalMs: Int64
  let logger: Logger
  /// Shared by all watches of a process, so that each sale is told of once.
  var elsewhere = SalesElsewhere()

  /// Waits for a sale of some kind; false where the task was cancelled before there was one.
  func first(where isWanted: (Sale) -> Bool) async -> Bool {
    var isThere = false
    await withEach { sales throws(OrderStoreError) in
      isThere = sales.contains(where: isWanted)
    } until: {
      isThere
    }
    return isThere
  }

  /// Calls with all sales at once and then in intervals, until the task is cancelled. A failing database is waited for.
  func withEach(
    _ body: ([Sale]) async throws(OrderStoreError) -> Void,
    until isDone: () -> Bool = { false }
  ) async {
    var backOff = BackOff(firstMs: intervalMs)
    while !Task.isCancelled {
      var waitMs = intervalMs
      do throws(OrderStoreError) {
        try await body(try await orders.sales().filter(isHere))
        if isDone() { return }
        backOff.succeeded()
      } catch {
        logger.warning("the sales can't be looked after: \(error.message)")
        waitMs = backOff.failed().jittered
      }
      guard await clock.wait(ms: waitMs) else { return }
    }
  }

  private func isHere(_ sale: Sale) -> Bool {
    guard let created = sale.servers, created != servers else { return true }
    if elsewhere.note(sale.sku) {
      logger.error(
        "the sale of \(sale.sku) is left alone: it was created on \(created), and these servers are \(servers)"
      )
    }
    return false
  }
}

/// The sales on other servers that were told of, so that each is told once.
final class SalesElsewhere: Sendable {
  private let skus = Mutex<Set<SKU>>([])

  /// True the first time.
  func note(_ sku: SKU) -> Bool { skus.withLock { $0.insert(sku).inserted } }
}
