import Orders
import Stock

/// Carts, each recorded as a whole.
extension Connection {
  /// One transaction. Products are locked first, in one order for all transactions.
  func record(_ recordings: ArraySlice<CartRecording>) throws(OrderStoreError) -> [CartRecordOutcome] {
    try transaction("recording \(recordings.count) carts") { _ in
      let keys = recordings.flatMap(\.keys)
      var book = OrderBook(
        stocks: try lockStocks(of: keys.lazy.map(\.sku)),
        orders: try orders(of: keys, forUpdate: true),
        carts: try Set(recordings.map(\.key)).flatMap { try cart($0) }
      )
      let outcomes = recordings.map { book.record($0) }
      try write(book)
      return (outcomes, .commit)
    }
  }

  func insert(_ carts: [StoredCart]) throws(MySQLFailure) {
    guard !carts.isEmpty else { return }
    var batch = RowBatch([.bytes, .bytes, .bytes, .bytes, .bytes, .integer], capacity: carts.count)
    for cart in carts {
      batch.put(utf8: cart.lead.text, 0)
      batch.put(cart.token.bytes, 1)
      batch.put(cart.user.bytes, 2)
      batch.put(utf8: cart.text, 3)
      batch.put(utf8: cart.state.rawValue, 4)
      batch.put(cart.createdAtMs, 5)
      batch.endRow()
    }
    try insert("INSERT INTO recorded_carts (sku, token, user, cart, state, created_at)", batch)
  }

  private func cart(_ key: OrderBook.Key) throws -> [StoredCart] {
    try query(
      "SELECT user, cart, state, created_at FROM recorded_carts WHERE sku = ? AND token = ?",
      [key.sku.value, .bytes(key.token.bytes)],
      [.bytes, .bytes, .bytes, .integer]
    ) { row in
      guard let state = CartState(rawValue: row.text(2)), let user = try? UserID(bytes: row.bytes(0)) else {
        throw OrderStoreError(.corrupt, "a cart of \(key.sku) has no user or state that a cart can have")
      }
      return StoredCart(
        lead: key.sku,
        token: key.token,
        user: user,
        text: row.text(1),
        state: state,
        createdAtMs: row.integer(3)
      )
    }
  }
}
