import Foundation
import Glibc
import TestServers
import Testing

/// Servers that can't be used, and the settings that name them.
@Suite struct ServersTests {
  /// One of each kind: those that ask all servers, and those that start what is missing.
  private static let commands = [
    ["sale", "create", "p", "--stock", "5"], ["sale", "status", "p"], ["sale", "close", "p"],
    ["sale", "restock", "p", "--token", "r", "--quantity", "1"], ["buy", "p", "--user", "ann", "--token", "t"],
    ["cancel", "p", "t"], ["messages", "list"], ["messages", "resume", "--all"], ["worker"],
    ["demo", "--requests", "5"],
  ]

  private func expectRefusals(
    _ flags: [String],
    of commands: [[String]] = Self.commands,
    naming culprit: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for command in commands {
      // A demo first says what it is about to do.
      let outcome = try Doorbuster.run(command + flags)
      let lines = outcome.stderr.split(separator: "\n").filter { !$0.hasPrefix("demo: 5 requests") }
      let comment = Comment(rawValue: "\(command): \(outcome.stderr)")
      #expect(outcome.status == .exited(1), comment, sourceLocation: sourceLocation)
      #expect(outcome.stdout.isEmpty, comment, sourceLocation: sourceLocation)
      #expect(lines.count == 1, comment, sourceLocation: sourceLocation)
      #expect(outcome.stderr.contains(culprit), comment, sourceLocation: sourceLocation)
      #expect(!outcome.stderr.contains("sekret"), comment, sourceLocation: sourceLocation)
    }
  }

  @Test("A server that can't be reached is named, and no database file is made")
  func unreachable() throws {
    let files = try TemporaryDirectory()
    let database = files.file("orders.sqlite")
    let flags = ["--redis", "unix://\(files.file("none.sock"))", "--database", "sqlite:\(database)"]
    try expectRefusals(flags, naming: files.file("none.sock"))
    #expect(!FileManager.default.fileExists(atPath: database))
  }

  @Test("A server without the module is told what it lacks")
  func noModule() throws {
    let shop = try Shop(RedisServerOptions(module: .none))
    try expectRefusals(shop.flags, naming: "module")
    #expect(try shop.server.call("DBSIZE") == 0)
  }

  @Test("A wrong password is an error that names the server and shows no password")
  func wrongPassword() throws {
    let shop = try Shop(RedisServerOptions(tcp: true, configLines: ["requirepass right"]))
    let database = ["--database", shop.database]
    let server = "127.0.0.1:\(shop.server.port)"
    try expectRefusals(["--redis", "redis://:sekret@\(server)"] + database, naming: server)
    try expectRefusals(["--redis", "redis://ann:sekret@\(server)"] + database, naming: server)
    try expectRefusals(["--redis", "redis://\(server)"] + database, naming: server)
    let outcome = try Doorbuster.run(
      ["sale", "create", "p", "--stock", "5", "--redis", "redis://:right@\(server)"] + database
    )
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    #expect(!(outcome.stdout + outcome.stderr).contains("right"))
  }

  @Test("A read-only replica takes nothing, and says so")
  func replica() throws {
    let master = try Shop(RedisServerOptions(tcp: true))
    _ = try master.json("sale", "create", "p", "--stock", "5")
    let replica = try RedisServer(RedisServerOptions(replicaOf: master.server))
    try replica.waitForSync(with: master.server)
    let flags = ["--redis", "unix://\(replica.socketPath)", "--database", master.database]
    let digest = try master.digest()
    let writers = [
      ["sale", "create", "q", "--stock", "5"], ["sale", "close", "p"], ["cancel", "p", "t"],
      ["buy", "p", "--user", "ann", "--token", "t"], ["worker"],
    ]
    try expectRefusals(flags, of: writers, naming: "replica")
    #expect(try master.digest() == digest)
  }

  @Test("A broker that can't be reached or used is named, and nothing is sold")
  func broker() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    let missing = shop.files.file("none.sock")
    let flags = shop.flags + ["--broker", "redis-streams+unix://\(missing)"]
    for command in [
      ["buy", "p", "--user", "ann", "--token", "t"], ["messages", "list"], ["sale", "create", "q", "--stock", "5"],
    ] {
      let outcome = try Doorbuster.run(command + flags)
      expectRefusal(outcome, naming: missing)
    }
    #expect(try shop.status("p")["buckets"][0]["available"] == 5)
    #expect(try shop.server.call("EXISTS", "doorbuster:{q/0}") == 0)
  }

  @Test("A broker of its own carries the messages, by setting or by flag")
  func ownBroker() throws {
    let shop = try Shop()
    let broker = try RedisServer(RedisServerOptions(module: .none))
    let flags = shop.flags + ["--broker", "redis-streams+unix://\(broker.socketPath)"]
    func run(_ arguments: String...) throws -> Subprocess.Outcome { try Doorbuster.run(arguments + flags) }
    #expect(try run("sale", "create", "p", "--stock", "5").status == .exited(0))
    #expect(try run("buy", "p", "--user", "ann", "--token", "t").status == .exited(0))
    #expect(try shop.server.call("DBSIZE") == 1)
    #expect(try #require(broker.call("DBSIZE").integer) > 0)
  }

  @Test("A database that can't be used is named and left as it is")
  func database() throws {
    let shop = try Shop()
    let text = try shop.write("a shopping list", to: "list.txt")
    let missing = shop.files.file("none/orders.sqlite")
    for path in [text, shop.files.path, missing] {
      try expectRefusals(["--redis", shop.redis, "--database", "sqlite:\(path)"], naming: path)
    }
    #expect(try String(contentsOfFile: text, encoding: .utf8) == "a shopping list")
    #expect(!FileManager.default.fileExists(atPath: shop.files.file("none")))
    #expect(try shop.server.call("DBSIZE") == 0)
  }

  @Test("The environment names the servers, and a flag wins over it")
  func environment() throws {
    let shop = try Shop()
    let environment = ["DOORBUSTER_REDIS": shop.redis, "DOORBUSTER_DATABASE": shop.database]
    let created = try Doorbuster.run(["sale", "create", "p", "--stock", "5", "--json"], environment: environment)
    #expect(created.status == .exited(0), "\(created.stderr)")
    #expect(try shop.status("p")["stock"] == 5)

    let wrong = [
      "DOORBUSTER_REDIS": "unix:///nowhere", "DOORBUSTER_BROKER": "redis-streams+unix:///nowhere",
      "DOORBUSTER_DATABASE": "sqlite:/nowhere/orders.sqlite",
    ]
    let broker = ["--broker", "redis-streams+unix://\(shop.server.socketPath)"]
    let won = try Doorbuster.run(["messages", "list", "--json"] + shop.flags + broker, environment: wrong)
    #expect(won.status == .exited(0), "\(won.stderr)")
    #expect(try JSON(won.stdout)["messages"] == [])
    let command = ["sale", "status", "p"]
    expectRefusal(try Doorbuster.run(command, environment: wrong), naming: "/nowhere")
    let flags = ["--redis", shop.redis] + broker
    expectRefusal(try Doorbuster.run(command + flags, environment: wrong), naming: "/nowhere/orders.sqlite")
    expectRefusal(try Doorbuster.run(["messages", "list"] + shop.flags, environment: wrong), naming: "/nowhere")
    let unknown = ["DOORBUSTER_BROKER": "rocketmq://127.0.0.1:9876"]
    expectRefusal(try Doorbuster.run(command, environment: unknown), naming: "'rocketmq:'")
  }

  @Test(
    "Every command explains itself",
    arguments: [
      [], ["demo"], ["replay"], ["sale"], ["sale", "create"], ["sale", "status"], ["sale", "restock"],
      ["sale", "close"],
      ["buy"], ["cancel"], ["worker"], ["messages"], ["messages", "list"], ["messages", "resume"],
      ["messages", "replay"], ["bench", "database"], ["bench", "log"],
    ]
  )
  func help(command: [String]) throws {
    let outcome = try Doorbuster.run(command + ["--help"])
    #expect(outcome.status == .exited(0))
    #expect(outcome.stderr.isEmpty)
    #expect(outcome.stdout.hasPrefix("OVERVIEW: "))
    #expect(outcome.stdout.contains("USAGE: doorbuster " + command.joined(separator: " ")))
    // Text that breaks its lines by itself leaves short ones in the middle of a paragraph.
    #expect(outcome.stdout.split(separator: "\n").filter { !$0.hasPrefix("USAGE") }.allSatisfy { $0.count <= 80 })
  }
}
