import Orders
import Stock
import Synchronization

/// What never changes about a sale: all that a purchase needs to know of it beforehand.
struct KnownSale: Hashable, Sendable {
  let sku: SKU
  /// How many buckets the sale has, at least 1; on the path `database` it has none, and this is 1.
  let buckets: Int
  let path: SalePath

  init(_ sale: Sale) {
    sku = sale.sku
    buckets = max(sale.terms.buckets, 1)
    path = sale.path
  }

  /// The bucket that the buyer's tokens and limit live in.
  func home(of user: UserID) -> BucketID { BucketID(sku: sku, index: user.homeBucket(among: buckets)) }
}

/// The sales that this process has met, kept once the database has told of them.
final class SaleDirectory: Sendable {
  private let sales = Mutex<[SKU: KnownSale]>([:])

  subscript(sku: SKU) -> KnownSale? { sales.withLock { $0[sku] } }

  func note(_ sale: Sale) { sales.withLock { $0[sale.sku] = KnownSale(sale) } }
}
