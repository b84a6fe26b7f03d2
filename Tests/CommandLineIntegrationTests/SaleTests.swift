import TestServers
import Testing

@Suite struct SaleTests {
  @Test("A sale is created once: the same command again changes nothing, another number is an error")
  func create() throws {
    let shop = try Shop()
    let first = try shop.json("sale", "create", "p", "--stock", "10", "--limit", "2", "--closes", "4000000000000")
    #expect(first["sku"] == "p")
    #expect(first["path"] == "redis-mq")
    #expect([first["stock"], first["limit"], first["opens"], first["closes"]] == [10, 2, 0, 4_000_000_000_000])
    #expect(first["buckets"][0]["available"] == 10)
    #expect(first["database"]["stock"] == 10)
    #expect(first["settled"] == true)
    let digest = try shop.digest()
    let again = try shop.json("sale", "create", "p", "--stock", "10", "--limit", "2", "--closes", "4000000000000")
    #expect(again == first)
    expectRefusal(try shop.run("sale", "create", "p", "--stock", "11", "--limit", "2"), naming: "p is on sale already")
    expectRefusal(try shop.run("sale", "create", "p", "--stock", "10"), naming: "limit 2")
    #expect(try shop.digest() == digest)
    #expect(try shop.status("p") == first)
  }

  @Test("A bucket that somebody else made is not taken over")
  func foreignBucket() throws {
    let shop = try Shop()
    try shop.server.call("STOCK.CREATE", "doorbuster:{p/0}", 7)
    expectRefusal(try shop.run("sale", "create", "p", "--stock", "10"), naming: "created with 7 units")
    try shop.server.call("SET", "doorbuster:{q/0}", "text")
    expectRefusal(try shop.run("sale", "create", "q", "--stock", "10"), naming: "q/0")
    #expect(try shop.server.call("GET", "doorbuster:{q/0}") == "text")
    // Neither is in the way of the sale that was meant.
    try shop.server.call("DEL", "doorbuster:{q/0}")
    #expect(try shop.json("sale", "create", "p", "--stock", "7")["stock"] == 7)
    #expect(try shop.json("sale", "create", "q", "--stock", "20")["stock"] == 20)
  }

  @Test("A sale that the server refuses is not in the way of the one that was meant")
  func evictable() throws {
    let shop = try Shop()
    try shop.server.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    let create = ["sale", "create", "p", "--path", "buckets", "--buckets", "3", "--stock"]
    expectRefusal(try Doorbuster.run(create + ["10"] + shop.flags), naming: "maxmemory-policy")
    expectRefusal(try shop.run("sale", "status", "p"), naming: "no sale of p is known")
    try shop.server.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    let created = try Doorbuster.run(create + ["20"] + shop.flags)
    #expect(created.status == .exited(0), "\(created.stderr)")
  }

  @Test("A restock counts once per token, up and down, in the buckets and the database")
  func restock() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "10")
    for _ in 0..<2 {
      let up = try shop.json("sale", "restock", "p", "--token", "r-1", "--quantity", "5")
      #expect(up["buckets"][0]["available"] == 15)
      #expect(up["database"]["stock"] == 15)
      #expect(up["database"]["restocked"] == 5)
    }
    for quantity in ["--quantity=-12", "--quantity=-12"] {
      let down = try shop.json("sale", "restock", "p", "--token", "r-2", quantity)
      #expect(down["buckets"][0]["available"] == 3)
      #expect(down["buckets"][0]["added"] == -7)
      #expect(down["database"]["stock"] == 3)
    }
    let apart = try shop.json("sale", "restock", "p", "--token", "r-3", "--quantity", "-1")
    #expect(apart["buckets"][0]["available"] == 2)
  }

  @Test("A restock that can't be is an error that says why, and changes nothing")
  func badRestock() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "10")
    _ = try shop.json("sale", "restock", "p", "--token", "r-1", "--quantity", "5")
    let digest = try shop.digest()
    let status = try shop.status("p")
    func restock(_ sku: String, _ token: String, _ quantity: String) throws -> Subprocess.Outcome {
      try shop.run("sale", "restock", sku, "--token", token, "--quantity=\(quantity)")
    }
    expectRefusal(try restock("p", "r-1", "6"), naming: "r-1")
    expectRefusal(try restock("p", "r-2", "-16"), naming: "15 of 16 units are left")
    expectRefusal(try restock("q", "r-2", "1"), naming: "no sale of q")
    expectRefusal(try restock("p", "r-2", "0"), status: 64, naming: "--quantity")
    expectRefusal(try restock("p", "r-2", "9007199254740993"), status: 64, naming: "--quantity")
    expectRefusal(try restock("p", "r-2", "-9007199254740993"), status: 64, naming: "--quantity")
    expectRefusal(try restock("p", "r-2", "+1"), status: 64, naming: "--quantity")
    expectRefusal(try restock("p", "", "1"), status: 64, naming: "token")
    expectRefusal(try restock("p", String(repeating: "t", count: 106), "-1"), naming: "1 to 105 bytes")
    expectRefusal(try restock("p", "r-2", "9007199254740992"), naming: "2^53")
    #expect(try shop.digest() == digest)
    #expect(try shop.status("p") == status)
  }

  @Test("A closed sale refuses, keeps its time, and can be closed again")
  func close() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "10")
    let closed = try shop.json("sale", "close", "p")
    #expect(try #require(closed["closes"].number) > 1_000_000_000_000)
    #expect(try shop.json("sale", "close", "p")["closes"] == closed["closes"])
    #expect(try shop.json("buy", "p", "--user", "ann", "--token", "t-1", status: 2)["outcome"] == "closed")
  }

  @Test(
    "A product that is on sale nowhere is named, by every command that takes one",
    arguments: [
      ["sale", "status", "p"], ["sale", "close", "p"], ["cancel", "p", "t-1"],
      ["buy", "p", "--user", "ann", "--token", "t-1"],
    ]
  )
  func unknownSale(arguments: [String]) throws {
    let shop = try Shop()
    expectRefusal(try Doorbuster.run(arguments + shop.flags), naming: "no sale of p is known")
    #expect(try shop.server.call("EXISTS", "doorbuster:{p/0}") == 0)
  }

  @Test("People read a sale's status in Redis, messages and database")
  func humanStatus() throws {
    let shop = try Shop()
    let text = try shop.run("sale", "create", "p", "--stock", "10", "--limit", "2").stdout
    for words in ["p, redis-mq", "limit 2", "available  held  sold", "orders sold", "parked", "Settled"] {
      #expect(text.contains(words), "\(words) in \(text)")
    }
    #expect(text.split(separator: "\n").contains { $0.split(separator: " ").dropFirst(2).first == "10" }, "\(text)")
    #expect(try shop.run("sale", "status", "p").stdout == text)
  }

  @Test("The status of a sale whose bucket is missing tells so")
  func statusOfLostBucket() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "10")
    try shop.server.call("DEL", "doorbuster:{p/0}")
    let status = try shop.status("p")
    #expect(status["buckets"][0]["problem"].string?.contains("p/0") == true, "\(status)")
    #expect(status["settled"] == false)
  }
}
