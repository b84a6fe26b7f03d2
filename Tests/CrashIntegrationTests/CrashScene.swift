import SaleAudit
import TestServers
import Testing

/// A sale whose crowd has bought with no worker to record it; whose worker is then killed at a chosen step; and that another
/// one finishes.
struct CrashScene: Sendable {
  let stock: Int
  /// What the probe is told of the sale, and of its crowd.
  let sale: [String]
  let crowd: [String]
  /// How many purchases it promises at least.
  let promisedMin: Int
  /// What is left of the database's stock where it is to be short.
  let shortStock: Int

  static let messages = CrashScene(
    stock: 100,
    sale: [],
    crowd: ["seed=3", "clicks=40"],
    promisedMin: 20,
    shortStock: 20
  )

  static let twoBuckets = CrashScene(
    stock: 400,
    sale: ["buckets=2"],
    crowd: ["seed=3", "clicks=120"],
    promisedMin: 60,
    shortStock: 50
  )

  /// Two buckets, whose log alone delivers.
  static let log = CrashScene(
    stock: 400,
    sale: ["path=buckets", "buckets=2"],
    crowd: ["seed=3", "clicks=120"],
    promisedMin: 60,
    shortStock: 50
  )

  /// Two buckets, each of which sells some tokens that the other has sold to another user.
  static let twins = CrashScene(
    stock: 600,
    sale: ["buckets=2"],
    crowd: ["seed=5", "clicks=120", "twins=yes"],
    promisedMin: 60,
    shortStock: 50
  )

  /// - Returns: also the tokens whose buyers heard that they have bought.
  func soldShop(on mariaDB: MariaDBServer? = nil) async throws -> (shop: Shop, promised: Set<String>) {
    let shop = try Shop(on: mariaDB)
    let promised = Set(try await probe(shop, crowd).endedWell())
    #expect(promised.count > promisedMin)
    return (shop, promised)
  }

  func probe(_ shop: Shop, _ arguments: [String]) throws -> Subprocess {
    try shop.probe(stock: stock, sale + arguments)
  }

  func crashAndFinish(_ shop: Shop, at crash: String) async throws {
    _ = try await probe(shop, ["work=yes", "crash=\(crash)"]).diedOfCrash()
    _ = try await probe(shop, ["work=yes"]).endedWell()
  }

  /// Kills a worker, finishes, and audits that each purchase is one order.
  func expectOrders(
    after crash: String,
    on mariaDB: MariaDBServer? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let (shop, promised) = try await soldShop(on: mariaDB)
    try await crashAndFinish(shop, at: crash)
    var audit = try Audit(shop)
    try audit.run(accepted: promised, sourceLocation: sourceLocation)
    #expect(audit.sold == promised, sourceLocation: sourceLocation)
    #expect(audit.rejected.isEmpty, sourceLocation: sourceLocation)
  }

  /// Kills a worker while the database is short, finishes, and audits that what it rejected is not on sale again.
  /// - Parameter damage: what else happens to the shop before.
  func expectRejections(
    after crash: String,
    sourceLocation: SourceLocation = #_sourceLocation,
    damage: (Shop) throws -> Void = { _ in }
  ) async throws {
    let (shop, promised) = try await soldShop()
    try shop.lowerDatabaseStock(to: shortStock)
    try damage(shop)
    try await crashAndFinish(shop, at: crash)
    var audit = try Audit(shop, lowered: Int64(stock - shortStock))
    try audit.run(accepted: promised, sourceLocation: sourceLocation)
    #expect(!audit.rejected.isEmpty && !audit.sold.isEmpty, sourceLocation: sourceLocation)
    #expect(audit.sold.union(audit.rejected) == promised, sourceLocation: sourceLocation)
  }
}
