import MySQLStore
import Orders
import Stock
import TestServers
import Testing

@Suite("The tables")
struct MySQLSchemaTests {
  @Test("A new database has the contract's tables, which compare bytes")
  func newDatabase() async throws {
    let fixture = try await MySQLFixture.make()
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale())
    let orders = try await columns(of: "orders", fixture)
    #expect(
      orders == [
        "sku varbinary(64)", "token varbinary(128)", "user varbinary(128)", "quantity bigint(20) unsigned",
        "bucket int(10) unsigned", "sequence bigint(20)", "state enum('held','sold','cancelled','rejected')",
        "created_at bigint(20)",
      ]
    )
    #expect(try await columns(of: "products", fixture).prefix(2) == ["sku varbinary(64)", "stock bigint(20)"])
    #expect(
      try await columns(of: "restocks", fixture) == [
        "sku varbinary(64)", "token varbinary(128)", "quantity bigint(20)",
      ]
    )
    for (table, key) in [("products", "sku"), ("orders", "sku,token"), ("restocks", "sku,token")] {
      let columns = try await fixture.sql(
        """
        SELECT GROUP_CONCAT(column_name ORDER BY seq_in_index) FROM information_schema.statistics
        WHERE table_schema = '\(fixture.database)' AND table_name = '\(table)' AND index_name = 'PRIMARY'
        """
      )
      #expect(columns == "\(key)\n")
    }
    let shares = try await fixture.sql("SELECT share FROM buckets ORDER BY bucket")
    #expect(shares == "34\n33\n33\n")
    await store.close()
  }

  @Test("Another program's tables are left as they are")
  func foreign() async throws {
    let fixture = try await MySQLFixture.make()
    try await fixture.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    #expect(await codeOf { try await fixture.openStore() } == .notOurs)
    #expect(try await fixture.sql("SHOW TABLES") == "orders\n")
  }

  @Test("Tables of other names are nobody's business")
  func neighbours() async throws {
    let fixture = try await MySQLFixture.make()
    try await fixture.sql("CREATE TABLE customers (id INT PRIMARY KEY)")
    let store = try await fixture.openStore()
    #expect(try await store.sales() == [])
    await store.close()
  }

  @Test("A schema of a newer version is refused")
  func newer() async throws {
    let fixture = try await MySQLFixture.make()
    await (try fixture.openStore()).close()
    try await fixture.sql("UPDATE doorbuster_schema SET version = 99")
    let error = await errorOf { try await fixture.openStore() }
    #expect(error?.code == .schemaTooNew && error?.message.contains("99") == true)
  }

  @Test("Tables whose making was cut short are completed")
  func incomplete() async throws {
    let fixture = try await MySQLFixture.make()
    await (try fixture.openStore()).close()
    try await fixture.sql(
      "UPDATE doorbuster_schema SET version = 0; DROP TABLE holds; DROP TABLE orders"
    )
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale())
    #expect(try await store.record([makeOrder("a")]) == [.recorded])
    await store.close()
  }

  @Test("A table that vanished is named")
  func vanished() async throws {
    let fixture = try await MySQLFixture.make()
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale())
    try await fixture.sql("DROP TABLE orders")
    let error = await errorOf { try await store.record([makeOrder("a")]) }
    #expect(error?.code == .notOurs && error?.message.contains("orders") == true)
    await store.close()
  }

  @Test("Stores that open a new database at the same time all get it")
  func openedAtOnce() async throws {
    let fixture = try await MySQLFixture.make()
    let stores = try await withThrowingTaskGroup(of: MySQLStore.self) { group in
      for _ in 0..<8 { group.addTask { try await fixture.openStore() } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    _ = try await stores[0].create(makeSale())
    #expect(try await stores[7].sale(makeSale().sku) == makeSale())
    for store in stores { await store.close() }
  }

  @Test("A user without the right to make tables uses those that are there")
  func rights() async throws {
    let fixture = try await MySQLFixture.make()
    await (try fixture.openStore()).close()
    let user = "u\(UInt32.random(in: 0...UInt32.max))"
    try await fixture.sql(
      """
      CREATE USER \(user)@'%' IDENTIFIED BY 'secret';
      GRANT SELECT, INSERT, UPDATE, DELETE ON \(fixture.database).* TO \(user)@'%'
      """
    )
    let url = try MySQLURL("mysql://\(user):secret@/\(fixture.database)?socket=\(fixture.server.socketPath)")
    let store = try await MySQLStore.open(url, logger: MySQLFixture.logger)
    _ = try await store.create(makeSale())
    #expect(try await store.record([makeOrder("a")]) == [.recorded])
    await store.close()
  }

  @Test("A change by hand shows as a difference until a recount")
  func changedByHand() async throws {
    let fixture = try await MySQLFixture.make()
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale())
    _ = try await store.record((0..<10).map { try makeOrder("t\($0)", quantity: 2) })
    try await fixture.sql(
      """
      DELETE FROM orders WHERE token = 't0'; UPDATE orders SET quantity = 5 WHERE token = 't1';
      UPDATE orders SET state = 'cancelled' WHERE token = 't2'; UPDATE products SET stock = 7
      """
    )
    let sku = try SKU("SKU-1")
    #expect(try await store.repair([.recount(sku), .recount(sku)]) == [.repaired, .unchanged])
    let expected = SaleTotals(
      stock: 81,
      orders: [.sold: 8, .cancelled: 1],
      units: [.sold: 19, .cancelled: 2],
      restocked: 0
    )
    #expect(try await store.totals(of: sku) == expected)
    // More than was ever on sale.
    try await fixture.sql("UPDATE orders SET quantity = 1000 WHERE token = 't1'")
    #expect(try await store.repair([.recount(sku), .recount(sku)]) == [.short(stock: -914), .short(stock: -914)])
    #expect(try await store.totals(of: sku)?.stock == 0)
    await store.close()
  }

  private func columns(of table: String, _ fixture: MySQLFixture) async throws -> [String] {
    let rows = try await fixture.sql(
      """
      SELECT CONCAT(column_name, ' ', column_type) FROM information_schema.columns
      WHERE table_schema = '\(fixture.database)' AND table_name = '\(table)' ORDER BY ordinal_position
      """
    )
    return rows.split(separator: "\n").map(String.init)
  }
}
