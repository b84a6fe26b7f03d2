import Orders
import Stock
import Testing

private func purchased(_ order: Order, _ state: OrderState = .sold, store: Bool = false) -> LogBatch.Entry {
  .purchased(order, state: state, storeIfMissing: store)
}

private func moved(_ token: String, user: String? = nil, to state: OrderState) throws -> LogBatch.Entry {
  .moved(try Token(token), user: try user.map { try UserID($0) }, to: state)
}

extension OrderStoreBehaviour {
  static let log = [
    OrderStoreBehaviour("events that concern no order move the position") { fixture in
      let store = try await fixture.openWithSale()
      let outcome = try await store.follow(nil, nil, nil)
      let position = LogPosition(epoch: 7, sequence: 3)
      #expect(outcome == LogBatchOutcome(position: position, applied: true))
      #expect(try await store.position(of: bucket) == position)
      #expect(try await store.position(of: BucketID(sku: sku, index: 1)) == nil)
      await store.close()
    },
    OrderStoreBehaviour("a purchase that is an order gets its sequence, once") { fixture in
      let store = try await fixture.openWithSale()
      let order = try makeOrder("a")
      _ = try await store.record([order])
      let outcome = try await store.follow(nil, purchased(order))
      #expect(outcome.applied && outcome.stop == nil && outcome.stored == 0)
      #expect(try await store.sequence("a") == 2)
      // The event of another recording of the same purchase is not the one that took the token.
      _ = try await store.follow(purchased(order))
      #expect(try await store.sequence("a") == 2)
      #expect(try await store.stock() == 99)
      await store.close()
    },
    OrderStoreBehaviour("the log stops before a purchase whose message may still come, then goes on") { fixture in
      let store = try await fixture.openWithSale()
      let (first, second) = (try makeOrder("a"), try makeOrder("b"))
      _ = try await store.record([first])
      let entries = [nil, purchased(first), purchased(second), try moved("a", to: .cancelled)]
      let start = LogPosition(epoch: 7, sequence: 0)
      let waiting = try await store.follow(makeBatch(from: start, entries))
      let position = LogPosition(epoch: 7, sequence: 2)
      #expect(
        waiting
          == LogBatchOutcome(position: position, applied: true, stop: .init(sequence: 3, reason: .missing))
      )
      #expect(try await store.state("a") == .sold)
      _ = try await store.record([second])
      let rest = try await store.follow(makeBatch(from: position, Array(entries[2...])))
      #expect(rest.position == LogPosition(epoch: 7, sequence: 4) && rest.stop == nil)
      #expect(try await store.state("a") == .cancelled)
      #expect(try await store.sequence("b") == 3)
      await store.close()
    },
    OrderStoreBehaviour("a log that waits at its first event has not moved") { fixture in
      let store = try await fixture.openWithSale()
      let outcome = try await store.follow(purchased(makeOrder("a")))
      #expect(outcome.applied && outcome.stop?.sequence == 1 && outcome.position.sequence == 0)
      #expect(try await store.position(of: bucket)?.sequence ?? 0 == 0)
      #expect(try await store.order(sku, token: Token("a")) == nil)
      await store.close()
    },
    OrderStoreBehaviour("a purchase without an order is stored from the log, and its message is late") { fixture in
      let store = try await fixture.openWithSale()
      let order = try makeOrder("a", quantity: 4)
      let outcome = try await store.follow(nil, purchased(order, store: true))
      #expect(outcome.stored == 1 && outcome.stop == nil)
      #expect(try await store.order(sku, token: Token("a")) == StoredOrder(order: order.numbered(2), state: .sold))
      #expect(try await store.record([order]) == [.alreadyRecorded(.sold)])
      #expect(try await store.stock() == 96)
      await store.close()
    },
    OrderStoreBehaviour("a held purchase takes its stock once, then is sold for nothing more") { fixture in
      let store = try await fixture.openWithSale()
      _ = try await store.follow(purchased(makeOrder("a", quantity: 4), .held, store: true))
      #expect(try await store.state("a") == .held)
      #expect(try await store.stock() == 96)
      _ = try await store.follow(moved("a", to: .sold))
      #expect(try await store.state("a") == .sold)
      #expect(try await store.stock() == 96)
      await store.close()
    },
    OrderStoreBehaviour("a cancel that overtook its sale takes no stock, then or later") { fixture in
      let store = try await fixture.openWithSale()
      let order = try makeOrder("a", quantity: 4)
      let outcome = try await store.follow(purchased(order, .cancelled, store: true), moved("a", to: .cancelled))
      #expect(outcome.stored == 1 && outcome.stop == nil)
      #expect(try await store.record([order]) == [.alreadyRecorded(.cancelled)])
      #expect(
        try await store.totals(of: sku)
          == SaleTotals(stock: 100, orders: [.cancelled: 1], units: [.cancelled: 4], restocked: 0)
      )
      await store.close()
    },
    OrderStoreBehaviour("the log stops before a purchase that it is to store while the stock is short") { fixture in
      let store = try await fixture.openWithSale(stock: 3)
      let (small, big) = (try makeOrder("a", quantity: 2), try makeOrder("b", quantity: 2))
      let outcome = try await store.follow(purchased(small, store: true), purchased(big, store: true), nil)
      let position = LogPosition(epoch: 7, sequence: 1)
      let stop = LogBatchOutcome.Stop(sequence: 2, reason: .short(stock: 1))
      #expect(outcome == LogBatchOutcome(position: position, applied: true, stop: stop, stored: 1))
      #expect(try await store.position(of: bucket) == position)
      #expect(try await store.order(sku, token: Token("b")) == nil)
      // Its caller waits for units, or rejects it and takes its deduction off sale; then the log goes on.
      #expect(try await store.record([big]) == [.rejected])
      for storing in [true, false] {
        let rejected = try await store.follow(purchased(big, store: storing), nil)
        #expect(rejected.position == position && rejected.stop == .init(sequence: 2, reason: .rejected))
      }
      let rest = try await store.follow(purchased(big, .cancelled, store: true), moved("b", to: .cancelled))
      #expect(rest == LogBatchOutcome(position: LogPosition(epoch: 7, sequence: 3), applied: true))
      #expect(try await store.state("b") == .rejected)
      #expect(try await store.stock() == 1)
      await store.close()
    },
    OrderStoreBehaviour("units given back in a batch serve the purchases after it in the batch") { fixture in
      let store = try await fixture.openWithSale(stock: 1)
      let outcome = try await store.follow(
        purchased(makeOrder("a"), store: true),
        moved("a", to: .cancelled),
        purchased(makeOrder("b"), store: true)
      )
      #expect(outcome.stored == 2)
      #expect(try await store.state("b") == .sold)
      #expect(try await store.stock() == 0)
      await store.close()
    },
    OrderStoreBehaviour("the log stops before a standing purchase that differs from its token's row") { fixture in
      let store = try await fixture.openWithSale()
      let order = try makeOrder("a")
      _ = try await store.record([order])
      let stored = StoredOrder(order: order, state: .sold)
      let start = LogPosition(epoch: 7, sequence: 0)
      let stop = LogBatchOutcome.Stop(sequence: 1, reason: .conflict(stored))
      for other in [try makeOrder("a", user: "other"), try makeOrder("a", quantity: 2)] {
        for (state, storing) in [(OrderState.sold, true), (.held, true), (.sold, false)] {
          let outcome = try await store.follow(makeBatch(from: start, [purchased(other, state, store: storing)]))
          #expect(outcome == LogBatchOutcome(position: start, applied: true, stop: stop))
        }
      }
      // One that is over has nothing to be given back.
      let over = try await store.follow(purchased(makeOrder("a", user: "other"), .cancelled, store: true))
      #expect(over == LogBatchOutcome(position: LogPosition(epoch: 7, sequence: 1), applied: true))
      #expect(try await store.order(sku, token: Token("a")) == stored)
      #expect(try await store.stock() == 99)
      await store.close()
    },
    OrderStoreBehaviour("a purchase moves its order on to where it stands, and never back") { fixture in
      let store = try await fixture.openWithSale()
      let states: [OrderState] = [.held, .sold, .cancelled]
      for (was, name) in zip(states, ["h", "s", "c"]) {
        for (index, state) in states.enumerated() {
          for storing in [true, false] {
            let order = try makeOrder("\(name)\(index)\(storing)", quantity: 2)
            _ = try await store.follow(purchased(order, was, store: true))
            let before = try await store.stock()
            let outcome = try await store.follow(purchased(order, state, store: storing))
            #expect(outcome.stop == nil && outcome.stored == 0)
            let expected = [.held: 0, .sold: 1, .cancelled: 2][was, default: 0] < index ? state : was
            #expect(try await store.state("\(name)\(index)\(storing)") == expected, "\(was) to \(state)")
            let isBack = was != .cancelled && expected == .cancelled
            #expect(try await store.stock() == (before ?? 0) + (isBack ? 2 : 0))
          }
        }
      }
      await store.close()
    },
    OrderStoreBehaviour("a batch that starts elsewhere or in another epoch changes nothing") { fixture in
      let store = try await fixture.openWithSale()
      let entry = purchased(try makeOrder("a"), store: true)
      let early = try await store.follow(makeBatch(from: LogPosition(epoch: 7, sequence: 5), [entry]))
      #expect(early == LogBatchOutcome(position: LogPosition(epoch: 7, sequence: 0), applied: false))
      _ = try await store.follow(nil, nil)
      let position = LogPosition(epoch: 7, sequence: 2)
      for from in [
        LogPosition(epoch: 7, sequence: 0), LogPosition(epoch: 7, sequence: 1), LogPosition(epoch: 7, sequence: 3),
        LogPosition(epoch: 8, sequence: 2), LogPosition(epoch: 8, sequence: 0),
      ] {
        let outcome = try await store.follow(makeBatch(from: from, [entry]))
        #expect(outcome == LogBatchOutcome(position: position, applied: false))
      }
      #expect(try await store.position(of: bucket) == position)
      #expect(try await store.order(sku, token: Token("a")) == nil)
      await store.close()
    },
    OrderStoreBehaviour("of followers that compete one moves the position, the others hear of it") { fixture in
      let stores = [try await fixture.openWithSale(), try await fixture.open()]
      let batch = makeBatch(
        from: LogPosition(epoch: 7, sequence: 0),
        [purchased(try makeOrder("a"), store: true), try moved("a", to: .cancelled)]
      )
      let outcomes = try await withThrowingTaskGroup(of: LogBatchOutcome.self) { group in
        for follower in 0..<16 { group.addTask { try await stores[follower % 2].follow(batch) } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(outcomes.count(where: \.applied) == 1)
      #expect(outcomes.allSatisfy { $0.position == LogPosition(epoch: 7, sequence: 2) })
      #expect(try await stores[0].state("a") == .cancelled)
      #expect(try await stores[0].stock() == 100)
      for store in stores { await store.close() }
    },
    OrderStoreBehaviour("a batch with gaps, of another bucket or of no product fails as a whole") { fixture in
      let store = try await fixture.openWithSale()
      let start = LogPosition(epoch: 7, sequence: 0)
      var gap = makeBatch(from: start, [purchased(try makeOrder("a"), store: true), nil])
      gap.steps[1].sequence = 3
      let stray = makeBatch(from: start, [purchased(try makeOrder("a", bucket: 1), store: true)])
      let unknown = makeBatch(
        BucketID(sku: otherSKU, index: 0),
        from: start,
        [purchased(try makeOrder("a", sku: otherSKU), store: true)]
      )
      #expect(await errorOf { try await store.follow(gap) } == .refused)
      #expect(await errorOf { try await store.follow(stray) } == .refused)
      #expect(await errorOf { try await store.follow(unknown) } == .unknownProduct)
      #expect(try await store.position(of: bucket) == nil)
      #expect(try await store.order(sku, token: Token("a")) == nil)
      await store.close()
    },
    OrderStoreBehaviour("messages and the log race, and every purchase is one order") { fixture in
      let stores = [try await fixture.openWithSale(stock: 400), try await fixture.open()]
      let orders = try (0..<400).map { try makeOrder("t\($0)") }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for order in orders { group.addTask { _ = try await stores[0].record([order]) } }
        group.addTask {
          for start in stride(from: 0, to: 400, by: 20) {
            let from = LogPosition(epoch: 7, sequence: Int64(start))
            let entries = orders[start..<start + 20].map { purchased($0, store: true) }
            let outcome = try await stores[1].follow(makeBatch(from: from, entries))
            #expect(outcome.applied)
          }
        }
        try await group.waitForAll()
      }
      let expected = SaleTotals(stock: 0, orders: [.sold: 400], units: [.sold: 400], restocked: 0)
      #expect(try await stores[0].totals(of: sku) == expected)
      #expect(try await stores[0].sequence("t399") == 400)
      for store in stores { await store.close() }
    },
  ]

  static let states = [
    OrderStoreBehaviour("a state only moves forward, in whatever order the news arrives") { fixture in
      let store = try await fixture.openWithSale(stock: 10_000)
      let news: [OrderState] = [.held, .sold, .cancelled, .rejected]
      // Every row's first state, then every three pieces of news.
      let choices = allChoices(of: news, count: 4)
      let entries = try choices.enumerated().flatMap { index, choice in
        let bought = purchased(try makeOrder("t\(index)", quantity: 3), choice[0], store: true)
        return [bought] + (try choice.dropFirst().map { try moved("t\(index)", to: $0) })
      }
      let outcome = try await store.follow(makeBatch(from: LogPosition(epoch: 7, sequence: 0), entries))
      #expect(outcome.position.sequence == 1_024)
      var sold: Int64 = 0
      for (index, choice) in choices.enumerated() {
        let expected: OrderState =
          if choice[0] == .rejected {
            .rejected
          } else if choice.contains(.cancelled) {
            .cancelled
          } else if choice.contains(.sold) {
            .sold
          } else {
            .held
          }
        if expected == .sold || expected == .held { sold += 3 }
        #expect(try await store.state("t\(index)") == expected, "\(choice)")
      }
      #expect(try await store.stock() == 10_000 - sold)
      await store.close()
    },
    OrderStoreBehaviour("news of another user or bucket changes nothing") { fixture in
      let store = try await fixture.openWithSale()
      _ = try await store.record([makeOrder("a", user: "u"), makeOrder("b", bucket: 1)])
      _ = try await store.follow(moved("a", user: "v", to: .cancelled), moved("b", to: .cancelled))
      #expect(try await store.state("a") == .sold)
      #expect(try await store.state("b") == .sold)
      _ = try await store.follow(moved("a", user: "u", to: .cancelled))
      #expect(try await store.state("a") == .cancelled)
      #expect(try await store.stock() == 99)
      await store.close()
    },
    OrderStoreBehaviour("news of a token that was never bought is passed over") { fixture in
      let store = try await fixture.openWithSale()
      let outcome = try await store.follow(moved("a", to: .cancelled), moved("b", user: "u", to: .sold))
      #expect(outcome.applied && outcome.position.sequence == 2 && outcome.stop == nil)
      #expect(try await store.totals(of: sku)?.orders == [:])
      await store.close()
    },
  ]
}

private func allChoices<Element>(of elements: [Element], count: Int) -> [[Element]] {
  count == 0 ? [[]] : allChoices(of: elements, count: count - 1).flatMap { choice in elements.map { choice + [$0] } }
}
