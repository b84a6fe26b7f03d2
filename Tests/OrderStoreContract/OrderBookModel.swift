import Orders
import Stock

/// What an order store must answer, in the plainest way: dictionaries, and one order after the other.
struct OrderBookModel {
  var stock: [SKU: Int64] = [:]
  var orders: [SKU: [Token: StoredOrder]] = [:]
  var restocks: [SKU: [Token: Int64]] = [:]
  var positions: [BucketID: LogPosition] = [:]

  mutating func record(_ order: Order, as state: OrderState = .sold, rejecting: Bool = true) -> RecordOutcome {
    let (sku, token, quantity) = (order.purchase.sku, order.purchase.token, order.purchase.quantity)
    guard let available = stock[sku] else { return .unknownProduct }
    if let known = orders[sku]?[token] {
      return isSame(known, order) ? .alreadyRecorded(known.state) : .conflict(known)
    }
    let needsStock = state == .sold || state == .held
    let isShort = needsStock && available < quantity
    if isShort && !rejecting { return .short(stock: available) }
    orders[sku, default: [:]][token] = StoredOrder(order: order, state: isShort ? .rejected : state)
    if needsStock && !isShort { stock[sku] = available - quantity }
    return isShort ? .rejected : .recorded
  }

  private func isSame(_ known: StoredOrder, _ order: Order) -> Bool {
    known.order.purchase.user == order.purchase.user && known.order.purchase.quantity == order.purchase.quantity
      && known.order.bucket == order.bucket
  }

  mutating func follow(_ batch: LogBatch) -> LogBatchOutcome {
    let sku = batch.bucket.sku
    var position = positions[batch.bucket] ?? LogPosition(epoch: batch.from.epoch, sequence: 0)
    if position != batch.from { return LogBatchOutcome(position: position, applied: false) }
    var outcome = LogBatchOutcome(position: position, applied: true)
    for step in batch.steps {
      switch step.entry {
      case nil: break
      case .purchased(var order, let state, let storeIfMissing):
        order.sequence = step.sequence
        if let reason = bring(order, state, storeIfMissing, &outcome) {
          outcome.stop = LogBatchOutcome.Stop(sequence: step.sequence, reason: reason)
        }
      case .moved(let token, let user, let state):
        move(token, sku: sku, bucket: batch.bucket.index, user: user, to: state)
      }
      if outcome.stop != nil { break }
      position.sequence = step.sequence
    }
    if position != batch.from { positions[batch.bucket] = position }
    outcome.position = position
    return outcome
  }

  /// Why the batch stops before it; nil where it is done.
  private mutating func bring(
    _ order: Order,
    _ state: OrderState,
    _ storeIfMissing: Bool,
    _ outcome: inout LogBatchOutcome
  ) -> LogBatchOutcome.Stop.Reason? {
    let (sku, token) = (order.purchase.sku, order.purchase.token)
    guard let known = orders[sku]?[token] else {
      guard storeIfMissing else { return .missing }
      if case .short(let stock) = record(order, as: state, rejecting: false) { return .short(stock: stock) }
      outcome.stored += 1
      return nil
    }
    guard isSame(known, order) else { return state == .held || state == .sold ? .conflict(known) : nil }
    if known.state == .rejected, state == .held || state == .sold { return .rejected }
    if known.order.sequence == nil { orders[sku]?[token]?.order.sequence = order.sequence }
    move(token, sku: sku, bucket: order.bucket, user: nil, to: state)
    return nil
  }

  private mutating func move(_ token: Token, sku: SKU, bucket: Int, user: UserID?, to state: OrderState) {
    guard var known = orders[sku]?[token], known.order.bucket == bucket else { return }
    if let user, user != known.order.purchase.user { return }
    let forward: [OrderState] = [.held, .sold, .cancelled]
    guard let old = forward.firstIndex(of: known.state), let new = forward.firstIndex(of: state), new > old else {
      return
    }
    known.state = state
    orders[sku]?[token] = known
    if state == .cancelled { stock[sku, default: 0] += known.order.purchase.quantity }
  }

  mutating func restock(_ sku: SKU, token: Token, quantity: Int64) -> RestockOutcome {
    guard let available = stock[sku] else { return .unknownProduct }
    if let known = restocks[sku]?[token] { return known == quantity ? .alreadyRecorded : .mismatch(quantity: known) }
    if available + quantity < 0 { return .short(stock: available) }
    restocks[sku, default: [:]][token] = quantity
    stock[sku] = available + quantity
    return .recorded
  }

  /// - Returns: whether it could be undone.
  mutating func undoRestock(_ sku: SKU, token: Token) -> Bool {
    guard let quantity = restocks[sku]?[token], let available = stock[sku] else { return true }
    if available - quantity < 0 { return false }
    restocks[sku]?[token] = nil
    stock[sku] = available - quantity
    return true
  }

  func totals(of sku: SKU) -> SaleTotals? {
    guard let available = stock[sku] else { return nil }
    var totals = SaleTotals(
      stock: available,
      orders: [:],
      units: [:],
      restocked: restocks[sku, default: [:]].values.reduce(0, +)
    )
    for stored in orders[sku, default: [:]].values {
      totals.orders[stored.state, default: 0] += 1
      totals.units[stored.state, default: 0] += stored.order.purchase.quantity
    }
    return totals
  }
}
