import TestServers
import Testing

@Suite("A crash of a worker that delivers by log", .inTurns)
struct LogDeliveryCrashTests {
  private static let scene = CrashScene.log

  @Test(
    "between reading, storing and trimming leaves each purchase one order",
    arguments: [
      "log/before/1", "log/after/1", "log/after/3", "follow/before/1", "follow/after/1", "follow/before/3",
      "follow/after/4", "trim/before/1", "trim/after/1", "trim/after/3",
    ]
  )
  func storing(crash: String) async throws { try await Self.scene.expectOrders(after: crash) }

  @Test(
    "does so on MariaDB",
    arguments: ["follow/before/1", "follow/after/1", "follow/after/4", "trim/after/1"]
  )
  func storingInMariaDB(crash: String) async throws {
    try await Self.scene.expectOrders(after: crash, on: try await SharedMariaDB.get())
  }

  @Test(
    "between the database's word and the bucket's puts no rejected unit back on sale",
    arguments: [
      "record/before/1", "record/after/1", "record/after/2", "cancel/before/1", "cancel/after/1", "cancel/after/4",
      "follow/after/3",
    ]
  )
  func rejecting(crash: String) async throws { try await Self.scene.expectRejections(after: crash) }

  @Test(
    "of the buyers' own process in mid-sale loses no purchase that was promised",
    arguments: ["deduct/before/40", "deduct/after/40", "follow/after/3", "trim/after/2"]
  )
  func selling(crash: String) async throws {
    let shop = try Shop()
    let crowd = ["seed=9", "clicks=200", "work=yes"]
    let promised = Set(try await Self.scene.probe(shop, crowd + ["crash=\(crash)"]).diedOfCrash())
    let again = Set(try await Self.scene.probe(shop, crowd).endedWell())
    #expect(again.isSuperset(of: promised))
    var audit = try Audit(shop)
    try audit.run(accepted: again)
    #expect(audit.sold == again)
  }
}
