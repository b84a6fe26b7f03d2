import Glibc
import TestServers
import Testing

/// `rebalance`: once, dry, and as a service.
@Suite struct RebalanceTests {
  private static let buckets = 4

  /// A sale of 4,000 units on two servers, so that what moves between servers moves by transfers.
  private struct SpreadShop {
    let servers: [RedisServer]
    let files: TemporaryDirectory

    init() throws {
      servers = [try RedisServer(), try RedisServer()]
      files = try TemporaryDirectory()
      _ = try json("sale", "create", "p", "--stock", "4000", "--path", "buckets", "--buckets", "\(buckets)")
    }

    var flags: [String] {
      let list = servers.map { "unix://\($0.socketPath)" }.joined(separator: ",")
      return ["--redis", list, "--database", "sqlite:" + files.file("orders.sqlite")]
    }

    func start(_ arguments: String...) throws -> Subprocess { try Doorbuster.start(arguments + flags) }

    func json(_ arguments: String...) throws -> JSON {
      let outcome = try Doorbuster.run(arguments + ["--json"] + flags)
      #expect(outcome.status == .exited(0), "\(outcome.stderr)")
      return try JSON(outcome.stdout)
    }

    func key(_ bucket: Int) -> String { "doorbuster:{p/\(bucket)}" }

    func call(_ command: String, _ bucket: Int, _ rest: any RedisArgument...) throws -> RESP {
      try servers[bucket % 2].connect().call([command, key(bucket)] + rest)
    }

    func number(_ field: String, _ bucket: Int) throws -> Int64 {
      try #require(try call("STOCK.INFO", bucket)[field]?.integer)
    }

    /// Leaves five units in bucket 1, and sells there as long as the process runs; what is sold is restocked, so that the
    /// bucket is always about to be empty.
    func sell(whileRunning process: Subprocess) throws {
      _ = try call("STOCK.DEDUCT", 1, "user", "\(process.pid)", try number("available", 1) - 5)
      var count = 0
      while process.isRunning {
        count += 1
        _ = try call("STOCK.DEDUCT", 1, "user", "\(process.pid)-\(count)", 1)
        _ = try call("STOCK.ADD", 1, "\(process.pid)-\(count)", 1)
        usleep(2_000)
      }
    }

    func expectConserved(sourceLocation: SourceLocation = #_sourceLocation) throws {
      var units: Int64 = 0
      for bucket in 0..<buckets {
        #expect(try number("transfers", bucket) == 0, "bucket \(bucket)", sourceLocation: sourceLocation)
        units += try number("available", bucket) + number("sold", bucket) - number("added", bucket)
      }
      #expect(units == 4000, sourceLocation: sourceLocation)
    }
  }

  /// Leaves a transfer open from bucket 0 to bucket 3, as a puller that died has.
  private func leaveOpen(_ shop: SpreadShop) throws {
    #expect(try shop.call("STOCK.WITHDRAW", 0, "pull/3/0/1/dead", 100, "TO", 3)[0]?.text == "OK")
  }

  @Test("A look at a sale that nobody buys from finds nothing to move; an unknown one is an error")
  func idle() throws {
    let shop = try SpreadShop()
    let outcome = try shop.start("rebalance").wait()
    #expect(outcome.status == .exited(0) && outcome.stdout == "p: nothing to move\n")
    expectRefusal(try shop.start("rebalance", "q").wait(), naming: "no sale of q is known")
  }

  @Test("Sales on a list in another order are left alone, named with the reason, and that is no success")
  func otherOrder() throws {
    let shop = try SpreadShop()
    let list = shop.servers.reversed().map { "unix://\($0.socketPath)" }.joined(separator: ",")
    let flags = ["--redis", list, "--database", "sqlite:" + shop.files.file("orders.sqlite")]
    expectRefusal(
      try Doorbuster.run(["rebalance"] + flags),
      naming: "rebalance: p is left alone: the sale was created on "
    )
    let outcome = try Doorbuster.run(["rebalance", "--json"] + flags)
    #expect(outcome.status == .exited(1))
    let report = try JSON(outcome.stdout)
    #expect(report["sales"] == [] && report["leftAlone"][0]["sku"] == "p", "\(outcome.stdout)")
  }

  @Test("A dry run says what would move and moves nothing")
  func dry() throws {
    let shop = try SpreadShop()
    try leaveOpen(shop)
    let process = try shop.start("rebalance", "--dry-run", "--json")
    try shop.sell(whileRunning: process)
    let outcome = try process.wait()
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    let report = try JSON(outcome.stdout)
    let sale = report["sales"][0]
    #expect(report["dryRun"] == true && sale["finished"] == 0)
    let planned = sale["moves"].elements.map { $0["to"] } + sale["shared"].elements
    #expect(!planned.isEmpty, "\(outcome.stdout)")
    for bucket in [0, 2, 3] { #expect(try shop.number("transferredIn", bucket) == 0) }
    #expect(try shop.number("transfers", 0) == 1 && shop.number("transfers", 3) == 0)
  }

  @Test("Run once, it brings units to where they are bought, and finishes what is overdue")
  func once() throws {
    let shop = try SpreadShop()
    try leaveOpen(shop)
    // Old enough by its bucket's clock to be nobody's work any more.
    let made = try #require(try shop.call("STOCK.TRANSFERS", 0)[0]?[4]?.integer)
    try waitUntil("the transfer to be overdue") {
      try #require(try shop.servers[0].call("TIME")[0]?.text.flatMap(Int64.init)) * 1000 > made + 3_000
    }
    let before = try shop.number("transferredIn", 1)
    let process = try shop.start("rebalance", "p", "--json")
    try shop.sell(whileRunning: process)
    let outcome = try process.wait()
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    let sale = try JSON(outcome.stdout)["sales"][0]
    #expect(sale["overdue"] == 1 && sale["finished"] == 1, "\(outcome.stdout)")
    #expect(try shop.number("transferredIn", 1) > before)
    try shop.expectConserved()
  }

  @Test(
    "As a service it goes on until it is stopped; of two, one has the lease, and the other takes over after its death"
  )
  func service() throws {
    let shop = try SpreadShop()
    let first = try shop.start("rebalance", "--watch")
    let lease = shop.key(0) + ":rebalance"
    let holder = try waitUntil("the lease") { try shop.servers[0].call("GET", lease).text }
    let second = try shop.start("rebalance", "--watch")
    try waitUntil("the second") { second.stderr.contains("started") }
    try leaveOpen(shop)
    try waitUntil("the transfer to be finished") { try shop.number("transferredIn", 3) == 100 }
    #expect(try shop.servers[0].call("GET", lease).text == holder)

    try first.kill9()
    try leaveOpenAgain(shop)
    try waitUntil("the second to finish the next") { try shop.number("transferredIn", 3) == 150 }
    #expect(try shop.servers[0].call("GET", lease).text != holder)
    second.signal(SIGTERM)
    #expect(try second.wait().status == .exited(0))
    try shop.expectConserved()
  }

  private func leaveOpenAgain(_ shop: SpreadShop) throws {
    #expect(try shop.call("STOCK.WITHDRAW", 2, "pull/3/2/1/dead", 50, "TO", 3)[0]?.text == "OK")
  }
}
