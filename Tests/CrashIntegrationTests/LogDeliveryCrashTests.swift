import TestServers
import Testing

/// A sale whose log alone delivers: two buckets, and a crowd that has bought before any worker came.
@Suite("A crash of a worker that delivers by log")
struct LogDeliveryCrashTests {
  private static let stock = 400

  private func soldShop() throws -> (shop: Shop, promised: Set<String>) {
    let shop = try Shop()
    let promised = Set(try probe(shop, "seed=3", "clicks=120").endedWell())
    #expect(promised.count > 60)
    return (shop, promised)
  }

  private func probe(_ shop: Shop, _ arguments: String...) throws -> Subprocess {
    try shop.probe(stock: Self.stock, ["path=buckets", "buckets=2"] + arguments)
  }

  @Test(
    "between reading, storing and trimming leaves each purchase one order",
    .timeLimit(.minutes(2)),
    arguments: [
      "log/before/1", "log/after/1", "log/after/3", "follow/before/1", "follow/after/1", "follow/before/3",
      "follow/after/4", "trim/before/1", "trim/after/1", "trim/after/3",
    ]
  )
  func storing(crash: String) throws {
    let (shop, promised) = try soldShop()
    _ = try probe(shop, "work=yes", "crash=\(crash)").diedOfCrash()
    _ = try probe(shop, "work=yes").endedWell()
    var audit = try Audit(shop)
    try audit.run(accepted: promised)
    #expect(audit.sold == promised)
    #expect(audit.rejected.isEmpty)
  }

  @Test(
    "between the database's word and the bucket's puts no rejected unit back on sale",
    .timeLimit(.minutes(2)),
    arguments: [
      "record/before/1", "record/after/1", "record/after/2", "cancel/before/1", "cancel/after/1", "cancel/after/4",
      "follow/after/3",
    ]
  )
  func rejecting(crash: String) throws {
    let (shop, promised) = try soldShop()
    try shop.lowerDatabaseStock(to: 50)
    _ = try probe(shop, "work=yes", "crash=\(crash)").diedOfCrash()
    _ = try probe(shop, "work=yes").endedWell()
    var audit = try Audit(shop, lowered: Int64(Self.stock - 50))
    try audit.run(accepted: promised)
    #expect(!audit.rejected.isEmpty && !audit.sold.isEmpty)
    #expect(audit.sold.union(audit.rejected) == promised)
  }

  @Test(
    "of the buyers' own process in mid-sale loses no purchase that was promised",
    .timeLimit(.minutes(2)),
    arguments: ["deduct/before/40", "deduct/after/40", "follow/after/3", "trim/after/2"]
  )
  func selling(crash: String) throws {
    let shop = try Shop()
    let promised = Set(try probe(shop, "seed=9", "clicks=200", "work=yes", "crash=\(crash)").diedOfCrash())
    let again = Set(try probe(shop, "seed=9", "clicks=200", "work=yes").endedWell())
    #expect(again.isSuperset(of: promised))
    var audit = try Audit(shop)
    try audit.run(accepted: again)
    #expect(audit.sold == again)
  }
}
