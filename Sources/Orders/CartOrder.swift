import Stock

/// A cart on its way into the database: an order for each line.
public struct CartOrder: Hashable, Sendable {
  /// Of one user and token, in the cart's order; at least one.
  public let lines: [Order]

  /// - Parameters:
  ///   - buckets: the bucket that holds each line, in their order.
  ///   - createdAtMs: when the cart was bought, ms since 1970.
  /// - Throws: ``InvalidInput`` unless there is a bucket for each line.
  public init(_ cart: Cart, buckets: [Int], createdAtMs: Int64) throws(InvalidInput) {
    guard buckets.count == cart.purchases.count else {
      throw InvalidInput(
        argument: "buckets of a cart",
        value: "\(buckets.count)".utf8,
        requirement: "one for each of its \(cart.purchases.count) lines"
      )
    }
    lines = zip(cart.purchases, buckets).map { Order(purchase: $0, bucket: $1, createdAtMs: createdAtMs) }
  }

  /// The first line's product. Together with the token it names the cart.
  public var lead: SKU { lines[0].purchase.sku }
  public var token: Token { lines[0].purchase.token }
  public var user: UserID { lines[0].purchase.user }

  /// What is in it, as `SKU=quantity` with blanks between, in the cart's order.
  public var text: String { lines.map { "\($0.purchase.sku)=\($0.purchase.quantity)" }.joined(separator: " ") }
}

/// How a cart ended, once the database knows it. It never changes; its lines' orders may, as a buyer gives one back.
public enum CartState: String, Hashable, Sendable, CaseIterable {
  /// All lines were recorded as sold.
  case sold
  /// No line is sold: one was cancelled before, or the database had no stock for one.
  case cancelled
}

/// A cart as the database has it.
public struct StoredCart: Hashable, Sendable {
  public var lead: SKU
  public var token: Token
  public var user: UserID
  /// As ``CartOrder/text``.
  public var text: String
  public var state: CartState
  /// When it was bought, ms since 1970.
  public var createdAtMs: Int64

  public init(lead: SKU, token: Token, user: UserID, text: String, state: CartState, createdAtMs: Int64) {
    self.lead = lead
    self.token = token
    self.user = user
    self.text = text
    self.state = state
    self.createdAtMs = createdAtMs
  }
}

/// A cart as one caller wants it recorded; see ``OrderStore/record(carts:)``.
public struct CartRecording: Hashable, Sendable {
  public var cart: CartOrder
  /// Sold where all lines were confirmed; cancelled where one was found cancelled.
  public var state: CartState
  /// The product for whose want of stock the cart may be ended: no units of it are on their way to the database.
  public var rejecting: SKU?

  public init(_ cart: CartOrder, as state: CartState, rejecting: SKU? = nil) {
    self.cart = cart
    self.state = state
    self.rejecting = rejecting
  }
}

/// What became of a cart. Durable when the call returns.
public enum CartRecordOutcome: Hashable, Sendable {
  /// How a line of a cart ended that is not sold.
  public enum LineEnd: Hashable, Sendable {
    /// Its deduction must be cancelled; its units go back on sale.
    case cancelled
    /// The database had no stock for it: its deduction must be cancelled, off sale.
    case rejected
    /// The token's row is another purchase, and was left as it is.
    case conflict(StoredOrder)
  }

  /// All lines are orders, by this call or an earlier one.
  case sold
  /// No line is sold. One end for each, in their order.
  case over([LineEnd])
  /// The stock of this product is short, and the cart was not to be ended for it. Nothing changed.
  case short(SKU, stock: Int64)
  /// The token names another cart that begins with the same product. Nothing changed.
  case mismatch(StoredCart)
  /// Nothing changed.
  case unknownProduct(SKU)
  /// The database can't write this cart for its own sake (a constraint, a trigger). Nothing changed, and trying again
  /// won't help; the text is what the database said, without bound values.
  case refused(String)
}
