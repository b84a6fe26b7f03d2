import Orders
import Stock
import Synchronization

/// What never changes about a sale (how many buckets it has), kept in process once the database has told it.
final class SaleDirectory: Sendable {
  private let buckets = Mutex<[SKU: Int]>([:])

  func buckets(of sku: SKU) -> Int? { buckets.withLock { $0[sku] } }

  func note(_ sale: Sale) { buckets.withLock { $0[sale.sku] = max(sale.terms.buckets, 1) } }
}
