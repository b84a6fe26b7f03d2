import Messaging
import Orders
import Stock

/// A fault that ended a call of the orchestrator.
public struct DoorbusterError: Error, Hashable, Sendable, CustomStringConvertible {
  /// An extensible set of causes.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    public let name: String
    public init(_ name: String) { self.name = name }
    public var description: String { name }

    /// The database knows no sale of this product.
    public static let unknownSale = Code("unknown-sale")
    /// The product is on sale with other numbers.
    public static let saleDiffers = Code("sale-differs")
    /// The database knows that the bucket was there, and it is not there, or is another one: `recover` mends it.
    public static let bucketLost = Code("bucket-lost")
    /// The bucket sells nothing until it is complete again: a worker sees to it, or `recover`.
    public static let bucketFrozen = Code("bucket-frozen")
    /// The sale was never set up to its end: creating it again completes it.
    public static let saleIncomplete = Code("sale-incomplete")
    /// The token names a restock of another quantity, or one that was given back.
    public static let restockMismatch = Code("restock-mismatch")
    /// Fewer units are unsold than were to be taken off sale. Nothing is taken.
    public static let restockShort = Code("restock-short")
    /// Several buckets hold a live purchase of this token.
    public static let ambiguousToken = Code("ambiguous-token")
    /// The token names a purchase of another user or quantity, on the path `database`; or it has bought some of a cart's
    /// products before and others not.
    public static let tokenMismatch = Code("token-mismatch")
    /// A cart's product is sold on a path that takes no carts.
    public static let pathWithoutCarts = Code("path-without-carts")
    /// The units are held for a cart that is not decided yet, or not confirmed as a whole.
    public static let cartUndecided = Code("cart-undecided")
    /// The work was stopped before its end. The same call goes on with it.
    public static let interrupted = Code("interrupted")
    /// An argument is outside its bounds.
    public static let invalid = Code("invalid")
    /// A bucket, the broker or the database failed; see ``DoorbusterError/cause``.
    public static let stock = Code("stock")
    public static let messaging = Code("messaging")
    public static let orders = Code("orders")
  }

  /// The seam's own error, where one ended the call.
  public indirect enum Cause: Hashable, Sendable {
    case stock(StockError)
    case messaging(MessagingError)
    case orders(OrderStoreError)
  }

  public var code: Code
  /// What was asked and what went wrong. Never a password.
  public var message: String
  public var cause: Cause?

  public init(_ code: Code, _ message: String, cause: Cause? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }

  public init(_ error: StockError) { self.init(.stock, error.message, cause: .stock(error)) }
  public init(_ error: MessagingError) { self.init(.messaging, error.message, cause: .messaging(error)) }
  public init(_ error: OrderStoreError) { self.init(.orders, error.message, cause: .orders(error)) }
  public init(_ error: InvalidInput) { self.init(.invalid, error.description) }

  public var description: String { message }

  /// Whether the same call may succeed later without anyone changing anything by hand.
  public var isTransient: Bool {
    switch cause {
    case .stock(let error): error.isTransient
    case .messaging(let error): error.isTransient
    case .orders(let error): error.isTransient
    case nil: false
    }
  }

  static func unknownSale(_ sku: SKU) -> DoorbusterError {
    DoorbusterError(.unknownSale, "no sale of \(sku) is known")
  }
}

/// Runs a call of the stock seam, its error wrapped.
func asking<T>(
  stock: any StockService,
  _ call: (any StockService) async throws(StockError) -> T
) async throws(DoorbusterError) -> T {
  do {
    return try await call(stock)
  } catch {
    throw DoorbusterError(error)
  }
}

/// Runs a call of the database seam, its error wrapped.
func asking<T>(
  orders: any OrderStore,
  _ call: (any OrderStore) async throws(OrderStoreError) -> T
) async throws(DoorbusterError) -> T {
  do {
    return try await call(orders)
  } catch {
    throw DoorbusterError(error)
  }
}

/// Runs a call of the broker seam, its error wrapped.
func asking<T>(
  broker: any MessageBroker,
  _ call: (any MessageBroker) async throws(MessagingError) -> T
) async throws(DoorbusterError) -> T {
  do {
    return try await call(broker)
  } catch {
    throw DoorbusterError(error)
  }
}
