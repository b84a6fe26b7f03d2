import Orders
import Stock
import Testing

@testable import Doorbuster

@Suite("Random recoveries")
struct RandomRecoveryTests {
  @Test("Buckets that lose all or their last events in a sale that goes on come back without overselling")
  func losses() async throws {
    for seed in RandomBooksTests.seeds {
      let sale = try RandomBooks(seed: seed)
      let (books, world) = (sale.books, sale.world)
      try sale.sell()
      world.goOn(forMs: world.pick(0...20_000))
      let old = world.stock.buckets
      world.goOn(forMs: world.pick(0...3_000))
      let isAll = world.random.chance(0.4)
      world.stock.buckets = isAll ? [:] : old
      if !isAll { for id in old.keys.sorted(by: { $0.index < $1.index }) { world.stock.comeUp(id, .load) } }
      let report = try await books.doorbuster.recover(books.sku, settings: books.settings)
      #expect(!world.stock.buckets.values.contains { $0.frozen != nil }, "seed \(seed)")
      sale.end()
      let mended = try await books.reconcile(repair: true)
      sale.end()
      let context = "seed \(seed), \(isAll ? "all" : "the last events") lost: \(report.findings), \(mended.findings)"
      #expect(mended.isClean, "\(context)")
      #expect(books.discrepancies.isEmpty, "\(context)")
      guard mended.isClean, books.discrepancies.isEmpty else { return }
    }
  }
}
