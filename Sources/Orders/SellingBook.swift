import Stock

/// An attempt to buy on the path `database`.
package struct SellAttempt: Hashable, Sendable {
  package var purchase: Purchase
  package var holdMs: Int64?
  package var nowMs: Int64

  package init(purchase: Purchase, holdMs: Int64?, nowMs: Int64) {
    self.purchase = purchase
    self.holdMs = holdMs
    self.nowMs = nowMs
  }

  /// The order that it becomes.
  package var order: StoredOrder {
    let expires = holdMs.map { hold in
      let (sum, overflow) = nowMs.addingReportingOverflow(hold)
      return overflow ? Int64.max : sum
    }
    return StoredOrder(
      order: Order(purchase: purchase, bucket: 0, createdAtMs: nowMs),
      state: holdMs == nil ? .sold : .held,
      expiresAtMs: expires
    )
  }
}

extension StoredOrder {
  /// Whether its hold is over.
  package func isDue(_ nowMs: Int64) -> Bool {
    guard state == .held, let expiresAtMs else { return false }
    return expiresAtMs <= nowMs
  }

  /// What a buyer hears who sends the token again; nil where the attempt differs from the order.
  package func answer(to attempt: SellAttempt, remaining: Int64) -> SellOutcome {
    guard order.purchase == attempt.purchase else { return .mismatch(self) }
    switch state {
    case .held where isDue(attempt.nowMs): return .cancelled
    case .held, .sold: return .accepted(state, remaining: remaining, isRepeat: true)
    case .cancelled, .rejected: return .cancelled
    }
  }
}

extension SaleTerms {
  /// Why nothing is sold at that time; nil within the window.
  package func refusal(at nowMs: Int64) -> Refusal? {
    if nowMs < opensMs { return .early }
    if closesMs != 0, nowMs >= closesMs { return .closed }
    return nil
  }

  /// Whether a user who has that many units may have more.
  package func allows(_ quantity: Int64, atop units: Int64) -> Bool {
    limit == 0 || quantity <= limit - min(units, limit)
  }
}

/// Decides attempts to buy one product, one after the other, in a transaction that nobody else's can come between.
package struct SellingBook: Sendable {
  package private(set) var terms: SaleTerms
  package private(set) var stock: Int64
  /// Orders of the attempts' tokens, those made here included.
  private var orders: [Token: StoredOrder]
  /// Units held and sold of the attempts' users.
  private var units: [UserID: Int64]

  /// Orders made here.
  package private(set) var made: [StoredOrder] = []

  package init(terms: SaleTerms, stock: Int64, orders: [StoredOrder], units: [UserID: Int64]) {
    self.terms = terms
    self.stock = stock
    self.orders = Dictionary(orders.map { ($0.order.purchase.token, $0) }, uniquingKeysWith: { first, _ in first })
    self.units = units
  }

  /// Units that the orders made here take of their users' limits.
  package var taken: [UserID: Int64] {
    made.reduce(into: [:]) { $0[$1.order.purchase.user, default: 0] += $1.order.purchase.quantity }
  }

  package mutating func decide(_ attempts: [SellAttempt]) -> [SellOutcome] { attempts.map { decide($0) } }

  private mutating func decide(_ attempt: SellAttempt) -> SellOutcome {
    let purchase = attempt.purchase
    if let known = orders[purchase.token] { return known.answer(to: attempt, remaining: stock) }
    if let refusal = terms.refusal(at: attempt.nowMs) { return .refused(refusal, remaining: stock) }
    guard terms.allows(purchase.quantity, atop: units[purchase.user] ?? 0) else {
      return .refused(.limit, remaining: stock)
    }
    guard stock >= purchase.quantity else { return .refused(.soldOut, remaining: stock) }
    let order = attempt.order
    stock -= purchase.quantity
    units[purchase.user, default: 0] += purchase.quantity
    orders[purchase.token] = order
    made.append(order)
    return .accepted(order.state, remaining: stock, isRepeat: false)
  }
}

extension SellOutcome {
  /// Whether it is refused for want of units, so that holds that are due should give theirs back first.
  package var lacksUnits: Bool {
    switch self {
    case .refused(.soldOut, _), .refused(.limit, _): true
    case .refused(.early, _), .refused(.closed, _), .refused(.frozen, _): false
    case .accepted, .cancelled, .mismatch, .unknownProduct: false
    }
  }
}
