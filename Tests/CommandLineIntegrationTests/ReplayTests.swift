import Foundation
import TestServers
import Testing

@Suite struct ReplayTests {
  private static let example = BuiltFiles.root + "/examples/cd-orders.csv"

  /// Units that the example asks for, by product.
  private func demand() throws -> [String: Int] {
    let lines = try String(contentsOfFile: Self.example, encoding: .utf8).split(separator: "\n").dropFirst()
    return try lines.reduce(into: [:]) { demand, line in
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      demand[String(fields[2]), default: 0] += try #require(Int(fields[3]))
    }
  }

  @Test("With ample stock every token of the example is an order, once, and a second replay sells nothing more")
  func ample() throws {
    let shop = try Shop()
    let first = try shop.json("replay", Self.example)
    try expectBalance(first)
    #expect(first["requests"] == 6919)
    #expect(first["accepted"] == 6919)
    #expect(first["databaseOrders"] == 6919)
    #expect(first["unitsOnSale"] == 16479)
    #expect(first["databaseUnitsSold"] == 16479)
    #expect(first["products"] == 18)

    let second = try shop.json("replay", Self.example)
    try expectBalance(second)
    #expect(second["accepted"] == 0)
    #expect(second["duplicate"] == 6919)
    #expect(second["databaseOrders"] == 6919)
    #expect(second["unitsSold"] == 16479)
  }

  @Test("With short stock exactly the stock of each product is sold, and a second replay sells nothing more")
  func short() throws {
    let shop = try Shop()
    let first = try shop.json("replay", Self.example, "--stock", "100")
    try expectBalance(first)
    let demand = try demand()
    #expect(demand.count == 18)
    for (sku, units) in demand {
      let status = try shop.status(sku)
      #expect(status["buckets"][0]["sold"].number == min(100, units), "\(sku)")
      #expect(status["database"]["units"]["sold"].number == min(100, units), "\(sku)")
    }
    let second = try shop.json("replay", Self.example, "--stock", "100")
    try expectBalance(second)
    #expect(second["accepted"] == 0)
    #expect(second["duplicate"] == first["accepted"])
    #expect(second["soldOut"] == first["soldOut"])
    #expect(second["unitsSold"] == first["unitsSold"])
  }

  @Test("Without servers a replay starts its own, and people read its report")
  func ownServers() throws {
    let outcome = try Doorbuster.run(["replay", Self.example, "--stock", "10"])
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    #expect(outcome.stdout.contains("The books balance."))
    #expect(outcome.stdout.contains("books of 18 products"))
  }

  @Test("A file may have CRLF, quoted fields, columns in any order, and no line end at its end")
  func dialects() throws {
    let shop = try Shop()
    let file = try shop.write(
      "\u{FEFF}note,quantity,token,\"user\",product\r\n"
        + "first,2,t-1,\"ann, \"\"the\"\"\r\nfirst\",p\r\n"
        + "\r\n"
        + "\"\",1,\"t-2\",bob,p",
      to: "orders.csv"
    )
    let report = try shop.json("replay", file)
    try expectBalance(report)
    #expect(report["requests"] == 2)
    #expect(report["accepted"] == 2)
    #expect(report["unitsSold"] == 3)
    let again = try shop.json(
      "buy",
      "p",
      "--user",
      "ann, \"the\"\r\nfirst",
      "--token",
      "t-1",
      "--quantity",
      "2"
    )
    #expect(again["outcome"] == "duplicate")
  }

  @Test("Bad lines are told with their numbers and counted as failed; the rest is sold, with status 0")
  func badLines() throws {
    let shop = try Shop()
    let file = try shop.write(
      """
      token,user,product,quantity
      t-1,ann,p,1
      t-2,ann,p,0
      t-3,ann,p,-1
      t-4,ann,p,9007199254740993
      t-5,ann,p,1e3
      t-6,ann,p,+1
      t-7,ann,p, 1
      ,ann,p,1
      t-9,,p,1
      \(String(repeating: "t", count: 129)),ann,p,1
      t-11,ann,p q,1
      t-12,ann,p
      t-13,"ann,p,1
      t-14,ann,p,1
      t-1,ann,p,1
      """,
      to: "orders.csv"
    )
    let outcome = try shop.run("replay", file, "--json")
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    let report = try JSON(outcome.stdout)
    try expectBalance(report)
    #expect(report["requests"] == 15)
    #expect(report["accepted"] == 2)
    #expect(report["duplicate"] == 1)
    #expect(report["failed"] == 12)
    let notes = outcome.stderr.split(separator: "\n").filter { $0.contains(", line ") }
    #expect(notes.count == 12)
    let culprits = [
      "line 3: quantity is '0'", "line 4: quantity is '-1'", "line 5: quantity is '9007199254740993'",
      "line 6: quantity is '1e3'", "line 7: quantity is '+1'", "line 8: quantity is ' 1'", "line 9: token is ''",
      "line 10: user is ''", "line 11: token is 'ttt", "line 12: SKU is 'p q'", "line 13: it has 3 fields",
      "line 14: a quoted field is not closed",
    ]
    for culprit in culprits { #expect(outcome.stderr.contains(culprit), "\(culprit) in \(outcome.stderr)") }
  }

  @Test("A token that comes again with other arguments is told and counted as failed")
  func mismatch() throws {
    let shop = try Shop()
    let file = try shop.write("token,user,product,quantity\nt-1,ann,p,1\n", to: "first.csv")
    try expectBalance(shop.json("replay", file, "--stock", "10"))
    let other = try shop.write("token,user,product,quantity\nt-1,bob,p,1\n", to: "other.csv")
    let outcome = try shop.run("replay", other, "--json")
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    let report = try JSON(outcome.stdout)
    try expectBalance(report)
    #expect(report["failed"] == 1)
    #expect(report["unitsSold"] == 1)
    #expect(outcome.stderr.contains("t-1"))
  }

  @Test("Two thousand failed requests and some are told one by one, the rest as a number")
  func manyFaults() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "200", "--closes", "1")
    let lines = (0..<2100).map { "t-\($0),ann,p,1" }
    let file = try shop.write((["token,user,product,quantity"] + lines).joined(separator: "\n"), to: "orders.csv")
    let outcome = try shop.run("replay", file, "--json")
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    let report = try JSON(outcome.stdout)
    try expectBalance(report)
    #expect(report["failed"] == 2100)
    let notes = outcome.stderr.split(separator: "\n")
    #expect(notes.filter { $0.hasSuffix(": the sale is closed") }.count == 2048)
    #expect(notes.last == "replay: 52 more requests failed")
  }

  @Test("A purchase that fails is told with its line")
  func faultLine() throws {
    let shop = try Shop()
    let file = try shop.write(
      "token,user,product,quantity\nt-1,ann,p,1\nx,ann,p,\nt-1,\"ann\n2\",p,1\nt-2,ann,p,1\n\nt-1,bob,p,1\n",
      to: "orders.csv"
    )
    let outcome = try shop.run("replay", file, "--json")
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    let notes = outcome.stderr.split(separator: "\n").filter { $0.hasPrefix("replay: token ") }
    #expect(notes.count == 2, "\(outcome.stderr)")
    // Sent at the same time, any of the three may be the first.
    let lines = [2, 4, 8].filter { line in notes.contains { $0.hasPrefix("replay: token t-1: line \(line): ") } }
    #expect(lines.count == 2, "\(outcome.stderr)")
  }

  @Test("A token of several users is one order: what was accepted of it at other homes counts as failed, and is told")
  func sharedToken() throws {
    for path in ["buckets", "combined"] {
      let shop = try Shop()
      let users = (0..<12).map { "user-\($0)" }
      let header = "token,user,product,quantity\n"
      let file = try shop.write(header + users.map { "t,\($0),p,1\nown-\($0),\($0),p,1\n" }.joined(), to: "orders.csv")
      for (accepted, duplicate) in [(13, 0), (0, 13)] {
        let outcome = try shop.run("replay", file, "--path", path, "--json")
        #expect(outcome.status == .exited(0), "\(outcome.stderr)")
        let report = try JSON(outcome.stdout)
        try expectBalance(report)
        #expect(report["accepted"].number == accepted && report["databaseOrders"] == 13, "\(path): \(outcome.stdout)")
        #expect(report["duplicate"].number == duplicate && report["failed"] == 11, "\(path): \(outcome.stdout)")
        let told = outcome.stderr.split(separator: "\n").filter { $0.hasPrefix("replay: token t: line ") }
        #expect(told.count == 11, "\(outcome.stderr)")
      }
      // What an earlier run has sold is nobody else's either.
      let later = try shop.write(header + users.map { "own-user-0,\($0),p,1\n" }.joined(), to: "later.csv")
      let outcome = try shop.run("replay", later, "--path", path, "--json")
      #expect(outcome.status == .exited(0), "\(outcome.stderr)")
      let report = try JSON(outcome.stdout)
      #expect(report["accepted"] == 0 && report["duplicate"] == 1 && report["failed"] == 11, "\(outcome.stdout)")
      #expect(outcome.stderr.contains("as the token's order is user user-0's"), "\(outcome.stderr)")
    }
  }

  @Test("Orders that the database rejects are in the report that people read")
  func rejected() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "3")
    #expect(try shop.server.call("STOCK.ADD", "doorbuster:{p/0}", "not-in-the-database", "1")[0]?.text == "OK")
    let lines = (0..<4).map { "t-\($0),user-\($0),p,1\n" }.joined()
    let file = try shop.write("token,user,product,quantity\n" + lines, to: "orders.csv")
    let outcome = try shop.run("replay", file)
    #expect(outcome.stdout.contains("orders rejected (database)  1\n"), "\(outcome.stdout)")
    #expect(!(try shop.run("replay", file, "--stock", "1").stdout.contains("orders rejected (database)  0")))
  }

  @Test("A run on the path database asks no server that was not named, though the database has sales on one")
  func unnamedServer() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    let file = try shop.write("token,user,product,quantity\nt-1,ann,q,1\n", to: "orders.csv")
    for command in [["replay", file], ["demo", "--requests", "5"]] {
      let outcome = try Doorbuster.run(command + ["--path", "database", "--json", "--database", shop.database])
      expectRefusal(outcome, naming: "the database has a sale of p on the path redis-mq, which needs Redis")
      #expect(try Doorbuster.run(command + ["--path", "database", "--json"] + shop.flags).status == .exited(0))
    }
  }

  @Test("A file with a header and nothing else is a run of nothing")
  func emptyRun() throws {
    let shop = try Shop()
    let file = try shop.write("token,user,product,quantity\n", to: "orders.csv")
    let report = try shop.json("replay", file)
    #expect(report["requests"] == 0)
    #expect(report["products"] == 0)
  }

  @Test(
    "A file that can't be used is named, with what is wrong, and no server is asked",
    arguments: [
      ("", "is empty"), ("t-1,ann,p,1\n", "'token'"), ("token,user,product\n", "'quantity'"),
      ("token,user,product,quantity,user\n", "'user'"), ("\"token,user\n", "line 1"),
    ]
  )
  func badHeader(text: String, culprit: String) throws {
    let shop = try Shop()
    let file = try shop.write(text, to: "orders.csv")
    let outcome = try shop.run("replay", file, "--json")
    expectRefusal(outcome, naming: culprit)
    #expect(outcome.stderr.contains(file))
    #expect(try shop.server.call("DBSIZE") == 0)
  }

  @Test("A missing file and a directory are named")
  func noFile() throws {
    let shop = try Shop()
    let missing = shop.files.file("missing.csv")
    expectRefusal(try shop.run("replay", missing), naming: missing)
    expectRefusal(try shop.run("replay", shop.files.path), naming: shop.files.path)
    #expect(try shop.server.call("DBSIZE") == 0)
  }

  @Test("A sale whose bucket is missing is an error that names recover")
  func lostBucket() throws {
    let shop = try Shop()
    let file = try shop.write("token,user,product,quantity\nt-1,ann,p,1\n", to: "orders.csv")
    try expectBalance(shop.json("replay", file, "--stock", "10"))
    try shop.server.call("DEL", "doorbuster:{p/0}")
    let keys = try shop.server.call("DBSIZE")
    expectRefusal(try shop.run("replay", file, "--stock", "10"), naming: "recover p")
    expectRefusal(try shop.run("sale", "create", "p", "--stock", "10"), naming: "recover p")
    #expect(try shop.server.call("DBSIZE") == keys)
  }
}
