import Foundation
import Glibc
import TestServers
import Testing

@Suite struct WorkerTests {
  /// A file of so many orders of one unit each.
  private func orders(_ shop: Shop, _ count: Int, prefix: String = "t") throws -> String {
    let lines = (0..<count).map { "\(prefix)-\($0),user-\($0),p,1" }
    return try shop.write((["token,user,product,quantity"] + lines).joined(separator: "\n"), to: "\(prefix).csv")
  }

  private func soldOrders(_ shop: Shop) throws -> Int {
    try #require(try shop.status("p")["database"]["orders"]["sold"].number)
  }

  @Test(
    "A worker that is asked to stop ends with status 0 and counts what it did; it may be started again",
    arguments: [
      SIGINT, SIGTERM,
    ]
  )
  func stops(signal: Int32) throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    let worker = try shop.start("worker", "--json")
    try waitUntil("the worker") { worker.stderr.contains("started") }
    for token in ["t-1", "t-2"] { _ = try shop.json("buy", "p", "--user", "ann", "--token", token) }
    try waitUntil("the orders") { try soldOrders(shop) == 2 }
    worker.signal(signal)
    let outcome = try worker.wait()
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    let counters = try JSON(outcome.stdout)
    #expect(counters["acknowledged"] == 2)
    #expect(counters["deadLettered"] == 0)

    _ = try shop.json("buy", "p", "--user", "bob", "--token", "t-3")
    try shop.work { try soldOrders(shop) == 3 }
  }

  @Test("A worker that is stopped in the middle of its work loses nothing and leaves nothing half done")
  func stopsInTheMiddle() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "20000")
    let replay = try shop.start("replay", orders(shop, 20000), "--json")
    for _ in 0..<3 {
      let worker = try shop.start("worker", "--json")
      try waitUntil("the worker") { worker.stderr.contains("started") }
      let before = try soldOrders(shop)
      try waitUntil("a part of the orders") { try !replay.isRunning || soldOrders(shop) > before }
      worker.signal(SIGTERM)
      #expect(try worker.wait().status == .exited(0))
    }
    let outcome = try replay.wait()
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    let report = try JSON(outcome.stdout)
    try expectBalance(report)
    #expect(report["databaseOrders"] == 20000)
  }

  @Test("Two workers share the messages; what one that was killed had taken goes to the other, once")
  func killedWorker() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "20000")
    let first = try shop.start("worker")
    let second = try shop.start("worker", "--json")
    try waitUntil("both workers") { first.stderr.contains("started") && second.stderr.contains("started") }
    let replay = try shop.start("replay", orders(shop, 20000), "--json")
    try waitUntil("the first orders") { try soldOrders(shop) > 0 }
    try first.kill9()
    try replay.kill9()
    // The buyers' process is gone too, so the second worker alone brings all that was sold into the database.
    try waitUntil("the rest of the orders", timeout: .seconds(60)) { try shop.status("p")["settled"] == true }
    second.signal(SIGTERM)
    let outcome = try second.wait()
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")

    // Of what the buyers' process had under way, its check-backs have fenced what was not deducted yet.
    let again = try shop.run("replay", orders(shop, 20000), "--json")
    #expect(again.status == .exited(0), "\(again.stderr)")
    let report = try JSON(again.stdout)
    try expectBalance(report)
    let fenced = try #require(report["failed"].number)
    #expect((0...512).contains(fenced))
    #expect(report["databaseOrders"].number == 20000 - fenced)
    let faults = again.stderr.split(separator: "\n").filter { $0.contains(": token ") }
    #expect(faults.count == fenced)
    #expect(faults.allSatisfy { $0.contains("was cancelled") })
  }

  @Test("A worker waits for a server that is away, and goes on when it is back")
  func outage() throws {
    let shop = try Shop(RedisServerOptions(appendOnly: true))
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    let worker = try shop.start("worker")
    try waitUntil("the worker") { worker.stderr.contains("started") }
    _ = try shop.json("buy", "p", "--user", "ann", "--token", "t-1")
    try shop.server.kill9()
    try shop.server.restart()
    _ = try shop.json("buy", "p", "--user", "ann", "--token", "t-2")
    try waitUntil("both orders") { try soldOrders(shop) == 2 }
    #expect(worker.isRunning)
    worker.signal(SIGINT)
    #expect(try worker.wait().status == .exited(0))
  }

  @Test("A worker that is asked to stop while its server hangs does so within the time-outs")
  func stopsDuringOutage() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    let worker = try shop.start("worker")
    try waitUntil("the worker") { worker.stderr.contains("started") }
    shop.server.pause()
    defer { shop.server.resume() }
    worker.signal(SIGTERM)
    #expect(try worker.wait(timeout: .seconds(20)).status == .exited(0))
  }
}
