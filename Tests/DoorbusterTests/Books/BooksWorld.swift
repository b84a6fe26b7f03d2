import Orders
import Stock
import Testing

@testable import Doorbuster

/// A sale in the simulated world whose books are compared and mended while it goes on.
final class BooksWorld {
  let world: World
  let servers: ModelServers
  let doorbuster: Doorbuster
  let sku: SKU
  let buckets: Int
  let orchestrator = Process("orchestrator")
  let worker = Process("worker")
  var settings = BooksSettings()

  init(seed: UInt64 = 1, units: Int64 = 20, buckets: Int = 3, limit: Int64 = 0) throws {
    world = World(seed: seed)
    world.slowness = 0
    world.keptEvents = 1000
    servers = ModelServers(world)
    var configuration = DoorbusterConfiguration()
    configuration.storeFromLogAfter = .milliseconds(world.settings.overdueMs)
    doorbuster = try servers.orchestrator(configuration)
    sku = try SKU("shoe")
    self.buckets = buckets
    world.open(sku, units: units, buckets: buckets, limit: limit)
    for (id, bucket) in world.stock.buckets {
      world.orders.positions[id] = LogPosition(epoch: bucket.epoch, sequence: 1)
    }
    // One question after the other, so that the same seed gives the same run.
    settings.lanes = 1
    settings.page = 3
    settings.settle = .seconds(1)
  }

  // MARK: Selling

  /// Begins a purchase after that time, at the buyer's home.
  @discardableResult
  func buy(_ token: String, user: String? = nil, quantity: Int64 = 1, afterMs: Int64 = 0) throws -> Purchase {
    let purchase = try Sample.purchase(token, user: user ?? "user of \(token)", quantity: quantity)
    world.after(afterMs) { [self] in world.attempt(purchase, in: orchestrator) { _ in } }
    return purchase
  }

  func work() { world.work(in: worker) }

  /// Lets all that is on its way arrive.
  func settle(sourceLocation: SourceLocation = #_sourceLocation) {
    _ = world.run(forMs: 5_000)
    let isAtRest = world.run(forMs: 600_000) { $0.isAtRest }
    #expect(isAtRest, "\(world.broker.status), positions \(world.orders.positions)", sourceLocation: sourceLocation)
  }

  /// Drops the events that the database has, as workers do.
  func trim() {
    for (id, position) in world.orders.positions {
      _ = try? world.stock.with(id) { bucket throws(StockError) in try bucket.trim(upTo: position) }
    }
  }

  // MARK: Comparing

  func reconcile(repair: Bool = false) async throws -> Reconciliation {
    try await doorbuster.reconcile(sku, repair: repair, settings: settings)
  }

  func id(_ index: Int) -> BucketID { BucketID(sku: sku, index: index) }

  func home(_ purchase: Purchase) -> Int { purchase.user.homeBucket(among: buckets) }

  func bucket(_ index: Int) -> ModelBucket? { world.stock.buckets[id(index)] }

  func change(_ index: Int, _ body: (inout ModelBucket) throws -> Void) throws {
    guard var bucket = world.stock.buckets[id(index)] else { throw StockError(.noBucket, "\(index)") }
    try body(&bucket)
    world.stock.buckets[id(index)] = bucket
  }

  func key(_ token: String) throws -> ModelStore.Key { .init(sku: sku, token: try Token(token)) }

  func row(_ token: String) throws -> StoredOrder? { world.orders.orders[try key(token)] }

  /// Moves the database's position past all that the buckets did, as if it had followed it.
  func skipEvents() {
    for (id, bucket) in world.stock.buckets {
      world.orders.positions[id] = LogPosition(epoch: bucket.epoch, sequence: bucket.logLast)
    }
  }

  // MARK: Auditing

  /// All that is wrong, found by walking through both sides; nothing of the product's own comparison is used.
  var discrepancies: [String] {
    var found: [String] = []
    var available: Int64 = 0
    for (id, bucket) in world.stock.buckets where id.sku == sku {
      if !bucket.isConserved { found.append("\(id) is not conserved") }
      available += bucket.available + bucket.transferredOut - bucket.transferredIn
      for (token, entry) in bucket.entries {
        let row = world.orders.orders[.init(sku: sku, token: token)]
        if entry.state == .cancelled {
          if let row, row.state == .sold || row.state == .held, row.order.bucket == id.index {
            found.append("\(token) is cancelled in \(id) and \(row.state) in the database")
          }
        } else if row?.state.rawValue != entry.state.rawValue || row?.order.bucket != id.index
          || row?.order.purchase.user != entry.user || row?.order.purchase.quantity != entry.quantity
        {
          found.append("\(token) is \(entry.state) in \(id) and \(row.map { "\($0)" } ?? "missing") in the database")
        }
      }
    }
    for (key, row) in world.orders.orders where key.sku == sku {
      if world.stock.buckets[id(row.order.bucket)]?.entries[key.token] == nil {
        found.append("the token of \(row) is unknown")
      }
    }
    let totals = world.orders.totals(of: sku)
    let live = (totals?.units[.held] ?? 0) + (totals?.units[.sold] ?? 0)
    let byRows = (world.orders.sales[sku]?.stock ?? 0) + (totals?.restocked ?? 0) - live
    if totals?.stock != byRows { found.append("the stock is \(totals?.stock ?? -1), and by its rows \(byRows)") }
    if available != byRows { found.append("the buckets have \(available) units left, the database \(byRows)") }
    return found
  }

  /// Everything that a second repair must leave as it is. What workers trim is the same without its events.
  var everything: [String] {
    var lines = world.orders.orders.map { "\($0.key.token) \($0.value)" }
    lines += world.orders.restocks.map { "\($0.key.token) \($0.value)" }
    lines += world.orders.stock.map { "\($0.key) \($0.value)" }
    for (id, bucket) in world.stock.buckets {
      var info = bucket.info
      info.logFirst = 0
      lines.append("\(id) \(info)")
      lines += bucket.entries.map { "\(id) \($0.key) \($0.value)" }
    }
    return lines.sorted()
  }
}

extension BooksFinding.Subject {
  /// What it is about, in a word or two.
  var kind: String {
    switch self {
    case .purchaseWithoutOrder: "purchase without order"
    case .purchaseOfAnotherOrder: "purchase of another order"
    case .orderWithoutPurchase: "order without purchase"
    case .orderDiffers(_, _, _, let differences): "differs: " + differences.map(\.rawValue).joined(separator: " ")
    case .ordersMissing(_, let units): "orders missing for \(units)"
    case .databaseStock(let stock, let byRows): "stock \(stock), by rows \(byRows)"
    case .unitsOnSale(let inBuckets, let inDatabase): "on sale \(inBuckets), in database \(inDatabase)"
    case .restockUndecided(_, let quantity): "restock of \(quantity) undecided"
    case .termsDiffer(let bucket, _, _): "terms of bucket \(bucket)"
    case .transferHalf(let transfer, _): "transfer half \(transfer.direction)"
    case .transferDiffers: "transfer differs"
    }
  }

  var token: Token? {
    switch self {
    case .purchaseWithoutOrder(let record, _), .purchaseOfAnotherOrder(let record, _, _): record.token
    case .orderWithoutPurchase(let order), .orderDiffers(let order, _, _, _): order.order.purchase.token
    case .restockUndecided(let token, _): token
    case .ordersMissing, .databaseStock, .unitsOnSale, .termsDiffer, .transferHalf, .transferDiffers: nil
    }
  }
}

extension Reconciliation {
  /// One line a finding: what, whose, which way.
  var lines: [String] {
    findings.map { finding in
      let token = finding.subject.token.map { " \($0)" } ?? ""
      return "\(finding.subject.kind)\(token) → \(finding.repair.rawValue)"
    }
    .sorted()
  }

  var outcomes: Set<BooksFinding.Outcome> { Set(findings.map(\.outcome)) }
}
