import Orders
import Stock

/// Sales that the database decides.
extension Connection {
  /// What a seller sees before he begins a transaction.
  private struct View {
    var terms: SaleTerms
    var path: SalePath
    var termsVersion: Int64
    var stock: Int64
    var units: Int64
    var hasDueHolds: Bool
    var known: StoredOrder?
  }

  // MARK: - An order at a time

  /// Most refusals are answered from what can be seen, without a transaction. A sale is one transaction whose last
  /// statement is the decrement: it holds the hot row for the shortest time, and finds out whether stock and terms
  /// still are what was seen. Where anything is in the way, the product is locked first and everything decided anew.
  func sell(_ attempt: SellAttempt, hint: InventoryHint?) throws(OrderStoreError) -> SellOutcome {
    let purchase = attempt.purchase
    let seen = try read("selling \(purchase.sku)") { try view(attempt) }
    guard let seen else { return .unknownProduct }
    try seen.path.requireDatabase(purchase.sku)
    if let known = seen.known { return known.answer(to: attempt, remaining: seen.stock) }
    if let refusal = seen.terms.refusal(at: attempt.nowMs) { return .refused(refusal, remaining: seen.stock) }
    if !seen.hasDueHolds {
      guard seen.terms.allows(purchase.quantity, atop: seen.units) else {
        return .refused(.limit, remaining: seen.stock)
      }
      guard seen.stock >= purchase.quantity else { return .refused(.soldOut, remaining: seen.stock) }
    }
    return try transaction("selling \(purchase.sku)") { transaction in
      if transaction.number == 0, !seen.hasDueHolds {
        if let ending = try sellAsSeen(attempt, seen, hint, transaction) {
          let remaining = max(0, seen.stock - purchase.quantity)
          return (.accepted(attempt.order.state, remaining: remaining, isRepeat: false), ending)
        }
        try run("ROLLBACK")
        try run("BEGIN")
      }
      let outcomes = try sellExactly(purchase.sku, [attempt])
      guard let outcome = try outcomes.first?.get() else { return (.unknownProduct, .rollBack) }
      return (outcome, .commit)
    }
  }

  private func view(_ attempt: SellAttempt) throws -> View? {
    let (sku, token, user) = (attempt.purchase.sku, attempt.purchase.token, attempt.purchase.user)
    let views = try query(
      """
      SELECT sales.path, sales.buckets, sales.purchase_limit, sales.opens_ms, sales.closes_ms, products.terms_version,
        products.stock, buyers.units,
        EXISTS (SELECT * FROM holds WHERE holds.sku = sales.sku AND holds.expires_at <= ?),
        EXISTS (SELECT * FROM orders WHERE orders.sku = sales.sku AND orders.token = ?)
      FROM sales JOIN products ON products.sku = sales.sku
      LEFT JOIN buyers ON buyers.sku = sales.sku AND buyers.user = ?
      WHERE sales.sku = ?
      """,
      [.integer(attempt.nowMs), token.value, user.value, sku.value],
      [.bytes] + Array(repeating: .integer, count: 9)
    ) { row -> (View, Bool) in
      guard let path = SalePath(rawValue: row.text(0)) else {
        throw OrderStoreError(.corrupt, "the sale of \(sku) has a path that no sale can have")
      }
      let terms = SaleTerms(
        buckets: Int(row.integer(1)),
        limit: row.integer(2),
        opensMs: row.integer(3),
        closesMs: row.integer(4)
      )
      let view = View(
        terms: terms,
        path: path,
        termsVersion: row.integer(5),
        stock: row.integer(6),
        units: row.integer(7),
        hasDueHolds: row.integer(8) != 0,
        known: nil
      )
      return (view, row.integer(9) != 0)
    }
    guard var view = views.first?.0, let isKnown = views.first?.1 else { return nil }
    if isKnown { view.known = try orders(of: sku, tokens: [token]).first }
    return view
  }

  /// - Returns: nil where the stock, the terms or the buyer's units are others than those that were seen.
  private func sellAsSeen(
    _ attempt: SellAttempt,
    _ seen: View,
    _ hint: InventoryHint?,
    _ transaction: Attempt
  ) throws -> Ending? {
    let purchase = attempt.purchase
    let limit = seen.terms.limit == 0 ? StockLimits.quantityMax : seen.terms.limit
    try insert([attempt.order])
    try insertHolds([attempt.order])
    // One statement adds the units, unless they would be too many: then no row changes.
    let isWithin = try execute(
      """
      INSERT INTO buyers (sku, user, units) VALUES (?, ?, ?)
      ON DUPLICATE KEY UPDATE units = IF(units + VALUES(units) > ?, units, units + VALUES(units))
      """,
      purchase.sku.value,
      purchase.user.value,
      .integer(purchase.quantity),
      .integer(limit)
    )
    guard isWithin > 0 else { return nil }
    var change = OrderBook.Change()
    change.add(attempt.order)
    let condition = " AND terms_version = \(seen.termsVersion)"
    if let hint { return try hint.apply(change, to: purchase.sku, and: condition, on: self, transaction) }
    let isSold = try execute(
      "UPDATE products SET \(ProductSQL.additions) WHERE sku = ? AND stock >= ? AND terms_version = ?",
      with: ProductSQL.parameters(change)
        + [purchase.sku.value, .integer(purchase.quantity), .integer(seen.termsVersion)]
    )
    return isSold == 1 ? .commit : nil
  }

  // MARK: - Many at a time

  func sell(_ attempts: ArraySlice<SellAttempt>) throws(OrderStoreError) -> [Result<SellOutcome, OrderStoreError>] {
    try transaction("selling to \(attempts.count) buyers") { _ in
      var outcomes: [Int: Result<SellOutcome, OrderStoreError>] = [:]
      let places = Dictionary(grouping: attempts.indices, by: { attempts[$0].purchase.sku })
      for (sku, places) in places.sorted(by: { $0.key.text < $1.key.text }) {
        let answers = try sellExactly(sku, places.map { attempts[$0] })
        for (place, answer) in zip(places, answers) { outcomes[place] = answer }
      }
      return (attempts.indices.compactMap { outcomes[$0] }, .commit)
    }
  }

  /// The product is locked first, so that nobody sells it meanwhile.
  private func sellExactly(
    _ sku: SKU,
    _ attempts: [SellAttempt]
  ) throws -> [Result<SellOutcome, OrderStoreError>] {
    guard let stock = try lockStocks(of: [sku])[sku], let sale = try sale(sku) else {
      return attempts.map { _ in .success(.unknownProduct) }
    }
    do throws(OrderStoreError) {
      try sale.requireDatabasePath()
    } catch {
      return attempts.map { _ in .failure(error) }
    }
    var book = try book(sale, stock: stock, attempts)
    var outcomes = book.decide(attempts)
    if outcomes.contains(where: \.lacksUnits) {
      let nowMs = attempts.map(\.nowMs).max() ?? 0
      let released = try releaseDueHolds(sku, nowMs: nowMs, limit: StoreBounds.pageMax)
      if released.orders > 0 {
        book = try self.book(sale, stock: stock + released.units, attempts)
        outcomes = book.decide(attempts)
      }
    }
    try write(book, sku)
    return outcomes.map { .success($0) }
  }

  private func book(_ sale: Sale, stock: Int64, _ attempts: [SellAttempt]) throws -> SellingBook {
    let users = Array(Set(attempts.map(\.purchase.user)))
    let units = try query(keys: users.map(\.bytes), before: [sale.sku.value], [.bytes, .integer]) { marks in
      "SELECT user, units FROM buyers WHERE sku = ? AND user IN (\(marks))"
    } _: { row in
      (try UserID(bytes: row.bytes(0)), row.integer(1))
    }
    return SellingBook(
      terms: sale.terms,
      stock: stock,
      orders: try orders(of: sale.sku, tokens: Array(Set(attempts.map(\.purchase.token)))),
      units: Dictionary(units, uniquingKeysWith: { first, _ in first })
    )
  }

  private func write(_ book: SellingBook, _ sku: SKU) throws(MySQLFailure) {
    guard !book.made.isEmpty else { return }
    try insert(book.made)
    try insertHolds(book.made)
    try changeUnits(sku, book.taken)
    var change = OrderBook.Change()
    for order in book.made { change.add(order) }
    guard try apply(change, to: sku) else {
      throw MySQLFailure(number: 0, state: "HY000", message: "a product changed while it was locked")
    }
  }

  private func insertHolds(_ orders: [StoredOrder]) throws(MySQLFailure) {
    let held = orders.filter { $0.expiresAtMs != nil }
    guard !held.isEmpty else { return }
    var rows = RowBatch([.bytes, .bytes, .integer], capacity: held.count)
    for order in held {
      rows.put(utf8: order.order.purchase.sku.text, 0)
      rows.put(order.order.purchase.token.bytes, 1)
      rows.put(order.expiresAtMs, 2)
      rows.endRow()
    }
    try insert("INSERT INTO holds (sku, token, expires_at)", rows)
  }

  private func changeUnits(_ sku: SKU, _ units: [UserID: Int64]) throws(MySQLFailure) {
    var rows = RowBatch([.bytes, .bytes, .integer], capacity: units.count)
    // In one order, so that no two transactions wait for each other.
    for (user, units) in units.sorted(by: { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }) {
      rows.put(utf8: sku.text, 0)
      rows.put(user.bytes, 1)
      rows.put(units, 2)
      rows.endRow()
    }
    try insert(
      "INSERT INTO buyers (sku, user, units)",
      rows,
      suffix: "ON DUPLICATE KEY UPDATE units = units + VALUES(units)"
    )
  }
}

/// What becomes of a hold.
extension Connection {
  func confirm(_ sku: SKU, token: Token, nowMs: Int64) throws(OrderStoreError) -> ConfirmOrderOutcome {
    try transaction("confirming an order of \(sku)") { _ in
      guard let stored = try lockOrder(sku, token) else { return (.unknownToken, .rollBack) }
      switch stored.state {
      case .held where stored.isDue(nowMs):
        try move([stored], to: .cancelled, sku)
        return (.cancelled, .commit)
      case .held:
        try move([stored], to: .sold, sku)
        return (.confirmed, .commit)
      case .sold: return (.alreadySold, .rollBack)
      case .cancelled, .rejected: return (.cancelled, .rollBack)
      }
    }
  }

  func cancel(_ sku: SKU, token: Token) throws(OrderStoreError) -> CancelOutcome {
    try transaction("cancelling an order of \(sku)") { _ in
      guard let stored = try lockOrder(sku, token) else { return (.unknownToken, .rollBack) }
      guard stored.state.takesStock else { return (.alreadyCancelled, .rollBack) }
      try move([stored], to: .cancelled, sku)
      return (.cancelled, .commit)
    }
  }

  func expireHolds(_ sku: SKU, nowMs: Int64, limit: Int) throws(OrderStoreError) -> Int {
    try transaction("expiring holds on \(sku)") { _ in
      guard try lockStocks(of: [sku])[sku] != nil else { return (0, .rollBack) }
      return (try releaseDueHolds(sku, nowMs: nowMs, limit: limit).orders, .commit)
    }
  }

  /// An order of a sale on the path `database`, its product locked.
  private func lockOrder(_ sku: SKU, _ token: Token) throws -> StoredOrder? {
    guard try lockStocks(of: [sku])[sku] != nil, let sale = try sale(sku) else {
      throw OrderStoreError(.unknownProduct, "there is no sale of \(sku)")
    }
    try sale.requireDatabasePath()
    return try orders(of: sku, tokens: [token], forUpdate: true).first
  }

  /// The product is locked.
  private func releaseDueHolds(_ sku: SKU, nowMs: Int64, limit: Int) throws -> (orders: Int, units: Int64) {
    let tokens = try query(
      "SELECT token FROM holds WHERE sku = ? AND expires_at <= ? ORDER BY expires_at LIMIT ?",
      [sku.value, .integer(nowMs), .integer(Int64(StoreBounds.page(limit)))],
      [.bytes]
    ) { try Token(bytes: $0.bytes(0)) }
    let held = try orders(of: sku, tokens: tokens, forUpdate: true).filter { $0.state == .held }
    try move(held, to: .cancelled, sku)
    // What is not held any more has left its entry by an edit by hand.
    try deleteHolds(sku, tokens)
    return (held.count, held.reduce(0) { $0 + $1.order.purchase.quantity })
  }

  /// Orders that are locked, with their product.
  private func move(_ stored: [StoredOrder], to state: OrderState, _ sku: SKU) throws {
    guard !stored.isEmpty else { return }
    var change = OrderBook.Change()
    var units: [UserID: Int64] = [:]
    var moved = stored
    for index in moved.indices {
      change.remove(moved[index])
      moved[index].state = state
      change.add(moved[index])
      let purchase = moved[index].order.purchase
      if !state.takesStock { units[purchase.user, default: 0] -= purchase.quantity }
    }
    change.lowest = 0
    try update(moved)
    try deleteHolds(sku, stored.filter { $0.state == .held }.map(\.order.purchase.token))
    if !units.isEmpty { try changeUnits(sku, units) }
    guard try apply(change, to: sku) else {
      throw MySQLFailure(number: 0, state: "HY000", message: "a product changed while it was locked")
    }
  }

  private func deleteHolds(_ sku: SKU, _ tokens: [Token]) throws(MySQLFailure) {
    try execute(keys: tokens.map(\.bytes), before: [sku.value]) { marks in
      "DELETE FROM holds WHERE sku = ? AND token IN (\(marks))"
    }
  }
}
