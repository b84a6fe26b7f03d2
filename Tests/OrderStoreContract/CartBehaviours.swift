import Orders
import Stock
import Testing

extension OrderStore {
  fileprivate func record(
    _ cart: CartOrder,
    as state: CartState = .sold,
    rejecting: SKU? = nil
  ) async throws -> CartRecordOutcome {
    try #require(try await record(carts: [CartRecording(cart, as: state, rejecting: rejecting)]).first)
  }

  /// The states of a cart's orders; nil for one that is missing.
  fileprivate func states(of cart: CartOrder) async throws -> [OrderState?] {
    var states: [OrderState?] = []
    for line in cart.lines { states.append(try await order(line.purchase.sku, token: cart.token)?.state) }
    return states
  }
}

private let products = [otherSKU, sku].sorted { $0.precedes($1) }

/// A cart of so many units of `SKU-1` and of `sku-1`, in bucket 0 of both.
private func makeCart(_ token: String, user: String = "u", _ quantities: Int64...) throws -> CartOrder {
  let lines = try zip(products, quantities).map { try CartLine(sku: $0, quantity: $1) }
  let cart = try Cart(user: UserID(user), token: Token(token), lines: lines)
  return try CartOrder(cart, buckets: lines.map { _ in 0 }, createdAtMs: 1_700_000_000_000)
}

extension OrderStoreFixture {
  /// A store with a sale of each product.
  fileprivate func openWithSales(stocks: Int64...) async throws -> any OrderStore {
    let store = try await open()
    for (product, stock) in zip(products, stocks) { _ = try await store.create(makeSale(product, stock: stock)) }
    return store
  }
}

extension OrderStoreBehaviour {
  static let carts = [
    OrderStoreBehaviour("a cart is recorded with all its lines, once") { fixture in
      let store = try await fixture.openWithSales(stocks: 10, 10)
      let cart = try makeCart("a", 3, 4)
      #expect(try await store.record(cart) == .sold)
      #expect(try await store.states(of: cart) == [.sold, .sold])
      #expect(
        try await store.record(carts: [CartRecording(cart, as: .sold), CartRecording(cart, as: .cancelled)]) == [
          .sold, .sold,
        ]
      )
      #expect(try await store.stock(products[0]) == 7)
      #expect(try await store.stock(products[1]) == 6)
      #expect(try await store.record(carts: []) == [])
      #expect(try await store.totals(of: products[1])?.units[.sold] == 4)
      await store.close()
    },
    OrderStoreBehaviour("a cart of which one product is short is left alone, or ended as a whole") { fixture in
      let store = try await fixture.openWithSales(stocks: 10, 3)
      let cart = try makeCart("a", 3, 4)
      #expect(try await store.record(cart) == .short(products[1], stock: 3))
      #expect(try await store.record(cart, rejecting: products[0]) == .short(products[1], stock: 3))
      #expect(try await store.states(of: cart) == [nil, nil])
      let over = CartRecordOutcome.over([.cancelled, .rejected])
      #expect(try await store.record(cart, rejecting: products[1]) == over)
      #expect(try await store.states(of: cart) == [.cancelled, .rejected])
      // It stays so, whatever comes later.
      _ = try await store.restock(products[1], token: Token("r"), quantity: 10)
      #expect(try await store.record(cart) == over)
      #expect(try await store.stock(products[0]) == 10)
      #expect(try await store.stock(products[1]) == 13)
      await store.close()
    },
    OrderStoreBehaviour("a cart that was cancelled in a bucket is ended, with what the log has stored of it") {
      fixture in
      let store = try await fixture.openWithSales(stocks: 10, 10)
      let cart = try makeCart("a", 3, 4)
      _ = try await store.record([cart.lines[0]], as: .sold, rejecting: false)
      #expect(try await store.record(cart, as: .cancelled) == .over([.cancelled, .cancelled]))
      #expect(try await store.states(of: cart) == [.cancelled, .cancelled])
      #expect(try await store.record(cart) == .over([.cancelled, .cancelled]))
      #expect(try await store.stock(products[0]) == 10)
      #expect(try await store.stock(products[1]) == 10)
      await store.close()
    },
    OrderStoreBehaviour("lines that the log has stored become the cart's") { fixture in
      let store = try await fixture.openWithSales(stocks: 10, 10)
      let cart = try makeCart("a", 3, 4)
      _ = try await store.record([cart.lines[0]], as: .held, rejecting: false)
      _ = try await store.record([cart.lines[1]], as: .sold, rejecting: false)
      #expect(try await store.record(cart) == .sold)
      #expect(try await store.states(of: cart) == [.sold, .sold])
      #expect(try await store.stock(products[0]) == 7)
      #expect(try await store.stock(products[1]) == 6)
      await store.close()
    },
    OrderStoreBehaviour("a line that is cancelled or rejected already ends its cart") { fixture in
      for (state, end) in [(OrderState.cancelled, CartRecordOutcome.LineEnd.cancelled), (.rejected, .rejected)] {
        let store = try await fixture.open()
        let names = try products.map { try SKU("\(state.rawValue)-\($0)") }.sorted { $0.precedes($1) }
        for name in names { _ = try await store.create(makeSale(name, stock: 10)) }
        let cart = try CartOrder(
          Cart(user: UserID("u"), token: Token("a"), lines: names.map { try CartLine(sku: $0, quantity: 2) }),
          buckets: [0, 0],
          createdAtMs: 1
        )
        _ = try await store.repair([.record(cart.lines[1], as: state)])
        #expect(try await store.record(cart) == .over([.cancelled, end]))
        #expect(try await store.states(of: cart) == [.cancelled, state])
        #expect(try await store.stock(names[0]) == 10)
        await store.close()
      }
    },
    OrderStoreBehaviour("a recorded cart stays sold where its buyer gives a line back") { fixture in
      let store = try await fixture.openWithSales(stocks: 10, 10)
      let cart = try makeCart("a", 3, 4)
      _ = try await store.record(cart)
      _ = try await store.repair([.move(products[0], cart.token, to: .cancelled)])
      #expect(try await store.record(cart, as: .cancelled) == .sold)
      #expect(try await store.states(of: cart) == [.cancelled, .sold])
      await store.close()
    },
    OrderStoreBehaviour("a line whose token is another purchase's ends the cart and leaves that order alone") {
      fixture in
      let store = try await fixture.openWithSales(stocks: 10, 10)
      let cart = try makeCart("a", 3, 4)
      let other = try makeOrder("a", user: "v", quantity: 1, sku: products[1])
      _ = try await store.record([other])
      let stored = StoredOrder(order: other, state: .sold)
      #expect(try await store.record(cart) == .over([.cancelled, .conflict(stored)]))
      #expect(try await store.record(cart) == .over([.cancelled, .conflict(stored)]))
      #expect(try await store.order(products[1], token: cart.token) == stored)
      #expect(try await store.stock(products[1]) == 9)
      await store.close()
    },
    OrderStoreBehaviour("a token that names another cart is told so") { fixture in
      let store = try await fixture.openWithSales(stocks: 10, 10)
      let cart = try makeCart("a", 3, 4)
      _ = try await store.record(cart)
      guard case .mismatch(let stored) = try await store.record(makeCart("a", 3)) else {
        Issue.record("another cart of the same token was recorded")
        return
      }
      #expect(stored.text == "\(products[0])=3 \(products[1])=4")
      #expect(stored.state == .sold)
      guard case .mismatch = try await store.record(makeCart("a", user: "v", 3, 4)) else {
        Issue.record("another user's cart of the same token was recorded")
        return
      }
      #expect(try await store.stock(products[0]) == 7)
      await store.close()
    },
    OrderStoreBehaviour("a cart with a product that is in no sale is not recorded, and its neighbours are") { fixture in
      let store = try await fixture.openWithSales(stocks: 10)
      let carts = [try makeCart("a", 1), try makeCart("b", 1, 1), try makeCart("c", 1)]
      #expect(
        try await store.record(carts: carts.map { CartRecording($0, as: .sold) }) == [
          .sold, .unknownProduct(products[1]), .sold,
        ]
      )
      #expect(try await store.stock(products[0]) == 8)
      await store.close()
    },
    OrderStoreBehaviour("carts and orders that want the same last units share them, and no cart is sold by half") {
      fixture in
      let store = try await fixture.openWithSales(stocks: 20, 12)
      let carts = try (0..<24).map { try makeCart("t\($0)", 1, 1) }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for cart in carts {
          group.addTask {
            for state in [CartState.sold, .sold] {
              _ = try await store.record(cart, as: state, rejecting: products[1])
            }
          }
        }
        for number in 0..<6 {
          group.addTask {
            _ = try await store.record([makeOrder("o\(number)", sku: products[number % 2])])
          }
        }
        try await group.waitForAll()
      }
      var sold: Int64 = 0
      for cart in carts {
        let states = try await store.states(of: cart)
        #expect(states == [.sold, .sold] || states == [.cancelled, .rejected])
        if states == [.sold, .sold] { sold += 1 }
      }
      #expect(try await store.stock(products[1]) == 0)
      #expect(try await store.stock(products[0]) == 20 - 3 - sold)
      #expect(try await store.totals(of: products[1])?.units[.sold] == 12)
      await store.close()
    },
  ]
}
