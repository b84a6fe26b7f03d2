import Foundation
import GRDB
import Logging
import Orders
import SQLiteStore
import Stock
import Testing

@Suite("The file")
struct SQLiteFileTests {
  @Test("A new file has the contract's tables, our application id, WAL, and commits that reach the disk")
  func newFile() async throws {
    let fixture = try SQLiteFixture()
    let settings = Settings()
    let store = try await SQLiteStore.open(
      path: fixture.path,
      strategy: .groupCommit,
      busyTimeoutMs: 1_000,
      logger: Logger(label: "test"),
      prepare: { db in
        db.trace(options: .statement) { event in settings.note("\(event)") }
      }
    )
    _ = try await store.create(makeSale())
    #expect(settings.statements.contains { $0.contains("PRAGMA synchronous = FULL") })
    #expect(settings.statements.last { $0.contains("PRAGMA synchronous") }?.contains("FULL") == true)
    try inspect(fixture.path) { db throws in
      #expect(try Int.fetchOne(db, sql: "PRAGMA application_id") == 0x646F_7262)
      #expect(try String.fetchOne(db, sql: "PRAGMA journal_mode") == "wal")
      #expect(try columns(of: "products", db) == ["sku TEXT", "stock INTEGER"])
      #expect(try columns(of: "restocks", db) == ["sku TEXT", "token BLOB", "quantity INTEGER"])
      #expect(
        try columns(of: "orders", db) == [
          "sku TEXT", "token BLOB", "user BLOB", "quantity INTEGER", "bucket INTEGER", "sequence INTEGER", "state TEXT",
          "created_at INTEGER",
        ]
      )
      #expect(try db.primaryKey("products").columns == ["sku"])
      #expect(try db.primaryKey("orders").columns == ["sku", "token"])
      #expect(try db.primaryKey("restocks").columns == ["sku", "token"])
      #expect(try Int.fetchAll(db, sql: "SELECT share FROM buckets ORDER BY bucket") == [34, 33, 33])
    }
    await store.close()
  }

  @Test("A closed store leaves one file that has everything")
  func closedFile() async throws {
    let fixture = try SQLiteFixture()
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale())
    _ = try await store.record([makeOrder("a")])
    _ = try await store.sales()
    await store.close()
    #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.directory.path) == ["orders.db"])
    let count = try inspect(fixture.path) { db in try Int.fetchOne(db, sql: "SELECT count(*) FROM orders") }
    #expect(count == 1)
  }

  @Test("Another program's files are refused and left as they are", arguments: ForeignFile.allCases)
  func foreign(file: ForeignFile) async throws {
    let fixture = try SQLiteFixture()
    try file.make(at: fixture.path)
    let before = try Data(contentsOf: URL(fileURLWithPath: fixture.path))
    let error = await openingError(fixture)
    #expect(error?.code == .notOurs)
    #expect(error?.message.contains(fixture.path) == true)
    #expect(try Data(contentsOf: URL(fileURLWithPath: fixture.path)) == before)
    #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.directory.path) == ["orders.db"])
  }

  enum ForeignFile: CaseIterable {
    case text, shortText, otherApplication, tables, userVersion

    func make(at path: String) throws {
      switch self {
      case .text:
        try String(repeating: "not a database\n", count: 500).write(toFile: path, atomically: true, encoding: .utf8)
      case .shortText: try "x".write(toFile: path, atomically: true, encoding: .utf8)
      case .otherApplication: try execute("PRAGMA application_id = 252006674", path)
      case .tables: try execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)", path)
      case .userVersion: try execute("PRAGMA user_version = 3", path)
      }
    }

    private func execute(_ sql: String, _ path: String) throws {
      let queue = try DatabaseQueue(path: path)
      try queue.writeWithoutTransaction { db in try db.execute(sql: sql) }
      try queue.close()
    }
  }

  @Test("An empty file becomes ours")
  func emptyFile() async throws {
    let fixture = try SQLiteFixture()
    try Data().write(to: URL(fileURLWithPath: fixture.path))
    let store = try await fixture.openStore()
    #expect(try await store.create(makeSale()) == makeSale())
    await store.close()
  }

  @Test("A schema of a newer version is refused")
  func newerSchema() async throws {
    let fixture = try SQLiteFixture()
    await (try fixture.openStore()).close()
    try inspect(fixture.path) { db throws in
      try db.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('99-from-the-future')")
    }
    #expect(await openingError(fixture)?.code == .schemaTooNew)
  }

  @Test("A file of the first version gets the later tables and keeps its orders")
  func olderSchema() async throws {
    let fixture = try SQLiteFixture()
    var store = try await fixture.openStore()
    _ = try await store.create(makeSale())
    _ = try await store.record([makeOrder("a")])
    await store.close()
    try inspect(fixture.path) { db throws in
      for table in ["bucket_leases", "sale_workers", "buyers", "holds"] { try db.execute(sql: "DROP TABLE \(table)") }
      try db.execute(sql: "DELETE FROM grdb_migrations WHERE identifier = '2-leases-and-selling'")
    }
    store = try await fixture.openStore()
    let stored = StoredOrder(order: try makeOrder("a"), state: .sold)
    #expect(try await store.orders(of: makeSale().sku, bucket: nil, after: nil, limit: 10) == [stored])
    #expect(try await store.claimBuckets(of: makeSale().sku, for: "w", leaseMs: 9_999).buckets == [0, 1, 2])
    await store.close()
  }

  @Test("The inventory hint is not SQLite's")
  func inventoryHint() async throws {
    let fixture = try SQLiteFixture(strategy: .inventoryHint)
    #expect(await openingError(fixture)?.code == .refused)
    #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.directory.path) == [])
  }

  @Test("A damaged page is reported as corruption, not as an answer")
  func corrupt() async throws {
    let fixture = try SQLiteFixture()
    var store = try await fixture.openStore()
    _ = try await store.create(makeSale(stock: 5_000))
    _ = try await store.record((0..<5_000).map { try makeOrder("t\($0)") })
    await store.close()
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: fixture.path))
    let size = try file.seekToEnd()
    for page in stride(from: UInt64(40 * 4_096), to: size, by: 4_096) {
      try file.seek(toOffset: page)
      try file.write(contentsOf: Data(repeating: 0xEE, count: 4_096))
    }
    try file.close()
    store = try await fixture.openStore()
    let code = await codeOf { try await store.record((0..<500).map { try makeOrder("new\($0)") }) }
    #expect(code == .corrupt)
    await store.close()
  }

  @Test("A missing directory, a directory in the file's place and an empty path are named")
  func places() async throws {
    let fixture = try SQLiteFixture()
    let missing = fixture.directory.appendingPathComponent("missing/orders.db").path
    for (path, code) in [
      (missing, OrderStoreError.Code.unavailable), (fixture.directory.path, .notOurs), ("", .refused),
      ("/proc/orders.db", .unavailable),
    ] {
      do throws(OrderStoreError) {
        await (try SQLiteStore.open(path: path)).close()
        Issue.record("\(path) was opened")
      } catch {
        #expect(error.code == code, "\(error)")
        #expect(path.isEmpty || error.message.contains(path))
      }
    }
  }

  @Test("A name that SQLite takes for something else is a file all the same")
  func namesOfSQLite() async throws {
    let fixture = try SQLiteFixture()
    for name in [":memory:", "file:x?mode=memory"] {
      let path = fixture.directory.appendingPathComponent(name).path
      await (try SQLiteStore.open(path: path)).close()
      #expect(FileManager.default.fileExists(atPath: path), "\(name)")
    }
  }

  @Test("What an operator changes by hand is in the totals")
  func changedByHand() async throws {
    let fixture = try SQLiteFixture()
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale(stock: 100))
    _ = try await store.record((0..<10).map { try makeOrder("t\($0)", quantity: 2) })
    try inspect(fixture.path) { db throws in
      try db.execute(sql: "DELETE FROM orders WHERE token = CAST('t0' AS BLOB)")
      try db.execute(sql: "UPDATE orders SET quantity = 5 WHERE token = CAST('t1' AS BLOB)")
      try db.execute(sql: "UPDATE orders SET state = 'cancelled' WHERE token = CAST('t2' AS BLOB)")
    }
    let totals = try #require(try await store.totals(of: makeSale().sku))
    #expect(totals.orders == [.sold: 8, .cancelled: 1])
    #expect(totals.units == [.sold: 19, .cancelled: 2])
    #expect(totals.stock == 80)
    await store.close()
  }

  private func columns(of table: String, _ db: Database) throws -> [String] {
    try db.columns(in: table).map { "\($0.name) \($0.type)" }
  }
}

/// What SQLite was asked, by any connection.
private final class Settings: @unchecked Sendable {
  private let lock = NSLock()
  private var noted: [String] = []

  var statements: [String] { lock.withLock { noted } }

  func note(_ statement: String) { lock.withLock { noted.append(statement) } }
}
