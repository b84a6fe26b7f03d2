import TestServers
import Testing

@Suite("A crash of the worker", .inTurns)
struct WorkerCrashTests {
  private static let scene = CrashScene.messages
  private static let twins = CrashScene.twins

  @Test(
    "between reading, recording and acknowledging leaves each purchase one order",
    arguments: [
      "deliver/before/1", "record/before/1", "record/after/1", "deliver/after/1", "deliver/before/2", "record/after/3",
      "follow/before/1", "follow/after/1", "log/after/2",
    ]
  )
  func recording(crash: String) async throws { try await Self.scene.expectOrders(after: crash) }

  @Test(
    "does so on MariaDB",
    arguments: ["record/before/1", "record/after/1", "deliver/after/1", "follow/after/1"]
  )
  func recordingInMariaDB(crash: String) async throws {
    try await Self.scene.expectOrders(after: crash, on: try await SharedMariaDB.get())
  }

  @Test(
    "between the database's word and the bucket's puts no rejected unit back on sale",
    arguments: [
      "record/before/3", "record/after/3", "cancel/before/1", "cancel/after/1", "cancel/before/4", "cancel/after/4",
      "deliver/after/3",
    ]
  )
  func rejecting(crash: String) async throws { try await Self.scene.expectRejections(after: crash) }

  @Test(
    "while it stores a purchase from the log loses no order and no rejection",
    arguments: [
      "record/before/1", "record/after/1", "cancel/before/2", "cancel/after/2", "record/after/4", "follow/before/1",
      "follow/after/1",
    ]
  )
  func storingFromLog(crash: String) async throws {
    try await Self.scene.expectRejections(after: crash) { shop in
      // The broker lost all its messages: what finishes the purchases now is their log alone.
      let deleted = try shop.server.call("DEL", Audit.topic)
      #expect(deleted == 1)
    }
  }

  @Test(
    "between finding a purchase whose token is another's order and giving its units back does both",
    arguments: [
      "record/after/3", "cancel/before/1", "cancel/after/1", "deliver/after/3", "follow/after/1", "follow/after/2",
    ]
  )
  func conflicting(crash: String) async throws {
    let (shop, promised, twins) = try await twinShop()
    try await Self.twins.crashAndFinish(shop, at: crash)
    try expectConflicts(shop, promised, twins, deadMessages: twins.count)
  }

  @Test(
    "does so too where the log alone tells of the purchase",
    arguments: ["follow/after/3", "cancel/before/1", "cancel/after/1", "cancel/after/3", "follow/after/2"]
  )
  func conflictingInLog(crash: String) async throws {
    let (shop, promised, twins) = try await twinShop()
    #expect(try shop.server.call("DEL", Audit.topic) == 1)
    try await Self.twins.crashAndFinish(shop, at: crash)
    try expectConflicts(shop, promised, twins, deadMessages: 0)
  }

  private func twinShop() async throws -> (shop: Shop, promised: Set<String>, twins: Set<String>) {
    let (shop, promised) = try await Self.twins.soldShop()
    let redis = try shop.server.connect()
    let twins = try promised.filter { token in
      try (0...1).allSatisfy { try redis.call("STOCK.GET", Audit.key(Shop.sku, $0), token)["state"] == "sold" }
    }
    #expect(twins.count > 3)
    return (shop, promised, twins)
  }

  private func expectConflicts(
    _ shop: Shop,
    _ promised: Set<String>,
    _ twins: Set<String>,
    deadMessages: Int
  ) throws {
    var audit = try Audit(shop, deadMessages: Int64(deadMessages))
    try audit.run(accepted: promised)
    #expect(audit.sold == promised)
    #expect(audit.dead == twins)
  }
}
