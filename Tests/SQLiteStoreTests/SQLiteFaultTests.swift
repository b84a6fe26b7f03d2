import Foundation
import GRDB
import Logging
import Orders
import SQLiteStore
import Stock
import Testing

@Suite("Faults of the database")
struct SQLiteFaultTests {
  @Test("A writer that waits too long for another process changes nothing, and readers don't wait")
  func locked() async throws {
    let fixture = try SQLiteFixture()
    let store = try await fixture.openStore(busyTimeoutMs: 100)
    _ = try await store.create(makeSale())
    var configuration = Configuration()
    configuration.allowsUnsafeTransactions = true
    let other = try DatabaseQueue(path: fixture.path, configuration: configuration)
    try await other.writeWithoutTransaction { db in try db.execute(sql: "BEGIN IMMEDIATE") }
    let orders = [try makeOrder("a")]
    #expect(await codeOf { try await store.record(orders) } == .unavailable)
    #expect(await codeOf { try await store.restock(makeSale().sku, token: Token("r"), quantity: 1) } == .unavailable)
    #expect(try await store.totals(of: makeSale().sku)?.stock == 100)
    try await other.writeWithoutTransaction { db in try db.execute(sql: "ROLLBACK") }
    #expect(try await store.record(orders) == [.recorded])
    try other.close()
    await store.close()
  }

  @Test("A file that another process holds exclusively is unavailable")
  func lockedExclusively() async throws {
    let fixture = try SQLiteFixture()
    await (try fixture.openStore()).close()
    let other = try DatabaseQueue(path: fixture.path)
    try await other.writeWithoutTransaction { db in
      try db.execute(sql: "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; DELETE FROM sales; COMMIT")
    }
    #expect(await openingError(fixture)?.code == .unavailable)
    try other.close()
    await (try fixture.openStore()).close()
  }

  @Test("A full database fails what doesn't fit, keeps what it acknowledged, and goes on when there is room")
  func full() async throws {
    let fixture = try SQLiteFixture()
    let store = try await SQLiteStore.open(
      path: fixture.path,
      strategy: .groupCommit,
      busyTimeoutMs: 1_000,
      logger: Logger(label: "test"),
      prepare: { db in try db.execute(sql: "PRAGMA max_page_count = 60") }
    )
    _ = try await store.create(makeSale(stock: 100_000))
    var recorded = 0
    var failure: OrderStoreError.Code?
    for call in 0..<100 where failure == nil {
      let orders = try (0..<100).map { try makeOrder("t\(call)-\($0)") }
      failure = await codeOf { recorded += try await store.record(orders).count }
    }
    #expect(failure == .full)
    #expect(recorded > 0)
    let totals = try #require(try await store.totals(of: makeSale().sku))
    #expect(totals.orders == [.sold: Int64(recorded)])
    #expect(totals.stock == 100_000 - Int64(recorded))
    await store.close()
    let roomy = try await fixture.openStore()
    #expect(try await roomy.record((0..<100).map { try makeOrder("new\($0)") }).allSatisfy { $0 == .recorded })
    await roomy.close()
  }

  @Test("A file that can't be written is read-only, and says where it is")
  func readOnly() async throws {
    let fixture = try SQLiteFixture()
    await (try fixture.openStore()).close()
    try setPermissions(0o444, of: fixture.path)
    try setPermissions(0o777, of: fixture.directory.path)
    let said = try Probe(["open-as-nobody", fixture.path]).output()
    #expect(said.hasPrefix("read-only: "), "\(said)")
    #expect(said.contains(fixture.path))
  }

  @Test("A directory that can't be written takes no new file")
  func unwritableDirectory() throws {
    let fixture = try SQLiteFixture()
    try setPermissions(0o555, of: fixture.directory.path)
    let said = try Probe(["open-as-nobody", fixture.path]).output()
    #expect(said.hasPrefix("not-authorized: "), "\(said)")
    #expect(said.contains(fixture.directory.path))
  }

  @Test("An order that a trigger refuses fails alone, whatever its trigger does to the transaction")
  func trigger() async throws {
    for action in ["ABORT", "ROLLBACK", "FAIL"] {
      let fixture = try SQLiteFixture()
      let store = try await fixture.openStore()
      _ = try await store.create(makeSale())
      try inspect(fixture.path) { db throws in
        try db.execute(
          sql: """
            CREATE TRIGGER no_thirteen BEFORE INSERT ON orders WHEN NEW.token = CAST('t13' AS BLOB)
            BEGIN SELECT RAISE(\(action), 'unlucky'); END
            """
        )
      }
      let outcomes = try await store.record((0..<50).map { try makeOrder("t\($0)") })
      for (index, outcome) in outcomes.enumerated() {
        switch outcome {
        case .refused(let reason): #expect(index == 13 && reason.contains("unlucky") && !reason.contains("t13"))
        case .recorded: #expect(index != 13)
        default: Issue.record("\(action): order \(index) is \(outcome)")
        }
      }
      #expect(try await store.totals(of: makeSale().sku)?.stock == 51)
      await store.close()
    }
  }

  private func setPermissions(_ mode: Int, of path: String) throws {
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
  }
}
