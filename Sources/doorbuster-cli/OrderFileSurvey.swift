import OrderFile
import Stock

/// What has to be known of a file before its first purchase is sent.
struct OrderFileSurvey: Sendable {
  /// Lines behind the header, bad ones included.
  private(set) var lines = 0
  /// Units asked for by product, up to 2^53. Distinct tokens and repeated ones alike: ample is ample.
  private(set) var demand: [SKU: Int64] = [:]
  /// Hashes of the products' tokens that several users send.
  private var shared: Set<Int> = []

  init(_ orders: OrderFile) {
    // The first user's hash, by the token's.
    var users: [Int: Int] = [:]
    for line in orders {
      lines += 1
      guard case .purchase(let purchase, _) = line else { continue }
      demand[purchase.sku] = min(demand[purchase.sku, default: 0] + purchase.quantity, StockLimits.quantityMax)
      let token = Self.hash(of: purchase)
      let user = purchase.user.hashValue
      if users[token, default: user] == user { users[token] = user } else { shared.insert(token) }
    }
  }

  /// Whether the file has this token of this product with another user, too. By its hash: rarely true where it has not.
  func isShared(_ purchase: Purchase) -> Bool { !shared.isEmpty && shared.contains(Self.hash(of: purchase)) }

  /// Of product and token.
  static func hash(of purchase: Purchase) -> Int {
    var hasher = Hasher()
    hasher.combine(purchase.sku)
    hasher.combine(purchase.token)
    return hasher.finalize()
  }
}
