import Orders
import Stock

/// What is different between an order and the purchase of its token.
public enum OrderDifference: String, Hashable, Sendable, CaseIterable {
  case quantity, user, state
  /// The purchase is in another bucket than the order says.
  case bucket
}

/// An order held against what a bucket knows of its token. What the bucket no longer keeps is not compared.
enum TokenComparison {
  static func differences(_ order: StoredOrder, _ record: PurchaseRecord) -> [OrderDifference] {
    var differences: [OrderDifference] = []
    if let quantity = record.quantity, quantity != order.order.purchase.quantity { differences.append(.quantity) }
    if let user = record.user, user != order.order.purchase.user { differences.append(.user) }
    if !agree(order.state, record.state) { differences.append(.state) }
    return differences
  }

  /// Whether an order's state and a purchase's are the same thing.
  static func agree(_ order: OrderState, _ purchase: PurchaseState) -> Bool {
    switch (order, purchase) {
    case (.held, .held), (.sold, .sold), (.cancelled, .cancelled), (.rejected, .cancelled): true
    case (.held, _), (.sold, _), (.cancelled, _), (.rejected, _): false
    }
  }
}

extension PurchaseState {
  /// Whether a purchase in this state has its units.
  var isLive: Bool {
    switch self {
    case .held, .sold: true
    case .cancelled: false
    }
  }
}

extension OrderState {
  /// The state that its purchase is written in with. A bucket that does not know a rejected order's token has not taken
  /// its units either, so there is nothing to take off sale.
  var entryState: LostEntry.State {
    switch self {
    case .held: .held
    case .sold: .sold
    case .cancelled, .rejected: .cancelled
    }
  }
}
