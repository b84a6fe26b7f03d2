import Orders
import Stock

/// Orders' rows, read and written many at a time.
extension Connection {
  private static let orderColumns = "token, user, quantity, bucket, sequence, state, created_at"
  private static let orderKinds: [RowBatch.Kind] = [.bytes, .bytes, .integer, .integer, .integer, .bytes, .integer]

  /// - Parameter after: of the SKU, then of the token that the page begins after.
  func orders(of sku: SKU, bucket: Int?, after token: Token?, limit: Int) throws -> [StoredOrder] {
    let condition = bucket == nil ? "" : "AND bucket = ?"
    return try query(
      """
      SELECT \(Self.orderColumns), \(Self.holdColumn) FROM orders WHERE sku = ? AND token > ? \(condition)
      ORDER BY token LIMIT ?
      """,
      [sku.value, .bytes(token?.bytes ?? [])] + (bucket.map { [.integer(Int64($0))] } ?? [])
        + [.integer(Int64(StoreBounds.page(limit)))],
      Self.orderKinds + [.integer]
    ) { try Self.order(of: sku, $0) }
  }

  /// Looked for only where there can be one: for rows by the thousands it would be half of the time.
  private static let holdColumn = """
    IF(state = 'held', (SELECT expires_at FROM holds WHERE holds.sku = orders.sku AND holds.token = orders.token), NULL)
    """

  /// The orders of these tokens that are there.
  func orders(of sku: SKU, tokens: [Token], forUpdate: Bool = false) throws -> [StoredOrder] {
    try query(keys: tokens.map(\.bytes), before: [sku.value], Self.orderKinds + [.integer]) { marks in
      """
      SELECT \(Self.orderColumns), \(Self.holdColumn) FROM orders WHERE sku = ? AND token IN (\(marks))
      \(forUpdate ? "FOR UPDATE" : "")
      """
    } _: {
      try Self.order(of: sku, $0)
    }
  }

  func orders(of keys: some Sequence<OrderBook.Key>, forUpdate: Bool = false) throws -> [StoredOrder] {
    try Dictionary(grouping: Set(keys), by: \.sku).flatMap { sku, keys in
      try orders(of: sku, tokens: keys.map(\.token), forUpdate: forUpdate)
    }
  }

  private static func order(of sku: SKU, _ row: RowReader) throws -> StoredOrder {
    do {
      let user = try UserID(bytes: row.bytes(1))
      let purchase = try Purchase(sku: sku, user: user, token: Token(bytes: row.bytes(0)), quantity: row.integer(2))
      guard let state = OrderState(rawValue: row.text(5)) else {
        throw InvalidInput(argument: "state", value: row.bytes(5), requirement: "an order's state")
      }
      let order = Order(
        purchase: purchase,
        bucket: Int(row.integer(3)),
        sequence: row.optionalInteger(4),
        createdAtMs: row.integer(6)
      )
      return StoredOrder(order: order, state: state, expiresAtMs: state == .held ? row.optionalInteger(7) : nil)
    } catch let error as InvalidInput {
      throw OrderStoreError(.corrupt, "an order of \(sku): \(error)")
    }
  }

  /// - Throws: a duplicate where a token has an order already.
  func insert(_ orders: [StoredOrder]) throws(MySQLFailure) {
    try write(orders, count: orders.count, suffix: "") { ($0.order, $0.state) }
  }

  func insert(_ recordings: ArraySlice<Recording>) throws(MySQLFailure) {
    try write(recordings, count: recordings.count, suffix: "") { ($0.order, $0.state) }
  }

  /// Rows that are there and locked get these values. Of an insert that finds its row there, several go into one
  /// statement on every server; where arrays are taken an update is twice as fast.
  func update(_ orders: [StoredOrder]) throws(MySQLFailure) {
    let columns = ["user", "quantity", "bucket", "sequence", "state", "created_at"]
    guard takesArrays, orders.count > 1 else {
      let assignments = columns.map { "\($0) = VALUES(\($0))" }.joined(separator: ", ")
      return try write(orders, count: orders.count, suffix: "ON DUPLICATE KEY UPDATE \(assignments)") {
        ($0.order, $0.state)
      }
    }
    var batch = RowBatch(
      [.bytes, .integer, .integer, .integer, .bytes, .integer, .bytes, .bytes],
      capacity: orders.count
    )
    for stored in orders {
      let (order, purchase) = (stored.order, stored.order.purchase)
      batch.put(purchase.user.bytes, 0)
      batch.put(purchase.quantity, 1)
      batch.put(Int64(order.bucket), 2)
      batch.put(order.sequence, 3)
      batch.put(utf8: stored.state.rawValue, 4)
      batch.put(order.createdAtMs, 5)
      batch.put(utf8: purchase.sku.text, 6)
      batch.put(purchase.token.bytes, 7)
      batch.endRow()
    }
    let assignments = columns.map { "\($0) = ?" }.joined(separator: ", ")
    try execute("UPDATE orders SET \(assignments) WHERE sku = ? AND token = ?", arrays: batch)
  }

  /// Rows that were only looked at get a sequence and a state, if they still are what they were. Only where the server
  /// takes arrays.
  /// - Returns: false where one is not.
  func update(expected updates: [OrderBook.Update]) throws(MySQLFailure) -> Bool {
    let numbered = updates.filter { $0.before.state == $0.after.state }
    guard try number(numbered.map(\.after)) else { return false }
    return try move(updates.filter { $0.before.state != $0.after.state })
  }

  /// Rows get a sequence, many to a statement: five times as fast as one by one. It reads as an insert; each row is expected
  /// to be there, and one that is not makes the count differ, so that the transaction is undone.
  private func number(_ orders: [StoredOrder]) throws(MySQLFailure) -> Bool {
    guard !orders.isEmpty else { return true }
    let isSame = ["user", "quantity", "bucket", "state"].map { "\($0) = VALUES(\($0))" }.joined(separator: " AND ")
    let changed = try insertTogether(
      Self.insertion,
      Self.rows(orders, count: orders.count) { ($0.order, $0.state) },
      suffix: "ON DUPLICATE KEY UPDATE sequence = IF(\(isSame), VALUES(sequence), sequence)"
    )
    return changed == 2 * orders.count
  }

  private func move(_ updates: [OrderBook.Update]) throws(MySQLFailure) -> Bool {
    guard !updates.isEmpty else { return true }
    var batch = RowBatch(
      [.integer, .bytes, .bytes, .bytes, .bytes, .integer, .integer, .bytes],
      capacity: updates.count
    )
    for update in updates {
      let (before, purchase) = (update.before, update.before.order.purchase)
      batch.put(update.after.order.sequence, 0)
      batch.put(utf8: update.after.state.rawValue, 1)
      batch.put(utf8: purchase.sku.text, 2)
      batch.put(purchase.token.bytes, 3)
      batch.put(utf8: before.state.rawValue, 4)
      batch.put(purchase.quantity, 5)
      batch.put(Int64(before.order.bucket), 6)
      batch.put(purchase.user.bytes, 7)
      batch.endRow()
    }
    let changed = try execute(
      """
      UPDATE orders SET sequence = ?, state = ?
      WHERE sku = ? AND token = ? AND state = ? AND quantity = ? AND bucket = ? AND user = ?
      """,
      arrays: batch
    )
    return changed == updates.count
  }

  private func write<Element>(
    _ elements: some Collection<Element>,
    count: Int,
    suffix: String,
    _ order: (Element) -> (Order, OrderState)
  ) throws(MySQLFailure) {
    guard count > 0 else { return }
    try insert(Self.insertion, Self.rows(elements, count: count, order), suffix: suffix)
  }

  private static let insertion = "INSERT INTO orders (sku, \(orderColumns))"

  /// What ``insertion`` inserts.
  private static func rows<Element>(
    _ elements: some Collection<Element>,
    count: Int,
    _ order: (Element) -> (Order, OrderState)
  ) -> RowBatch {
    var batch = RowBatch(
      [.bytes, .bytes, .bytes, .integer, .integer, .integer, .bytes, .integer],
      capacity: count
    )
    for element in elements {
      let (order, state) = order(element)
      let purchase = order.purchase
      batch.put(utf8: purchase.sku.text, 0)
      batch.put(purchase.token.bytes, 1)
      batch.put(purchase.user.bytes, 2)
      batch.put(purchase.quantity, 3)
      batch.put(Int64(order.bucket), 4)
      batch.put(order.sequence, 5)
      batch.put(utf8: state.rawValue, 6)
      batch.put(order.createdAtMs, 7)
      batch.endRow()
    }
    return batch
  }
}

/// Recording orders by each strategy.
extension Connection {
  /// One transaction. In the first attempt everything is expected to be new and in stock, which costs the fewest
  /// statements and locks the product last and shortest; where that does not hold, the product is locked first and each
  /// order decided.
  func record(_ recordings: ArraySlice<Recording>, hint: InventoryHint?) throws(OrderStoreError) -> [RecordOutcome] {
    try transaction("recording \(recordings.count) orders") { attempt in
      if attempt.number == 0 {
        if let ending = try recordExpected(recordings, hint, attempt) {
          return (Array(repeating: .recorded, count: recordings.count), ending)
        }
        try run("ROLLBACK")
        try run("BEGIN")
      }
      return (try recordExactly(recordings), .commit)
    }
  }

  /// - Returns: nil where a stock is short or a product unknown.
  private func recordExpected(
    _ recordings: ArraySlice<Recording>,
    _ hint: InventoryHint?,
    _ attempt: Attempt
  ) throws -> Ending? {
    try insert(recordings)
    var changes: [SKU: OrderBook.Change] = [:]
    for recording in recordings {
      changes[recording.order.purchase.sku, default: .init()].take(
        recording.order.purchase.quantity,
        as: recording.state
      )
    }
    if let hint, let (sku, change) = changes.first, changes.count == 1 {
      return try hint.apply(change, to: sku, on: self, attempt)
    }
    return try apply(changes) ? .commit : nil
  }

  private func recordExactly(_ recordings: ArraySlice<Recording>) throws -> [RecordOutcome] {
    let stocks = try lockStocks(of: recordings.lazy.map(\.order.purchase.sku))
    let stored = try orders(of: recordings.lazy.map { OrderBook.Key($0.order) })
    var book = OrderBook(stocks: stocks, orders: stored, capacity: recordings.count)
    let outcomes = recordings.map { book.record($0.order, as: $0.state, rejecting: $0.rejecting) }
    try write(book)
    return outcomes
  }

  /// What the book has decided, from rows that are locked.
  func write(_ book: OrderBook) throws(MySQLFailure) {
    try insert(book.inserted)
    try update(book.updated.map(\.after))
    try insert(book.recordedCarts)
    guard try apply(book.changes) else {
      throw MySQLFailure(number: 0, state: "HY000", message: "a product changed while it was locked")
    }
  }
}

extension RowBatch {
  mutating func put(utf8 text: String, _ column: Int) { put(Array(text.utf8), column) }
}
