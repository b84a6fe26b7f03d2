import Orders
import Stock
import Testing

extension OrderStore {
  fileprivate func repair(_ repairs: OrderRepair...) async throws -> [RepairOutcome] { try await repair(repairs) }

  fileprivate func stored(_ token: String) async throws -> StoredOrder {
    try #require(try await order(sku, token: Token(token)))
  }
}

extension OrderStoreBehaviour {
  static let repairs = [
    OrderStoreBehaviour("an order that is missing is recorded in the state that is asked for, once") { fixture in
      let store = try await fixture.openWithSale()
      let orders = try OrderState.allCases.map { try makeOrder($0.rawValue, quantity: 3, sequence: 5) }
      let repairs = zip(orders, OrderState.allCases).map { OrderRepair.record($0, as: $1) }
      #expect(try await store.repair(repairs) == [.repaired, .repaired, .repaired, .repaired])
      #expect(try await store.repair(repairs) == [.unchanged, .unchanged, .unchanged, .unchanged])
      for (order, state) in zip(orders, OrderState.allCases) {
        #expect(try await store.stored(state.rawValue) == StoredOrder(order: order, state: state))
      }
      #expect(try await store.stock() == 94)
      let other = try makeOrder("sold", user: "v", quantity: 3)
      #expect(try await store.repair(.record(other, as: .sold)) == [.conflict(try await store.stored("sold"))])
      await store.close()
    },
    OrderStoreBehaviour("an order whose units are not there is recorded as rejected") { fixture in
      let store = try await fixture.openWithSale(stock: 2)
      #expect(try await store.repair(.record(makeOrder("a", quantity: 3), as: .sold)) == [.rejected])
      #expect(try await store.state("a") == .rejected)
      #expect(try await store.stock() == 2)
      await store.close()
    },
    OrderStoreBehaviour("a state is mended forward only, and its units come back once") { fixture in
      let states = OrderState.allCases
      for later in states {
        let store = try await fixture.open()
        let product = try SKU("sku-\(later.rawValue)")
        _ = try await store.create(makeSale(product))
        _ = try await store.repair(
          states.map { .record(try makeOrder($0.rawValue, quantity: 3, sku: product), as: $0) }
        )
        let moves = try states.map { OrderRepair.move(product, try Token($0.rawValue), to: later) }
        let forward: [OrderState] =
          switch later {
          case .held: []
          case .sold: [.held]
          case .cancelled, .rejected: [.held, .sold]
          }
        #expect(try await store.repair(moves) == states.map { forward.contains($0) ? .repaired : .unchanged })
        #expect(try await store.repair(moves).allSatisfy { $0 == .unchanged })
        for state in states {
          let now = try await store.order(product, token: Token(state.rawValue))?.state
          #expect(now == (forward.contains(state) ? later : state))
        }
        #expect(try await store.stock(product) == (later == .held || later == .sold ? 94 : 100))
        #expect(try await store.repair(.move(product, Token("x"), to: later)) == [.unknownOrder])
        await store.close()
      }
    },
    OrderStoreBehaviour("an order that differs is corrected, and the stock follows its quantity") { fixture in
      let store = try await fixture.openWithSale(stock: 10)
      _ = try await store.record([makeOrder("a", user: "u", quantity: 3)])
      let old = try await store.stored("a")
      let right = try makeOrder("a", user: "v", quantity: 5, bucket: 1, sequence: 9)
      #expect(try await store.repair(.correct(from: old, to: right)) == [.repaired])
      #expect(try await store.stored("a") == StoredOrder(order: right, state: .sold))
      #expect(try await store.stock() == 5)
      #expect(try await store.repair(.correct(from: old, to: right)) == [.unchanged])
      // What is not the row any more corrects nothing.
      let stale = try makeOrder("a", user: "w")
      #expect(try await store.repair(.correct(from: old, to: stale)) == [.conflict(try await store.stored("a"))])
      let now = try await store.stored("a")
      #expect(try await store.repair(.correct(from: now, to: makeOrder("a", quantity: 11))) == [.short(stock: 5)])
      #expect(try await store.stored("a") == now)
      #expect(try await store.repair(.correct(from: now, to: makeOrder("a", quantity: 1))) == [.repaired])
      #expect(try await store.stock() == 9)
      let unknown = StoredOrder(order: try makeOrder("b"), state: .sold)
      #expect(try await store.repair(.correct(from: unknown, to: makeOrder("b"))) == [.unknownOrder])
      guard case .refused = try await store.repair(.correct(from: now, to: makeOrder("b"))).first else {
        Issue.record("an order became another token's")
        return
      }
      await store.close()
    },
    OrderStoreBehaviour("a cancelled order is corrected without touching the stock") { fixture in
      let store = try await fixture.openWithSale()
      _ = try await store.repair(.record(makeOrder("a", quantity: 3), as: .cancelled))
      let old = try await store.stored("a")
      #expect(try await store.repair(.correct(from: old, to: makeOrder("a", quantity: 7))) == [.repaired])
      #expect(try await store.stock() == 100)
      #expect(try await store.totals(of: sku)?.units == [.cancelled: 7])
      await store.close()
    },
    OrderStoreBehaviour("a recount of books that balance changes nothing") { fixture in
      let store = try await fixture.openWithSale()
      _ = try await store.record([makeOrder("a", quantity: 3), makeOrder("b")])
      _ = try await store.restock(sku, token: Token("r"), quantity: -5)
      let before = try await store.totals(of: sku)
      #expect(try await store.repair(.recount(sku), .recount(sku)) == [.unchanged, .unchanged])
      #expect(try await store.totals(of: sku) == before)
      #expect(try await store.repair(.recount(otherSKU)) == [.unknownProduct])
      await store.close()
    },
    OrderStoreBehaviour("repairs of one call see each other, and one that is refused fails alone") { fixture in
      let store = try await fixture.openWithSale(stock: 5)
      let token = try Token("a")
      let outcomes = try await store.repair(
        .record(makeOrder("a", quantity: 4), as: .sold),
        .record(makeOrder("bad", bucket: -1), as: .sold),
        .record(makeOrder("b", quantity: 2), as: .sold),
        .move(sku, token, to: .cancelled),
        .record(makeOrder("c", quantity: 5), as: .held),
        .recount(sku)
      )
      guard case .refused(let reason) = outcomes[1] else {
        Issue.record("\(outcomes[1])")
        return
      }
      #expect(!reason.isEmpty)
      #expect(outcomes[0] == .repaired && outcomes[2] == .rejected)
      #expect(outcomes[3...] == [.repaired, .repaired, .unchanged])
      #expect(try await store.stock() == 0)
      await store.close()
    },
    OrderStoreBehaviour("a recount while orders are recorded leaves books that balance") { fixture in
      let stores = [try await fixture.openWithSale(stock: 400), try await fixture.open()]
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<200 {
          group.addTask { _ = try await stores[index % 2].record([makeOrder("t\(index)", quantity: 2)]) }
        }
        for index in 0..<10 {
          group.addTask {
            let outcomes = try await stores[index % 2].repair(.recount(sku))
            #expect(outcomes == [.unchanged])
          }
        }
        try await group.waitForAll()
      }
      #expect(try await stores[0].stock() == 0)
      for store in stores { await store.close() }
    },
  ]
}
