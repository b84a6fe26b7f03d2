/// Bounds that every part of the system shares.
public enum StockLimits {
  /// The largest quantity and the largest total, 2^53: what every client language can count exactly.
  public static let quantityMax: Int64 = 1 << 53
}

/// A purchase as its buyer asks for it. The token names the attempt: sent again, it hears its first outcome.
public struct Purchase: Hashable, Sendable {
  public let sku: SKU
  public let user: UserID
  public let token: Token
  /// Units, 1 to 2^53.
  public let quantity: Int64

  /// - Throws: ``InvalidInput`` for a quantity outside its bounds.
  public init(sku: SKU, user: UserID, token: Token, quantity: Int64 = 1) throws(InvalidInput) {
    guard (1...StockLimits.quantityMax).contains(quantity) else {
      throw InvalidInput(argument: "quantity", value: String(quantity).utf8, requirement: "1 to 2^53")
    }
    self.sku = sku
    self.user = user
    self.token = token
    self.quantity = quantity
  }
}

/// Where a purchase stands, in a bucket. It only moves forward.
public enum PurchaseState: String, Hashable, Sendable, CaseIterable {
  case held, sold, cancelled
}

/// What a bucket knows of a token. Fields that it no longer keeps are nil.
public struct PurchaseRecord: Hashable, Sendable {
  public var token: Token
  public var user: UserID?
  public var quantity: Int64?
  public var state: PurchaseState
  /// The event that first took the token.
  public var sequence: Int64?
  /// The bucket's clock at that event, ms since 1970.
  public var timestampMs: Int64?
  /// When a hold ends, ms since 1970.
  public var expiresMs: Int64?

  public init(
    token: Token,
    user: UserID?,
    quantity: Int64?,
    state: PurchaseState,
    sequence: Int64?,
    timestampMs: Int64?,
    expiresMs: Int64? = nil
  ) {
    self.token = token
    self.user = user
    self.quantity = quantity
    self.state = state
    self.sequence = sequence
    self.timestampMs = timestampMs
    self.expiresMs = expiresMs
  }
}
