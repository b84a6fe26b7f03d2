import Doorbuster
import Foundation
import Logging
import RedisStreams
import SQLiteStore
import Stock
import StockClient

/// A sale of 500 units to a crowd of 800, of whom 200 click twice: 1,000 purchases, each of which becomes one order in a
/// database or is refused.
func sellOut(_ stock: StockClient, run: String) async throws {
  let directory = FileManager.default.temporaryDirectory.appendingPathComponent("drop-\(run)")
  try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: directory) }
  let orders = try await SQLiteStore.open(path: directory.appendingPathComponent("orders.sqlite").path)

  var logger = Logger(label: "drop")
  logger.logLevel = .warning
  let configuration = DoorbusterConfiguration()
  let doorbuster = try Doorbuster(
    stock: stock,
    // Stock and messages on one server share one connection, which is the fastest.
    broker: RedisStreamsBroker(
      stock.router.clients[0],
      options: RedisStreamsOptions(checkAfter: configuration.firstCheck),
      logger: logger
    ),
    orders: orders,
    configuration: configuration,
    logger: logger
  )
  let sale = try await doorbuster.createSale(SKU("sneaker-\(run)"), stock: 500, terms: SaleTerms(limit: 1))

  // In a server these are services of a ServiceGroup; worker and check-back may run in processes of their own.
  try await withThrowingTaskGroup { group in
    group.addTask { try await doorbuster.worker().run() }
    group.addTask { try await doorbuster.checkBack().run() }
    group.addTask { try await doorbuster.run() }
    let heard = try await letTheCrowdIn(doorbuster, sku: sale.sku)
    try checkAnswers(heard)
    try await waitUntilSettled(doorbuster, sku: sale.sku)
    group.cancelAll()
  }
  try checkBooks(try await doorbuster.books(sale.sku))
  await orders.close()
}

/// One task for each click, all at once. The outcomes by buyer.
private func letTheCrowdIn(_ doorbuster: Doorbuster, sku: SKU) async throws -> [UserID: [PurchaseOutcome]] {
  var clicks: [Purchase] = []
  for number in 0..<800 {
    // The page makes a token when it shows its button, so that both clicks send the same one.
    let click = try Purchase(sku: sku, user: UserID("user-\(number)"), token: Token(UUID().uuidString))
    clicks += Array(repeating: click, count: number < 200 ? 2 : 1)
  }
  clicks.shuffle()
  return await withTaskGroup(of: (UserID, PurchaseOutcome).self) { group in
    for click in clicks { group.addTask { (click.user, await doorbuster.purchase(click)) } }
    return await group.reduce(into: [:]) { heard, answer in heard[answer.0, default: []].append(answer.1) }
  }
}

private func checkAnswers(_ heard: [UserID: [PurchaseOutcome]]) throws {
  var sold = 0
  var consistent = 0
  for (user, outcomes) in heard {
    var accepted = 0
    for outcome in outcomes {
      switch outcome {
      case .accepted(_, _, let isRepeat):
        accepted += 1
        if !isRepeat { sold += 1 }
      case .refused(.soldOut, _): break
      // On a server that answers, none of these is an answer to this crowd. A shop shows `unknown` as "we are checking",
      // and asks again with the same token.
      case .refused, .held, .cancelled, .unknown, .failed:
        throw Mismatch(description: "\(user) heard \(outcome)")
      }
    }
    if accepted == outcomes.count || accepted == 0 { consistent += 1 }
  }
  try check(sold == 500, "1,000 clicks buy 500 units", found: sold)
  try check(consistent == 800, "both clicks of a buyer hear the same", found: consistent)
}

/// Accepted is safe already: its message is stored. This waits until it is also an order.
private func waitUntilSettled(_ doorbuster: Doorbuster, sku: SKU) async throws {
  let deadline = ContinuousClock.now + .seconds(60)
  while true {
    let status = try await doorbuster.status(sku)
    if status.isSettled { return }
    guard ContinuousClock.now < deadline else { throw Mismatch(description: "not settled in time: \(status)") }
    try await Task.sleep(for: .milliseconds(20))
  }
}

private func checkBooks(_ books: SaleBooks) throws {
  print(
    """
    books  on sale \(books.unitsOnSale), sold \(books.unitsSold), left \(books.redisAvailable); \
    orders \(books.databaseOrders) of \(books.databaseUnitsSold) units, stock \(books.databaseStock); \
    oversold \(books.oversold), lost \(books.lost)
    """
  )
  try check(books.databaseOrders == 500 && books.databaseStock == 0, "500 orders, and no stock is left", found: books)
  try check(books.isBalanced, "the books balance", found: books)
}
