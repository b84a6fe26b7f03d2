import Orders
import Stock

/// A restock that takes units off sale, from its first step until its units are off sale or given back.
///
/// It takes them in the buckets first, and the database decides about them afterwards. So that units which a call cut short
/// has taken are known as its own, its first step is a row of quantity 0 under the name by which the buckets know it.
struct BegunRestock: Hashable, Sendable {
  let token: Token
  /// Negative.
  let quantity: Int64
  /// Whether the database has decided against it, by the token's own row: its units belong back on sale.
  let isRefused: Bool

  /// Those of a sale's restocks whose units may be taken and are not decided to be off sale.
  static func unfinished(among restocks: [StoredRestock]) -> [BegunRestock] {
    let decisions = Dictionary(restocks.map { ($0.token, $0.quantity) }, uniquingKeysWith: { first, _ in first })
    return restocks.compactMap { row in
      guard row.quantity == 0, let (token, quantity) = RestockTokens.restock(takingBy: row.token) else { return nil }
      let decision = decisions[token]
      guard decision != quantity else { return nil }
      return BegunRestock(token: token, quantity: quantity, isRefused: decision != nil)
    }
  }
}

extension SaleAccess {
  /// Decides against restocks that were begun and are not decided, and gives the units of all those back that are decided
  /// against. A call of such a restock that goes on hears that it was given back.
  func endUnfinishedRestocks() async throws(DoorbusterError) {
    for restock in BegunRestock.unfinished(among: try await restocks()) {
      if !restock.isRefused {
        let outcome = try await askDatabase { orders throws(OrderStoreError) in
          try await orders.restock(sku, token: restock.token, quantity: 0)
        }
        switch outcome {
        case .recorded, .alreadyRecorded: break
        case .mismatch(restock.quantity): continue
        // Decided meanwhile, and in favour of another quantity.
        case .mismatch: break
        case .short, .unknownProduct: throw .unknownSale(sku)
        }
      }
      try await giveBack(restock)
    }
  }

  /// Which buckets have given units is nowhere written, so each is asked again: one that is short, or frozen and does not
  /// know the name, has given none.
  private func giveBack(_ restock: BegunRestock) async throws(DoorbusterError) {
    let tokens = try RestockTokens(restock.token, quantity: restock.quantity)
    for bucket in sale.buckets {
      let share = sale.share(of: restock.quantity, bucket: bucket.index)
      guard share != 0 else { continue }
      do throws(DoorbusterError) {
        let outcome = try await askStock { stock throws(StockError) in
          try await stock.add(tokens.take, quantity: share, to: bucket)
        }
        if case .short = outcome { continue }
      } catch {
        guard error.hasStockCode(.frozen) else { throw error }
        continue
      }
      _ = try await askStock { stock throws(StockError) in
        try await stock.add(tokens.giveBack, quantity: -share, to: bucket)
      }
    }
  }
}
