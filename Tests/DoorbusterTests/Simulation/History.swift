import Messaging
import Stock
import Testing

@testable import Doorbuster

/// A sale in a world where only what a test says goes wrong.
final class History {
  let world: World
  let auditor = Auditor()
  let sku: SKU
  let orchestrator = Process("orchestrator")
  let worker = Process("worker")
  private let others = Process("others")
  private let databaseStock: Int64
  private(set) var answers: [Token: [PurchaseOutcome]] = [:]

  init(units: Int64 = 10, databaseStock: Int64? = nil, seed: UInt64 = 1) throws {
    world = World(seed: seed)
    world.slowness = 0
    sku = try SKU("shoe")
    self.databaseStock = databaseStock ?? units
    world.open(sku, units: units, databaseStock: databaseStock)
    world.afterEvent = { [auditor] in auditor.watch($0) }
  }

  var bucket: ModelBucket { world.stock.buckets[BucketID(sku: sku, index: 0)] ?? missing }

  private var missing: ModelBucket { ModelBucket(created: 0, terms: SaleTerms(), epoch: 0, nowMs: 0) }

  func order(_ token: String) throws -> String? {
    world.orders.orders[.init(sku: sku, token: try Token(token))]?.state.rawValue
  }

  func answer(_ token: String) throws -> PurchaseOutcome? { answers[try Token(token)]?.last }

  /// The fate of one of the orchestrator's calls: of a lone purchase, 0 is the half message, 1 the deduction, 2 the
  /// commit.
  func orchestratorCall(_ number: Int, _ fate: World.Fate) { world.fates["orchestrator", default: [:]][number] = fate }

  /// Begins a purchase after that time.
  @discardableResult
  func buy(
    _ token: String,
    user: String = "ann",
    quantity: Int64 = 1,
    afterMs: Int64 = 0,
    elsewhere: Bool = false
  ) throws -> Purchase {
    let purchase = try Sample.purchase(token, user: user, quantity: quantity)
    let process = elsewhere ? others : orchestrator
    world.after(afterMs) { [self] in
      guard process.isUp else { return }
      auditor.asked(purchase)
      world.attempt(purchase, in: process) { [self] outcome in
        auditor.heard(outcome, of: purchase)
        answers[purchase.token, default: []].append(outcome)
      }
    }
    return purchase
  }

  func cancel(_ token: String, afterMs: Int64) throws {
    let token = try Token(token)
    let id = BucketID(sku: sku, index: 0)
    world.after(afterMs) { [self] in
      auditor.cancelAsked(token)
      world.stock(others) { world throws(StockError) in
        try world.stock.with(id) { bucket throws(StockError) in
          try bucket.cancel(token, fence: false, offSale: false, nowMs: world.nowMs)
        }
      } _: { _ in
      }
    }
  }

  func work(afterMs: Int64 = 0) {
    world.after(afterMs) { [self] in
      if worker.isUp { worker.restart() }
      world.work(in: worker)
    }
  }

  func run(forMs: Int64) { _ = world.run(forMs: forMs) }

  /// Lets all that is on its way arrive, and audits the books.
  func settle(sourceLocation: SourceLocation = #_sourceLocation) {
    for process in [orchestrator, worker] where !process.isUp {
      process.dies = nil
      process.restart()
      if process === worker { world.work(in: worker) }
    }
    _ = world.run(forMs: 30_000)
    let isAtRest = world.run(forMs: 600_000) { $0.isAtRest }
    #expect(isAtRest, "\(world.broker.status), positions \(world.orders.positions)", sourceLocation: sourceLocation)
    auditor.audit(world, initialDatabaseStock: databaseStock, sku: sku)
    #expect(auditor.findings.isEmpty, sourceLocation: sourceLocation)
  }
}
