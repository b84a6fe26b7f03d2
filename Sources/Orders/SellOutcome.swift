import Stock

/// What became of a purchase that the database decided.
public enum SellOutcome: Hashable, Sendable {
  /// The units are the buyer's: by this call, or by an earlier one of the same token (`isRepeat`). `remaining` is the
  /// stock as this call last saw it.
  case accepted(OrderState, remaining: Int64, isRepeat: Bool)
  /// Nothing was written.
  case refused(Refusal, remaining: Int64)
  /// The token's order was cancelled, or its hold is over; the buyer needs a new token.
  case cancelled
  /// The token's order has another user or quantity. Nothing changed.
  case mismatch(StoredOrder)
  /// The database knows no such sale.
  case unknownProduct
}

/// What became of a confirmation in the database.
public enum ConfirmOrderOutcome: Hashable, Sendable {
  case confirmed
  case alreadySold
  /// Cancelled, or its hold is over.
  case cancelled
  case unknownToken
}
