import Foundation
import TestServers
import Testing

@Suite struct MySQLTests {
  @Test("A demo and a sale of one's own keep their orders in MariaDB")
  func orders() throws {
    let database = try MariaDBServer()
    let demo = try Doorbuster.run([
      "demo", "--requests", "5000", "--stock", "2000", "--seed", "7", "--json", "--database", database.url(tcp: true),
    ])
    #expect(demo.status == .exited(0), "\(demo.stderr)")
    #expect(!demo.stderr.contains("secret"))
    let report = try JSON(demo.stdout)
    try expectBalance(report)
    #expect(report["databaseUnitsSold"] == 2_000)
    #expect(try database.sql("SELECT SUM(quantity) FROM orders WHERE state = 'sold'", database: "shop") == "2000\n")

    let shop = try Shop()
    let name = try database.makeDatabase()
    let flags = ["--redis", shop.redis, "--database", database.url(database: name)]
    func run(_ arguments: String...) throws -> Subprocess.Outcome { try Doorbuster.run(arguments + flags) }
    #expect(try run("sale", "create", "p", "--stock", "5").status == .exited(0))
    let worker = try Doorbuster.start(["worker"] + flags)
    #expect(try run("buy", "p", "--user", "ann", "--token", "t").status == .exited(0))
    try waitUntil("the order; the worker says: \(worker.stderr)") {
      try database.sql("SELECT stock, sold_orders FROM products", database: name) == "4\t1\n"
    }
    let status = try JSON(Doorbuster.run(["sale", "status", "p", "--json"] + flags).stdout)
    #expect(status["database"]["stock"] == 4)

    #expect(try run("sale", "create", "q", "--stock", "5").status == .exited(0))
    let cart = ["buy", "--item", "q=2", "--item", "p=1", "--user", "ann", "--token", "c"]
    #expect(try Doorbuster.run(cart + flags).stdout == "accepted: p=1 q=2\n")
    try waitUntil("the cart's orders; the worker says: \(worker.stderr)") {
      try database.sql("SELECT sku, stock, sold_orders FROM products ORDER BY sku", database: name)
        == "p\t3\t2\nq\t3\t1\n"
    }
    let recorded = "SELECT sku, token, user, cart, state FROM recorded_carts"
    #expect(try database.sql(recorded, database: name) == "p\tc\tann\tp=1 q=2\tsold\n")
    worker.signal(15)
    #expect(try worker.wait().status == .exited(0))
  }

  @Test("A replay keeps every order of its file in MariaDB, and a second one sells nothing more")
  func replay() throws {
    let database = try MariaDBServer()
    let shop = try Shop()
    let name = try database.makeDatabase()
    func replay() throws -> JSON {
      let file = BuiltFiles.root + "/examples/cd-orders.csv"
      let servers = ["--redis", shop.redis, "--database", database.url(database: name)]
      let outcome = try Doorbuster.run(["replay", file, "--json"] + servers)
      #expect(outcome.status == .exited(0), "\(outcome.stderr)")
      return try JSON(outcome.stdout)
    }
    let sold = "SELECT COUNT(*), SUM(quantity) FROM orders WHERE state = 'sold'"
    let first = try replay()
    try expectBalance(first)
    #expect(first["accepted"] == 6919)
    #expect(try database.sql(sold, database: name) == "6919\t16479\n")
    let second = try replay()
    try expectBalance(second)
    #expect(second["accepted"] == 0 && second["duplicate"] == 6919)
    #expect(try database.sql(sold, database: name) == "6919\t16479\n")
  }

  @Test("A database that can't be used is named, and its password is not")
  func refused() throws {
    let shop = try Shop()
    let database = try MariaDBServer()
    for (url, culprit) in [
      ("mysql://shop:sekret@127.0.0.1:\(database.port)/shop", "Access denied"),
      ("mysql://root@/nowhere?socket=\(database.socketPath)", "Unknown database"),
      ("mysql://shop:sekret@127.0.0.1:1/shop", "127.0.0.1"),
    ] {
      let outcome = try Doorbuster.run(["sale", "status", "p", "--redis", shop.redis, "--database", url])
      expectRefusal(outcome, naming: culprit)
      #expect(!outcome.stderr.contains("sekret"))
    }
  }

  @Test("The benches measure a file and a server of their own, and draw what they found")
  func benches() throws {
    let files = try TemporaryDirectory()
    let environment = ["TMPDIR": files.path]
    let plot = files.file("plot.svg")
    let hotRow = try Doorbuster.run(
      ["bench", "database", "--seconds", "1", "--buyers", "1,16", "--json", "--plot", plot],
      environment: environment
    )
    #expect(hotRow.status == .exited(0), "\(hotRow.stderr)")
    let points = try JSON(hotRow.stdout)["points"]
    for index in 0..<6 { #expect(try #require(points[index]["orders"].number) > 0) }
    #expect(FileManager.default.fileExists(atPath: plot))
    let log = try Doorbuster.run(
      ["bench", "log", "--events", "2000", "--batch", "500", "--followers", "2", "--json"],
      environment: environment
    )
    #expect(log.status == .exited(0), "\(log.stderr)")
    #expect(try JSON(log.stdout)["points"][0]["events"] == 2_000)
    let wrong = try Doorbuster.run(["bench", "database", "--plot", "plot.txt"], environment: environment)
    expectRefusal(wrong, naming: "plot.txt")
    #expect(try FileManager.default.contentsOfDirectory(atPath: files.path) == ["plot.svg"])
  }
}
