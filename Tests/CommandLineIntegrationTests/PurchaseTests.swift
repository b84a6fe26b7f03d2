import Foundation
import TestServers
import Testing

@Suite struct PurchaseTests {
  private func buy(
    _ shop: Shop,
    _ token: String,
    user: String = "ann",
    quantity: String = "1",
    status: Int32 = 0,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> JSON {
    try shop.json(
      "buy",
      "p",
      "--user",
      user,
      "--token",
      token,
      "--quantity",
      quantity,
      status: status,
      sourceLocation: sourceLocation
    )
  }

  @Test("A buyer hears accepted, then duplicate for the same token; limit and sold out end with status 2")
  func outcomes() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5", "--limit", "3")
    let accepted = try buy(shop, "t-1", quantity: "3")
    #expect(accepted["outcome"] == "accepted")
    #expect(accepted["remaining"] == 2)
    #expect(accepted["sequence"] == 2)
    let again = try buy(shop, "t-1", quantity: "3")
    #expect(again["outcome"] == "duplicate")
    #expect(again["sequence"] == 2)
    #expect(try buy(shop, "t-2", status: 2)["outcome"] == "limit")
    #expect(try buy(shop, "t-3", user: "bob", quantity: "3", status: 2)["outcome"] == "soldOut")
    #expect(try buy(shop, "t-4", user: "bob", quantity: "2")["outcome"] == "accepted")
    #expect(try buy(shop, "t-1", quantity: "3")["outcome"] == "duplicate")
    #expect(try shop.status("p")["buckets"][0]["sold"] == 5)
  }

  @Test("People read the outcome in one line")
  func humanOutcomes() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "1")
    func buy(_ token: String) throws -> String {
      try shop.run("buy", "p", "--user", "ann", "--token", token).stdout
    }
    #expect(try buy("t-1") == "accepted; 0 left\n")
    #expect(try buy("t-1") == "accepted before, by the same token; 0 left\n")
    #expect(try buy("t-2") == "sold out; 0 left\n")
    #expect(try shop.run("cancel", "p", "t-1").stdout == "cancelled; its units are on sale again\n")
    #expect(try shop.run("cancel", "p", "t-1").stdout == "cancelled before\n")
    #expect(try buy("t-1").hasPrefix("cancelled: "))
  }

  @Test("Before it opens and after it closes a sale refuses with status 2")
  func window() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5", "--opens", "4000000000000")
    #expect(try buy(shop, "t-1", status: 2)["outcome"] == "early")
    _ = try shop.json("sale", "create", "q", "--stock", "5", "--closes", "1")
    let late = try shop.json("buy", "q", "--user", "ann", "--token", "t-1", status: 2)
    #expect(late["outcome"] == "closed")
  }

  @Test("A token that comes with another user or quantity is an error and changes nothing")
  func mismatch() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    _ = try buy(shop, "t-1")
    let books = try shop.status("p")["buckets"]
    expectRefusal(try shop.run("buy", "p", "--user", "bob", "--token", "t-1"), naming: "token")
    expectRefusal(
      try shop.run("buy", "p", "--user", "ann", "--token", "t-1", "--quantity", "2"),
      naming: "token"
    )
    #expect(try shop.status("p")["buckets"] == books)
  }

  @Test("A cancel gives the units back, and a worker makes the order follow")
  func cancel() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    _ = try buy(shop, "t-1", quantity: "2")
    _ = try buy(shop, "t-2")
    try shop.work { try shop.status("p")["database"]["orders"]["sold"] == 2 }
    #expect(try shop.status("p")["database"]["stock"] == 2)

    #expect(try shop.json("cancel", "p", "t-1")["outcome"] == "cancelled")
    #expect(try shop.json("cancel", "p", "t-1")["outcome"] == "alreadyCancelled")
    #expect(try shop.json("cancel", "p", "t-9", status: 2)["outcome"] == "unknownToken")
    #expect(try shop.status("p")["settled"] == false)
    try shop.work { try shop.status("p")["database"]["orders"]["cancelled"] == 1 }
    let status = try shop.status("p")
    #expect(status["settled"] == true)
    #expect(status["database"]["stock"] == 4)
    #expect(status["database"]["units"]["sold"] == 1)
    #expect(status["buckets"][0]["available"] == 4)
    #expect(status["buckets"][0]["cancelled"] == 2)
    #expect(try buy(shop, "t-1", quantity: "2", status: 2)["outcome"] == "cancelled")
  }

  @Test("A purchase from a bucket that is missing is an error that names recover")
  func lostBucket() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    try shop.server.call("DEL", "doorbuster:{p/0}")
    expectRefusal(try shop.run("buy", "p", "--user", "ann", "--token", "t-1"), naming: "p/0")
    expectRefusal(try shop.run("cancel", "p", "t-1"), naming: "p/0")
  }

  @Test("Of several buckets it is the buyer's whose rest is told")
  func homeBucket() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "60", "--path", "buckets", "--buckets", "6")
    func buy(_ options: String...) throws -> String {
      try Doorbuster.run(["buy", "p", "--user", "ann"] + options + shop.flags).stdout
    }
    #expect(try buy("--token", "t", "--quantity", "30") == "accepted; 0 left in the buyer's bucket\n")
    #expect(
      try buy("--token", "t", "--quantity", "30")
        == "accepted before, by the same token; 0 left in the buyer's bucket\n"
    )
    #expect(try buy("--token", "u", "--hold", "60000").hasSuffix(" left in the buyer's bucket\n"))
  }

  @Test("A hold that a recovery has written in has no end, and none is told")
  func endlessHold() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    #expect(try shop.server.call("STOCK.RECORD", "doorbuster:{p/0}", "ann", "t", "2", "held")[0]?.text == "OK")
    for hold in [[], ["--hold", "600000"]] {
      let buy = ["buy", "p", "--user", "ann", "--token", "t", "--quantity", "2"] + hold + shop.flags
      #expect(
        try Doorbuster.run(buy).stdout == "held before, by the same token, without an end that is known; 3 left\n"
      )
      let answer = try JSON(Doorbuster.run(buy + ["--json"]).stdout)
      #expect(answer.keys.contains("expires") && answer["expires"] == .null && answer["isRepeat"] == true)
    }
    let bounded = try shop.json("buy", "p", "--user", "ann", "--token", "u", "--hold", "600000")
    #expect(bounded["expires"].number != nil)
  }

  @Test("A token that is not UTF-8 is confirmed and cancelled by its bytes")
  func tokenByBytes() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    let token = [UInt8]([0xFF, 0x00, 0x74])
    #expect(
      try shop.server.call("STOCK.DEDUCT", "doorbuster:{p/0}", "ann", token, "1", "HOLD", "600000")[0]?.text == "OK"
    )
    #expect(try shop.json("confirm", "p", "--token-hex", "ff0074")["outcome"] == "confirmed")
    #expect(try shop.json("cancel", "p", "--token-hex", "FF0074")["outcome"] == "cancelled")
    #expect(try shop.json("cancel", "p", "--token-hex", "ff", status: 2)["outcome"] == "unknownToken")
  }
}
