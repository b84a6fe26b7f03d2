import TestServers
import Testing

@Suite("A crash of the orchestrator", .inTurns)
struct PurchaseCrashTests {
  /// Fewer units than the crowd wants, so that there are refusals to roll back too.
  private static let stock = 40

  @Test(
    "between any two steps of a purchase breaks no promise, and a fresh process finishes",
    arguments: [
      "sendHalf/before/15", "sendHalf/after/15", "deduct/before/15", "deduct/after/15", "commit/before/15",
      "commit/after/15", "rollBack/before/2", "rollBack/after/2",
    ]
  )
  func purchase(crash: String) async throws {
    let shop = try Shop()
    let buying = try shop.probe(stock: Self.stock, "seed=7", "clicks=60", "crash=\(crash)")
    let promised = Set(try await buying.diedOfCrash())
    try expectTraces(of: crash, in: shop)

    let repairing = try shop.probe(stock: Self.stock, "work=yes")
    #expect(try await repairing.endedWell() == [])
    var audit = try Audit(shop)
    try audit.run(accepted: promised)
    #expect(!audit.sold.isEmpty)

    // The same buyers ask again: whoever had bought hears so, and nobody buys twice.
    let again = try shop.probe(stock: Self.stock, "seed=7", "clicks=60", "work=yes")
    let confirmed = Set(try await again.endedWell())
    #expect(confirmed.isSuperset(of: promised))
    var lastAudit = try Audit(shop)
    try lastAudit.run(accepted: confirmed)
    #expect(lastAudit.sold == confirmed)
    #expect(lastAudit.sold.isSuperset(of: audit.sold))
  }

  @Test(
    "between any two steps of a check-back leaves it to the next one",
    arguments: ["check/before/1", "fence/before/1", "fence/after/1", "check/after/1"]
  )
  func checkBack(crash: String) async throws {
    let shop = try Shop()
    let buying = try shop.probe(stock: Self.stock, "seed=11", "clicks=60", "crash=commit/before/15")
    let promised = Set(try await buying.diedOfCrash())
    let halves = try #require(try shop.server.call("XLEN", Audit.topic + ":half").integer)
    #expect(halves > 0)

    _ = try await shop.probe(stock: Self.stock, "work=yes", "crash=\(crash)").diedOfCrash()
    _ = try await shop.probe(stock: Self.stock, "work=yes").endedWell()
    var audit = try Audit(shop)
    try audit.run(accepted: promised)
  }

  /// That the crash came where it was to come: what it must have left behind is there.
  private func expectTraces(of crash: String, in shop: Shop) throws {
    let redis = try shop.server.connect()
    let halves = try #require(try redis.call("XRANGE", Audit.topic + ":half", "-", "+").elements)
    switch crash {
    case "sendHalf/after/15", "deduct/before/15", "rollBack/before/2": #expect(!halves.isEmpty)
    case "deduct/after/15", "commit/before/15":
      let tokens = halves.compactMap { $0[1]?["k"]?.bytes }
      let states = try tokens.map { try redis.call("STOCK.GET", Audit.key(Shop.sku), $0)["state"]?.text }
      #expect(states.contains("sold"), "\(tokens.count) half messages, and nothing is deducted of them")
    case "commit/after/15": #expect(try #require(redis.call("XLEN", Audit.topic).integer) >= 15)
    default: break
    }
  }
}
