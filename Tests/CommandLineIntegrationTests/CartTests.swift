import Foundation
import TestServers
import Testing

@Suite struct CartTests {
  private func buy(
    _ shop: Shop,
    _ token: String,
    _ items: String...,
    user: String = "ann",
    status: Int32 = 0,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> JSON {
    let arguments = ["buy"] + items.flatMap { ["--item", $0] } + ["--user", user, "--token", token, "--json"]
    let outcome = try Doorbuster.run(arguments + shop.flags)
    #expect(outcome.status == .exited(status), "\(outcome.stderr)", sourceLocation: sourceLocation)
    return try JSON(outcome.stdout)
  }

  private func shop() throws -> Shop {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "cap", "--stock", "5")
    _ = try shop.json("sale", "create", "tee", "--stock", "3", "--buckets", "2", "--limit", "2", "--path", "combined")
    return shop
  }

  @Test("Several products are bought together, once, and become an order each")
  func together() throws {
    let shop = try shop()
    let bought = try buy(shop, "c-1", "tee=2", "cap=1")
    #expect(bought["outcome"] == "accepted")
    #expect(bought["items"][0]["sku"] == "cap")
    #expect(bought["items"][0]["quantity"] == 1)
    #expect(bought["items"][0]["remaining"] == 4)
    #expect(bought["items"][1]["sku"] == "tee")
    #expect(try buy(shop, "c-1", "cap=1", "tee=2")["outcome"] == "duplicate")
    try shop.work { try shop.status("tee")["settled"] == true && shop.status("cap")["settled"] == true }
    #expect(try shop.status("tee")["database"]["units"]["sold"] == 2)
    #expect(try shop.status("cap")["database"]["units"]["sold"] == 1)
    #expect(try shop.status("cap")["database"]["stock"] == 4)
    for sku in ["cap", "tee"] { #expect(try shop.json("reconcile", sku)["found"] == 0) }
  }

  @Test("Where one product can't be had nothing is bought, and the answer names it")
  func allOrNothing() throws {
    let shop = try shop()
    let limited = try buy(shop, "c-1", "cap=1", "tee=3", status: 2)
    #expect(limited["outcome"] == "limit")
    #expect(limited["failed"]["sku"] == "tee")
    #expect(limited["failed"]["quantity"] == 3)
    let soldOut = try buy(shop, "c-2", "cap=9", "tee=1", status: 2)
    #expect(soldOut["outcome"] == "soldOut")
    #expect(soldOut["failed"]["sku"] == "cap")
    #expect(soldOut["failed"]["remaining"] == 5)
    #expect(try shop.status("cap")["buckets"][0]["available"] == 5)
    #expect(try shop.status("cap")["buckets"][0]["held"] == 0)
    // A line was held for it, so its token is spent.
    #expect(try buy(shop, "c-1", "cap=1", "tee=1", status: 2)["outcome"] == "cancelled")
    #expect(try buy(shop, "c-3", "cap=1", "tee=1")["outcome"] == "accepted")
    try shop.work { try shop.status("tee")["settled"] == true && shop.status("cap")["settled"] == true }
    #expect(try shop.status("cap")["database"]["units"]["sold"] == 1)
    #expect(try shop.status("tee")["database"]["units"]["sold"] == 1)
  }

  @Test("People read the outcome in one line")
  func humanOutcomes() throws {
    let shop = try shop()
    func buy(_ token: String, _ cap: String) throws -> String {
      try shop.run("buy", "--item", cap, "--item", "tee=1", "--user", "ann", "--token", token).stdout
    }
    #expect(try buy("c-1", "cap=1") == "accepted: cap=1 tee=1\n")
    #expect(try buy("c-1", "cap=1") == "accepted before, by the same token: cap=1 tee=1\n")
    #expect(try buy("c-2", "cap=9") == "cap is sold out, 4 left; nothing is bought\n")
    #expect(try shop.run("cancel", "tee", "c-1").stdout == "cancelled; its units are on sale again\n")
    #expect(try buy("c-1", "cap=1").hasPrefix("tee: cancelled: "))
  }

  @Test("A token that bought other lines, or another quantity, is an error that names the product")
  func mismatch() throws {
    let shop = try shop()
    _ = try shop.json("sale", "create", "mug", "--stock", "5")
    _ = try buy(shop, "c-1", "cap=1", "tee=1")
    func refused(_ items: String...) throws -> Subprocess.Outcome {
      let arguments = items.flatMap { ["--item", $0] } + ["--user", "ann", "--token", "c-1"]
      return try Doorbuster.run(["buy"] + arguments + shop.flags)
    }
    expectRefusal(try refused("cap=1", "mug=1"), naming: "--item mug=1")
    expectRefusal(try refused("cap=1", "tee=2"), naming: "--item tee=2")
    #expect(try shop.status("mug")["buckets"][0]["held"] == 0)
    #expect(try shop.status("tee")["buckets"][0]["sold"] == 1 || shop.status("tee")["buckets"][1]["sold"] == 1)
  }

  @Test("A product on a path that takes no carts is named with its path", arguments: ["buckets", "database"])
  func paths(path: String) throws {
    let shop = try shop()
    _ = try shop.json("sale", "create", "mug", "--stock", "5", "--path", path)
    let outcome = try shop.run("buy", "--item", "cap=1", "--item", "mug=1", "--user", "ann", "--token", "c-1")
    expectRefusal(outcome, naming: "--item mug=1: mug is sold on the path \(path)")
    let unknown = try shop.run("buy", "--item", "cap=1", "--item", "cup=1", "--user", "ann", "--token", "c-1")
    expectRefusal(unknown, naming: "--item cup=1: no sale of cup is known")
    #expect(try shop.status("cap")["buckets"][0]["available"] == 5)
  }

  @Test(
    "Arguments that make no cart are refused before any server is asked",
    arguments: [
      (["--item", "tee"], "--item is 'tee'"), (["--item", "=2"], "SKU"), (["--item", "tee=0"], "--item tee=0"),
      (["--item", "tee=1", "--item", "tee=2"], "--item: cart is 'tee'"), (["tee", "--item", "cap=1"], "'tee'"),
      (["--item", "tee=1", "--quantity", "2"], "--quantity"), (["--item", "tee=1", "--hold", "9"], "--hold"),
      ([], "--item SKU=QTY"), ((0..<33).flatMap { ["--item", "p\($0)=1"] }, "33 lines"),
    ] as [([String], String)]
  )
  func badArguments(arguments: [String], culprit: String) throws {
    let nowhere = ["--redis", "redis://127.0.0.1:1", "--database", "sqlite:/nowhere/orders.sqlite"]
    let outcome = try Doorbuster.run(["buy"] + arguments + ["--user", "u", "--token", "t"] + nowhere)
    expectRefusal(outcome, status: 64, naming: culprit)
  }

  @Test("A part of a cart, with its token, is bought before: nothing more is taken, and no message dies of it")
  func partOfCart() throws {
    let shop = try Shop()
    for sku in ["ca", "cb"] { _ = try shop.json("sale", "create", sku, "--stock", "5") }
    func buy(_ items: String..., status: Int32 = 0) throws -> String {
      let outcome = try Doorbuster.run(
        ["buy", "--user", "u", "--token", "k"] + items.flatMap { ["--item", $0] } + shop.flags
      )
      #expect(outcome.status == .exited(status), "\(outcome.stderr)")
      return outcome.stdout
    }
    #expect(try buy("ca=1", "cb=1") == "accepted: ca=1 cb=1\n")
    #expect(try buy("ca=1") == "accepted before, by the same token: ca=1\n")
    #expect(try buy("cb=1") == "accepted before, by the same token: cb=1\n")
    _ = try buy("ca=2", status: 1)
    let counters = try shop.work { try ["ca", "cb"].allSatisfy { try shop.status($0)["settled"] == true } }
    #expect(counters["deadLettered"] == 0)
    for sku in ["ca", "cb"] {
      let status = try shop.status(sku)
      #expect(status["database"]["orders"]["sold"] == 1 && status["buckets"][0]["available"] == 4, "\(sku)")
    }
  }
}
