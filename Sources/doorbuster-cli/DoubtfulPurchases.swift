import Orders
import Stock
import Synchronization

/// A sale of a replay.
struct OpenedSale: Sendable {
  let sale: Sale
  /// Whether none of its tokens was sent before.
  let isNew: Bool
}

/// Accepted purchases whose tokens other buyers may have bought with, too.
///
/// A token counts once in a bucket, and each buyer has his own: in a sale of several buckets, two users of one token may
/// both be accepted. The database takes one of them; the other is cancelled, and is no purchase in the end.
final class DoubtfulPurchases: Sendable {
  struct Conflict: Sendable {
    let click: Click
    /// What the token's order is.
    let order: Order
  }

  /// Of several buckets, by product.
  private let sales: [SKU: OpenedSale]
  private let survey: OrderFileSurvey
  private let clicks = Mutex<[SKU: [Click]]>([:])

  init(_ sales: [OpenedSale], _ survey: OrderFileSurvey) {
    self.sales = sales.filter { $0.sale.path != .database && $0.sale.terms.buckets > 1 }
      .reduce(into: [:]) { $0[$1.sale.sku] = $1 }
    self.survey = survey
  }

  /// Takes an accepted purchase down, unless its token is surely nobody else's.
  @Sendable func note(_ click: Click) {
    guard let sale = sales[click.purchase.sku], !sale.isNew || survey.isShared(click.purchase) else { return }
    clicks.withLock { $0[click.purchase.sku, default: []].append(click) }
  }

  /// Those whose token is another buyer's order. To be called once the orders are recorded.
  /// - Throws: ``OrderStoreError``.
  func conflicts(in orders: any OrderStore) async throws -> [Conflict] {
    var conflicts: [Conflict] = []
    for (sku, clicks) in clicks.withLock({ $0 }) {
      for start in stride(from: 0, to: clicks.count, by: Self.pageMax) {
        let page = clicks[start..<min(start + Self.pageMax, clicks.count)]
        let rows = try await orders.orders(of: sku, tokens: page.map(\.purchase.token))
        let byToken = Dictionary(rows.map { ($0.order.purchase.token, $0.order) }) { first, _ in first }
        for click in page {
          guard let order = byToken[click.purchase.token], order.purchase.user != click.purchase.user else { continue }
          conflicts.append(Conflict(click: click, order: order))
        }
      }
    }
    return conflicts.sorted { ($0.click.line ?? 0) < ($1.click.line ?? 0) }
  }

  static func report(_ conflicts: [Conflict], _ faults: FaultReport) {
    for conflict in conflicts {
      let (mine, theirs) = (conflict.click.purchase, conflict.order.purchase)
      faults.report(
        conflict.click,
        "user \(mine.user)'s purchase was cancelled, as the token's order is user \(theirs.user)'s"
      )
    }
    faults.end()
  }

  private static let pageMax = 1000
}
