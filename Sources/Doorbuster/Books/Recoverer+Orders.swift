import Orders
import Stock

/// Orders, written into the buckets that have lost them.
extension Recoverer {
  /// Cancelled ones give units back that others need, so what finds no units in the first pass is tried again in a second
  /// one, which moves units between buckets.
  /// - Returns: how many have found no units, for ``placeShortOrders(_:)``.
  mutating func writeInOrders(_ work: RecoveryWork) async throws(DoorbusterError) -> Int64 {
    var short: Int64 = 0
    report.compared = 0
    try await eachPage(of: work) { recoverer, page throws(DoorbusterError) in
      let access = recoverer.access
      let outcomes = try await access.each(page) { order async throws(DoorbusterError) in
        try await access.writeIn(order)
      }
      for (order, outcome) in zip(page, outcomes) {
        if outcome == .short { short += 1 } else { recoverer.count(order, outcome) }
      }
    }
    return short
  }

  /// The second pass.
  mutating func placeShortOrders(_ work: RecoveryWork) async throws(DoorbusterError) {
    try await eachPage(of: work) { recoverer, page throws(DoorbusterError) in
      for order in page where order.state.takesStock {
        switch try await recoverer.access.writeIn(order) {
        case .recorded, .alreadyThere, .mismatch: continue
        case .short: try await recoverer.place(order)
        }
      }
    }
  }

  /// Once more, after the buckets were thawed: what late messages have made orders.
  mutating func writeInLateOrders() async throws(DoorbusterError) {
    let completed = report.buckets.indices.filter { report.buckets[$0] != .sound }
    var work = RecoveryWork()
    for index in completed { work.infos[index] = try await access.info(index) }
    if try await writeInOrders(work) > 0 { try await placeShortOrders(work) }
  }

  private mutating func eachPage(
    of work: RecoveryWork,
    _ body: (inout Recoverer, [StoredOrder]) async throws(DoorbusterError) -> Void
  ) async throws(DoorbusterError) {
    let total = try await access.totals().orders.values.reduce(0, +)
    var last: Token?
    var done: Int64 = 0
    while true {
      let page = try await access.orders(after: last)
      try await body(&self, page.filter { work.contains($0.order.bucket) })
      done += Int64(page.count)
      show("orders held against their buckets", done, of: total)
      guard page.count == access.settings.page else { return }
      last = page.last?.order.purchase.token
    }
  }

  private mutating func count(_ order: StoredOrder, _ outcome: OrderEntry) {
    report.compared += 1
    switch outcome {
    case .recorded: report.orders[order.state, default: 0] += 1
    case .alreadyThere, .short: break
    case .mismatch: leave(order, .left("its bucket knows the token as another purchase's"))
    }
  }

  /// No bucket has been asked but its own.
  private mutating func place(_ order: StoredOrder) async throws(DoorbusterError) {
    switch try await access.place(order, in: order.order.bucket) {
    case .placed:
      report.orders[order.state, default: 0] += 1
      report.moved += 1
    case .mismatch: leave(order, .left("its bucket knows the token as another purchase's"))
    case .withoutUnits:
      let outcome = try await access.repair(.move(access.sku, order.order.purchase.token, to: .rejected))
      switch outcome {
      case .repaired, .unchanged: leave(order, .rejected)
      case .rejected, .short, .conflict, .unknownOrder, .unknownProduct, .refused:
        leave(order, .left("no bucket has units for it, and the database did not reject it: \(outcome)"))
      }
    }
  }

  private mutating func leave(_ order: StoredOrder, _ outcome: BooksFinding.Outcome) {
    report.add(
      BooksFinding(.orderWithoutPurchase(order), repair: .bucket, outcome: outcome),
      keeping: access.settings.findingsMax
    )
  }
}

/// What became of an order that was written into its bucket.
enum OrderEntry: Hashable, Sendable {
  /// The bucket had lost it.
  case recorded
  case alreadyThere
  /// Its units are not there.
  case short
  /// The bucket knows the token with another user or quantity.
  case mismatch
}

extension SaleAccess {
  /// Writes an order into its own bucket, in its state.
  func writeIn(_ order: StoredOrder) async throws(DoorbusterError) -> OrderEntry {
    let (purchase, index) = (order.order.purchase, order.order.bucket)
    do throws(DoorbusterError) {
      if order.state == .rejected, let known = try await self.purchase(purchase.token, in: index) {
        guard known.state.isLive else { return .alreadyThere }
        try await cancelRejected(purchase, in: index)
        return .recorded
      }
      switch try await record(.purchase(purchase, order.state.entryState), in: index) {
      case .recorded: return .recorded
      case .alreadyThere: return .alreadyThere
      case .short: return .short
      }
    } catch {
      guard error.hasStockCode(.tokenMismatch) else { throw error }
      return .mismatch
    }
  }
}
