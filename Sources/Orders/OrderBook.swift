import Stock

/// What one transaction makes of orders and stocks, decided in memory from the rows that it has read: what is to be
/// inserted, updated, and taken from or given back to each product.
package struct OrderBook: Sendable {
  package struct Key: Hashable, Sendable {
    package let sku: SKU
    package let token: Token

    package init(_ order: Order) {
      sku = order.purchase.sku
      token = order.purchase.token
    }

    package init(_ sku: SKU, _ token: Token) {
      self.sku = sku
      self.token = token
    }
  }

  /// The changes of a product's stock and totals.
  package struct Change: Hashable, Sendable {
    package var stock: Int64 = 0
    /// The lowest that `stock` has been on the way: with that much less than there was, all decisions would hold.
    package var lowest: Int64 = 0
    package var orders: [OrderState: Int64] = [:]
    package var units: [OrderState: Int64] = [:]

    package init() {}

    package var isNothing: Bool {
      stock == 0 && orders.values.allSatisfy { $0 == 0 } && units.values.allSatisfy { $0 == 0 }
    }

    mutating func count(_ order: StoredOrder, by sign: Int64) {
      let quantity = order.order.purchase.quantity
      orders[order.state, default: 0] += sign
      units[order.state, default: 0] += sign * quantity
      guard order.state.takesStock else { return }
      stock -= sign * quantity
      lowest = min(lowest, stock)
    }
  }

  enum Mark: Equatable {
    case stored, inserted
    case updated(from: StoredOrder)
  }

  struct Row {
    var order: StoredOrder
    var mark: Mark
  }

  /// A row that was there and is different now.
  package struct Update: Hashable, Sendable {
    package let before: StoredOrder
    package let after: StoredOrder
  }

  /// Stock of the known products when the transaction read them.
  private let stocks: [SKU: Int64]
  var rows: [Key: Row] = [:]
  private var touched: [Key] = []
  /// The carts by their first line's order, those recorded here included.
  var carts: [Key: StoredCart]
  package internal(set) var recordedCarts: [StoredCart] = []
  package private(set) var changes: [SKU: Change] = [:]

  package init(stocks: [SKU: Int64], orders: [StoredOrder], carts: [StoredCart] = [], capacity: Int = 0) {
    self.stocks = stocks
    self.carts = Dictionary(carts.map { (Key($0.lead, $0.token), $0) }, uniquingKeysWith: { first, _ in first })
    rows.reserveCapacity(max(orders.count, capacity))
    touched.reserveCapacity(capacity)
    for order in orders { rows[Key(order.order)] = Row(order: order, mark: .stored) }
  }

  /// New rows, in the order in which they were made.
  package var inserted: [StoredOrder] {
    touched.compactMap { key in
      guard let row = rows[key], row.mark == .inserted else { return nil }
      return row.order
    }
  }

  package var updated: [Update] {
    touched.compactMap { key in
      guard let row = rows[key], case .updated(let before) = row.mark else { return nil }
      return Update(before: before, after: row.order)
    }
  }

  /// A product's stock at this point; nil for an unknown product.
  package func stock(of sku: SKU) -> Int64? { stocks[sku].map { $0 + (changes[sku]?.stock ?? 0) } }

  // MARK: - Recording

  package mutating func record(_ order: Order, as state: OrderState, rejecting: Bool = true) -> RecordOutcome {
    let key = Key(order)
    guard let stock = stock(of: key.sku) else { return .unknownProduct }
    if let row = rows[key] {
      return row.order.isSamePurchase(as: order) ? .alreadyRecorded(row.order.state) : .conflict(row.order)
    }
    let isShort = state.takesStock && stock < order.purchase.quantity
    if isShort, !rejecting { return .short(stock: stock) }
    let stored = StoredOrder(order: order, state: isShort ? .rejected : state)
    rows[key] = Row(order: stored, mark: .inserted)
    touched.append(key)
    changes[key.sku, default: Change()].count(stored, by: 1)
    return isShort ? .rejected : .recorded
  }

  /// Changes a row that is there; its product's stock and totals follow.
  mutating func change(_ key: Key, _ body: (inout StoredOrder) -> Void) {
    guard var row = rows[key] else { return }
    var change = changes[key.sku] ?? Change()
    let before = row.order
    body(&row.order)
    if before.state != row.order.state || before.order.purchase.quantity != row.order.order.purchase.quantity {
      change.count(before, by: -1)
      change.count(row.order, by: 1)
      changes[key.sku] = change
    }
    if row.mark == .stored {
      row.mark = .updated(from: before)
      touched.append(key)
    }
    rows[key] = row
  }

  // MARK: - Following a log

  /// - Parameter stored: where the database stands.
  package mutating func follow(_ batch: LogBatch, from stored: LogPosition) -> LogBatchOutcome {
    var outcome = LogBatchOutcome(position: stored, applied: true)
    for step in batch.steps {
      switch step.entry {
      case nil: break
      case .purchased(var order, let state, let storeIfMissing):
        order.sequence = step.sequence
        if let reason = bring(order, as: state, storeIfMissing, &outcome.stored) {
          outcome.stop = LogBatchOutcome.Stop(sequence: step.sequence, reason: reason)
          return outcome
        }
      case .moved(let token, let user, let state): move(batch.bucket, token, user: user, to: state)
      }
      outcome.position.sequence = step.sequence
    }
    return outcome
  }

  /// - Returns: why the log must stop before it; nil where it is done.
  private mutating func bring(
    _ order: Order,
    as state: OrderState,
    _ storeIfMissing: Bool,
    _ stored: inout Int
  ) -> LogBatchOutcome.Stop.Reason? {
    let key = Key(order)
    guard let row = rows[key]?.order else {
      guard storeIfMissing else { return .missing }
      if case .short(let stock) = record(order, as: state, rejecting: false) { return .short(stock: stock) }
      stored += 1
      return nil
    }
    guard row.isSamePurchase(as: order) else { return state.takesStock ? .conflict(row) : nil }
    if row.state == .rejected, state.takesStock { return .rejected }
    let isMoving = state != .rejected && row.state.precedes(state)
    guard isMoving || row.order.sequence == nil else { return nil }
    change(key) { row in
      row.order.sequence = row.order.sequence ?? order.sequence
      if isMoving { row.state = state }
    }
    return nil
  }

  private mutating func move(_ bucket: BucketID, _ token: Token, user: UserID?, to state: OrderState) {
    let key = Key(bucket.sku, token)
    // A row that is missing was fenced before it was ever bought.
    guard let row = rows[key]?.order, row.order.bucket == bucket.index,
      user == nil || user == row.order.purchase.user, state != .rejected, row.state.precedes(state)
    else { return }
    change(key) { $0.state = state }
  }

  // MARK: - Repairing

  /// All repairs but a recount, which needs the rows of the whole product.
  package mutating func repair(_ repair: OrderRepair) -> RepairOutcome {
    switch repair {
    case .recount: return .unchanged
    case .record(let order, let state):
      switch record(order, as: state) {
      case .recorded: return .repaired
      case .rejected: return .rejected
      case .short(let stock): return .short(stock: stock)
      case .alreadyRecorded: return .unchanged
      case .conflict(let stored): return .conflict(stored)
      case .unknownProduct: return .unknownProduct
      case .refused(let reason): return .refused(reason)
      }
    case .move(let sku, let token, let state):
      guard stocks[sku] != nil else { return .unknownProduct }
      let key = Key(sku, token)
      guard let row = rows[key] else { return .unknownOrder }
      guard row.order.state.mayBeRepaired(to: state) else { return .unchanged }
      change(key) { $0.state = state }
      return .repaired
    case .correct(let old, let order): return correct(old, to: order)
    }
  }

  private mutating func correct(_ old: StoredOrder, to order: Order) -> RepairOutcome {
    let key = Key(order)
    guard Key(old.order) == key else {
      return .refused("an order of \(old.order.purchase.sku) can't become one of another product or token")
    }
    guard let stock = stock(of: key.sku) else { return .unknownProduct }
    guard let row = rows[key] else { return .unknownOrder }
    if row.order.order == order { return .unchanged }
    guard row.order == old else { return .conflict(row.order) }
    let more = old.state.takesStock ? order.purchase.quantity - old.order.purchase.quantity : 0
    guard stock >= more else { return .short(stock: stock) }
    change(key) { $0.order = order }
    return .repaired
  }
}

/// The repairs of one call in runs: what can be decided together, and each recount alone.
package enum RepairRun: Sendable {
  case together([OrderRepair])
  case recount(SKU)

  package static func split(_ repairs: some Sequence<OrderRepair>) -> [RepairRun] {
    var runs: [RepairRun] = []
    var together: [OrderRepair] = []
    for repair in repairs {
      guard case .recount(let sku) = repair else {
        together.append(repair)
        continue
      }
      if !together.isEmpty { runs.append(.together(together)) }
      together = []
      runs.append(.recount(sku))
    }
    if !together.isEmpty { runs.append(.together(together)) }
    return runs
  }
}

extension OrderRepair {
  /// The order that it is about; nil for a recount.
  package var key: OrderBook.Key? {
    switch self {
    case .record(let order, _), .correct(_, let order): OrderBook.Key(order)
    case .move(let sku, let token, _): OrderBook.Key(sku, token)
    case .recount: nil
    }
  }

  /// Why it can't be made on a sale of that path; nil where it can.
  package func refusal(on path: SalePath) -> RepairOutcome? {
    guard path == .database, key != nil else { return nil }
    return .refused("the sale of \(sku) is on the path database, where no bucket differs from its orders")
  }
}

extension OrderBook.Change {
  /// A new order that takes its units.
  package mutating func take(_ quantity: Int64, as state: OrderState) {
    orders[state, default: 0] += 1
    units[state, default: 0] += quantity
    stock -= quantity
    lowest = stock
  }
}

extension OrderBook.Change {
  package mutating func add(_ order: StoredOrder) { count(order, by: 1) }

  package mutating func remove(_ order: StoredOrder) { count(order, by: -1) }
}
