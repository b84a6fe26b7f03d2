import Orders
import Stock
import Testing

extension OrderStoreBehaviour {
  static let audits = [
    OrderStoreBehaviour("orders come in pages, in order of their tokens' bytes, with all that is known of them") {
      fixture in
      let store = try await fixture.openWithSale()
      let names: [[UInt8]] = [[0], [0, 0], Array("A".utf8), Array("a".utf8), Array("a ".utf8), [0xC3], [0xFF]]
      let orders = try names.enumerated().map { index, name in
        try makeOrder(token: name, user: [UInt8(index)], quantity: 2, bucket: index % 2).numbered(Int64(index))
      }
      _ = try await store.record(orders.reversed())
      let stored = orders.map { StoredOrder(order: $0, state: .sold) }
      #expect(try await store.orders(of: sku, bucket: nil, after: nil, limit: 100) == stored)
      #expect(try await store.allOrders(by: 3) == stored)
      #expect(try await store.allOrders(by: 1, bucket: 1) == stored.filter { $0.order.bucket == 1 })
      #expect(try await store.orders(of: sku, bucket: 3, after: nil, limit: 100) == [])
      #expect(try await store.orders(of: otherSKU, bucket: nil, after: nil, limit: 100) == [])
      #expect(try await store.orders(of: sku, bucket: nil, after: Token("a"), limit: 1) == [stored[4]])
      #expect(try await store.orders(of: sku, bucket: nil, after: nil, limit: 0).count == 1)
      await store.close()
    },
    OrderStoreBehaviour("orders are looked up by their tokens, many at a time") { fixture in
      let store = try await fixture.openWithSale(stock: 5_000)
      let orders = try (0..<2_500).map { try makeOrder("t\($0)") }
      _ = try await store.record(orders)
      let tokens = try orders.map(\.purchase.token) + [Token("unknown")]
      let found = try await store.orders(of: sku, tokens: tokens)
      #expect(Set(found) == Set(orders.map { StoredOrder(order: $0, state: .sold) }))
      #expect(found.count == 2_500)
      #expect(try await store.orders(of: sku, tokens: []) == [])
      #expect(try await store.orders(of: otherSKU, tokens: [Token("t1")]) == [])
      await store.close()
    },
    OrderStoreBehaviour("restocks come in pages") { fixture in
      let store = try await fixture.openWithSale()
      let restocks = try ["a", "b", "c"].enumerated().map {
        StoredRestock(token: try Token($1), quantity: Int64($0) - 1)
      }
      for restock in restocks { _ = try await store.restock(sku, token: restock.token, quantity: restock.quantity) }
      #expect(try await store.restocks(of: sku, after: nil, limit: 2) == Array(restocks[..<2]))
      #expect(try await store.restocks(of: sku, after: Token("b"), limit: 2) == [restocks[2]])
      #expect(try await store.restocks(of: otherSKU, after: nil, limit: 2) == [])
      await store.close()
    },
    OrderStoreBehaviour("totals are kept as the orders make them, by state, and none of another product's") { fixture in
      let store = try await fixture.openWithSale()
      #expect(try await store.countedTotals(of: otherSKU) == nil)
      _ = try await store.create(makeSale(otherSKU))
      _ = try await store.record([makeOrder("x", quantity: 50, sku: otherSKU)])
      _ = try await store.restock(sku, token: Token("r"), quantity: 20)
      let empty = SaleTotals(stock: 120, orders: [:], units: [:], restocked: 20)
      #expect(try await store.countedTotals(of: sku) == CountedTotals(kept: empty, counted: empty))
      for (index, state) in OrderState.allCases.enumerated() {
        let orders = try (0...index).map { try makeOrder("\(state)-\($0)", quantity: 2) }
        _ = try await store.repair(orders.map { OrderRepair.record($0, as: state) })
      }
      let totals = SaleTotals(
        stock: 114,
        orders: [.held: 1, .sold: 2, .cancelled: 3, .rejected: 4],
        units: [.held: 2, .sold: 4, .cancelled: 6, .rejected: 8],
        restocked: 20
      )
      #expect(try await store.countedTotals(of: sku) == CountedTotals(kept: totals, counted: totals))
      await store.close()
    },
    OrderStoreBehaviour("a position is replaced only where it is what its caller believes") { fixture in
      let store = try await fixture.openWithSale()
      let (old, new) = (LogPosition(epoch: 7, sequence: 3), LogPosition(epoch: 9, sequence: 0))
      #expect(try await store.positions(of: sku) == [:])
      #expect(try await store.replacePosition(of: bucket, new, with: old) == nil)
      #expect(try await store.replacePosition(of: bucket, nil, with: old) == old)
      #expect(try await store.replacePosition(of: bucket, nil, with: new) == old)
      #expect(try await store.replacePosition(of: bucket, old, with: new) == new)
      #expect(try await store.position(of: bucket) == new)
      _ = try await store.follow(nil, nil)
      #expect(try await store.position(of: bucket) == LogPosition(epoch: 9, sequence: 2))
      let second = BucketID(sku: sku, index: 2)
      _ = try await store.replacePosition(of: second, nil, with: old)
      #expect(try await store.positions(of: sku) == [0: LogPosition(epoch: 9, sequence: 2), 2: old])
      let unknown = BucketID(sku: otherSKU, index: 0)
      #expect(await errorOf { try await store.replacePosition(of: unknown, nil, with: new) } == .unknownProduct)
      let negative = LogPosition(epoch: 9, sequence: -1)
      #expect(await errorOf { try await store.replacePosition(of: second, old, with: negative) } == .refused)
      await store.close()
    },
  ]

  static let leases = [
    OrderStoreBehaviour("a worker alone has all buckets, and shares them with those that come") { fixture in
      let stores = [try await fixture.openWithSale(), try await fixture.open()]
      func claim(_ worker: String) async throws -> [Int] {
        let store = worker == "a" ? stores[0] : stores[1]
        return try await store.claimBuckets(of: sku, for: worker, leaseMs: 600_000).buckets
      }
      #expect(try await claim("a") == [0, 1, 2, 3])
      #expect(try await claim("b") == [])
      #expect(try await claim("a") == [0, 1])
      #expect(try await claim("b") == [2, 3])
      #expect(try await claim("c") == [])
      #expect(try await claim("a") == [0, 1])
      #expect(try await claim("b") == [2])
      #expect(try await claim("c") == [3])
      let leases = try await stores[0].leases(of: sku)
      #expect(leases.map(\.worker) == ["a", "a", "b", "c"])
      #expect(leases.map(\.bucket) == [0, 1, 2, 3])
      #expect(leases.allSatisfy { (1...600_000).contains($0.remainingMs) })
      try await stores[0].releaseBuckets(of: sku, from: "a")
      #expect(try await claim("b") == [0, 2])
      #expect(try await claim("c") == [1, 3])
      for store in stores { await store.close() }
    },
    OrderStoreBehaviour("a dead worker's buckets are taken over when its lease is over") { fixture in
      let store = try await fixture.openWithSale()
      _ = try await store.claimBuckets(of: sku, for: "dead", leaseMs: 1)
      try await eventually("the end of a lease") {
        let claim = try await store.claimBuckets(of: sku, for: "alive", leaseMs: 600_000)
        return claim == BucketClaim(buckets: [0, 1, 2, 3], workers: 1)
      }
      #expect(try await store.leases(of: sku).allSatisfy { $0.worker == "alive" })
      await store.close()
    },
    OrderStoreBehaviour("workers that claim at once never share a bucket") { fixture in
      let stores = [try await fixture.openWithSale(), try await fixture.open()]
      try await withThrowingTaskGroup(of: Void.self) { group in
        for worker in 0..<6 {
          group.addTask {
            for _ in 0..<5 {
              _ = try await stores[worker % 2].claimBuckets(of: sku, for: "w\(worker)", leaseMs: 60_000)
            }
          }
        }
        try await group.waitForAll()
      }
      let leases = try await stores[0].leases(of: sku)
      #expect(Set(leases.map(\.bucket)).count == leases.count)
      for store in stores { await store.close() }
    },
    OrderStoreBehaviour("a claim outside its bounds is refused") { fixture in
      let store = try await fixture.openWithSale()
      let long = String(repeating: "w", count: 65)
      for (worker, leaseMs) in [("", 1), (long, 1), ("w", 0), ("w", 3_600_001)] as [(String, Int64)] {
        #expect(await errorOf { try await store.claimBuckets(of: sku, for: worker, leaseMs: leaseMs) } == .refused)
      }
      #expect(await errorOf { try await store.claimBuckets(of: otherSKU, for: "w", leaseMs: 9) } == .unknownProduct)
      await store.close()
    },
  ]
}

extension OrderStore {
  /// All pages, one after the other.
  func allOrders(by limit: Int, bucket: Int? = nil) async throws -> [StoredOrder] {
    var all: [StoredOrder] = []
    while true {
      let page = try await orders(of: sku, bucket: bucket, after: all.last?.order.purchase.token, limit: limit)
      all += page
      if page.count < limit { return all }
    }
  }
}

/// Waits until `condition` holds, for 20 seconds at most.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
  let end = ContinuousClock.now + .seconds(20)
  while try await !condition() {
    guard ContinuousClock.now < end else {
      Issue.record("waited in vain for \(what)")
      return
    }
    try await Task.sleep(for: .milliseconds(1))
  }
}
