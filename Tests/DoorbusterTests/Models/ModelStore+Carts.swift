import Orders
import Stock

/// Carts as the seam describes them.
extension ModelStore {
  mutating func record(_ recording: CartRecording) -> CartRecordOutcome {
    let cart = recording.cart
    for line in cart.lines where stock[line.purchase.sku] == nil { return .unknownProduct(line.purchase.sku) }
    let key = Key(sku: cart.lead, token: cart.token)
    if let known = carts[key] {
      guard known.user == cart.user, known.text == cart.text else { return .mismatch(known) }
      return known.state == .sold ? .sold : .over(ends(of: cart))
    }
    let rows = cart.lines.map { orders[Key(sku: $0.purchase.sku, token: cart.token)] }
    let isOver = zip(cart.lines, rows).contains { line, row in
      guard let row else { return false }
      return !row.isSame(line) || row.state == .cancelled || row.state == .rejected
    }
    let short = zip(cart.lines, rows).filter { $1 == nil && stock[$0.purchase.sku, default: 0] < $0.purchase.quantity }
      .map(\.0.purchase.sku)
    if recording.state == .sold, !isOver {
      if short.isEmpty { return sell(cart) }
      guard let rejected = recording.rejecting, short.contains(rejected) else {
        return .short(short[0], stock: stock[short[0], default: 0])
      }
      return end(cart, rejecting: rejected)
    }
    return end(cart, rejecting: nil)
  }

  private mutating func sell(_ cart: CartOrder) -> CartRecordOutcome {
    for line in cart.lines {
      let key = Key(sku: line.purchase.sku, token: cart.token)
      if orders[key] == nil {
        orders[key] = StoredOrder(order: line, state: .sold)
        stock[key.sku, default: 0] -= line.purchase.quantity
      } else {
        orders[key]?.state = .sold
      }
    }
    note(cart, .sold)
    return .sold
  }

  private mutating func end(_ cart: CartOrder, rejecting: SKU?) -> CartRecordOutcome {
    for line in cart.lines {
      let key = Key(sku: line.purchase.sku, token: cart.token)
      let state: OrderState = key.sku == rejecting ? .rejected : .cancelled
      guard let row = orders[key] else {
        orders[key] = StoredOrder(order: line, state: state)
        continue
      }
      guard row.isSame(line), row.state == .held || row.state == .sold else { continue }
      orders[key]?.state = state
      stock[key.sku, default: 0] += line.purchase.quantity
    }
    note(cart, .cancelled)
    return .over(ends(of: cart))
  }

  private func ends(of cart: CartOrder) -> [CartRecordOutcome.LineEnd] {
    cart.lines.map { line in
      guard let row = orders[Key(sku: line.purchase.sku, token: cart.token)] else { return .cancelled }
      guard row.isSame(line) else { return .conflict(row) }
      return row.state == .rejected ? .rejected : .cancelled
    }
  }

  private mutating func note(_ cart: CartOrder, _ state: CartState) {
    carts[Key(sku: cart.lead, token: cart.token)] = StoredCart(
      lead: cart.lead,
      token: cart.token,
      user: cart.user,
      text: cart.text,
      state: state,
      createdAtMs: cart.lines[0].createdAtMs
    )
  }
}
