import Orders
import Stock
import Testing

@testable import Doorbuster

/// One thing wrong at a time: it is named, mended, and then nothing is left.
@Suite("Reconciling")
struct ReconcileTests {
  /// A sale of 20 units with purchases t0 to t7 of 1 and 2 units, all recorded; t7 is cancelled.
  private func sale(isTrimmed: Bool = false) async throws -> BooksWorld {
    let books = try BooksWorld()
    books.work()
    for number in 0..<8 { try books.buy("t\(number)", quantity: Int64(number % 2 + 1), afterMs: Int64(number)) }
    books.settle()
    let last = try #require(try books.row("t7"))
    try books.change(last.order.bucket) { bucket in
      _ = try bucket.cancel(last.order.purchase.token, fence: false, offSale: false, nowMs: books.world.nowMs)
    }
    books.settle()
    if isTrimmed { books.trim() }
    #expect(books.discrepancies.isEmpty)
    return books
  }

  /// Dry, the lines are found and nothing changes; then they are mended, and mending again changes nothing.
  private func expect(
    _ books: BooksWorld,
    _ lines: [String],
    outcomes: Set<BooksFinding.Outcome> = [.repaired],
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let before = books.everything
    let dry = try await books.reconcile()
    #expect(dry.lines == lines.sorted(), sourceLocation: sourceLocation)
    #expect(
      dry.remaining == Int64(lines.count) && dry.outcomes.isSubset(of: [.reported]),
      sourceLocation: sourceLocation
    )
    #expect(books.everything == before, sourceLocation: sourceLocation)
    let repaired = try await books.reconcile(repair: true)
    #expect(repaired.lines == lines.sorted(), sourceLocation: sourceLocation)
    #expect(repaired.outcomes == outcomes, "\(repaired.findings)", sourceLocation: sourceLocation)
    books.settle(sourceLocation: sourceLocation)
    #expect(books.discrepancies.isEmpty, sourceLocation: sourceLocation)
    let after = books.everything
    let again = try await books.reconcile(repair: true)
    #expect(again.lines.isEmpty && again.isClean, sourceLocation: sourceLocation)
    #expect(books.everything == after, sourceLocation: sourceLocation)
  }

  @Test("a sale at rest finds nothing, trimmed or not", arguments: [false, true])
  func clean(isTrimmed: Bool) async throws {
    let books = try await sale(isTrimmed: isTrimmed)
    let report = try await books.reconcile()
    #expect(report.isClean && report.found == 0)
    #expect(report.orders == 8)
    #expect(report.unitsOpen == 0 && report.eventsOnTheirWay == 0 && report.messagesOnTheirWay == 0)
  }

  @Test("writes a deleted order again, from the log")
  func orderDeleted() async throws {
    let books = try await sale()
    books.world.orders.orders[try books.key("t3")] = nil
    try await expect(books, ["purchase without order t3 → database", "stock 10, by rows 12 → database"])
    #expect(try books.row("t3")?.state == .sold)
  }

  @Test("says where orders are missing whose purchases are no longer listed, and leaves it to people")
  func trimmedOrderDeleted() async throws {
    let books = try await sale(isTrimmed: true)
    let bucket = try #require(try books.row("t3")).order.bucket
    books.world.orders.orders[try books.key("t3")] = nil
    let dry = try await books.reconcile()
    #expect(dry.lines == ["orders missing for 2 → byHand", "stock 10, by rows 12 → database"])
    let missing = dry.findings.map(\.subject).contains(.ordersMissing(bucket: bucket, units: 2))
    #expect(missing)
    let repaired = try await books.reconcile(repair: true)
    #expect(repaired.remaining == 1)
    // The buyer asks again, and gets the order.
    try books.buy("t3", quantity: 2)
    books.settle()
    #expect(books.discrepancies.isEmpty)
    #expect(try await books.reconcile().isClean)
  }

  @Test("writes the purchase of an order in that no bucket knows, and the order of a purchase that it was")
  func orderMoved() async throws {
    let books = try await sale()
    var row = try #require(books.world.orders.orders.removeValue(forKey: try books.key("t3")))
    let purchase = row.order.purchase
    row.order.purchase = try Purchase(sku: books.sku, user: purchase.user, token: Token("t33"), quantity: 2)
    books.world.orders.orders[try books.key("t33")] = row
    try await expect(books, ["order without purchase t33 → bucket", "purchase without order t3 → database"])
    #expect(books.bucket(row.order.bucket)?.entries[try Token("t33")]?.state == .sold)
  }

  @Test("fetches units from other buckets for an order whose own has none")
  func movesUnits() async throws {
    let books = try await sale()
    let left = (0..<3).map { books.bucket($0)?.available ?? 0 }
    // More than any bucket has, and less than all have.
    let quantity = (left.max() ?? 0) + 1
    let purchase = try Sample.purchase("big", quantity: quantity)
    let order = Order(purchase: purchase, bucket: books.home(purchase), createdAtMs: 1)
    _ = try books.world.orders.record([order])
    #expect(quantity < left.reduce(0, +))
    try await expect(books, ["order without purchase big → bucket"])
    let halves = (0..<3).flatMap { books.bucket($0)?.halves ?? [] }
    #expect(halves.count >= 2 && halves.allSatisfy(\.isSettled))
  }

  @Test("rejects an order whose units are in no bucket, and spends its token")
  func withoutUnits() async throws {
    let books = try await sale()
    let purchase = try Sample.purchase("big", quantity: 11)
    let order = Order(purchase: purchase, bucket: books.home(purchase), createdAtMs: 1)
    // It took what was not there: by its rows the database has sold too much.
    books.world.orders.orders[try books.key("big")] = StoredOrder(order: order, state: .sold)
    try await expect(
      books,
      ["order without purchase big → bucket", "stock 10, by rows -1 → database"],
      outcomes: [.rejected, .repaired]
    )
    #expect(try books.row("big")?.state == .rejected)
    #expect(books.bucket(order.bucket)?.entries[purchase.token]?.state == .cancelled)
  }

  private func change(_ books: BooksWorld, _ token: String, user: String? = nil, quantity: Int64) throws {
    let purchase = try #require(try books.row(token)).order.purchase
    books.world.orders.orders[try books.key(token)]?.order.purchase = try Purchase(
      sku: books.sku,
      user: user.map { try UserID($0) } ?? purchase.user,
      token: purchase.token,
      quantity: quantity
    )
  }

  @Test("corrects quantity and user by the bucket's purchase")
  func corrects() async throws {
    let books = try await sale()
    let purchase = try #require(try books.row("t4")).order.purchase
    try change(books, "t4", user: "thief", quantity: 9)
    try await expect(books, ["differs: quantity user t4 → database", "stock 10, by rows 2 → database"])
    #expect(try books.row("t4")?.order.purchase == purchase)
  }

  @Test("corrects the quantity of a purchase that is no longer listed; its user only people can know")
  func correctsTrimmed() async throws {
    let books = try await sale(isTrimmed: true)
    let purchase = try #require(try books.row("t4")).order.purchase
    try change(books, "t4", quantity: 9)
    try await expect(books, ["differs: quantity t4 → database", "stock 10, by rows 2 → database"])
    #expect(try books.row("t4")?.order.purchase == purchase)
    try change(books, "t4", user: "thief", quantity: 1)
    #expect(try await books.reconcile().lines == ["differs: user t4 → byHand"])
    #expect(try await books.reconcile(repair: true).remaining == 1)
  }

  @Test("corrects the bucket, by the buyer's home", arguments: [false, true])
  func correctsBucket(isTrimmed: Bool) async throws {
    let books = try await sale(isTrimmed: isTrimmed)
    let bucket = try #require(try books.row("t4")).order.bucket
    for other in [(bucket + 1) % 3, 7] {
      books.world.orders.orders[try books.key("t4")]?.order.bucket = other
      try await expect(books, ["differs: bucket t4 → database"])
      #expect(try books.row("t4")?.order.bucket == bucket)
    }
  }

  @Test("brings the state that is further on to the other side")
  func states() async throws {
    let books = try await sale()
    // The database's is further on.
    books.world.orders.orders[try books.key("t1")]?.state = .cancelled
    books.world.orders.orders[try books.key("t2")]?.state = .rejected
    books.world.orders.stock[books.sku]? += 3
    // The bucket's is: cancelled behind the database's back.
    let row = try #require(try books.row("t3"))
    try books.change(row.order.bucket) { bucket in
      _ = try bucket.cancel(row.order.purchase.token, fence: false, offSale: false, nowMs: books.world.nowMs)
    }
    books.skipEvents()
    try await expect(
      books,
      ["differs: state t1 → bucket", "differs: state t2 → bucket", "differs: state t3 → database"]
    )
    #expect(try ["t1", "t2", "t3"].map { try books.row($0)?.state } == [.cancelled, .rejected, .cancelled])
  }

  @Test("counts a stock anew that is not what its rows make")
  func stock() async throws {
    let books = try await sale()
    books.world.orders.stock[books.sku] = 3
    try await expect(books, ["stock 3, by rows 10 → database"])
  }

  @Test("spends the token of a cancelled order that its bucket does not know")
  func cancelledToken() async throws {
    let books = try await sale()
    let row = try #require(try books.row("t7"))
    try books.change(row.order.bucket) { bucket in
      bucket.entries[row.order.purchase.token] = nil
      bucket.cancelled -= row.order.purchase.quantity
    }
    try await expect(books, ["order without purchase t7 → bucket"])
  }

  // MARK: Limit and window

  @Test("names the bucket that a closing or a limit did not reach, and tells it")
  func terms() async throws {
    let books = try await sale()
    try books.change(1) { bucket in bucket.terms.closesMs = 77 }
    try await expect(books, ["terms of bucket 1 → bucket"])
    #expect(books.bucket(1)?.terms.closesMs == 0)
    for index in 0..<2 { try books.change(index) { bucket in bucket.terms.limit = 3 } }
    try await expect(books, ["terms of bucket 0 → bucket", "terms of bucket 1 → bucket"])
  }

  // MARK: Units on sale

  @Test("writes a restock in that a bucket has lost")
  func restockLost() async throws {
    let books = try await sale()
    try await books.doorbuster.restock(books.sku, token: Token("more"), quantity: 7)
    books.settle()
    try books.change(1) { bucket in
      let lost = bucket.restocks.removeValue(forKey: try Token("more"))
      let quantity = try #require(lost)
      bucket.added -= quantity
      bucket.available -= quantity
    }
    try await expect(books, ["on sale 25, in database 27 → bucket"])
    #expect(books.bucket(1)?.restocks[try Token("more")] == 2)
  }

  @Test("takes units off sale that the database does not have, and gives those back that it has")
  func handmadeStock() async throws {
    let books = try await sale()
    for (name, quantity) in [("by hand", 3), ("by hand too", -2)] as [(String, Int64)] {
      try books.change(2) { bucket in
        _ = try bucket.add(try Token(name), quantity: quantity, nowMs: books.world.nowMs)
      }
      books.settle()
      try await expect(books, ["on sale \(20 + quantity), in database 20 → bucket"])
    }
  }

  // MARK: Transfers

  private func withdraw(_ books: BooksWorld, _ name: String) throws -> Transfer {
    let transfer = Transfer(name: try TransferName(name), direction: .out, peer: 1, quantity: 2)
    try books.change(0) { bucket in
      _ = try bucket.withdraw(transfer.name, quantity: 2, to: 1, nowMs: books.world.nowMs)
    }
    return transfer
  }

  @Test("finishes a transfer that was left behind, and lets a young one be")
  func transferLeftBehind() async throws {
    let books = try await sale()
    _ = try withdraw(books, "young")
    let report = try await books.reconcile(repair: true)
    #expect(report.found == 0 && report.unitsInTransfer == 2)
    _ = books.world.run(forMs: 61_000)
    try await expect(books, ["transfer half in → bucket"])
    #expect(books.bucket(0)?.halves.allSatisfy(\.isSettled) ?? false)
    #expect(books.bucket(1)?.transferredIn == 2)
  }

  @Test("writes the withdrawal in that a bucket has lost, and says where its units are sold")
  func withdrawalLost() async throws {
    for isSold in [false, true] {
      let books = try await sale()
      let transfer = try withdraw(books, "lost")
      try books.change(1) { bucket in
        _ = try bucket.deposit(Deposit(name: transfer.name, source: 0, quantity: 2), nowMs: books.world.nowMs)
      }
      try books.change(0) { bucket in
        bucket.halves = []
        bucket.transferredOut = 0
        bucket.available += 2
      }
      books.settle()
      guard isSold else {
        try await expect(books, ["transfer half out → bucket"])
        continue
      }
      let users = (0..<99).map { "user\($0)" }
      let homes = try users.filter { books.home(try Sample.purchase(user: $0)) == 0 }
      let left = try #require(books.bucket(0)?.available)
      for (number, user) in homes.prefix(Int(left)).enumerated() { try books.buy("late\(number)", user: user) }
      books.settle()
      let report = try await books.reconcile(repair: true)
      #expect(report.lines == ["transfer half out → bucket"])
      #expect(report.remaining == 1)
    }
  }

  // MARK: What can't be compared

  @Test("A bucket that is lost, frozen for completion or in another epoch is to be recovered first")
  func toBeRecovered() async throws {
    func code(_ change: (BooksWorld) throws -> Void) async throws -> String? {
      let books = try await sale()
      try change(books)
      do {
        _ = try await books.reconcile(repair: true)
        return nil
      } catch let error as DoorbusterError {
        #expect(error.message.contains("run recover shoe"))
        return error.code.name
      }
    }
    #expect(try await code { $0.world.stock.buckets[$0.id(1)] = nil } == "bucket-lost")
    #expect(try await code { $0.world.stock.comeUp($0.id(1), .load) } == "bucket-frozen")
    #expect(try await code { books in try books.change(1) { $0.epoch += 1 } } == "bucket-lost")
    #expect(try await code { books in try books.change(1) { $0.freeze(nowMs: 0) } } == nil)
  }

  @Test("A sale that the database decides has its stock counted")
  func databasePath() async throws {
    let books = try await sale()
    let sale = Sale(
      sku: try SKU("hat"),
      stock: 5,
      terms: SaleTerms(buckets: 1),
      path: .database,
      createdAtMs: 0
    )
    _ = books.world.orders.create(sale)
    #expect(try await books.doorbuster.reconcile(sale.sku, settings: books.settings).isClean)
    books.world.orders.stock[sale.sku] = 4
    let report = try await books.doorbuster.reconcile(sale.sku, repair: true, settings: books.settings)
    #expect(report.lines == ["stock 4, by rows 5 → database"] && report.isClean)
    #expect(books.world.orders.stock[sale.sku] == 5)
  }
}
