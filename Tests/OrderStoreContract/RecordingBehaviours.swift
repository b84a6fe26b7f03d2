import Orders
import Stock
import Testing

extension OrderStoreBehaviour {
  static let recording = [
    OrderStoreBehaviour("an order becomes a row and a decrement, once") { fixture in
      let store = try await fixture.openWithSale()
      let order = try makeOrder("a", user: "someone", quantity: 3, bucket: 2, sequence: 17)
      #expect(try await store.record([order]) == [.recorded])
      #expect(try await store.record([order]) == [.alreadyRecorded(.sold)])
      #expect(try await store.order(sku, token: Token("a")) == StoredOrder(order: order, state: .sold))
      #expect(
        try await store.totals(of: sku)
          == SaleTotals(stock: 97, orders: [.sold: 1], units: [.sold: 3], restocked: 0)
      )
      #expect(try await store.order(sku, token: Token("b")) == nil)
      #expect(try await store.order(otherSKU, token: Token("a")) == nil)
      await store.close()
    },
    OrderStoreBehaviour("no orders have no outcomes") { fixture in
      let store = try await fixture.openWithSale()
      #expect(try await store.record([]) == [])
      await store.close()
    },
    OrderStoreBehaviour("a message without the sequence, or of another time, is the same order") { fixture in
      let store = try await fixture.openWithSale()
      var order = try makeOrder("a", sequence: 17)
      _ = try await store.record([order])
      order.sequence = nil
      order.createdAtMs += 1
      #expect(try await store.record([order]) == [.alreadyRecorded(.sold)])
      #expect(try await store.sequence("a") == 17)
      await store.close()
    },
    OrderStoreBehaviour("another user, quantity or bucket is a conflict that changes nothing") { fixture in
      let store = try await fixture.openWithSale()
      let order = try makeOrder("a", user: "u", quantity: 3, bucket: 2)
      _ = try await store.record([order])
      let stored = StoredOrder(order: order, state: .sold)
      for other in [
        try makeOrder("a", user: "v", quantity: 3, bucket: 2), try makeOrder("a", user: "u", quantity: 4, bucket: 2),
        try makeOrder("a", user: "u", quantity: 3, bucket: 1),
      ] {
        #expect(try await store.record([other]) == [.conflict(stored)])
      }
      #expect(try await store.order(sku, token: Token("a")) == stored)
      #expect(try await store.stock() == 97)
      await store.close()
    },
    OrderStoreBehaviour("an unknown product changes nothing, and its neighbours are recorded") { fixture in
      let store = try await fixture.openWithSale()
      let outcomes = try await store.record([makeOrder("a"), makeOrder("a", sku: otherSKU), makeOrder("b")])
      #expect(outcomes == [.recorded, .unknownProduct, .recorded])
      #expect(try await store.order(otherSKU, token: Token("a")) == nil)
      #expect(try await store.stock() == 98)
      await store.close()
    },
    OrderStoreBehaviour("where the stock is short the order is rejected, and stays so after a restock") { fixture in
      let store = try await fixture.openWithSale(stock: 2)
      let order = try makeOrder("a", quantity: 3)
      #expect(try await store.record([order]) == [.rejected])
      _ = try await store.restock(sku, token: Token("r"), quantity: 10)
      #expect(try await store.record([order]) == [.alreadyRecorded(.rejected)])
      #expect(
        try await store.totals(of: sku)
          == SaleTotals(stock: 12, orders: [.rejected: 1], units: [.rejected: 3], restocked: 10)
      )
      await store.close()
    },
    OrderStoreBehaviour("an order that is not to be rejected waits, while the stock is short") { fixture in
      let store = try await fixture.openWithSale(stock: 2)
      let (order, small) = (try makeOrder("a", quantity: 3), try makeOrder("b"))
      let outcomes = try await store.record([order, small, order], as: .sold, rejecting: false)
      #expect(outcomes == [.short(stock: 2), .recorded, .short(stock: 1)])
      #expect(try await store.order(sku, token: Token("a")) == nil)
      _ = try await store.restock(sku, token: Token("r"), quantity: 2)
      #expect(try await store.record([order], as: .sold, rejecting: false) == [.recorded])
      // What has an order says so, short or not.
      let differing = try makeOrder("a", quantity: 4)
      let stored = StoredOrder(order: order, state: .sold)
      #expect(
        try await store.record([order, differing], as: .sold, rejecting: false)
          == [.alreadyRecorded(.sold), .conflict(stored)]
      )
      #expect(try await store.stock() == 0)
      await store.close()
    },
    OrderStoreBehaviour("a held order takes its units, and its message is the same order when it is sold") { fixture in
      let store = try await fixture.openWithSale()
      let order = try makeOrder("a", quantity: 3)
      #expect(try await store.record([order], as: .held, rejecting: false) == [.recorded])
      #expect(try await store.record([order]) == [.alreadyRecorded(.held)])
      #expect(try await store.order(sku, token: Token("a")) == StoredOrder(order: order, state: .held))
      #expect(
        try await store.totals(of: sku)
          == SaleTotals(stock: 97, orders: [.held: 1], units: [.held: 3], restocked: 0)
      )
      await store.close()
    },
    OrderStoreBehaviour("a short order in a batch is rejected; smaller ones after it take what is left") { fixture in
      let store = try await fixture.openWithSale(stock: 5)
      let outcomes = try await store.record([
        makeOrder("a", quantity: 4), makeOrder("b", quantity: 2), makeOrder("c", quantity: 1), makeOrder("d"),
      ])
      #expect(outcomes == [.recorded, .rejected, .recorded, .rejected])
      #expect(try await store.stock() == 0)
      await store.close()
    },
    OrderStoreBehaviour("orders of one token in one batch behave as if one came after the other") { fixture in
      let store = try await fixture.openWithSale(stock: 3)
      let first = try makeOrder("a", quantity: 2)
      let outcomes = try await store.record([
        first, first, makeOrder("a", user: "other", quantity: 2), makeOrder("b", quantity: 2),
        makeOrder("b", quantity: 2), first,
      ])
      #expect(
        outcomes == [
          .recorded, .alreadyRecorded(.sold), .conflict(StoredOrder(order: first, state: .sold)), .rejected,
          .alreadyRecorded(.rejected), .alreadyRecorded(.sold),
        ]
      )
      #expect(try await store.stock() == 1)
      await store.close()
    },
    OrderStoreBehaviour("products of one batch each fall by their own orders") { fixture in
      let store = try await fixture.openWithSale(stock: 2)
      _ = try await store.create(makeSale(otherSKU, stock: 1))
      let orders = try (0..<6).map { try makeOrder("t\($0 / 2)", sku: $0 % 2 == 0 ? sku : otherSKU) }
      #expect(try await store.record(orders) == [.recorded, .recorded, .recorded, .rejected, .rejected, .rejected])
      #expect(try await store.stock() == 0)
      #expect(try await store.stock(otherSKU) == 0)
      await store.close()
    },
    OrderStoreBehaviour("an order that can't be written is refused, and its neighbours are recorded") { fixture in
      let store = try await fixture.openWithSale()
      var orders = try (0..<40).map { try makeOrder("t\($0)") }
      for bad in [0, 17, 18, 39] { orders[bad].bucket = -1 }
      let outcomes = try await store.record(orders)
      for (index, outcome) in outcomes.enumerated() {
        if case .refused(let reason) = outcome {
          #expect(orders[index].bucket == -1)
          #expect(!reason.isEmpty)
        } else {
          #expect(outcome == .recorded && orders[index].bucket == 0, "order \(index)")
        }
      }
      #expect(outcomes.count == 40)
      #expect(try await store.totals(of: sku)?.orders == [.sold: 36])
      #expect(try await store.stock() == 64)
      await store.close()
    },
    OrderStoreBehaviour("tokens and users are bytes: case, blanks, accents, NUL and broken UTF-8 count") { fixture in
      let store = try await fixture.openWithSale()
      let names: [[UInt8]] = [
        Array("abc".utf8), Array("ABC".utf8), Array("abc ".utf8), Array("äbc".utf8), Array("a\u{308}bc".utf8),
        [0x61, 0x62, 0x63, 0], [0], [0xFF], [0xFF, 0xFE], [0xC3], Array(repeating: 0x61, count: 128),
      ]
      let orders = try names.map { try makeOrder(token: $0, user: $0) }
      #expect(try await store.record(orders) == Array(repeating: .recorded, count: names.count))
      for order in orders {
        #expect(
          try await store.order(sku, token: order.purchase.token) == StoredOrder(order: order, state: .sold)
        )
      }
      let stored = StoredOrder(order: orders[0], state: .sold)
      for user in names.dropFirst() {
        #expect(try await store.record([makeOrder(token: names[0], user: user)]) == [.conflict(stored)])
      }
      #expect(try await store.stock() == Int64(100 - names.count))
      await store.close()
    },
    OrderStoreBehaviour("the largest quantity fits") { fixture in
      let store = try await fixture.openWithSale(stock: StockLimits.quantityMax)
      let order = try makeOrder("a", quantity: StockLimits.quantityMax)
      #expect(try await store.record([order]) == [.recorded])
      #expect(try await store.stock() == 0)
      _ = try await store.follow(nil, .moved(order.purchase.token, user: nil, to: .cancelled))
      #expect(try await store.stock() == StockLimits.quantityMax)
      await store.close()
    },
    OrderStoreBehaviour("a call larger than any batch has an outcome for each order") { fixture in
      let store = try await fixture.openWithSale(stock: 4_500)
      // One token twice, far apart, so that its halves are in different transactions.
      let orders = try (0..<4_501).map { try makeOrder("t\($0 % 4_500)") }
      let outcomes = try await store.record(orders)
      #expect(outcomes.count == 4_501)
      #expect(outcomes.dropLast().allSatisfy { $0 == .recorded })
      #expect(outcomes.last == .alreadyRecorded(.sold))
      #expect(try await store.stock() == 0)
      await store.close()
    },
  ]

  static let concurrency = [
    OrderStoreBehaviour("many callers exhaust the stock exactly, and never go below") { fixture in
      let stores = [try await fixture.openWithSale(stock: 500), try await fixture.open()]
      let quantities: [Int64] = [1, 2, 3]
      let taken = try await withThrowingTaskGroup(of: Int64.self) { group in
        for caller in 0..<64 {
          group.addTask {
            var taken: Int64 = 0
            for index in 0..<8 {
              let quantity = quantities[(caller + index) % 3]
              let order = try makeOrder("\(caller)-\(index)", quantity: quantity)
              let outcome = try await stores[caller % 2].record([order])
              if outcome == [.recorded] { taken += quantity } else { #expect(outcome == [.rejected]) }
            }
            return taken
          }
        }
        return try await group.reduce(0, +)
      }
      let totals = try #require(try await stores[0].totals(of: sku))
      #expect(totals.stock >= 0)
      // 1,024 units were asked for: what is left is less than the smallest order that was refused.
      #expect(totals.stock == 0)
      #expect(taken + totals.stock == 500)
      #expect(totals.units[.sold] == taken)
      #expect(totals.orders.values.reduce(0, +) == 512)
      for store in stores { await store.close() }
    },
    OrderStoreBehaviour("one token from many callers at once is one order") { fixture in
      let stores = [try await fixture.openWithSale(), try await fixture.open()]
      let outcomes = try await withThrowingTaskGroup(of: [RecordOutcome].self) { group in
        for caller in 0..<64 {
          group.addTask { try await stores[caller % 2].record([makeOrder("a", user: "u\(caller % 4)")]) }
        }
        return try await group.reduce(into: []) { $0 += $1 }
      }
      #expect(outcomes.count { $0 == .recorded } == 1)
      #expect(outcomes.count { $0 == .alreadyRecorded(.sold) } == 15)
      #expect(try await stores[0].stock() == 99)
      for store in stores { await store.close() }
    },
    OrderStoreBehaviour("bad orders of other callers don't fail a good one") { fixture in
      let store = try await fixture.openWithSale(stock: 300)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for caller in 0..<300 {
          group.addTask {
            let order = try makeOrder("t\(caller)", bucket: caller % 10 == 3 ? -1 : 0)
            let outcome = try await store.record([order])
            if case .refused = outcome.first { #expect(order.bucket == -1) } else { #expect(outcome == [.recorded]) }
          }
        }
        try await group.waitForAll()
      }
      #expect(try await store.totals(of: sku)?.orders == [.sold: 270])
      #expect(try await store.stock() == 30)
      await store.close()
    },
    OrderStoreBehaviour("a cancelled task's order is written all the same, and its neighbours too") { fixture in
      let store = try await fixture.openWithSale()
      let tasks = try (0..<20).map { index in
        let order = try makeOrder("t\(index)")
        return Task { try await store.record([order]) }
      }
      for task in tasks.prefix(10) { task.cancel() }
      for task in tasks { #expect(try await task.value == [.recorded]) }
      #expect(try await store.stock() == 80)
      await store.close()
    },
  ]
}
