import Stock

/// A restock as the database has it.
public struct StoredRestock: Hashable, Sendable {
  public var token: Token
  /// 0 for one that was given up.
  public var quantity: Int64

  public init(token: Token, quantity: Int64) {
    self.token = token
    self.quantity = quantity
  }
}

/// One thing to mend in the database, such as a comparison with the buckets has found.
public enum OrderRepair: Hashable, Sendable {
  /// Writes an order where its token has none. In `held` and `sold` it takes its units, once; where the stock is short it
  /// is stored as rejected, as ``OrderStore/record(_:)`` does.
  case record(Order, as: OrderState)
  /// Moves an order forward: held to sold, held or sold to cancelled or rejected. Stock rises once, on leaving held or
  /// sold.
  case move(SKU, Token, to: OrderState)
  /// Gives an order that is exactly `from` the user, quantity, bucket, sequence and time of another of the same token;
  /// its state stays. The stock follows the quantity.
  case correct(from: StoredOrder, to: Order)
  /// Sets a product's stock to what its rows say: the sale's stock and all restocks, less what is held and sold; and its
  /// totals to what its orders say. Reads all orders of the product, and holds its sale up meanwhile.
  case recount(SKU)

  /// The product that it is about.
  public var sku: SKU {
    switch self {
    case .record(let order, _), .correct(_, let order): order.purchase.sku
    case .move(let sku, _, _), .recount(let sku): sku
    }
  }
}

public enum RepairOutcome: Hashable, Sendable {
  case repaired
  /// The database has it so already, or further on. Nothing changed.
  case unchanged
  /// A record whose units are not there: it is stored as rejected.
  case rejected
  /// Units are missing: at a correction nothing changed; at a recount the rows hold more units than were put on sale
  /// (`stock` is negative), and the stock was set to 0.
  case short(stock: Int64)
  /// The token's row has another user, quantity or bucket, or is not what was to be corrected. Nothing changed.
  case conflict(StoredOrder)
  case unknownOrder
  case unknownProduct
  /// The repair itself can't be made, now or later; the text says why. Nothing changed.
  case refused(String)
}
