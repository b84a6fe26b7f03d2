import TestServers
import Testing

/// A sale of which the buckets are gone, and a recovery that is killed at a chosen step. Another one goes on with it.
@Suite("A crash of a recovery", .inTurns)
struct RecoveryCrashTests {
  @Test(
    "leaves every order to be written in, once, and nothing to be sold before",
    arguments: [
      "create/after/1", "create/after/2", "writeIn/before/1", "writeIn/after/40", "adopt/before/1", "adopt/after/1",
      "thaw/before/1", "thaw/after/1",
    ]
  )
  func messages(crash: String) async throws { try await expectRecovery(after: crash, of: .twoBuckets) }

  @Test(
    "does so where the log delivers",
    arguments: ["create/after/1", "writeIn/after/40", "adopt/after/1", "thaw/after/1"]
  )
  func log(crash: String) async throws { try await expectRecovery(after: crash, of: .log) }

  private func expectRecovery(after crash: String, of scene: CrashScene) async throws {
    let (shop, promised) = try await scene.soldShop()
    _ = try await scene.probe(shop, ["work=yes"]).endedWell()
    #expect(try shop.server.call("FLUSHALL") == .ok)
    _ = try await scene.probe(shop, ["recover=yes", "crash=\(crash)"]).diedOfCrash()
    // A bucket that sells has all of its orders by then.
    for bucket in 0..<2 as Range<Int64> {
      let info = try shop.server.call("STOCK.INFO", Audit.key(Shop.sku, bucket))
      guard info["frozen"] == "no" else { continue }
      let sql = "SELECT COALESCE(SUM(quantity), 0) FROM orders WHERE state = 'sold' AND bucket = \(bucket)"
      #expect(info["sold"]?.integer == (try shop.database.number(sql)))
    }
    _ = try await scene.probe(shop, ["recover=yes", "work=yes"]).endedWell()
    var audit = try Audit(shop)
    try audit.run(accepted: promised)
    #expect(audit.sold == promised)
    // The same buyers ask again, and hear that they have bought.
    let again = Set(try await scene.probe(shop, scene.crowd + ["work=yes"]).endedWell())
    #expect(again == promised)
    var lastAudit = try Audit(shop)
    try lastAudit.run(accepted: promised)
    #expect(lastAudit.sold == promised)
  }
}
