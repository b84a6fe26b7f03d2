import Orders
import Stock

/// A sale and the seams to it, as comparing and mending use them: many questions at once, and patience with servers that
/// are away for a moment. Every call may be repeated, so none is given up before its patience ends.
struct SaleAccess: Sendable {
  let sale: Sale
  let stock: any StockService
  let orders: any OrderStore
  let clock: any SaleClock
  let settings: BooksSettings

  var sku: SKU { sale.sku }

  func bucket(_ index: Int) -> BucketID { BucketID(sku: sku, index: index) }

  // MARK: Buckets

  func info(_ index: Int) async throws(DoorbusterError) -> BucketInfo {
    try await askStock { stock throws(StockError) in try await stock.info(bucket(index)) }
  }

  /// The buckets' books, nil for one that is not there.
  func infos() async throws(DoorbusterError) -> [BucketInfo?] {
    try await each(sale.buckets) { bucket throws(DoorbusterError) in
      do throws(DoorbusterError) {
        return try await info(bucket.index)
      } catch {
        guard error.isNoBucket else { throw error }
        return nil
      }
    }
  }

  func purchase(_ token: Token, in index: Int) async throws(DoorbusterError) -> PurchaseRecord? {
    try await askStock { stock throws(StockError) in try await stock.purchase(token, in: bucket(index)) }
  }

  func record(_ entry: LostEntry, in index: Int) async throws(DoorbusterError) -> LostEntryOutcome {
    try await askStock { stock throws(StockError) in try await stock.record(entry, in: bucket(index)) }
  }

  /// All halves that the bucket knows, settled ones too.
  func transfers(_ index: Int) async throws(DoorbusterError) -> [ListedTransfer] {
    var all: [ListedTransfer] = []
    while true {
      let last = all.last?.transfer.name
      let page = try await askStock { stock throws(StockError) in
        try await stock.transfers(bucket(index), settled: true, after: last, count: 10_000)
      }
      all += page
      guard page.count == 10_000 else { return all }
    }
  }

  // MARK: Database

  func totals() async throws(DoorbusterError) -> SaleTotals {
    let totals = try await askDatabase { orders throws(OrderStoreError) in try await orders.totals(of: sku) }
    guard let totals else { throw .unknownSale(sku) }
    return totals
  }

  func countedTotals() async throws(DoorbusterError) -> CountedTotals {
    let totals = try await askDatabase { orders throws(OrderStoreError) in try await orders.countedTotals(of: sku) }
    guard let totals else { throw .unknownSale(sku) }
    return totals
  }

  func positions() async throws(DoorbusterError) -> [Int: LogPosition] {
    try await askDatabase { orders throws(OrderStoreError) in try await orders.positions(of: sku) }
  }

  /// The orders of these tokens that are there.
  func orders(_ tokens: [Token]) async throws(DoorbusterError) -> [Token: StoredOrder] {
    let rows = try await askDatabase { orders throws(OrderStoreError) in
      try await orders.orders(of: sku, tokens: tokens)
    }
    return Dictionary(rows.map { ($0.order.purchase.token, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The next page of all orders; one of fewer than ``BooksSettings/page`` is the last.
  func orders(after token: Token?) async throws(DoorbusterError) -> [StoredOrder] {
    try await askDatabase { orders throws(OrderStoreError) in
      try await orders.orders(of: sku, bucket: nil, after: token, limit: settings.page)
    }
  }

  func restocks() async throws(DoorbusterError) -> [StoredRestock] {
    var all: [StoredRestock] = []
    while true {
      let last = all.last?.token
      let page = try await askDatabase { orders throws(OrderStoreError) in
        try await orders.restocks(of: sku, after: last, limit: settings.page)
      }
      all += page
      guard page.count == settings.page else { return all }
    }
  }

  func repair(_ repair: OrderRepair) async throws(DoorbusterError) -> RepairOutcome {
    let outcomes = try await askDatabase { orders throws(OrderStoreError) in try await orders.repair([repair]) }
    guard let outcome = outcomes.first else {
      throw DoorbusterError(.orders, "the database answered nothing to a repair of \(sku)")
    }
    return outcome
  }

  // MARK: Patience

  func wait(_ duration: Duration) async throws(DoorbusterError) {
    guard await clock.wait(ms: max(1, duration.wholeMs)) else { throw .interrupted(sku) }
  }

  func askStock<T>(
    _ call: (any StockService) async throws(StockError) -> T
  ) async throws(DoorbusterError) -> T {
    try await patiently { () async throws(DoorbusterError) in try await asking(stock: stock, call) }
  }

  func askDatabase<T>(
    _ call: (any OrderStore) async throws(OrderStoreError) -> T
  ) async throws(DoorbusterError) -> T {
    try await patiently { () async throws(DoorbusterError) in try await asking(orders: orders, call) }
  }

  private func patiently<T>(
    _ call: () async throws(DoorbusterError) -> T
  ) async throws(DoorbusterError) -> T {
    let end = clock.now.advanced(by: settings.patience)
    var backOff = BackOff()
    while true {
      do throws(DoorbusterError) {
        return try await call()
      } catch {
        guard error.isTransient, clock.now < end else { throw error }
        try await wait(.milliseconds(backOff.failed()))
      }
    }
  }

  // MARK: Many at once

  /// Asks about each item, ``BooksSettings/lanes`` at a time. The answers are in the items' order.
  func each<Item: Sendable, Answer: Sendable>(
    _ items: [Item],
    _ ask: @escaping @Sendable (Item) async throws(DoorbusterError) -> Answer
  ) async throws(DoorbusterError) -> [Answer] {
    let lanes = min(settings.lanes, items.count)
    guard lanes > 1 else { return try await Self.run(items[...], ask) }
    let part = (items.count + lanes - 1) / lanes
    let parts = await withTaskGroup(of: (Int, Result<[Answer], DoorbusterError>).self) { group in
      for start in stride(from: 0, to: items.count, by: part) {
        group.addTask {
          do throws(DoorbusterError) {
            return (start, .success(try await Self.run(items[start..<min(start + part, items.count)], ask)))
          } catch {
            return (start, .failure(error))
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    var answers: [Answer] = []
    answers.reserveCapacity(items.count)
    for (_, part) in parts.sorted(by: { $0.0 < $1.0 }) { answers += try part.get() }
    return answers
  }

  private static func run<Item: Sendable, Answer: Sendable>(
    _ items: ArraySlice<Item>,
    _ ask: @Sendable (Item) async throws(DoorbusterError) -> Answer
  ) async throws(DoorbusterError) -> [Answer] {
    var answers: [Answer] = []
    answers.reserveCapacity(items.count)
    for item in items { answers.append(try await ask(item)) }
    return answers
  }
}

extension DoorbusterError {
  var isNoBucket: Bool { hasStockCode(.noBucket) }

  func hasStockCode(_ code: StockError.Code) -> Bool {
    switch cause {
    case .stock(let error): error.code == code
    case .messaging, .orders, nil: false
    }
  }

  static func interrupted(_ sku: SKU) -> DoorbusterError {
    DoorbusterError(.interrupted, "the work on \(sku) was stopped; the same call goes on with it")
  }
}
