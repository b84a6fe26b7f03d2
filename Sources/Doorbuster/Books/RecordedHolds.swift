import Orders
import Stock

/// Finds the holds among a sale's purchases that were written in: they have no end of their own.
///
/// A hold ends in its bucket by itself, but what a bucket has lost can't be written in with its end, which the bucket alone
/// knew. Such a hold is over when its order is older than any hold of the shop.
struct RecordedHolds: Hashable, Sendable {
  private let maxMs: Int64
  private var firstEndMs: Int64?

  /// All holds are looked at again after that time: a reconciliation may have written one in.
  static let againMs: Int64 = 600_000

  /// - Parameter maxMs: how old an order of a hold may become.
  init(maxMs: Int64) { self.maxMs = maxMs }

  /// The order's token, where its hold was written in and is over.
  mutating func due(_ order: StoredOrder, _ record: PurchaseRecord?, nowMs: Int64) -> Token? {
    guard order.state == .held, let record, record.state == .held, record.expiresMs == nil else { return nil }
    let endMs = order.expiresAtMs ?? order.order.createdAtMs + maxMs
    guard endMs > nowMs else { return order.order.purchase.token }
    firstEndMs = min(firstEndMs ?? endMs, endMs)
    return nil
  }

  /// When to look again.
  func nextMs(nowMs: Int64) -> Int64 { min(firstEndMs ?? .max, nowMs + Self.againMs) }
}

extension SaleAccess {
  /// Hands the held orders of some buckets over, with what their buckets know of them.
  func eachHeldOrder(
    in buckets: Set<Int>,
    _ body: (StoredOrder, PurchaseRecord?) async throws(DoorbusterError) -> Void
  ) async throws(DoorbusterError) {
    var last: Token?
    while true {
      let page = try await orders(after: last)
      let held = page.filter { $0.state == .held && buckets.contains($0.order.bucket) }
      let records = try await each(held) { order async throws(DoorbusterError) in
        try await purchase(order.order.purchase.token, in: order.order.bucket)
      }
      for (order, record) in zip(held, records) { try await body(order, record) }
      guard page.count == settings.page else { return }
      last = page.last?.order.purchase.token
    }
  }
}
