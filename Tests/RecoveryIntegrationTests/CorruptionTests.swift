import Doorbuster
import SaleAudit
import Stock
import TestServers
import Testing

/// Books that differ, because somebody changed a server behind the product's back.
@Suite("Corrupted books")
struct CorruptionTests {
  @Test(
    "are found completely and repaired; comparing changes nothing, and repairing twice changes nothing more",
    .timeLimit(.minutes(10)),
    arguments: [
      ShopPlan(path: .combined, buckets: 3), ShopPlan(path: .combined, buckets: 3, database: .mariaDB),
      ShopPlan(path: .buckets, buckets: 2), ShopPlan(path: .buckets, buckets: 2, database: .mariaDB),
      ShopPlan(path: .redisMQ, database: .mariaDB),
    ],
    [false, true]
  )
  func damaged(plan: ShopPlan, isStockChanged: Bool) async throws {
    let seed = SplitMix64.seedOfRun()
    let shop = try await soldShop(plan, seed)
    let vandal = try await aside {
      var vandal = try Vandal(shop, seed: seed)
      try vandal.damage(withStock: isStockChanged)
      return vandal
    }
    let before = try await aside { try Snapshot(shop) }
    let dry = try await shop.doorbuster.reconcile(shop.sku, settings: Shop.books)
    #expect(Set(dry.findings.map(\.subject.name)) == vandal.findings, "seed \(seed)")
    #expect(dry.found == Int64(vandal.findings.count) && dry.remaining == dry.found, "seed \(seed): \(dry.findings)")
    let same = try await aside { try Snapshot(shop) }
    #expect(
      same == before,
      "seed \(seed): comparing changed \(before.difference(from: same)) to \(same.difference(from: before))"
    )

    let repaired = try await shop.doorbuster.reconcile(shop.sku, repair: true, settings: Shop.books)
    #expect(Set(repaired.findings.map(\.subject.name)) == vandal.findings, "seed \(seed)")
    #expect(repaired.isClean, "seed \(seed): \(repaired.findings)")
    // What the repairs wrote into the buckets' logs goes into the database.
    try await shop.serving(workers: [shop.doorbuster.worker()]) { try await shop.waitUntilSettled() }
    let after = try await aside { try Snapshot(shop) }
    let again = try await shop.doorbuster.reconcile(shop.sku, repair: true, settings: Shop.books)
    #expect(again.found == 0, "seed \(seed): \(again.findings)")
    let last = try await aside { try Snapshot(shop) }
    #expect(
      last == after,
      "seed \(seed): a second repair changed \(after.difference(from: last)) to \(last.difference(from: after))"
    )
    #expect(try await shop.doorbuster.books(shop.sku).isBalanced, "seed \(seed)")
    var audit = try shop.audit()
    try audit.run(accepted: [], others: vandal.tokens, givenUp: vandal.givenUp)
    await shop.close()
  }

  @Test(
    "are not seen where a clean sale goes on under load",
    .timeLimit(.minutes(10)),
    arguments: [
      ShopPlan(path: .combined, buckets: 4, stock: 20_000), ShopPlan(path: .buckets, buckets: 3, stock: 20_000),
      ShopPlan(path: .combined, buckets: 3, database: .mariaDB, stock: 20_000),
      // Sold out long before the end, so that units are moved and given back all the time.
      ShopPlan(path: .combined, buckets: 4, stock: 600),
    ]
  )
  func clean(plan: ShopPlan) async throws {
    let seed = SplitMix64.seedOfRun()
    let shop = try await Shop(plan)
    try await shop.createSale()
    let crowd = Crowd(shop, seed: seed, habits: Crowd.Habits(holds: 5, cancels: 4))
    try await shop.serving(workers: [shop.doorbuster.worker(), shop.doorbuster.worker()]) {
      try await crowd.buying {
        try await crowd.waitForPromises(50)
        for round in 0..<6 {
          let report = try await shop.doorbuster.reconcile(shop.sku, repair: round % 2 == 1, settings: Shop.books)
          #expect(report.found == 0, "seed \(seed), round \(round): \(report.findings)")
          try await shop.doorbuster.restock(shop.sku, token: Token("r\(round)"), quantity: 5)
        }
      }
      try await shop.waitUntilSettled()
    }
    let report = try await shop.doorbuster.reconcile(shop.sku, settings: Shop.books)
    #expect(report.found == 0 && report.unitsOpen == 0, "seed \(seed): \(report.findings)")
    #expect(report.eventsOnTheirWay == 0 && report.messagesOnTheirWay == 0)
    var audit = try shop.audit()
    let ledger = crowd.ledger
    try audit.run(accepted: ledger.promised, others: Set(ledger.purchases.keys), givenUp: ledger.givenUp)
    #expect(audit.rejected.isEmpty, "seed \(seed)")
    await shop.close()
  }

  @Test(
    "of a restock that was cut short are mended, and the same restock again oversells nothing",
    .timeLimit(.minutes(5)),
    arguments: [ShopPlan.Database.sqlite, .mariaDB]
  )
  func restockCutShort(database: ShopPlan.Database) async throws {
    let shop = try await Shop(ShopPlan(path: .combined, buckets: 3, database: database, stock: 12))
    try await shop.createSale()
    let key = SaleAudit.key(Shop.skuText, 1)
    try await aside { _ = try shop.server.call("STOCK.FREEZE", key) }
    let minus = try Token("minus")
    await #expect(throws: DoorbusterError.self) {
      try await shop.doorbuster.restock(shop.sku, token: minus, quantity: -3)
    }
    try await aside { _ = try shop.server.call("STOCK.THAW", key) }
    let repaired = try await shop.doorbuster.reconcile(shop.sku, repair: true, settings: Shop.books)
    #expect(
      repaired.findings.map(\.subject) == [
        .restockUndecided(minus, quantity: -3), .unitsOnSale(inBuckets: 11, inDatabase: 12),
      ]
    )
    await #expect(throws: DoorbusterError.self) {
      try await shop.doorbuster.restock(shop.sku, token: minus, quantity: -3)
    }
    #expect(try await shop.doorbuster.books(shop.sku).isBalanced)
    try await shop.doorbuster.restock(shop.sku, token: Token("minus again"), quantity: -3)
    let books = try await shop.doorbuster.books(shop.sku)
    #expect(books.isBalanced && books.unitsOnSale == 9)
    await shop.close()
  }

  /// A sale that has come to rest, with units left.
  private func soldShop(_ plan: ShopPlan, _ seed: UInt64) async throws -> Shop {
    let shop = try await Shop(plan)
    try await shop.createSale()
    let crowd = Crowd(shop, seed: seed)
    try await shop.serving(workers: [shop.doorbuster.worker()]) {
      try await crowd.buying { try await crowd.waitForPromises(220) }
      try await shop.waitUntilSettled()
    }
    return shop
  }
}

/// What a shop's servers have, a line for each thing.
private struct Snapshot: Equatable {
  let lines: Set<String>

  init(_ shop: Shop) throws {
    let columns = "HEX(token), HEX(user), quantity, bucket, sequence, state, created_at"
    var lines = try shop.database.rows("SELECT \(columns) FROM orders").map { "order \($0)" }
    lines += try shop.database.rows("SELECT * FROM products").map { "product \($0)" }
    lines += try shop.database.rows("SELECT HEX(token), quantity FROM restocks").map { "restock \($0)" }
    let keys = (0..<shop.plan.buckets).map { SaleAudit.key(Shop.skuText, Int64($0)) }
    let redis = try shop.server.connect()
    for key in keys { lines.append("\(key) \(try redis.call("DEBUG", "DIGEST-VALUE", key))") }
    self.lines = Set(lines)
  }

  /// What is only here.
  func difference(from other: Snapshot) -> [String] { lines.subtracting(other.lines).sorted() }
}

extension BooksFinding.Subject {
  /// What it is about, in a word or two.
  fileprivate var name: String {
    switch self {
    case .purchaseWithoutOrder(let record, _): "\(record.token) has no order"
    case .purchaseOfAnotherOrder(let record, _, _): "\(record.token) is another order's"
    case .orderWithoutPurchase(let order): "\(order.order.purchase.token) has no purchase"
    case .orderDiffers(let order, _, _, let differences):
      "\(order.order.purchase.token) differs in \(differences.map(\.rawValue).joined(separator: ", "))"
    case .ordersMissing(let bucket, let units): "\(units) units of bucket \(bucket) have no order"
    case .databaseStock: "the stock"
    case .unitsOnSale: "the units on sale"
    case .restockUndecided(let token, _): "restock \(token)"
    case .termsDiffer(let bucket, _, _): "terms of bucket \(bucket)"
    case .transferHalf(let transfer, _): "half of \(transfer.name)"
    case .transferDiffers(let name, _, _, _): "\(name) differs"
    }
  }
}

/// Changes orders, stock and purchases by SQL and raw RESP, and knows what has to be found.
private struct Vandal: Sendable {
  private let shop: Shop
  private var random: SplitMix64
  private var rows: [(token: String, row: SaleAudit.Row)]
  /// By how much the database's stock is wrong in the end.
  private var stockError: Int64 = 0

  private(set) var findings: Set<String> = []
  private(set) var tokens: Set<String> = []
  /// Tokens whose purchases may be cancelled.
  private(set) var givenUp: Set<String> = []

  init(_ shop: Shop, seed: UInt64) throws {
    self.shop = shop
    random = SplitMix64(seed: seed)
    let all = try shop.rows()
    tokens = Set(all.keys)
    givenUp = Set(all.filter { $0.value.state == "cancelled" }.keys)
    rows = all.map { ($0.key, $0.value) }.sorted { $0.token < $1.token }
  }

  /// Some of everything.
  /// - Parameter withStock: whether the stock is written over, too. What is done to orders makes it wrong as it is.
  mutating func damage(withStock isStockChanged: Bool) throws {
    for _ in 0..<4 {
      try delete()
      try move()
      try changeQuantity()
      try uncancel()
      try cancelInDatabase()
      try cancelBehindItsBack()
    }
    if isStockChanged {
      let change = [-7, 3, 11][Int(random.next() % 3)] as Int64
      try sql("UPDATE products SET stock = stock + \(change) WHERE sku = '\(Shop.skuText)'")
      stockError += change
    }
    // One damage may even another out.
    if stockError != 0 { findings.insert("the stock") }
  }

  /// An order that nobody has damaged yet.
  private mutating func pick(_ state: String) -> (token: String, row: SaleAudit.Row)? {
    let fitting = rows.indices.filter { rows[$0].row.state == state }
    guard let index = fitting.randomElement(using: &random) else { return nil }
    return rows.remove(at: index)
  }

  private mutating func delete() throws {
    guard let (token, row) = pick("sold") else { return }
    try sql("DELETE FROM orders WHERE token = \(AuditedDatabase.literal(token))")
    stockError -= row.quantity
    findings.insert("\(token) has no order")
  }

  private mutating func move() throws {
    guard let (token, _) = pick("sold") else { return }
    let other = "moved-\(token)"
    try set("token = \(AuditedDatabase.literal(other))", of: token)
    tokens.insert(other)
    findings.formUnion(["\(token) has no order", "\(other) has no purchase"])
  }

  private mutating func changeQuantity() throws {
    guard let (token, row) = pick(random.oneIn(2) ? "sold" : "held") else { return }
    let more = Int64(random.next() % 3) + 1
    try set("quantity = \(row.quantity + more)", of: token)
    stockError += more
    findings.insert("\(token) differs in quantity")
  }

  private mutating func uncancel() throws {
    guard let (token, row) = pick("cancelled") else { return }
    try set("state = 'sold'", of: token)
    stockError += row.quantity
    findings.insert("\(token) differs in state")
  }

  private mutating func cancelInDatabase() throws {
    guard let (token, row) = pick(random.oneIn(2) ? "sold" : "held") else { return }
    try set("state = 'cancelled'", of: token)
    stockError -= row.quantity
    findings.insert("\(token) differs in state")
    // States only move forward.
    givenUp.insert(token)
  }

  /// The database believes to have followed the event that it never saw.
  private mutating func cancelBehindItsBack() throws {
    guard let (token, row) = pick(random.oneIn(2) ? "sold" : "held") else { return }
    let reply = try shop.server.call("STOCK.CANCEL", SaleAudit.key(Shop.skuText, row.bucket), token)
    guard reply[0]?.text == "OK", let sequence = reply[2]?.integer else {
      throw TestServerError.launch("\(token): \(reply)")
    }
    try sql(
      "UPDATE log_positions SET sequence = \(sequence) WHERE sku = '\(Shop.skuText)' AND bucket = \(row.bucket)"
    )
    findings.insert("\(token) differs in state")
    givenUp.insert(token)
  }

  private func set(_ change: String, of token: String) throws {
    try sql("UPDATE orders SET \(change) WHERE token = \(AuditedDatabase.literal(token))")
  }

  private func sql(_ statement: String) throws { try shop.database.execute(statement) }
}
