import MySQLStore
import OrderStoreContract
import Orders
import Stock
import Testing

@Suite("Inventory hints")
struct InventoryHintTests {
  static let hint = "/*+ COMMIT_ON_SUCCESS ROLLBACK_ON_FAIL TARGET_AFFECT_ROW(1) */"

  /// An engine that knows the hints.
  static let engine: ScriptedServer.Script = { command in
    command.text.contains(hint) ? .obeyHint : .forward
  }

  private func withEngine(
    _ script: @escaping ScriptedServer.Script = Self.engine,
    _ body: (MySQLFixture, ScriptedServer, MySQLURL) async throws -> Void
  ) async throws {
    let fixture = try await MySQLFixture.make()
    let engine = try ScriptedServer(before: fixture.server, script)
    defer { engine.close() }
    try await body(fixture, engine, MySQLURL(engine.url(database: fixture.database)))
    #expect(engine.failures == [])
  }

  private let options = MySQLStoreOptions(strategy: .inventoryHint, connectionsMax: 4)

  @Test("Every behaviour of an order store holds on an engine that knows the hints", arguments: OrderStoreBehaviour.all)
  func contract(behaviour: OrderStoreBehaviour) async throws {
    try await withEngine { _, _, url in try await behaviour.check(HintFixture(url: url, options: options)) }
  }

  @Test("The hint is the last statement of an explicit transaction, and nothing commits after it")
  func transcript() async throws {
    try await withEngine { _, engine, url in
      let store = try await MySQLStore.open(url, options: options, logger: MySQLFixture.logger)
      #expect(store.knowsInventoryHint == true)
      _ = try await store.create(makeSale(stock: 3))
      let before = engine.commands.count
      #expect(try await store.record([makeOrder("a", quantity: 2)]) == [.recorded])
      // The pool may take another connection than before, which is set up first.
      let commands = engine.commands[before...]
        .filter { !$0.hasPrefix("SET SESSION") && !$0.hasPrefix("SELECT @@") }
      let insert = commands.first { $0.hasPrefix("INSERT INTO orders") }
      // An execution is noted by its statement, as the preparation before it.
      #expect(
        commands.filter { $0 != insert } == [
          "BEGIN",
          """
          UPDATE \(Self.hint) products SET stock = stock + (-2), sold_orders = sold_orders + (1), \
          sold_units = sold_units + (2) WHERE sku = 'SKU-1' AND stock >= 2
          """,
        ]
      )
      #expect(try await store.totals(of: makeSale().sku)?.stock == 1)
      // Short: the engine fails and rolls the insert back, and the order is decided again.
      #expect(try await store.record([makeOrder("b", quantity: 2)]) == [.rejected])
      #expect(try await store.totals(of: makeSale().sku)?.orders == [.sold: 1, .rejected: 1])
      await store.close()
    }
  }

  @Test("A server that takes the hint for a comment is found out, and served without")
  func unknown() async throws {
    let fixture = try await MySQLFixture.make()
    let store = try await fixture.openStore(options)
    #expect(store.knowsInventoryHint == false)
    _ = try await store.create(makeSale())
    #expect(try await store.record([makeOrder("a")]) == [.recorded])
    // Another connection sees it: it is committed.
    #expect(try await fixture.sql("SELECT COUNT(*) FROM orders") == "1\n")
    await store.close()
  }

  @Test("A server that forgets the hints after a failover commits nothing by itself, and nothing is lost")
  func forgotten() async throws {
    let isForgetful = Counter()
    let script: ScriptedServer.Script = { command in
      isForgetful.value == 1 ? .forward : Self.engine(command)
    }
    try await withEngine(script) { fixture, _, url in
      let store = try await MySQLStore.open(url, options: options, logger: MySQLFixture.logger)
      _ = try await store.create(makeSale())
      isForgetful.exchange(1)
      for index in 0..<5 { #expect(try await store.record([makeOrder("t\(index)")]) == [.recorded]) }
      #expect(try await fixture.sql("SELECT COUNT(*) FROM orders") == "5\n")
      #expect(try await store.totals(of: makeSale().sku)?.stock == 95)
      await store.close()
    }
  }

  @Test("A connection that dies under the hint leaves the outcome unknown, and the same order tells")
  func lost() async throws {
    for isDone in [true, false] {
      let cuts = Counter(1)
      let script: ScriptedServer.Script = { command in
        guard command.text.contains("\(Self.hint) products") else { return Self.engine(command) }
        guard cuts.exchange(0) == 1 else { return .obeyHint }
        return isDone ? .obeyHintAndCut : .cut
      }
      try await withEngine(script) { _, _, url in
        let store = try await MySQLStore.open(url, options: options, logger: MySQLFixture.logger)
        _ = try await store.create(makeSale())
        let orders = [try makeOrder("a")]
        #expect(await codeOf { try await store.record(orders) } == .outcomeUnknown)
        #expect(try await store.record(orders) == [isDone ? .alreadyRecorded(.sold) : .recorded])
        #expect(try await store.totals(of: makeSale().sku)?.stock == 99)
        await store.close()
      }
    }
  }
}

private struct HintFixture: OrderStoreFixture {
  let url: MySQLURL
  let options: MySQLStoreOptions

  func open() async throws -> any OrderStore {
    try await MySQLStore.open(url, options: options, logger: MySQLFixture.logger)
  }
}
