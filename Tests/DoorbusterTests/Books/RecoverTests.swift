import Orders
import Stock
import Testing

@testable import Doorbuster

@Suite("Recovering")
struct RecoverTests {
  /// A sale of 20 units with purchases t0 to t7 of 1 and 2 units, all recorded; t7 is cancelled.
  private func sale(limit: Int64 = 0) async throws -> BooksWorld {
    let books = try BooksWorld(limit: limit)
    books.work()
    for number in 0..<8 { try books.buy("t\(number)", quantity: Int64(number % 2 + 1), afterMs: Int64(number)) }
    books.settle()
    let last = try #require(try books.row("t7"))
    try books.change(last.order.bucket) { bucket in
      _ = try bucket.cancel(last.order.purchase.token, fence: false, offSale: false, nowMs: books.world.nowMs)
    }
    books.settle()
    #expect(books.discrepancies.isEmpty)
    return books
  }

  private func recover(_ books: BooksWorld) async throws -> Recovery {
    try await books.doorbuster.recover(books.sku, settings: books.settings)
  }

  /// All sells, nothing differs, and doing it again does nothing.
  private func expectRecovered(_ books: BooksWorld, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    books.settle(sourceLocation: sourceLocation)
    #expect(books.discrepancies.isEmpty, sourceLocation: sourceLocation)
    #expect(books.world.stock.buckets.values.allSatisfy { $0.frozen == nil }, sourceLocation: sourceLocation)
    let before = books.everything
    let again = try await recover(books)
    #expect(again.wasSound && again.isComplete, sourceLocation: sourceLocation)
    #expect(books.everything == before, sourceLocation: sourceLocation)
    #expect(try await books.reconcile().lines.isEmpty, sourceLocation: sourceLocation)
  }

  @Test("A sale that is sound is left alone")
  func sound() async throws {
    let books = try await sale()
    try await expectRecovered(books)
  }

  @Test("After all is lost, units, limit, window and the answer of every token are as they were")
  func allLost() async throws {
    let books = try await sale(limit: 2)
    try await books.doorbuster.restock(books.sku, token: Token("more"), quantity: 7)
    books.world.orders.reschedule(books.sku, limit: 3, opensMs: 5, closesMs: nil)
    books.world.stock.buckets = [:]
    let report = try await recover(books)
    #expect(report.isComplete && report.buckets == [.rebuilt, .rebuilt, .rebuilt])
    #expect(report.orders == [.sold: 7, .cancelled: 1] && report.findings.isEmpty)
    try await expectRecovered(books)
    let infos = (0..<3).compactMap { books.bucket($0)?.info }
    #expect(infos.map { $0.created + $0.added }.reduce(0, +) == 27)
    #expect(infos.allSatisfy { $0.limit == 3 && $0.opensMs == 5 && $0.closesMs == 0 })
    for (token, quantity, state) in [("t1", 2, PurchaseState.sold), ("t7", 2, .cancelled)]
      as [(String, Int64, PurchaseState)]
    {
      let row = try #require(try books.row(token))
      #expect(books.bucket(row.order.bucket)?.entries[row.order.purchase.token]?.state == state)
      #expect(row.order.purchase.quantity == quantity)
    }
  }

  @Test("An order whose bucket's share does not suffice gets units of other buckets")
  func movesUnits() async throws {
    let books = try await sale()
    let users = (0..<99).map { "user\($0)" }
    let homes = try users.filter { books.home(try Sample.purchase(user: $0)) == 0 }
    // Bought with units that had come from elsewhere, of which nothing is known any more.
    for (number, user) in homes.prefix(8).enumerated() {
      let purchase = try Sample.purchase("late\(number)", user: user, quantity: 1)
      _ = try books.world.orders.record([Order(purchase: purchase, bucket: 0, createdAtMs: 1)])
    }
    books.world.stock.buckets = [:]
    let report = try await recover(books)
    #expect(report.isComplete && report.moved > 0)
    try await expectRecovered(books)
  }

  @Test(
    "What a bucket lacks after a restart is written in, and what it has is followed on",
    arguments: [FrozenReason.load, .promotion]
  )
  func restarted(reason: FrozenReason) async throws {
    let books = try await sale()
    let old = books.world.stock.buckets
    for number in 0..<5 { try books.buy("late\(number)", afterMs: Int64(number)) }
    let row = try #require(try books.row("t3"))
    try books.change(row.order.bucket) { bucket in
      _ = try bucket.cancel(row.order.purchase.token, fence: false, offSale: false, nowMs: books.world.nowMs)
    }
    books.settle()
    books.world.stock.buckets = old
    for index in 0..<3 { books.world.stock.comeUp(books.id(index), reason) }
    let beganMs = books.world.nowMs
    let report = try await recover(books)
    #expect(report.isComplete && report.buckets == [.completed, .completed, .completed])
    #expect(report.orders == [.sold: 5, .cancelled: 1])
    #expect(books.world.nowMs - beganMs >= (reason == .promotion ? 15_000 : 3_000))
    try await expectRecovered(books)
  }

  @Test("A replica that is promoted while its sale is completed has a grace of its own")
  func promotedMeanwhile() async throws {
    let books = try await sale()
    let (first, second) = (books.id(0), books.id(1))
    for id in [first, second] { books.world.stock.comeUp(id, .load) }
    books.servers.with { state in
      state.before = { step, state in
        guard step == .thaw(second), state.stock.buckets[second]?.frozen == .load else { return }
        state.stock.comeUp(second, .promotion)
      }
    }
    let beganMs = books.world.nowMs
    let report = try await recover(books)
    #expect(report.isComplete && report.buckets == [.completed, .completed, .sound])
    let settings = RecoverySettings()
    #expect(books.world.nowMs - beganMs >= (settings.restartGrace + settings.promotionGrace).wholeMs)
    try await expectRecovered(books)
  }

  @Test("Halves of transfers that a bucket lost are written in from the other one's")
  func transfers() async throws {
    let books = try await sale()
    let old = books.world.stock.buckets
    let name = try TransferName("m")
    try books.change(0) { _ = try $0.withdraw(name, quantity: 3, to: 1, nowMs: 0) }
    try books.change(1) { _ = try $0.deposit(Deposit(name: name, source: 0, quantity: 3), nowMs: 0) }
    for lost in [0, 1] {
      let whole = books.world.stock.buckets
      books.world.stock.buckets[books.id(lost)] = old[books.id(lost)]
      books.world.stock.comeUp(books.id(lost), .load)
      let report = try await recover(books)
      #expect(report.transfers == 1 && report.isComplete)
      try await expectRecovered(books)
      books.world.stock.buckets = whole
      for (id, bucket) in whole {
        books.world.orders.positions[id] = LogPosition(epoch: bucket.epoch, sequence: bucket.logLast)
      }
    }
  }

  @Test("A transfer of units that a lost cancel had given back is written in behind the cancel")
  func transferOfCancelledUnits() async throws {
    let books = try await sale()
    let order = try #require(try books.row("t1")).order
    let (source, target) = (order.bucket, (order.bucket + 1) % 3)
    func move(_ text: String, _ quantity: Int64) throws {
      let name = try TransferName(text)
      try books.change(source) { _ = try $0.withdraw(name, quantity: quantity, to: target, nowMs: 0) }
      try books.change(target) { _ = try $0.deposit(Deposit(name: name, source: source, quantity: quantity), nowMs: 0) }
    }
    // Nothing is left in the bucket but what the cancel gives back.
    try move("rest", try #require(books.bucket(source)).available)
    let old = books.bucket(source)
    try books.change(source) {
      _ = try $0.cancel(order.purchase.token, fence: false, offSale: false, nowMs: books.world.nowMs)
    }
    try move("back", order.purchase.quantity)
    books.settle()
    books.world.stock.buckets[books.id(source)] = old
    books.world.stock.comeUp(books.id(source), .promotion)
    let report = try await recover(books)
    #expect(report.isComplete && report.findings.isEmpty && report.transfers == 1 && report.orders == [.cancelled: 1])
    try await expectRecovered(books)
  }

  @Test("An order that a worker stores from lost events, behind the page of its token, is written in as well")
  func lateBatch() async throws {
    let books = try await sale()
    let purchase = try Sample.purchase("a-late", user: "late", quantity: 2)
    let bucket = books.id(books.home(purchase))
    let position = try #require(books.world.orders.positions[bucket])
    let order = Order(purchase: purchase, bucket: bucket.index, createdAtMs: books.world.nowMs)
    let step = LogBatch.Step(
      sequence: position.sequence + 1,
      entry: .purchased(order, state: .sold, storeIfMissing: true)
    )
    let batch = LogBatch(bucket: bucket, from: position, steps: [step])
    books.world.stock.comeUp(bucket, .load)
    books.servers.with { state in
      state.before = { call, state in
        guard case .orders(after: .some) = call else { return }
        _ = try? state.orders.follow(batch)
      }
    }
    let report = try await recover(books)
    #expect(try books.row("a-late")?.state == .sold)
    #expect(report.isComplete && report.orders == [.sold: 1])
    try await expectRecovered(books)
  }

  @Test("An operator's freeze stays, and what hides under it is completed when it ends")
  func operatorsFreeze() async throws {
    let books = try await sale()
    try books.change(1) { $0.freeze(nowMs: 0) }
    for index in 0..<3 { books.world.stock.comeUp(books.id(index), .load) }
    let report = try await recover(books)
    #expect(report.buckets == [.completed, .stoppedByOperator, .completed] && !report.isComplete)
    #expect(books.bucket(1)?.frozen == .operator)
    try books.change(1) { try $0.thaw(epoch: nil, nowMs: 0) }
    #expect(books.bucket(1)?.frozen == .load)
    #expect(try await recover(books).isComplete)
    try await expectRecovered(books)
  }

  @Test("A bucket of other numbers is another sale's, and nothing is done")
  func foreign() async throws {
    let books = try await sale()
    try books.change(1) { $0.created += 1 }
    books.world.stock.buckets[books.id(2)] = nil
    await #expect(throws: DoorbusterError.self) { _ = try await recover(books) }
    #expect(books.bucket(2) == nil)
  }

  @Test("A crash between any two calls leaves what the next recovery completes", arguments: [false, true])
  func crashes(carriesOut: Bool) async throws {
    var number = 0
    while true {
      let books = try await sale()
      books.settings.patience = .zero
      books.world.stock.buckets[books.id(0)] = nil
      for index in 1..<3 { books.world.stock.comeUp(books.id(index), .load) }
      books.servers.cutOff(at: number, carriesOut: carriesOut)
      let wasCut = (try? await recover(books)) == nil
      books.servers.cutOff(at: nil)
      #expect(try await recover(books).isComplete, "crash at call \(number)")
      try await expectRecovered(books)
      guard wasCut, books.discrepancies.isEmpty else { break }
      number += 1
    }
    #expect(number > 20)
  }
}
