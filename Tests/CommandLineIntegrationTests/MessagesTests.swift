import Foundation
import TestServers
import Testing

@Suite struct MessagesTests {
  private static let topic = "doorbuster:mq:{doorbuster.purchases}"
  private static let bucket = "doorbuster:{p/0}"

  /// A purchase of one unit by ann from bucket 0 of product p, made at time 1, in the messages' format.
  private func body(token: String, user: String = "ann") -> [UInt8] {
    func name(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + Array(text.utf8) }
    return [1] + name("p") + name(user) + name(token) + [1, 0, 1]
  }

  private func add(_ shop: Shop, to stream: String, token: String, body: [UInt8]) throws {
    let id = try shop.server.call("XADD", Self.topic + stream, "*", "k", token, "b", body)
    #expect(id.text?.contains("-") == true)
  }

  private func list(_ shop: Shop, _ kind: String) throws -> [JSON] {
    try shop.json("messages", "list", "--kind", kind)["messages"].elements
  }

  @Test("Without any message that needs a hand the list says so")
  func nothing() throws {
    let shop = try Shop()
    #expect(try shop.json("messages", "list")["messages"] == [])
    #expect(try shop.run("messages", "list").stdout == "no message needs a hand\n")
    #expect(try shop.json("messages", "resume", "--all")["sentOn"] == 0)
    expectRefusal(try shop.run("messages", "resume", "1-1"), naming: "no parked message 1-1")
    expectRefusal(try shop.run("messages", "replay", "1-1"), naming: "no dead message 1-1")
    expectRefusal(try shop.run("messages", "replay", "nonsense"), naming: "no dead message nonsense")
    expectRefusal(try shop.run("messages", "resume"), status: 64, naming: "--all")
    expectRefusal(try shop.run("messages", "resume", "1-1", "--all"), status: 64, naming: "--all")
    expectRefusal(try shop.run("messages", "list", "--kind", "lost"), status: 64, naming: "lost")
  }

  @Test(
    "A purchase whose producer died before its commit is parked while its bucket is away, and resumed it is an order"
  )
  func parked() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    try add(shop, to: ":half", token: "t-1", body: body(token: "t-1"))
    try add(shop, to: ":half", token: "t-2", body: body(token: "t-2"))
    #expect(try shop.server.call("STOCK.DEDUCT", Self.bucket, "ann", "t-1", 1) == .status("OK", 4, 2))
    try shop.server.call("RENAME", Self.bucket, "elsewhere")
    try shop.work("--check-after", "100", "--checks-max", "2") { try list(shop, "parked").count == 2 }

    // Checks run side by side, so either may be parked first.
    let parked = try list(shop, "parked").sorted { ($0["token"].string ?? "") < ($1["token"].string ?? "") }
    #expect(parked.map { $0["token"] } == ["t-1", "t-2"])
    #expect(parked[0]["sku"] == "p")
    #expect(parked[0]["user"] == "ann")
    #expect(parked[0]["kind"] == "parked")
    #expect(parked[0]["attempts"] == 2)
    #expect(try #require(parked[0]["reason"].string).contains("p/0"))
    #expect(try shop.run("messages", "list").stdout.split(separator: "\n").count == 2)

    try shop.server.call("RENAME", "elsewhere", Self.bucket)
    let id = try #require(parked[0]["id"].string)
    expectRefusal(try shop.run("messages", "replay", id), naming: "no dead message \(id)")
    #expect(try shop.json("messages", "resume", id)["sentOn"] == 1)
    #expect(try shop.json("messages", "resume", "--all")["sentOn"] == 1)
    try shop.work("--check-after", "100") { try shop.status("p")["settled"] == true }
    let status = try shop.status("p")
    #expect(status["database"]["orders"]["sold"] == 1)
    #expect(status["messages"]["parked"] == 0)
    #expect(status["messages"]["half"] == 0)
    // The one that was never deducted is fenced, so that a deduction still on its way is refused.
    #expect(try shop.server.call("STOCK.GET", Self.bucket, "t-2")["state"] == "cancelled")
  }

  @Test("A message that can't be read is dead at once, stays listed, and dies again when it is replayed")
  func garbage() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    try add(shop, to: "", token: "t-1", body: [7, 7, 7])
    try shop.work { try list(shop, "dead").count == 1 }
    let dead = try list(shop, "dead")[0]
    #expect(dead["kind"] == "dead")
    #expect(dead["token"] == "t-1")
    #expect(dead["sku"] == .null)
    let id = try #require(dead["id"].string)
    #expect(try shop.json("messages", "replay", id)["sentOn"] == 1)
    #expect(try list(shop, "dead") == [])
    let counters = try shop.work { try list(shop, "dead").count == 1 }
    #expect(counters["deadLettered"] == 1)
    #expect(try shop.status("p")["database"]["orders"]["sold"] == 0)
  }

  @Test("An order of another user under the same token makes a message dead, and the order stays")
  func conflict() throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    _ = try shop.json("buy", "p", "--user", "ann", "--token", "t-1")
    try shop.work { try shop.status("p")["database"]["orders"]["sold"] == 1 }
    try add(shop, to: "", token: "t-1", body: body(token: "t-1", user: "bob"))
    let counters = try shop.work { try list(shop, "dead").count == 1 }
    #expect(counters["conflicts"] == 1)
    #expect(try list(shop, "dead")[0]["user"] == "bob")
    let status = try shop.status("p")
    #expect(status["database"]["orders"]["sold"] == 1)
    #expect(status["buckets"][0]["sold"] == 1)
    #expect(try shop.json("buy", "p", "--user", "ann", "--token", "t-1")["outcome"] == "duplicate")
  }

  @Test(
    "Worker settings outside their bounds are refused",
    arguments: [
      ["--check-after", "99"], ["--check-after", "86400001"], ["--check-after", "-1"], ["--checks-max", "0"],
      ["--checks-max", "1024"], ["--checks-max", "many"],
    ]
  )
  func badSettings(arguments: [String]) throws {
    let outcome = try Doorbuster.run(["worker"] + arguments)
    expectRefusal(outcome, status: 64, naming: arguments[0])
  }
}
