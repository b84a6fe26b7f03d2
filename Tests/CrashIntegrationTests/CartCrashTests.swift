import SaleAudit
import TestServers
import Testing

@Suite("A crash with carts under way", .inTurns)
struct CartCrashTests {
  /// Fewer units than the crowd wants, so that carts are refused at each of their lines, and give back what they hold.
  private static let stock = 40
  private static let sales = ["more=hat,sock", "buckets=2", "path=combined"]

  private func probe(_ shop: Shop, _ arguments: String...) throws -> Subprocess {
    try shop.probe(stock: Self.stock, Self.sales + arguments)
  }

  @Test(
    "of the orchestrator, between any two steps, leaves each cart whole or not at all",
    arguments: [
      "sendHalf/after/12", "deduct/before/20", "deduct/after/20", "deduct/after/31", "commit/before/9",
      "commit/after/9", "confirm/before/14", "confirm/after/14", "fence/before/2", "fence/after/2",
      "cancel/before/2", "cancel/after/2", "rollBack/before/2", "rollBack/after/2",
    ]
  )
  func orchestrator(crash: String) async throws {
    let shop = try Shop()
    let promised = Set(try await probe(shop, "seed=7", "carts=60", "crash=\(crash)").diedOfCrash())
    #expect(try await probe(shop, "work=yes").endedWell() == [])
    var audit = try CartAudit(shop)
    try audit.run(accepted: promised)
    #expect(!audit.sold.isEmpty)

    // The same buyers ask again: whoever had bought hears so, and nobody buys twice.
    let confirmed = Set(try await probe(shop, "seed=7", "carts=60", "work=yes").endedWell())
    #expect(confirmed.isSuperset(of: promised))
    var lastAudit = try CartAudit(shop)
    try lastAudit.run(accepted: confirmed)
    #expect(lastAudit.sold == confirmed)
    #expect(lastAudit.sold.isSuperset(of: audit.sold))
  }

  @Test(
    "of the orchestrator leaves each cart whole or not at all over three servers, too",
    arguments: ["deduct/after/20", "commit/after/9", "confirm/after/14", "cancel/before/2"]
  )
  func severalServers(crash: String) async throws {
    let shop = try Shop(servers: 3)
    let sales = ["more=hat,sock", "buckets=3", "path=combined", "seed=7"]
    let promised = Set(try await shop.probe(stock: 39, sales + ["carts=60", "crash=\(crash)"]).diedOfCrash())
    let confirmed = Set(try await shop.probe(stock: 39, sales + ["carts=60", "work=yes"]).endedWell())
    #expect(confirmed.isSuperset(of: promised))
    var audit = try CartAudit(shop)
    try audit.run(accepted: confirmed)
    #expect(audit.sold.isSuperset(of: confirmed))
  }

  @Test(
    "of a check-back leaves it to the next one",
    arguments: [
      ("deduct/after/20", "check/before/1"), ("deduct/after/20", "fence/after/2"),
      ("deduct/after/20", "cancel/before/1"),
      ("deduct/after/20", "cancel/after/1"), ("commit/before/9", "fence/after/1"), ("commit/before/9", "check/after/1"),
    ]
  )
  func checkBack(first: String, then: String) async throws {
    let shop = try Shop()
    let promised = Set(try await probe(shop, "seed=11", "carts=60", "crash=\(first)").diedOfCrash())
    let halves = try #require(try shop.server.call("XLEN", Audit.topic + ":half").integer)
    #expect(halves > 0)
    _ = try await probe(shop, "work=yes", "crash=\(then)").diedOfCrash()
    _ = try await probe(shop, "work=yes").endedWell()
    var audit = try CartAudit(shop)
    try audit.run(accepted: promised)
  }

  @Test(
    "of a worker, before and after its word with the buckets and the database, records each cart once",
    arguments: [
      "deliver/before/1", "confirm/before/3", "confirm/after/4", "record/before/2", "record/after/2",
      "deliver/after/1", "follow/after/1",
    ]
  )
  func worker(crash: String) async throws {
    let shop = try Shop()
    let promised = Set(try await probe(shop, "seed=3", "carts=30").endedWell())
    #expect(promised.count > 5)
    _ = try await probe(shop, "work=yes", "crash=\(crash)").diedOfCrash()
    _ = try await probe(shop, "work=yes").endedWell()
    var audit = try CartAudit(shop)
    try audit.run(accepted: promised)
    #expect(audit.sold == promised && audit.rejected.isEmpty)
  }

  @Test("of a worker on MariaDB, the same")
  func workerOnMariaDB() async throws {
    let mariaDB = try await SharedMariaDB.get()
    for crash in ["record/before/2", "record/after/2"] {
      let shop = try Shop(on: mariaDB)
      let promised = Set(try await probe(shop, "seed=3", "carts=30").endedWell())
      _ = try await probe(shop, "work=yes", "crash=\(crash)").diedOfCrash()
      _ = try await probe(shop, "work=yes").endedWell()
      var audit = try CartAudit(shop)
      try audit.run(accepted: promised)
      #expect(!promised.isEmpty && audit.sold == promised)
    }
  }

  @Test(
    "of a worker that finds the database short of one product gives the whole cart back",
    arguments: [
      "record/after/2", "record/after/6", "cancel/before/1", "cancel/after/1", "cancel/after/2", "deliver/after/2",
    ]
  )
  func short(crash: String) async throws {
    let shop = try Shop()
    let promised = Set(try await probe(shop, "seed=3", "carts=30").endedWell())
    try shop.lowerDatabaseStock(of: "hat", to: 10)
    _ = try await probe(shop, "work=yes", "crash=\(crash)").diedOfCrash()
    _ = try await probe(shop, "work=yes").endedWell()
    var audit = try CartAudit(shop, lowered: ["hat": Int64(Self.stock - 10)])
    try audit.run(accepted: promised)
    #expect(!audit.rejected.isEmpty && !audit.sold.isEmpty)
    #expect(audit.sold.union(audit.rejected) == promised)
  }
}
