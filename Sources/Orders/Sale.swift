import Stock

/// One of the four ways to run a sale.
public enum SalePath: String, Hashable, Sendable, CaseIterable {
  /// No Redis: the database decides.
  case database
  /// One bucket, delivery by messages.
  case redisMQ = "redis-mq"
  /// Many buckets, delivery by log.
  case buckets
  /// Many buckets, delivery by messages, grouped in the database.
  case combined
}

/// A product's sale: all that is needed to set its buckets up again.
public struct Sale: Hashable, Sendable {
  public var sku: SKU
  /// Units put on sale at its creation, 0 to 2^53. Bucket i's share follows from it and the number of buckets.
  public var stock: Int64
  public var terms: SaleTerms
  public var path: SalePath
  public var createdAtMs: Int64
  /// What decided, at its creation, on which server a bucket lies (``StockService/serversText``), up to
  /// ``serversBytesMax`` bytes; nil where it has no buckets, or was created before this was kept.
  public var servers: String?

  /// Room for a list of a hundred servers.
  public static let serversBytesMax = 4096

  public init(
    sku: SKU,
    stock: Int64,
    terms: SaleTerms,
    path: SalePath,
    createdAtMs: Int64,
    servers: String? = nil
  ) {
    self.sku = sku
    self.stock = stock
    self.terms = terms
    self.path = path
    self.createdAtMs = createdAtMs
    self.servers = servers
  }

  /// Bucket `index`'s part of `quantity`, fixed by the index: parts differ by one at most, and add up to it.
  public func share(of quantity: Int64, bucket index: Int) -> Int64 {
    let buckets = Int64(max(terms.buckets, 1))
    let (part, rest) = quantity.magnitude.quotientAndRemainder(dividingBy: UInt64(buckets))
    let units = Int64(part) + (UInt64(index) < rest ? 1 : 0)
    return quantity < 0 ? -units : units
  }
}

/// A product's books in the database.
public struct SaleTotals: Hashable, Sendable {
  public var stock: Int64
  /// Orders and units by state; a state without orders may be absent.
  public var orders: [OrderState: Int64]
  public var units: [OrderState: Int64]
  /// Units of all restocks (negative ones included).
  public var restocked: Int64

  public init(stock: Int64, orders: [OrderState: Int64], units: [OrderState: Int64], restocked: Int64) {
    self.stock = stock
    self.orders = orders
    self.units = units
    self.restocked = restocked
  }
}

/// A product's books as they are kept, and as its orders make them, of one moment. Stock and restocks are the same in both.
public struct CountedTotals: Hashable, Sendable {
  public var kept: SaleTotals
  public var counted: SaleTotals

  public init(kept: SaleTotals, counted: SaleTotals) {
    self.kept = kept
    self.counted = counted
  }
}
