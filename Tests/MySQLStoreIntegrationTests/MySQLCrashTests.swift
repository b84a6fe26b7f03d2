import Foundation
import Glibc
import MySQLStore
import Orders
import Stock
import TestServers
import Testing

@Suite("Crashes of the server", .serialized)
struct MySQLCrashTests {
  @Test("A server killed in mid-stream, again and again, keeps what it acknowledged, and the store finds it again")
  func killed() async throws {
    let server = try await startServer()
    let options = MySQLStoreOptions(connectTimeoutMs: 2_000)
    for strategy in HotRowStrategy.allCases {
      var options = options
      options.strategy = strategy
      let fixture = try await MySQLFixture.make(options, on: server)
      let store = try await fixture.openStore()
      _ = try await store.create(makeSale(stock: 1_000_000))
      var acknowledged: Set<Int> = []
      for round in 0..<2 {
        acknowledged.formUnion(try await recordUntilKilled(store, server, from: round * 1_000_000))
        try await aside { try server.restart() }
        try await eventually("the store's recovery") { (try? await store.sales())?.count == 1 }
      }
      let stored = Set(try await allOrders(store).map { try #require(Int(String(decoding: $0.bytes, as: UTF8.self))) })
      #expect(acknowledged.subtracting(stored) == [], "\(strategy)")
      let totals = try #require(try await store.totals(of: SKU("SKU-1")))
      #expect(totals.orders == [.sold: Int64(stored.count)])
      #expect(totals.stock == 1_000_000 - Int64(stored.count))
      #expect(try await store.repair([.recount(SKU("SKU-1"))]) == [.unchanged])
      await store.close()
    }
  }

  /// Many callers; the server dies after some hundred orders.
  /// - Returns: the numbers of those that were acknowledged.
  private func recordUntilKilled(_ store: MySQLStore, _ server: MariaDBServer, from first: Int) async throws -> Set<Int>
  {
    let (isDead, count) = (Counter(), Counter())
    return try await withThrowingTaskGroup(of: Set<Int>.self) { group in
      for caller in 0..<16 {
        group.addTask {
          var acknowledged: Set<Int> = []
          var number = first + caller
          while isDead.value == 0, !Task.isCancelled {
            do throws(OrderStoreError) {
              guard let order = try? Self.order(number) else { continue }
              _ = try await store.record([order])
              acknowledged.insert(number)
              count.add(1)
            } catch {
              #expect(error.isTransient, "\(error)")
            }
            number += 16
          }
          return acknowledged
        }
      }
      group.addTask {
        try await eventually("some orders") { count.value > 300 }
        try await aside { try server.kill9() }
        isDead.exchange(1)
        return []
      }
      return try await group.reduce(into: []) { $0.formUnion($1) }
    }
  }

  private static func order(_ number: Int) throws -> Order { try makeOrder("\(number)") }

  private func allOrders(_ store: MySQLStore) async throws -> [Token] {
    var tokens: [Token] = []
    while true {
      let page = try await store.orders(of: SKU("SKU-1"), bucket: nil, after: tokens.last, limit: 5_000)
      tokens += page.map(\.order.purchase.token)
      if page.count < 5_000 { return tokens }
    }
  }

  @Test("A server that is down is unavailable at once, and used again when it is up")
  func down() async throws {
    let server = try await startServer()
    let fixture = try await MySQLFixture.make(on: server)
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale())
    try await aside { try server.stop() }
    let orders = [try makeOrder("a")]
    #expect(await codeOf { try await store.record(orders) } == .unavailable)
    #expect(await codeOf { try await store.sales() } == .unavailable)
    try await aside { try server.restart() }
    #expect(try await store.record(orders) == [.recorded])
    await store.close()
  }

  @Test("A server that hangs is given up after the read time-out, with the outcome unknown only where it may be")
  func hung() async throws {
    let server = try await startServer()
    let options = MySQLStoreOptions(connectTimeoutMs: 1_000, readTimeoutMs: 1_000, lockWaitMs: 1_000)
    let fixture = try await MySQLFixture.make(options, on: server)
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale())
    server.pause()
    let orders = [try makeOrder("a")]
    let error = await errorOf { try await store.record(orders) }
    #expect(error?.code == .unavailable, "\(String(describing: error))")
    server.resume()
    try await eventually("an answer") { (try? await store.record(orders)) != nil }
    #expect(try await store.totals(of: SKU("SKU-1"))?.orders == [.sold: 1])
    await store.close()
  }

  @Test(
    "On a full disk orders fail as full, what was acknowledged stays, and it goes on when there is room",
    .enabled(if: geteuid() == 0, "a file system of its own takes root")
  )
  func fullDisk() async throws {
    let disk = try TemporaryDirectory()
    let mounted = try Subprocess("mount", ["-t", "tmpfs", "-o", "size=180m", "tmpfs", disk.path])
      .wait(timeout: .seconds(20))
    // A container may forbid it; then there is no honest way to a full disk.
    guard mounted.status == .exited(0) else { return }
    defer { _ = try? Subprocess("umount", ["-l", disk.path]).wait(timeout: .seconds(20)) }
    let lines = ["innodb-log-file-size=16M", "innodb-flush-method=fsync", "innodb-buffer-pool-size=32M"]
    let server = try await startServer(.init(lines: lines, dataDirectory: disk.file("data")))
    let fixture = try await MySQLFixture.make(on: server)
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale(stock: 10_000_000))
    let ballast = disk.file("ballast")
    try fill(ballast, upTo: disk.path)
    var recorded = 0
    var failure: OrderStoreError?
    for call in 0..<400 where failure == nil {
      let orders = try (0..<500).map { try makeOrder("\(call)-\($0)-\(String(repeating: "x", count: 90))") }
      failure = await errorOf { recorded += try await store.record(orders).count }
    }
    #expect(failure?.code == .full, "\(String(describing: failure))")
    try FileManager.default.removeItem(atPath: ballast)
    let orders = [try makeOrder("after")]
    try await eventually("room") { (try? await store.record(orders)) != nil }
    let totals = try #require(try await store.totals(of: SKU("SKU-1")))
    #expect(totals.orders == [.sold: Int64(recorded + 1)])
    #expect(totals.stock == 10_000_000 - Int64(recorded + 1))
    await store.close()
    try await aside { try server.kill9() }
  }

  /// Leaves a few megabytes.
  private func fill(_ path: String, upTo directory: String) throws {
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    let file = try #require(FileHandle(forWritingAtPath: path))
    defer { try? file.close() }
    let block = Data(repeating: 1, count: 1 << 20)
    while true {
      var space = statvfs()
      guard statvfs(directory, &space) == 0, space.f_bavail * UInt(space.f_frsize) > 6 << 20 else { return }
      try file.write(contentsOf: block)
    }
  }
}
