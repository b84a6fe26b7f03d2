import Foundation
import Glibc
import TestServers
import Testing

/// Sales whose buckets lie on several servers.
@Suite(.serialized) struct SeveralServersTests {
  /// Two servers, a database, and the command line on them in that order or the other.
  private struct ListShop {
    let servers: [RedisServer]
    let files: TemporaryDirectory

    init() throws {
      servers = [try RedisServer(), try RedisServer()]
      files = try TemporaryDirectory()
    }

    var list: String { servers.map { "unix://\($0.socketPath)" }.joined(separator: ",") }
    var otherList: String { servers.reversed().map { "unix://\($0.socketPath)" }.joined(separator: ",") }

    func flags(_ list: String) -> [String] { ["--redis", list, "--database", "sqlite:" + files.file("orders.sqlite")] }

    func json(_ arguments: String..., list: String? = nil) throws -> JSON {
      let outcome = try Doorbuster.run(arguments + ["--json"] + flags(list ?? self.list))
      #expect(outcome.status == .exited(0), "\(outcome.stderr)")
      return try JSON(outcome.stdout)
    }
  }

  @Test("A list of servers shares a sale's buckets in its order, and is kept with the sale")
  func list() throws {
    let shop = try ListShop()
    _ = try shop.json("sale", "create", "p", "--stock", "40", "--path", "buckets", "--buckets", "4")
    for index in 0..<4 {
      #expect(try shop.servers[index % 2].call("STOCK.INFO", "doorbuster:{p/\(index)}")["created"] == 10)
    }
    #expect(try shop.json("buy", "p", "--user", "ann", "--token", "t", "--quantity", "25")["outcome"] == "accepted")
    let status = try shop.json("sale", "status", "p")
    #expect(status["buckets"].elements.map { $0["server"].string } == (0..<4).map { shop.servers[$0 % 2].socketPath })

    for command in [
      ["sale", "create", "p", "--stock", "40", "--path", "buckets", "--buckets", "4"], ["sale", "status", "p"],
      ["sale", "close", "p"], ["buy", "p", "--user", "ann", "--token", "t"], ["cancel", "p", "t"], ["recover", "p"],
      ["reconcile", "p"], ["rebalance", "p"], ["sale", "restock", "p", "--token", "r", "--quantity", "4"],
    ] {
      let outcome = try Doorbuster.run(command + shop.flags(shop.otherList))
      expectRefusal(outcome, naming: "created on \(shop.list), and is looked for on \(shop.otherList)")
    }
    // Nothing was made where it does not belong, and the right list still works.
    #expect(try shop.servers.map { try $0.call("DBSIZE") } == [2, 2])
    #expect(try shop.json("buy", "p", "--user", "ann", "--token", "t", "--quantity", "25")["outcome"] == "duplicate")
  }

  @Test("A worker leaves a sale on another list alone and says so, and sees to those on its own")
  func workerElsewhere() throws {
    let shop = try ListShop()
    _ = try shop.json("sale", "create", "p", "--stock", "40", "--path", "buckets", "--buckets", "4")
    _ = try shop.json("buy", "p", "--user", "ann", "--token", "t")
    _ = try shop.json(
      "sale",
      "create",
      "q",
      "--stock",
      "4",
      "--path",
      "buckets",
      "--buckets",
      "4",
      list: shop.otherList
    )
    _ = try shop.json("buy", "q", "--user", "ann", "--token", "t", list: shop.otherList)
    let worker = try Doorbuster.start(["worker"] + shop.flags(shop.otherList))
    try waitUntil("the order of q") {
      try shop.json("sale", "status", "q", list: shop.otherList)["database"]["orders"]["sold"] == 1
    }
    try waitUntil("the worker's words") { worker.stderr.contains("the sale of p is left alone: it was created on") }
    worker.signal(SIGTERM)
    let ended = try worker.wait()
    #expect(ended.status == .exited(0))
    #expect(ended.stderr.components(separatedBy: "is left alone").count == 2, "\(ended.stderr)")
    #expect(try shop.json("sale", "status", "p")["database"]["orders"]["sold"] == 0)
  }

  @Test("A dead server of a list stops nothing of the sales that are not on it, and hides nothing of those that are")
  func deadServer() throws {
    let shop = try ListShop()
    let third = try RedisServer()
    let list = shop.list + ",unix://\(third.socketPath)"
    for (sku, buckets) in [("two", "2"), ("three", "3")] {
      let create = ["sale", "create", sku, "--stock", "30", "--path", "buckets", "--buckets", buckets]
      let created = try Doorbuster.run(create + shop.flags(list))
      #expect(created.status == .exited(0), "\(created.stderr)")
    }
    try third.kill9()
    #expect(try shop.json("buy", "two", "--user", "ann", "--token", "t", list: list)["outcome"] == "accepted")
    let worker = try Doorbuster.start(["worker"] + shop.flags(list))
    try waitUntil("the order; the worker says: \(worker.stderr)") {
      try shop.json("sale", "status", "two", list: list)["database"]["orders"]["sold"] == 1
    }
    worker.signal(SIGTERM)
    #expect(try worker.wait().status == .exited(0))
    for command in [["sale", "status", "two"], ["reconcile", "two"], ["cancel", "two", "t"]] {
      let outcome = try Doorbuster.run(command + shop.flags(list))
      #expect(outcome.status == .exited(0), "\(command): \(outcome.stderr)")
    }
    let status = try Doorbuster.run(["sale", "status", "three", "--json"] + shop.flags(list))
    #expect(status.stdout.contains(third.socketPath) && status.stdout.contains("problem"), "\(status.stderr)")
    // Where nobody answers, it is an error at once.
    for server in shop.servers { try server.kill9() }
    expectRefusal(try Doorbuster.run(["sale", "status", "two"] + shop.flags(list)), naming: "connect to Redis")
  }

  @Test("A cluster sells end to end; where messages are needed they want a server of their own")
  func cluster() throws {
    let cluster = try TestCluster(withReplicas: false)
    let messages = try RedisServer(RedisServerOptions(module: .none, tcp: true))
    let files = try TemporaryDirectory()
    let nodes = cluster.masters.map { "127.0.0.1:\($0.port)" }
    let flags = ["--redis", "redis-cluster://\(nodes.joined(separator: ","))"]
    let broker = ["--broker", "redis-streams://127.0.0.1:\(messages.port)"]
    let demo = ["demo", "--requests", "3000", "--stock", "2000", "--buckets", "12", "--json"]

    for command in [["messages", "list"], demo + ["--path", "combined"]] {
      let outcome = try Doorbuster.run(command + flags)
      #expect(outcome.status == .exited(1) && outcome.stdout.isEmpty)
      #expect(outcome.stderr.contains("--broker: the Redis Cluster of --redis keeps no messages"), "\(outcome.stderr)")
    }
    for path in [["--path", "combined"] + broker, ["--path", "buckets"]] {
      let outcome = try Doorbuster.run(demo + flags + path)
      #expect(outcome.status == .exited(0), "\(outcome.stderr)")
      let report = try JSON(outcome.stdout)
      #expect(report["unitsSold"] == 2000 && report["redisAvailable"] == 0 && report["databaseUnitsSold"] == 2000)
      #expect(report["oversold"] == 0 && report["lost"] == 0 && report["failed"] == 0)
    }

    // A run looks after all sales of its database. That one of them needs a broker is said once, and at once.
    let database = ["--database", "sqlite:" + files.file("orders.sqlite")]
    let byMessages = ["sale", "create", "m", "--stock", "5", "--path", "combined"]
    #expect(try Doorbuster.run(byMessages + flags + broker + database).status == .exited(0))
    let refused = try Doorbuster.run(demo + ["--path", "buckets"] + flags + database)
    expectRefusal(refused, naming: "--broker: the Redis Cluster of --redis keeps no messages")

    // Another node of the cluster is the same cluster; one server of it is not.
    let create = ["sale", "create", "p", "--stock", "24", "--path", "buckets", "--buckets", "12", "--json"]
    let created = try Doorbuster.run(create + flags + database)
    #expect(created.status == .exited(0), "\(created.stderr)")
    let servers = try JSON(created.stdout)["buckets"].elements.compactMap { $0["server"].string }
    #expect(Set(servers) == Set(nodes))
    let again = try Doorbuster.run(["sale", "status", "p", "--redis", "redis-cluster://\(nodes[2])"] + database)
    #expect(again.status == .exited(0), "\(again.stderr)")
    let alone = try Doorbuster.run(["sale", "status", "p", "--redis", "redis://\(nodes[0])"] + database)
    expectRefusal(alone, naming: "created on a Redis Cluster, and is looked for on one server")
  }
}
