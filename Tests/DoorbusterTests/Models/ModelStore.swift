import Orders
import Stock

/// A database as the seam describes it: every call is one transaction.
struct ModelStore {
  struct Key: Hashable {
    let sku: SKU
    let token: Token
  }

  var sales: [SKU: Sale] = [:]
  var stock: [SKU: Int64] = [:]
  var orders: [Key: StoredOrder] = [:]
  /// By their first line.
  var carts: [Key: StoredCart] = [:]
  var restocks: [Key: Int64] = [:]
  var positions: [BucketID: LogPosition] = [:]
  /// The batches that are refused as a whole while they contain one of these tokens.
  var refusedTokens: Set<Token> = []

  mutating func create(_ sale: Sale) -> Sale {
    if let known = sales[sale.sku] { return known }
    sales[sale.sku] = sale
    stock[sale.sku] = sale.stock
    return sale
  }

  mutating func undoCreate(_ sale: Sale) {
    let hasPosition = positions.keys.contains { $0.sku == sale.sku }
    let hasRows = orders.keys.contains { $0.sku == sale.sku } || restocks.keys.contains { $0.sku == sale.sku }
    guard sales[sale.sku] == sale, !hasPosition, !hasRows else { return }
    sales[sale.sku] = nil
    stock[sale.sku] = nil
  }

  mutating func reschedule(_ sku: SKU, limit: Int64?, opensMs: Int64?, closesMs: Int64?) {
    guard var sale = sales[sku] else { return }
    sale.terms.limit = limit ?? sale.terms.limit
    sale.terms.opensMs = opensMs ?? sale.terms.opensMs
    sale.terms.closesMs = closesMs ?? sale.terms.closesMs
    sales[sku] = sale
  }

  mutating func restock(_ sku: SKU, token: Token, quantity: Int64) -> RestockOutcome {
    guard let units = stock[sku] else { return .unknownProduct }
    let key = Key(sku: sku, token: token)
    if let first = restocks[key] { return first == quantity ? .alreadyRecorded : .mismatch(quantity: first) }
    guard units + quantity >= 0 else { return .short(stock: units) }
    restocks[key] = quantity
    stock[sku] = units + quantity
    return .recorded
  }

  mutating func undoRestock(_ sku: SKU, token: Token) {
    guard let quantity = restocks.removeValue(forKey: Key(sku: sku, token: token)) else { return }
    stock[sku, default: 0] -= quantity
  }

  mutating func record(
    _ batch: [Order],
    as state: OrderState = .sold,
    rejecting: Bool = true
  ) throws(OrderStoreError) -> [RecordOutcome] {
    guard !batch.contains(where: { refusedTokens.contains($0.purchase.token) }) else {
      throw OrderStoreError(.refused, "an order of the batch can't be written")
    }
    return batch.map { record($0, as: state, rejecting: rejecting) }
  }

  private mutating func record(_ order: Order, as state: OrderState, rejecting: Bool) -> RecordOutcome {
    let key = Key(sku: order.purchase.sku, token: order.purchase.token)
    if let row = orders[key] { return row.isSame(order) ? .alreadyRecorded(row.state) : .conflict(row) }
    guard let units = stock[key.sku] else { return .unknownProduct }
    if units < order.purchase.quantity, !rejecting { return .short(stock: units) }
    return insert(order, state) ? .recorded : .rejected
  }

  /// False where the stock is short: the row is rejected.
  private mutating func insert(_ order: Order, _ state: OrderState) -> Bool {
    let key = Key(sku: order.purchase.sku, token: order.purchase.token)
    guard state != .cancelled else {
      orders[key] = StoredOrder(order: order, state: .cancelled)
      return true
    }
    let units = stock[key.sku] ?? 0
    let isShort = units < order.purchase.quantity
    orders[key] = StoredOrder(order: order, state: isShort ? .rejected : state)
    if !isShort { stock[key.sku] = units - order.purchase.quantity }
    return !isShort
  }

  mutating func follow(_ batch: LogBatch) throws(OrderStoreError) -> LogBatchOutcome {
    let position = positions[batch.bucket] ?? LogPosition(epoch: batch.from.epoch, sequence: 0)
    var outcome = LogBatchOutcome(position: position, applied: false)
    guard position == batch.from else { return outcome }
    guard !batch.steps.contains(where: isRefused) else {
      throw OrderStoreError(.refused, "an order of the batch can't be written")
    }
    outcome.applied = true
    for step in batch.steps {
      switch step.entry {
      case .purchased(let order, let state, let storeIfMissing):
        if let reason = bring(order, state, storeIfMissing, &outcome) {
          outcome.stop = LogBatchOutcome.Stop(sequence: step.sequence, reason: reason)
        }
      case .moved(let token, let user, let state): move(batch.bucket, token, user, state)
      case nil: break
      }
      if outcome.stop != nil { break }
      outcome.position.sequence = step.sequence
    }
    positions[batch.bucket] = outcome.position
    return outcome
  }

  private func isRefused(_ step: LogBatch.Step) -> Bool {
    guard case .purchased(let order, _, _) = step.entry else { return false }
    return refusedTokens.contains(order.purchase.token)
  }

  /// Why the log stops before it; nil where it is done.
  private mutating func bring(
    _ order: Order,
    _ state: OrderState,
    _ storeIfMissing: Bool,
    _ outcome: inout LogBatchOutcome
  ) -> LogBatchOutcome.Stop.Reason? {
    let key = Key(sku: order.purchase.sku, token: order.purchase.token)
    let takes = state == .held || state == .sold
    guard let row = orders[key] else {
      guard storeIfMissing else { return .missing }
      let units = stock[key.sku] ?? 0
      if takes, units < order.purchase.quantity { return .short(stock: units) }
      _ = insert(order, state)
      outcome.stored += 1
      return nil
    }
    guard row.isSame(order) else { return takes ? .conflict(row) : nil }
    if row.state == .rejected, takes { return .rejected }
    orders[key]?.order.sequence = order.sequence
    let bucket = BucketID(sku: key.sku, index: order.bucket)
    move(bucket, key.token, nil, state)
    return nil
  }

  private mutating func move(_ bucket: BucketID, _ token: Token, _ user: UserID?, _ state: OrderState) {
    let key = Key(sku: bucket.sku, token: token)
    guard let row = orders[key], row.order.bucket == bucket.index, user == nil || user == row.order.purchase.user
    else { return }
    switch (row.state, state) {
    case (.held, .sold): orders[key]?.state = .sold
    case (.held, .cancelled), (.sold, .cancelled):
      orders[key]?.state = .cancelled
      stock[bucket.sku, default: 0] += row.order.purchase.quantity
    default: break
    }
  }

  func totals(of sku: SKU) -> SaleTotals? {
    guard let stock = stock[sku] else { return nil }
    var totals = SaleTotals(stock: stock, orders: [:], units: [:], restocked: 0)
    for (key, row) in orders where key.sku == sku {
      totals.orders[row.state, default: 0] += 1
      totals.units[row.state, default: 0] += row.order.purchase.quantity
    }
    for (key, quantity) in restocks where key.sku == sku { totals.restocked += quantity }
    return totals
  }
}

extension StoredOrder {
  func isSame(_ other: Order) -> Bool { order.purchase == other.purchase && order.bucket == other.bucket }
}
