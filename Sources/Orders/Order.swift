import Stock

/// A purchase on its way into the database.
public struct Order: Hashable, Sendable {
  public var purchase: Purchase
  /// The bucket that accepted it.
  public var bucket: Int
  /// The bucket's event, where it is known; the log fills it in otherwise.
  public var sequence: Int64?
  /// When the purchase was made, ms since 1970.
  public var createdAtMs: Int64

  public init(purchase: Purchase, bucket: Int, sequence: Int64? = nil, createdAtMs: Int64) {
    self.purchase = purchase
    self.bucket = bucket
    self.sequence = sequence
    self.createdAtMs = createdAtMs
  }
}

/// Where an order stands. Held < sold < cancelled; rejected is final: the database had no stock for it.
public enum OrderState: String, Hashable, Sendable, CaseIterable {
  case held, sold, cancelled, rejected
}

/// An order as the database has it.
public struct StoredOrder: Hashable, Sendable {
  public var order: Order
  public var state: OrderState
  /// When a hold on the path `database` ends, ms since 1970; nil for all other orders.
  public var expiresAtMs: Int64?

  public init(order: Order, state: OrderState, expiresAtMs: Int64? = nil) {
    self.order = order
    self.state = state
    self.expiresAtMs = expiresAtMs
  }
}

/// What became of one order of a batch. All of them are durable when the call returns.
public enum RecordOutcome: Hashable, Sendable {
  /// A new row; the product's stock fell.
  case recorded
  /// The row was there, with the same user, quantity and bucket.
  case alreadyRecorded(OrderState)
  /// The product's stock was short: a new row in state rejected. Its deduction must be cancelled, off sale.
  case rejected
  /// The product's stock is short, and the order was not to be rejected for it. Nothing changed.
  case short(stock: Int64)
  /// The token's row has another user, quantity or bucket. Nothing changed.
  case conflict(StoredOrder)
  /// The database knows no such product. Nothing changed.
  case unknownProduct
  /// The database can't write this order for its own sake (a constraint, a trigger). Nothing changed, and trying again
  /// won't help; the text is what the database said, without bound values.
  case refused(String)
}

/// What became of a restock.
public enum RestockOutcome: Hashable, Sendable {
  case recorded
  case alreadyRecorded
  /// The token was used with another quantity. Nothing changed.
  case mismatch(quantity: Int64)
  /// Less stock than is to be taken down. Nothing changed.
  case short(stock: Int64)
  case unknownProduct
}
