import Orders
import Stock
import Testing

private func makeDatabaseSale(stock: Int64, limit: Int64 = 0, opensMs: Int64 = 0, closesMs: Int64 = 0) -> Sale {
  Sale(
    sku: sku,
    stock: stock,
    terms: SaleTerms(buckets: 1, limit: limit, opensMs: opensMs, closesMs: closesMs),
    path: .database,
    createdAtMs: 1_700_000_000_000
  )
}

private func purchase(_ token: String, user: String = "u", _ quantity: Int64 = 1) throws -> Purchase {
  try Purchase(sku: sku, user: UserID(user), token: Token(token), quantity: quantity)
}

extension OrderStoreFixture {
  fileprivate func openSelling(
    stock: Int64 = 100,
    limit: Int64 = 0,
    opensMs: Int64 = 0,
    closesMs: Int64 = 0
  ) async throws -> any OrderStore {
    let store = try await open()
    _ = try await store.create(makeDatabaseSale(stock: stock, limit: limit, opensMs: opensMs, closesMs: closesMs))
    return store
  }
}

extension OrderStore {
  fileprivate func sell(
    _ token: String,
    user: String = "u",
    _ quantity: Int64 = 1,
    holdMs: Int64? = nil,
    at nowMs: Int64 = 1_000
  ) async throws -> SellOutcome {
    try await sell(purchase(token, user: user, quantity), holdMs: holdMs, nowMs: nowMs)
  }
}

private func isAccepted(_ outcome: SellOutcome, _ state: OrderState = .sold, isRepeat: Bool = false) -> Bool {
  guard case .accepted(state, _, isRepeat) = outcome else { return false }
  return true
}

private func isRefused(_ outcome: SellOutcome, _ refusal: Refusal) -> Bool {
  guard case .refused(refusal, _) = outcome else { return false }
  return true
}

extension OrderStoreBehaviour {
  static let selling = [
    OrderStoreBehaviour("the database sells a unit, once per token") { fixture in
      let store = try await fixture.openSelling(stock: 5)
      #expect(try await isAccepted(store.sell("a", 2)))
      #expect(try await isAccepted(store.sell("a", 2), isRepeat: true))
      let order = Order(purchase: try purchase("a", 2), bucket: 0, createdAtMs: 1_000)
      let stored = StoredOrder(order: order, state: .sold)
      #expect(try await store.order(sku, token: Token("a")) == stored)
      #expect(
        try await store.totals(of: sku) == SaleTotals(stock: 3, orders: [.sold: 1], units: [.sold: 2], restocked: 0)
      )
      #expect(try await store.sell("a", 3) == .mismatch(stored))
      #expect(try await store.sell("a", user: "v", 2) == .mismatch(stored))
      #expect(try await isRefused(store.sell("b", 4), .soldOut))
      #expect(try await isAccepted(store.sell("b", 3)))
      // The token stands before the stock.
      #expect(try await isAccepted(store.sell("a", 2), isRepeat: true))
      #expect(try await isRefused(store.sell("c"), .soldOut))
      await store.close()
    },
    OrderStoreBehaviour("the window is the caller's clock's, and goes before limit and stock") { fixture in
      let store = try await fixture.openSelling(stock: 1, limit: 1, opensMs: 1_000, closesMs: 2_000)
      #expect(try await isRefused(store.sell("a", 5, at: 999), .early))
      #expect(try await isRefused(store.sell("a", 5, at: 2_000), .closed))
      #expect(try await isRefused(store.sell("a", 5, at: 1_999), .limit))
      #expect(try await isAccepted(store.sell("a", at: 1_000)))
      #expect(try await isAccepted(store.sell("a", at: 5_000), isRepeat: true))
      try await store.reschedule(sku, limit: nil, opensMs: nil, closesMs: 9_000)
      #expect(try await isRefused(store.sell("b", user: "v", at: 5_000), .soldOut))
      await store.close()
    },
    OrderStoreBehaviour("a buyer's limit counts held and sold units, and follows new terms") { fixture in
      let store = try await fixture.openSelling(limit: 3)
      #expect(try await isRefused(store.sell("a", 4), .limit))
      #expect(try await isAccepted(store.sell("a", 2)))
      #expect(try await isAccepted(store.sell("b", 1, holdMs: 500), .held))
      #expect(try await isRefused(store.sell("c"), .limit))
      #expect(try await isAccepted(store.sell("c", user: "v")))
      #expect(try await store.cancelOrder(sku, token: Token("a")) == .cancelled)
      #expect(try await isAccepted(store.sell("d", 2)))
      #expect(try await isRefused(store.sell("e"), .limit))
      try await store.reschedule(sku, limit: 0, opensMs: nil, closesMs: nil)
      #expect(try await isAccepted(store.sell("e", 20)))
      try await store.reschedule(sku, limit: 24, opensMs: nil, closesMs: nil)
      #expect(try await isRefused(store.sell("f", 2), .limit))
      #expect(try await isAccepted(store.sell("f", 1)))
      await store.close()
    },
    OrderStoreBehaviour("a hold is confirmed, cancelled or runs out, and its units come back once") { fixture in
      let store = try await fixture.openSelling(stock: 10)
      for token in ["a", "b", "c"] { #expect(try await isAccepted(store.sell(token, 2, holdMs: 500), .held)) }
      #expect(try await store.order(sku, token: Token("a"))?.expiresAtMs == 1_500)
      #expect(try await isAccepted(store.sell("a", 2, holdMs: 500), .held, isRepeat: true))
      #expect(try await store.stock() == 4)
      #expect(try await store.confirmOrder(sku, token: Token("a"), nowMs: 1_499) == .confirmed)
      #expect(try await store.confirmOrder(sku, token: Token("a"), nowMs: 9_999) == .alreadySold)
      #expect(try await store.order(sku, token: Token("a"))?.expiresAtMs == nil)
      #expect(try await store.cancelOrder(sku, token: Token("b")) == .cancelled)
      #expect(try await store.cancelOrder(sku, token: Token("b")) == .alreadyCancelled)
      #expect(try await store.confirmOrder(sku, token: Token("b"), nowMs: 1_000) == .cancelled)
      #expect(try await store.stock() == 6)
      #expect(try await store.confirmOrder(sku, token: Token("c"), nowMs: 1_500) == .cancelled)
      #expect(try await store.sell("c", 2, at: 1_500) == .cancelled)
      #expect(try await store.stock() == 8)
      #expect(try await store.confirmOrder(sku, token: Token("x"), nowMs: 0) == .unknownToken)
      #expect(try await store.cancelOrder(sku, token: Token("x")) == .unknownToken)
      #expect(try await store.cancelOrder(sku, token: Token("a")) == .cancelled)
      #expect(try await store.totals(of: sku)?.stock == 10)
      #expect(try await store.totals(of: sku)?.orders == [.cancelled: 3])
      await store.close()
    },
    OrderStoreBehaviour("holds that are over give their units to whoever wants them, or to a sweep") { fixture in
      let store = try await fixture.openSelling(stock: 4, limit: 4)
      for token in ["a", "b"] { #expect(try await isAccepted(store.sell(token, 2, holdMs: 500), .held)) }
      #expect(try await isRefused(store.sell("c", user: "v", at: 1_499), .soldOut))
      // The same buyer's limit is free again, too.
      #expect(try await isAccepted(store.sell("c", 4, holdMs: 500, at: 1_500), .held))
      #expect(try await store.sell("a", 2, at: 1_500) == .cancelled)
      #expect(try await store.expireHolds(of: sku, nowMs: 1_999, limit: 10) == 0)
      #expect(try await store.expireHolds(of: sku, nowMs: 2_000, limit: 10) == 1)
      #expect(try await store.expireHolds(of: sku, nowMs: 2_000, limit: 10) == 0)
      #expect(try await store.totals(of: sku)?.stock == 4)
      for index in 0..<4 { _ = try await store.sell("h\(index)", user: "h\(index)", holdMs: 1, at: 3_000) }
      #expect(try await store.expireHolds(of: sku, nowMs: 9_000, limit: 3) == 3)
      #expect(try await store.stock() == 3)
      await store.close()
    },
    OrderStoreBehaviour("a hold that was confirmed or cancelled never runs out") { fixture in
      let store = try await fixture.openSelling(stock: 4)
      for token in ["a", "b"] { _ = try await store.sell(token, holdMs: 500) }
      _ = try await store.confirmOrder(sku, token: Token("a"), nowMs: 1_000)
      _ = try await store.cancelOrder(sku, token: Token("b"))
      #expect(try await store.expireHolds(of: sku, nowMs: 99_999, limit: 10) == 0)
      #expect(try await store.totals(of: sku)?.orders == [.sold: 1, .cancelled: 1])
      await store.close()
    },
    OrderStoreBehaviour("the database does not sell what buckets sell, nor what it does not know") { fixture in
      let store = try await fixture.openWithSale()
      #expect(await errorOf { try await store.sell("a") } == .refused)
      #expect(await errorOf { try await store.confirmOrder(sku, token: Token("a"), nowMs: 0) } == .refused)
      #expect(await errorOf { try await store.cancelOrder(sku, token: Token("a")) } == .refused)
      let unknown = try Purchase(sku: otherSKU, user: UserID("u"), token: Token("a"))
      #expect(try await store.sell(unknown, holdMs: nil, nowMs: 0) == .unknownProduct)
      #expect(await errorOf { try await store.cancelOrder(otherSKU, token: Token("a")) } == .unknownProduct)
      await store.close()
      let other = try await fixture.open()
      _ = try await other.create(
        Sale(sku: otherSKU, stock: 9, terms: SaleTerms(), path: .database, createdAtMs: 1)
      )
      #expect(await errorOf { try await other.sell(unknown, holdMs: 0, nowMs: 0) } == .refused)
      guard case .refused = try await other.repair([.record(makeOrder("a", sku: otherSKU), as: .sold)]).first else {
        Issue.record("a sale without buckets was mended by a bucket")
        return
      }
      await other.close()
    },
    OrderStoreBehaviour("a crowd buys all, nobody beyond the limit, and nothing twice") { fixture in
      let stores = [try await fixture.openSelling(stock: 120, limit: 3), try await fixture.open()]
      let bought = try await withThrowingTaskGroup(of: [String: Int64].self) { group in
        for caller in 0..<48 {
          group.addTask {
            var bought: [String: Int64] = [:]
            for index in 0..<6 {
              // Two callers share each token, eight each user.
              let (token, user) = ("t\(caller / 2)-\(index)", "u\(caller / 2 % 12)-\(index % 4)")
              let quantity = Int64(index % 2 + 1)
              let outcome = try await stores[caller % 2].sell(token, user: user, quantity)
              switch outcome {
              case .accepted(_, _, false): bought[user, default: 0] += quantity
              case .accepted, .refused: break
              case .cancelled, .mismatch, .unknownProduct: Issue.record("\(token): \(outcome)")
              }
            }
            return bought
          }
        }
        return try await group.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
      }
      #expect(bought.values.allSatisfy { $0 <= 3 })
      let totals = try #require(try await stores[0].totals(of: sku))
      #expect(totals.units[.sold] == bought.values.reduce(0, +))
      #expect(totals.stock == 120 - (totals.units[.sold] ?? 0))
      #expect(try await stores[0].repair([.recount(sku)]) == [.unchanged])
      for store in stores { await store.close() }
    },
    OrderStoreBehaviour("a crowd larger than the stock sells it out exactly") { fixture in
      let stores = [try await fixture.openSelling(stock: 50), try await fixture.open()]
      let accepted = try await withThrowingTaskGroup(of: Int.self) { group in
        for caller in 0..<100 {
          group.addTask { isAccepted(try await stores[caller % 2].sell("t\(caller)", user: "u\(caller)")) ? 1 : 0 }
        }
        return try await group.reduce(0, +)
      }
      #expect(accepted == 50)
      #expect(try await stores[1].totals(of: sku)?.orders == [.sold: 50])
      #expect(try await stores[1].stock() == 0)
      for store in stores { await store.close() }
    },
  ]
}
