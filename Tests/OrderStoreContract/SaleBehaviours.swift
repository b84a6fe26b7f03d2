import Orders
import Stock
import Testing

extension OrderStoreBehaviour {
  static let sales = [
    OrderStoreBehaviour("a sale is read back as it was created, by another store too") { fixture in
      let store = try await fixture.open()
      let sale = makeSale()
      #expect(try await store.sale(sku) == nil)
      #expect(try await store.totals(of: sku) == nil)
      #expect(try await store.create(sale) == sale)
      let other = try await fixture.open()
      #expect(try await other.sale(sku) == sale)
      #expect(try await other.totals(of: sku) == SaleTotals(stock: 100, orders: [:], units: [:], restocked: 0))
      #expect(try await other.position(of: bucket) == nil)
      await store.close()
      await other.close()
    },
    OrderStoreBehaviour("what decides on which servers a sale's buckets lie is kept with it, to its longest text") {
      fixture in
      let store = try await fixture.open()
      var sale = makeSale()
      sale.servers = String(repeating: "redis://é:6379,", count: 512).prefix(Sale.serversBytesMax).description
      while (sale.servers?.utf8.count ?? 0) > Sale.serversBytesMax { sale.servers?.removeLast() }
      #expect(try await store.create(sale) == sale)
      var elsewhere = sale
      elsewhere.servers = "one server"
      #expect(try await store.create(elsewhere) == sale)
      try await store.reschedule(sku, limit: 5, opensMs: nil, closesMs: nil)
      sale.terms.limit = 5
      #expect(try await store.sale(sku) == sale)
      _ = try await store.create(makeSale(otherSKU))
      #expect(Set(try await store.sales()) == [sale, makeSale(otherSKU)])
      await store.close()
    },
    OrderStoreBehaviour("a sale that is known stays as it is, and its stock too") { fixture in
      let store = try await fixture.openWithSale()
      _ = try await store.record([makeOrder("a", quantity: 3)])
      #expect(try await store.create(makeSale(stock: 5, buckets: 1)) == makeSale())
      #expect(try await store.stock() == 97)
      await store.close()
    },
    OrderStoreBehaviour("a sale of which nothing came can be taken back, and leaves no trace") { fixture in
      let store = try await fixture.open()
      var sale = makeSale()
      sale.servers = "one server"
      try await store.undoCreate(sale)
      _ = try await store.create(sale)
      _ = try await store.claimBuckets(of: sku, for: "worker", leaseMs: 1000)
      var later = sale
      later.createdAtMs += 1
      try await store.undoCreate(later)
      #expect(try await store.sale(sku) == sale)
      for _ in 0..<2 { try await store.undoCreate(sale) }
      #expect(try await store.sales().isEmpty)
      #expect(try await store.totals(of: sku) == nil)
      let other = makeSale(stock: 7, buckets: 1)
      #expect(try await store.create(other) == other)
      #expect(try await store.stock() == 7)
      #expect(try await store.leases(of: sku).isEmpty)
      await store.close()
    },
    OrderStoreBehaviour("a sale of which something came is not taken back") { fixture in
      let store = try await fixture.open()
      let made = try (0..<3).map { makeSale(try SKU("made-\($0)")) }
      for sale in made { _ = try await store.create(sale) }
      _ = try await store.record([makeOrder("a", sku: made[0].sku)])
      _ = try await store.restock(made[1].sku, token: Token("r"), quantity: 0)
      let first = LogPosition(epoch: 5, sequence: 1)
      _ = try await store.replacePosition(of: BucketID(sku: made[2].sku, index: 0), nil, with: first)
      for sale in made { try await store.undoCreate(sale) }
      #expect(try await store.sales() == made)
      #expect(try await store.stock(made[0].sku) == 99)
      await store.close()
    },
    OrderStoreBehaviour("stores that create one sale at once agree on it") { fixture in
      let stores = [try await fixture.open(), try await fixture.open()]
      let agreed = try await withThrowingTaskGroup(of: Sale.self) { group in
        for index in 0..<16 {
          group.addTask { try await stores[index % 2].create(makeSale(stock: Int64(index))) }
        }
        return try await group.reduce(into: Set<Sale>()) { $0.insert($1) }
      }
      #expect(agreed.count == 1)
      #expect(try await stores[0].stock() == agreed.first?.stock)
      for store in stores { await store.close() }
    },
    OrderStoreBehaviour("SKUs that differ in case are two products, listed in order of their bytes") { fixture in
      let store = try await fixture.openWithSale()
      _ = try await store.create(makeSale(otherSKU, stock: 7))
      _ = try await store.create(makeSale(try SKU("Z"), stock: 0))
      #expect(try await store.sales().map(\.sku.text) == ["SKU-1", "Z", "sku-1"])
      #expect(try await store.record([makeOrder("a", sku: otherSKU)]) == [.recorded])
      #expect(try await store.stock() == 100)
      #expect(try await store.stock(otherSKU) == 6)
      await store.close()
    },
    OrderStoreBehaviour("new terms replace what is named and leave the rest") { fixture in
      let store = try await fixture.openWithSale()
      try await store.reschedule(sku, limit: nil, opensMs: 0, closesMs: nil)
      var expected = makeSale()
      expected.terms.opensMs = 0
      #expect(try await store.sale(sku) == expected)
      try await store.reschedule(sku, limit: 5, opensMs: nil, closesMs: 12)
      expected.terms.limit = 5
      expected.terms.closesMs = 12
      #expect(try await store.sale(sku) == expected)
      #expect(
        await errorOf { try await store.reschedule(otherSKU, limit: 1, opensMs: nil, closesMs: nil) } == .unknownProduct
      )
      #expect(await errorOf { try await store.reschedule(sku, limit: -1, opensMs: nil, closesMs: nil) } == .refused)
      #expect(try await store.sale(sku) == expected)
      await store.close()
    },
    OrderStoreBehaviour("a sale outside its bounds is refused") { fixture in
      let store = try await fixture.open()
      for sale in [
        makeSale(stock: -1), makeSale(stock: StockLimits.quantityMax + 1), makeSale(buckets: 0),
        makeSale(buckets: 16_385),
      ] {
        #expect(await errorOf { try await store.create(sale) } == .refused)
      }
      #expect(try await store.sales() == [])
      let largest = makeSale(stock: StockLimits.quantityMax, buckets: 3)
      #expect(try await store.create(largest) == largest)
      await store.close()
    },
    OrderStoreBehaviour("a closed store says so") { fixture in
      let store = try await fixture.openWithSale()
      await store.close()
      let orders = [try makeOrder("a")]
      #expect(await errorOf { try await store.record(orders) } == .unavailable)
      #expect(await errorOf { try await store.sales() } == .unavailable)
      #expect(await errorOf { try await store.create(makeSale()) } == .unavailable)
      await store.close()
    },
  ]

  static let restocks = [
    OrderStoreBehaviour("a restock counts once, and hears of another quantity") { fixture in
      let store = try await fixture.openWithSale()
      let token = try Token("r")
      #expect(try await store.restock(sku, token: token, quantity: 50) == .recorded)
      #expect(try await store.restock(sku, token: token, quantity: 50) == .alreadyRecorded)
      #expect(try await store.restock(sku, token: token, quantity: 51) == .mismatch(quantity: 50))
      #expect(try await store.restock(sku, token: Token("R"), quantity: -20) == .recorded)
      #expect(try await store.totals(of: sku) == SaleTotals(stock: 130, orders: [:], units: [:], restocked: 30))
      #expect(try await store.restock(otherSKU, token: token, quantity: 1) == .unknownProduct)
      await store.close()
    },
    OrderStoreBehaviour("stock is taken down to nothing, never below") { fixture in
      let store = try await fixture.openWithSale(stock: 10)
      #expect(try await store.restock(sku, token: Token("a"), quantity: -11) == .short(stock: 10))
      #expect(try await store.restock(sku, token: Token("a"), quantity: -10) == .recorded)
      #expect(try await store.stock() == 0)
      #expect(try await store.restock(sku, token: Token("a"), quantity: -10) == .alreadyRecorded)
      await store.close()
    },
    OrderStoreBehaviour("a restock that is undone leaves no trace, and its token is free") { fixture in
      let store = try await fixture.openWithSale()
      let token = try Token("r")
      try await store.undoRestock(sku, token: token)
      _ = try await store.restock(sku, token: token, quantity: -40)
      try await store.undoRestock(sku, token: token)
      try await store.undoRestock(sku, token: token)
      #expect(try await store.totals(of: sku) == SaleTotals(stock: 100, orders: [:], units: [:], restocked: 0))
      #expect(try await store.restock(sku, token: token, quantity: 7) == .recorded)
      #expect(try await store.stock() == 107)
      await store.close()
    },
    OrderStoreBehaviour("a restock whose units are sold can't be undone") { fixture in
      let store = try await fixture.openWithSale(stock: 0)
      _ = try await store.restock(sku, token: Token("r"), quantity: 5)
      #expect(try await store.record([makeOrder("a")]) == [.recorded])
      #expect(await errorOf { try await store.undoRestock(sku, token: Token("r")) } == .refused)
      #expect(try await store.totals(of: sku)?.restocked == 5)
      #expect(try await store.stock() == 4)
      await store.close()
    },
    OrderStoreBehaviour("a restock of nothing gives its token up, and changes no stock") { fixture in
      let store = try await fixture.openWithSale()
      let before = try await store.totals(of: sku)
      for outcome in [RestockOutcome.recorded, .alreadyRecorded] {
        #expect(try await store.restock(sku, token: Token("r"), quantity: 0) == outcome)
      }
      #expect(try await store.restock(sku, token: Token("r"), quantity: -1) == .mismatch(quantity: 0))
      #expect(try await store.totals(of: sku) == before)
      await store.close()
    },
    OrderStoreBehaviour("a restock beyond 2^53 in all is refused") { fixture in
      let store = try await fixture.openWithSale(stock: StockLimits.quantityMax - 1)
      _ = try await store.record([makeOrder("a", quantity: StockLimits.quantityMax - 1)])
      let token = try Token("r")
      for quantity in [2, StockLimits.quantityMax + 1, Int64.max, Int64.min] {
        #expect(await errorOf { try await store.restock(sku, token: token, quantity: quantity) } == .refused)
      }
      #expect(try await store.restock(sku, token: token, quantity: 1) == .recorded)
      #expect(try await store.stock() == 1)
      await store.close()
    },
    OrderStoreBehaviour("the same restock sent many times at once counts once") { fixture in
      let stores = [try await fixture.openWithSale(), try await fixture.open()]
      let outcomes = try await withThrowingTaskGroup(of: RestockOutcome.self) { group in
        for index in 0..<32 {
          group.addTask { try await stores[index % 2].restock(sku, token: Token("r"), quantity: 9) }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(outcomes.count { $0 == .recorded } == 1)
      #expect(outcomes.count { $0 == .alreadyRecorded } == 31)
      #expect(try await stores[1].stock() == 109)
      for store in stores { await store.close() }
    },
  ]
}
