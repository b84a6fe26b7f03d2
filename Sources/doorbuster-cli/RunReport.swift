import Doorbuster

/// What `demo` and `replay` end with.
struct RunReport: Encodable {
  // What the requests of this run heard. `requests` is the sum of the five after it.
  var requests: Int
  var accepted: Int
  var soldOut: Int
  var duplicate: Int
  var limited: Int
  var failed: Int

  // The books of the products of this run, all runs included.
  var unitsOnSale: Int64 = 0
  var unitsSold: Int64 = 0
  var redisAvailable: Int64 = 0
  /// Held and sold.
  var databaseOrders: Int64 = 0
  var databaseUnitsSold: Int64 = 0
  var databaseStock: Int64 = 0
  var databaseRejected: Int64 = 0
  /// Units sold beyond those put on sale.
  var oversold: Int64 = 0
  /// Accepted purchases without an order, plus orders without a purchase.
  var lost: Int64 = 0
  var balanced = true

  var products: Int
  /// Accepted purchases over the time from the first request to the last answer.
  var purchasesPerSecond: Double
  /// Orders of this run over the time from the first request until the last of them was in the database.
  var ordersPersistedPerSecond: Double
  var buyingSeconds: Double
  /// Absent where the database did not get there in time.
  var recordedSeconds: Double?

  init(_ outcome: SaleRun.Outcome, badLines: Int, books: [SaleBooks], newOrders: Int64) {
    var tally = outcome.tally
    tally.failed += badLines
    requests = tally.requests
    accepted = tally.accepted
    soldOut = tally.soldOut
    duplicate = tally.duplicate
    limited = tally.limited
    failed = tally.failed
    products = books.count
    buyingSeconds = outcome.buyingSeconds
    recordedSeconds = outcome.recordedSeconds
    purchasesPerSecond = Self.rate(Double(tally.accepted), outcome.buyingSeconds)
    ordersPersistedPerSecond = outcome.recordedSeconds.map { Self.rate(Double(newOrders), $0) } ?? 0
    for book in books { add(book) }
  }

  private mutating func add(_ book: SaleBooks) {
    unitsOnSale += book.unitsOnSale
    unitsSold += book.unitsSold
    redisAvailable += book.redisAvailable
    databaseOrders += book.databaseOrders
    databaseUnitsSold += book.databaseUnitsSold
    databaseStock += book.databaseStock
    databaseRejected += book.databaseRejected
    oversold += book.oversold
    lost += book.lost
    balanced = balanced && book.isBalanced
  }

  private static func rate(_ count: Double, _ seconds: Double) -> Double {
    seconds > 0 ? (count / seconds * 10).rounded() / 10 : 0
  }

  func print(json: Bool) throws {
    if json { return try Output.json(self) }
    Output.line("requests")
    Output.table([
      ("in all", "\(requests)"), ("accepted", "\(accepted)"), ("sold out", "\(soldOut)"), ("duplicate", "\(duplicate)"),
      ("limited", "\(limited)"), ("failed", "\(failed)"),
    ])
    Output.line("books of \(products) \(products == 1 ? "product" : "products")")
    let rejected = databaseRejected == 0 ? [] : [("orders rejected (database)", "\(databaseRejected)")]
    Output.table(
      [
        ("units on sale", "\(unitsOnSale)"), ("units sold (Redis)", "\(unitsSold)"),
        ("units left (Redis)", "\(redisAvailable)"), ("orders (database)", "\(databaseOrders)"),
        ("units sold (database)", "\(databaseUnitsSold)"), ("units left (database)", "\(databaseStock)"),
      ] + rejected + [("oversold", "\(oversold)"), ("lost", "\(lost)")]
    )
    Output.line("speed")
    Output.table([
      ("purchases per second", "\(Int(purchasesPerSecond.rounded()))"),
      (
        "orders persisted per second",
        recordedSeconds == nil ? "the database did not get there" : "\(Int(ordersPersistedPerSecond.rounded()))"
      ),
    ])
    Output.line(balanced ? "The books balance." : "THE BOOKS DO NOT BALANCE.")
  }
}
