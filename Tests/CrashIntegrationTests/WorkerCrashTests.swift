import TestServers
import Testing

@Suite("A crash of the worker")
struct WorkerCrashTests {
  private static let stock = 100
  private static let twinStock = 600

  /// A shop whose crowd has bought, with no worker to record it.
  private func soldShop() throws -> (shop: Shop, promised: Set<String>) {
    let shop = try Shop()
    let promised = Set(try shop.probe(stock: Self.stock, "seed=3", "clicks=40").endedWell())
    #expect(promised.count > 20)
    return (shop, promised)
  }

  private func crashAndFinish(_ shop: Shop, at crash: String, buckets: Int = 1) throws {
    let stock = buckets == 1 ? Self.stock : Self.twinStock
    _ = try shop.probe(stock: stock, "buckets=\(buckets)", "work=yes", "crash=\(crash)").diedOfCrash()
    _ = try shop.probe(stock: stock, "buckets=\(buckets)", "work=yes").endedWell()
  }

  @Test(
    "between reading, recording and acknowledging leaves each purchase one order",
    .timeLimit(.minutes(2)),
    arguments: [
      "deliver/before/1", "record/before/1", "record/after/1", "deliver/after/1", "deliver/before/2", "record/after/3",
      "follow/before/1", "follow/after/1", "log/after/2",
    ]
  )
  func recording(crash: String) throws {
    let (shop, promised) = try soldShop()
    try crashAndFinish(shop, at: crash)
    var audit = try Audit(shop)
    try audit.run(accepted: promised)
    #expect(audit.sold == promised)
    #expect(audit.rejected.isEmpty)
  }

  @Test(
    "between the database's word and the bucket's puts no rejected unit back on sale",
    .timeLimit(.minutes(2)),
    arguments: [
      "record/before/3", "record/after/3", "cancel/before/1", "cancel/after/1", "cancel/before/4", "cancel/after/4",
      "deliver/after/3",
    ]
  )
  func rejecting(crash: String) throws {
    let (shop, promised) = try soldShop()
    try shop.lowerDatabaseStock(to: 20)
    try crashAndFinish(shop, at: crash)
    try expectRejections(in: shop, promised)
  }

  @Test(
    "while it stores a purchase from the log loses no order and no rejection",
    .timeLimit(.minutes(2)),
    arguments: [
      "record/before/1", "record/after/1", "cancel/before/2", "cancel/after/2", "record/after/4", "follow/before/1",
      "follow/after/1",
    ]
  )
  func storingFromLog(crash: String) throws {
    let (shop, promised) = try soldShop()
    try shop.lowerDatabaseStock(to: 20)
    // The broker lost all its messages: what finishes the purchases now is their log alone.
    #expect(try shop.server.call("DEL", Audit.topic) == 1)
    try crashAndFinish(shop, at: crash)
    try expectRejections(in: shop, promised)
  }

  @Test(
    "between finding a purchase whose token is another's order and giving its units back does both",
    .timeLimit(.minutes(2)),
    arguments: [
      "record/after/3", "cancel/before/1", "cancel/after/1", "deliver/after/3", "follow/after/1", "follow/after/2",
    ]
  )
  func conflicting(crash: String) throws {
    let (shop, promised, twins) = try twinShop()
    try crashAndFinish(shop, at: crash, buckets: 2)
    var audit = try Audit(shop, deadMessages: Int64(twins.count))
    try audit.run(accepted: promised)
    #expect(audit.sold == promised)
    #expect(audit.dead == twins)
  }

  @Test(
    "does so too where the log alone tells of the purchase",
    .timeLimit(.minutes(2)),
    arguments: ["follow/after/3", "cancel/before/1", "cancel/after/1", "cancel/after/3", "follow/after/2"]
  )
  func conflictingInLog(crash: String) throws {
    let (shop, promised, twins) = try twinShop()
    #expect(try shop.server.call("DEL", Audit.topic) == 1)
    try crashAndFinish(shop, at: crash, buckets: 2)
    var audit = try Audit(shop)
    try audit.run(accepted: promised)
    #expect(audit.sold == promised)
    #expect(audit.dead == twins)
  }

  /// A shop of two buckets, each of which has sold some tokens that the other has sold to another user.
  private func twinShop() throws -> (shop: Shop, promised: Set<String>, twins: Set<String>) {
    let shop = try Shop()
    let buying = try shop.probe(stock: Self.twinStock, "buckets=2", "seed=5", "clicks=120", "twins=yes")
    let promised = Set(try buying.endedWell())
    let redis = try shop.server.connect()
    let twins = try promised.filter { token in
      try (0...1).allSatisfy { try redis.call("STOCK.GET", Audit.key(Shop.sku, $0), token)["state"] == "sold" }
    }
    #expect(twins.count > 3)
    return (shop, promised, twins)
  }

  private func expectRejections(in shop: Shop, _ promised: Set<String>) throws {
    var audit = try Audit(shop, lowered: Int64(Self.stock - 20))
    try audit.run(accepted: promised)
    #expect(!audit.rejected.isEmpty)
    #expect(!audit.sold.isEmpty)
    #expect(audit.sold.union(audit.rejected) == promised)
  }
}
