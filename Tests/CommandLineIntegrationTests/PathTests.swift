import Foundation
import TestServers
import Testing

/// The four ways to run a sale, and holds on them.
@Suite struct PathTests {
  private static let withRedis = ["redis-mq", "buckets", "combined"]

  private func buy(_ shop: Shop, _ token: String, hold: String? = nil, status: Int32 = 0) throws -> JSON {
    guard let hold else { return try shop.json("buy", "p", "--user", "ann", "--token", token, status: status) }
    return try shop.json("buy", "p", "--user", "ann", "--token", token, "--hold", hold, status: status)
  }

  @Test("A hold is confirmed, cancelled or runs out, and its order follows on every path", arguments: withRedis)
  func holds(path: String) throws {
    let shop = try Shop()
    // Enough in each bucket.
    _ = try shop.json("sale", "create", "p", "--stock", "40", "--path", path)
    let held = try buy(shop, "t-1", hold: "600000")
    #expect(held["outcome"] == "held")
    #expect(held["isRepeat"] == false)
    let again = try buy(shop, "t-1", hold: "5")
    #expect(again["outcome"] == "held")
    #expect(again["isRepeat"] == true)
    // Buying what is held makes it no sale.
    #expect(try buy(shop, "t-1")["outcome"] == "held")
    _ = try buy(shop, "t-2", hold: "600000")
    _ = try buy(shop, "t-3", hold: "1")
    _ = try buy(shop, "t-4")
    try shop.work {
      let orders = try shop.status("p")["database"]["orders"]
      return orders["held"] == 2 && orders["sold"] == 1 && orders["cancelled"] == 1
    }
    #expect(try shop.json("confirm", "p", "t-1")["outcome"] == "confirmed")
    #expect(try shop.json("confirm", "p", "t-1")["outcome"] == "alreadyConfirmed")
    #expect(try shop.json("cancel", "p", "t-2")["outcome"] == "cancelled")
    #expect(try shop.json("confirm", "p", "t-2", status: 2)["outcome"] == "cancelled")
    #expect(try shop.json("confirm", "p", "t-3", status: 2)["outcome"] == "cancelled")
    #expect(try shop.json("confirm", "p", "t-9", status: 2)["outcome"] == "unknownToken")
    #expect(try buy(shop, "t-1")["outcome"] == "duplicate")
    try shop.work { try shop.status("p")["settled"] == true }
    let database = try shop.status("p")["database"]
    #expect(database["orders"]["held"] == 0 && database["orders"]["sold"] == 2)
    #expect(database["orders"]["cancelled"] == 2 && database["stock"] == 38)
  }

  @Test("On the path database everything works without Redis, and a worker ends the holds")
  func withoutRedis() throws {
    let files = try TemporaryDirectory()
    let flags = ["--redis", "unix:///nowhere/redis.sock", "--database", "sqlite:" + files.file("orders.sqlite")]
    func json(_ arguments: String..., status: Int32 = 0) throws -> JSON {
      let outcome = try Doorbuster.run(arguments + ["--json"] + flags)
      #expect(outcome.status == .exited(status), "\(arguments): \(outcome.stderr)")
      return try JSON(outcome.stdout)
    }
    func buy(_ token: String, _ more: String..., status: Int32 = 0) throws -> JSON {
      let outcome = try Doorbuster.run(["buy", "p", "--user", "ann", "--token", token, "--json"] + more + flags)
      #expect(outcome.status == .exited(status), "\(outcome.stderr)")
      return try JSON(outcome.stdout)
    }
    #expect(try json("sale", "create", "p", "--stock", "4", "--path", "database")["settled"] == true)
    let bought = try buy("t-1")
    #expect(bought["outcome"] == "accepted" && bought["remaining"] == 3)
    #expect(try buy("t-1")["outcome"] == "duplicate")
    #expect(try buy("t-2", "--hold", "600000")["outcome"] == "held")
    #expect(try buy("t-3", "--hold", "1")["outcome"] == "held")
    #expect(try json("confirm", "p", "t-2")["outcome"] == "confirmed")
    #expect(try json("cancel", "p", "t-1")["outcome"] == "cancelled")
    #expect(try json("sale", "restock", "p", "--token", "r", "--quantity", "2")["database"]["restocked"] == 2)
    let mismatch = try Doorbuster.run(["buy", "p", "--user", "bob", "--token", "t-2"] + flags)
    expectRefusal(mismatch, naming: "token t-2")
    let worker = try Doorbuster.start(["worker", "--json"] + flags)
    try waitUntil("the end of the hold; the worker says: \(worker.stderr)") {
      try json("sale", "status", "p")["database"]["orders"]["cancelled"] == 2
    }
    worker.signal(SIGTERM)
    let outcome = try worker.wait()
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    #expect(try JSON(outcome.stdout)["expired"] == 1)
    #expect(try json("sale", "close", "p")["database"]["stock"] == 5)
    #expect(try buy("t-5", status: 2)["outcome"] == "closed")
  }

  @Test("A demo and a replay balance on every path", arguments: withRedis + ["database"])
  func runs(path: String) throws {
    let place = try TemporaryDirectory()
    let environment = ["TMPDIR": place.path]
    let demo = try Doorbuster.run(
      ["demo", "--requests", "3000", "--stock", "1500", "--path", path, "--json"],
      environment: environment
    )
    #expect(demo.status == .exited(0), "\(demo.stderr)")
    try expectBalance(try JSON(demo.stdout))
    let file = BuiltFiles.root + "/examples/cd-orders.csv"
    let replay = try Doorbuster.run(
      ["replay", file, "--stock", "100", "--path", path, "--json"],
      environment: environment
    )
    #expect(replay.status == .exited(0), "\(replay.stderr)")
    try expectBalance(try JSON(replay.stdout))
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path) == [])
  }

  @Test("Workers share the buckets of a sale, and what a killed one had goes to the other within seconds")
  func takesOver() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "90", "--path", "buckets", "--buckets", "4")
    let workers = try (0..<2).map { _ in try shop.start("worker") }
    for worker in workers { try waitUntil("a worker") { worker.stderr.contains("started") } }
    for user in 0..<8 { _ = try shop.json("buy", "p", "--user", "u\(user)", "--token", "t\(user)") }
    try waitUntil("eight orders") { try shop.status("p")["settled"] == true }
    try workers[0].kill9()
    for user in 8..<16 { _ = try shop.json("buy", "p", "--user", "u\(user)", "--token", "t\(user)") }
    try waitUntil("sixteen orders", timeout: .seconds(20)) {
      try shop.status("p")["database"]["orders"]["sold"] == 16
    }
    workers[1].signal(SIGTERM)
    #expect(try workers[1].wait().status == .exited(0))
  }
}
