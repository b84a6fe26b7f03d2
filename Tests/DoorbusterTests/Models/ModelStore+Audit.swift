import Orders
import Stock

/// What audits, repairs and workers ask of the database, in the plainest way.
extension ModelStore {
  func page(of sku: SKU, bucket: Int?, after token: Token?, limit: Int) -> [StoredOrder] {
    let rows = orders.filter { key, row in
      key.sku == sku && (bucket == nil || row.order.bucket == bucket) && isAfter(key.token, token)
    }
    return Array(rows.values.sorted { isAfter($1.order.purchase.token, $0.order.purchase.token) }.prefix(limit))
  }

  func restockPage(of sku: SKU, after token: Token?, limit: Int) -> [StoredRestock] {
    let rows = restocks.filter { key, _ in key.sku == sku && isAfter(key.token, token) }
    let sorted = rows.map { StoredRestock(token: $0.token, quantity: $1) }.sorted { isAfter($1.token, $0.token) }
    return Array(sorted.prefix(limit))
  }

  private func isAfter(_ token: Token, _ other: Token?) -> Bool {
    guard let other else { return true }
    return other.bytes.lexicographicallyPrecedes(token.bytes)
  }

  mutating func repair(_ repair: OrderRepair) -> RepairOutcome {
    guard let sale = sales[repair.sku], let units = stock[repair.sku] else { return .unknownProduct }
    switch repair {
    case .record(let order, let state):
      let key = Key(sku: order.purchase.sku, token: order.purchase.token)
      if let row = orders[key] { return row.isSame(order) ? .unchanged : .conflict(row) }
      let isShort = takesStock(state) && units < order.purchase.quantity
      orders[key] = StoredOrder(order: order, state: isShort ? .rejected : state)
      if takesStock(state), !isShort { stock[key.sku] = units - order.purchase.quantity }
      return isShort ? .rejected : .repaired
    case .move(let sku, let token, let state):
      let key = Key(sku: sku, token: token)
      guard let row = orders[key] else { return .unknownOrder }
      guard isForward(row.state, state) else { return .unchanged }
      orders[key]?.state = state
      if !takesStock(state) { stock[sku] = units + row.order.purchase.quantity }
      return .repaired
    case .correct(let old, let order):
      let key = Key(sku: order.purchase.sku, token: order.purchase.token)
      guard let row = orders[key] else { return .unknownOrder }
      if row.order == order { return .unchanged }
      guard row == old else { return .conflict(row) }
      let more = takesStock(row.state) ? order.purchase.quantity - row.order.purchase.quantity : 0
      guard units >= more else { return .short(stock: units) }
      orders[key]?.order = order
      stock[key.sku] = units - more
      return .repaired
    case .recount(let sku):
      let totals = totals(of: sku)
      let sold = (totals?.units[.held] ?? 0) + (totals?.units[.sold] ?? 0)
      let counted = sale.stock + (totals?.restocked ?? 0) - sold
      stock[sku] = max(0, counted)
      if counted < 0 { return .short(stock: counted) }
      return counted == units ? .unchanged : .repaired
    }
  }

  private func takesStock(_ state: OrderState) -> Bool { state == .held || state == .sold }

  private func isForward(_ state: OrderState, _ later: OrderState) -> Bool {
    switch (state, later) {
    case (.held, .sold), (.held, .cancelled), (.held, .rejected), (.sold, .cancelled), (.sold, .rejected): true
    default: false
    }
  }
}

extension ModelServers {
  func orders(
    of sku: SKU,
    bucket: Int?,
    after token: Token?,
    limit: Int
  ) async throws(OrderStoreError) -> [StoredOrder] {
    try orders { state throws(OrderStoreError) in
      state.before(.orders(after: token), &state)
      return state.orders.page(of: sku, bucket: bucket, after: token, limit: limit)
    }
  }

  func orders(of sku: SKU, tokens: [Token]) async throws(OrderStoreError) -> [StoredOrder] {
    try orders { state throws(OrderStoreError) in
      tokens.compactMap { state.orders.orders[.init(sku: sku, token: $0)] }
    }
  }

  func restocks(of sku: SKU, after token: Token?, limit: Int) async throws(OrderStoreError) -> [StoredRestock] {
    try orders { state throws(OrderStoreError) in state.orders.restockPage(of: sku, after: token, limit: limit) }
  }

  /// Its totals are counted whenever they are asked for.
  func countedTotals(of sku: SKU) async throws(OrderStoreError) -> CountedTotals? {
    try orders { state throws(OrderStoreError) in
      state.orders.totals(of: sku).map { CountedTotals(kept: $0, counted: $0) }
    }
  }

  func repair(_ repairs: [OrderRepair]) async throws(OrderStoreError) -> [RepairOutcome] {
    try orders { state throws(OrderStoreError) in repairs.map { state.orders.repair($0) } }
  }

  func positions(of sku: SKU) async throws(OrderStoreError) -> [Int: LogPosition] {
    try orders { state throws(OrderStoreError) in
      state.before(.positions, &state)
      return state.orders.positions.reduce(into: [:]) { if $1.key.sku == sku { $0[$1.key.index] = $1.value } }
    }
  }

  func replacePosition(
    of bucket: BucketID,
    _ old: LogPosition?,
    with new: LogPosition
  ) async throws(OrderStoreError) -> LogPosition? {
    try orders { state throws(OrderStoreError) in
      if state.orders.positions[bucket] == old { state.orders.positions[bucket] = new }
      return state.orders.positions[bucket]
    }
  }

  /// One worker has them all.
  func claimBuckets(
    of sku: SKU,
    for worker: String,
    leaseMs: Int64
  ) async throws(OrderStoreError) -> BucketClaim {
    let sale = try orders { state throws(OrderStoreError) in
      guard state.failingClaims.remove(sku) == nil else { throw OrderStoreError(.unavailable, "a deadlock") }
      return state.orders.sales[sku]
    }
    guard let sale else { throw OrderStoreError(.unknownProduct, "there is no sale of \(sku)") }
    return BucketClaim(buckets: Array(0..<sale.terms.buckets), workers: 1)
  }

  func releaseBuckets(of sku: SKU, from worker: String) async throws(OrderStoreError) {}

  func leases(of sku: SKU) async throws(OrderStoreError) -> [BucketLease] { [] }
}
