import Orders
import Stock

/// Sales on the path `database`, in the plainest way.
extension ModelStore {
  mutating func sell(_ purchase: Purchase, holdMs: Int64?, nowMs: Int64) throws(OrderStoreError) -> SellOutcome {
    guard let sale = sales[purchase.sku] else { return .unknownProduct }
    try requireDatabase(purchase.sku)
    _ = expire(purchase.sku, nowMs: nowMs, limit: .max)
    let units = stock[purchase.sku] ?? 0
    let key = Key(sku: purchase.sku, token: purchase.token)
    if let row = orders[key] {
      guard row.order.purchase == purchase else { return .mismatch(row) }
      switch row.state {
      case .held, .sold: return .accepted(row.state, remaining: units, isRepeat: true)
      case .cancelled, .rejected: return .cancelled
      }
    }
    if sale.terms.opensMs > nowMs { return .refused(.early, remaining: units) }
    if sale.terms.closesMs != 0, sale.terms.closesMs <= nowMs { return .refused(.closed, remaining: units) }
    let has = orders.values.reduce(Int64(0)) { sum, row in
      let counts = row.order.purchase.user == purchase.user && (row.state == .held || row.state == .sold)
      return sum + (counts ? row.order.purchase.quantity : 0)
    }
    if sale.terms.limit != 0, has + purchase.quantity > sale.terms.limit { return .refused(.limit, remaining: units) }
    guard units >= purchase.quantity else { return .refused(.soldOut, remaining: units) }
    let state: OrderState = holdMs == nil ? .sold : .held
    let order = Order(purchase: purchase, bucket: 0, createdAtMs: nowMs)
    orders[key] = StoredOrder(order: order, state: state, expiresAtMs: holdMs.map { nowMs + $0 })
    stock[purchase.sku] = units - purchase.quantity
    return .accepted(state, remaining: units - purchase.quantity, isRepeat: false)
  }

  mutating func confirm(_ sku: SKU, token: Token, nowMs: Int64) throws(OrderStoreError) -> ConfirmOrderOutcome {
    try requireDatabase(sku)
    _ = expire(sku, nowMs: nowMs, limit: .max)
    let key = Key(sku: sku, token: token)
    guard let row = orders[key] else { return .unknownToken }
    switch row.state {
    case .held:
      orders[key] = StoredOrder(order: row.order, state: .sold)
      return .confirmed
    case .sold: return .alreadySold
    case .cancelled, .rejected: return .cancelled
    }
  }

  mutating func cancel(_ sku: SKU, token: Token) throws(OrderStoreError) -> CancelOutcome {
    try requireDatabase(sku)
    let key = Key(sku: sku, token: token)
    guard let row = orders[key] else { return .unknownToken }
    guard row.state == .held || row.state == .sold else { return .alreadyCancelled }
    release(key, row)
    return .cancelled
  }

  mutating func expire(_ sku: SKU, nowMs: Int64, limit: Int) -> Int {
    let due = orders.filter { key, row in
      key.sku == sku && row.state == .held && (row.expiresAtMs ?? .max) <= nowMs
    }
    for (key, row) in due.prefix(limit) { release(key, row) }
    return min(due.count, limit)
  }

  private mutating func release(_ key: Key, _ row: StoredOrder) {
    orders[key] = StoredOrder(order: row.order, state: .cancelled)
    stock[key.sku, default: 0] += row.order.purchase.quantity
  }

  private func requireDatabase(_ sku: SKU) throws(OrderStoreError) {
    guard sales[sku]?.path == .database else {
      throw OrderStoreError(.refused, "the sale of \(sku) is not on the path database")
    }
  }
}

extension ModelServers {
  func sell(_ purchase: Purchase, holdMs: Int64?, nowMs: Int64) async throws(OrderStoreError) -> SellOutcome {
    try orders { state throws(OrderStoreError) in
      try state.orders.sell(purchase, holdMs: holdMs, nowMs: nowMs)
    }
  }

  func confirmOrder(
    _ sku: SKU,
    token: Token,
    nowMs: Int64
  ) async throws(OrderStoreError) -> ConfirmOrderOutcome {
    try orders { state throws(OrderStoreError) in try state.orders.confirm(sku, token: token, nowMs: nowMs) }
  }

  func cancelOrder(_ sku: SKU, token: Token) async throws(OrderStoreError) -> CancelOutcome {
    try orders { state throws(OrderStoreError) in try state.orders.cancel(sku, token: token) }
  }

  func expireHolds(of sku: SKU, nowMs: Int64, limit: Int) async throws(OrderStoreError) -> Int {
    try orders { state throws(OrderStoreError) in state.orders.expire(sku, nowMs: nowMs, limit: limit) }
  }
}
