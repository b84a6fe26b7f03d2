import Stock

/// Carts: decided as a whole.
extension OrderBook {
  /// Records or ends a cart. The book must have been given its lines' stocks and orders, and the cart itself, where they
  /// are there.
  package mutating func record(_ recording: CartRecording) -> CartRecordOutcome {
    let cart = recording.cart
    for line in cart.lines where stock(of: line.purchase.sku) == nil { return .unknownProduct(line.purchase.sku) }
    if let known = carts[Key(cart.lead, cart.token)] { return answer(cart, known) }
    switch recording.state {
    case .cancelled: return end(cart, rejecting: nil)
    case .sold:
      if cart.lines.contains(where: { isOver($0) }) { return end(cart, rejecting: nil) }
      let short = cart.lines.filter { isShort($0) }.map(\.purchase.sku)
      if let rejected = recording.rejecting, short.contains(rejected) { return end(cart, rejecting: rejected) }
      if let sku = short.first { return .short(sku, stock: stock(of: sku) ?? 0) }
      return sell(cart)
    }
  }

  private func answer(_ cart: CartOrder, _ known: StoredCart) -> CartRecordOutcome {
    guard known.user == cart.user, known.text == cart.text else { return .mismatch(known) }
    switch known.state {
    case .sold: return .sold
    case .cancelled: return .over(cart.lines.map { lineEnd($0) })
    }
  }

  private func row(of line: Order) -> StoredOrder? { rows[Key(line)]?.order }

  /// Whether this line can't be sold any more.
  private func isOver(_ line: Order) -> Bool {
    guard let row = row(of: line) else { return false }
    return !row.isSamePurchase(as: line) || !row.state.takesStock
  }

  private func isShort(_ line: Order) -> Bool {
    row(of: line) == nil && (stock(of: line.purchase.sku) ?? 0) < line.purchase.quantity
  }

  private mutating func sell(_ cart: CartOrder) -> CartRecordOutcome {
    for line in cart.lines {
      switch row(of: line)?.state {
      case nil: _ = record(line, as: .sold, rejecting: false)
      // An attempt that only held this line had the same token.
      case .held: change(Key(line)) { $0.state = .sold }
      case .sold, .cancelled, .rejected: continue
      }
    }
    note(cart, .sold)
    return .sold
  }

  private mutating func end(_ cart: CartOrder, rejecting: SKU?) -> CartRecordOutcome {
    for line in cart.lines {
      let end: OrderState = line.purchase.sku == rejecting ? .rejected : .cancelled
      guard let row = row(of: line) else {
        _ = record(line, as: end)
        continue
      }
      if row.isSamePurchase(as: line), row.state.takesStock { change(Key(line)) { $0.state = end } }
    }
    note(cart, .cancelled)
    return .over(cart.lines.map { lineEnd($0) })
  }

  private func lineEnd(_ line: Order) -> CartRecordOutcome.LineEnd {
    guard let row = row(of: line) else { return .cancelled }
    guard row.isSamePurchase(as: line) else { return .conflict(row) }
    return row.state == .rejected ? .rejected : .cancelled
  }

  private mutating func note(_ cart: CartOrder, _ state: CartState) {
    let stored = StoredCart(
      lead: cart.lead,
      token: cart.token,
      user: cart.user,
      text: cart.text,
      state: state,
      createdAtMs: cart.lines[0].createdAtMs
    )
    carts[Key(cart.lead, cart.token)] = stored
    recordedCarts.append(stored)
  }
}

extension CartRecording {
  /// The orders that it is about.
  package var keys: [OrderBook.Key] { cart.lines.map { OrderBook.Key($0) } }
  /// The cart's own row.
  package var key: OrderBook.Key { OrderBook.Key(cart.lead, cart.token) }
}
