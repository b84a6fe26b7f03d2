import Logging
import Orders

/// Looks again and again which sales there are.
struct SaleWatch: Sendable {
  let orders: any OrderStore
  let clock: any SaleClock
  let intervalMs: Int64
  let logger: Logger

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
        try await body(try await orders.sales())
        if isDone() { return }
        backOff.succeeded()
      } catch {
        logger.warning("the sales can't be looked after: \(error.message)")
        waitMs = backOff.failed().jittered
      }
      guard await clock.wait(ms: waitMs) else { return }
    }
  }
}
