import Foundation
import GRDB
import Orders
import SQLiteStore
import Stock
import Testing

@Suite("Several processes")
struct SQLiteProcessTests {
  @Test("A process killed in mid-write loses nothing that it acknowledged, and leaves nothing half done")
  func killed() async throws {
    let fixture = try SQLiteFixture()
    let sku = try SKU("PROBE")
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale("PROBE", stock: 10_000_000))
    await store.close()
    var acknowledged = 0
    for round in 0..<3 {
      let probe = try Probe(["record", fixture.path, "round\(round)", "1000000"])
      let numbers = try probe.killed(afterLines: 400)
      acknowledged += numbers.count
      // The survivor finds the file as the dead process left it, its WAL not copied back.
      let survivor = try await fixture.openStore()
      for number in numbers {
        let order = try await survivor.order(sku, token: Token("round\(round)-\(number)"))
        #expect(order?.state == .sold)
      }
      let totals = try #require(try await survivor.totals(of: sku))
      #expect(totals.orders[.sold] ?? 0 >= acknowledged)
      #expect(totals.stock + (totals.units[.sold] ?? 0) == 10_000_000)
      await survivor.close()
      try inspect(fixture.path) { db throws in
        #expect(try String.fetchOne(db, sql: "PRAGMA integrity_check") == "ok")
        #expect(try Int64.fetchOne(db, sql: "SELECT count(*) FROM orders") == totals.orders[.sold])
      }
    }
  }

  @Test("Processes that make one file at once and write to it all get their turn")
  func several() async throws {
    let fixture = try SQLiteFixture()
    let first = try await fixture.openStore()
    _ = try await first.create(makeSale("PROBE", stock: 3_000))
    await first.close()
    // Half of the tokens are the same in all three processes.
    let probes = try ["one", "two", "two"].map { try Probe(["record", fixture.path, $0, "1000"]) }
    for probe in probes { #expect(try probe.output().split(separator: "\n").count == 1_000) }
    let store = try await fixture.openStore()
    #expect(
      try await store.totals(of: SKU("PROBE"))
        == SaleTotals(stock: 1_000, orders: [.sold: 2_000], units: [.sold: 2_000], restocked: 0)
    )
    await store.close()
  }

  @Test("Stores that open a new file at the same time all get it")
  func openedAtOnce() async throws {
    for _ in 0..<10 {
      let fixture = try SQLiteFixture()
      let stores = try await withThrowingTaskGroup(of: SQLiteStore.self) { group in
        for _ in 0..<8 { group.addTask { try await fixture.openStore() } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      _ = try await stores[0].create(makeSale())
      #expect(try await stores[7].sale(makeSale().sku) == makeSale())
      for store in stores { await store.close() }
    }
  }
}

/// The probe beside the tests, as a process of its own.
struct Probe {
  private let process = Process()
  private let pipe = Pipe()

  init(_ arguments: [String]) throws {
    var directory = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    repeat {
      directory.deleteLastPathComponent()
    } while directory.path != "/"
      && !FileManager.default.isExecutableFile(atPath: directory.appendingPathComponent("sqlite-store-probe").path)
    process.executableURL = directory.appendingPathComponent("sqlite-store-probe")
    process.arguments = arguments
    process.standardOutput = pipe
    try process.run()
  }

  /// All that it prints until it ends by itself, well.
  func output() throws -> String {
    let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    return String(decoding: data, as: UTF8.self)
  }

  /// Kills it once it has printed that many lines. All whole lines that it printed.
  func killed(afterLines count: Int) throws -> [Substring] {
    var printed = Data()
    while printed.count(where: { $0 == UInt8(ascii: "\n") }) < count {
      let more = pipe.fileHandleForReading.availableData
      if more.isEmpty { break }
      printed += more
    }
    kill(process.processIdentifier, SIGKILL)
    printed += try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    let whole = printed.prefix(through: printed.lastIndex(of: UInt8(ascii: "\n")) ?? printed.startIndex)
    return String(decoding: whole, as: UTF8.self).split(separator: "\n")
  }
}
