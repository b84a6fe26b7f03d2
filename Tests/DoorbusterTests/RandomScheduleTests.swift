import Foundation
import Stock
import Testing

@testable import Doorbuster

/// Everything at once, at random: lost, late and refused requests, dying processes, outages, impatient buyers, cancels,
/// tokens used twice, a database that is short. `DOORBUSTER_SEED=n` runs one schedule again, `DOORBUSTER_SEEDS=n` that
/// many new ones.
@Suite("Random schedules")
struct RandomScheduleTests {
  private static var seeds: [UInt64] {
    let environment = ProcessInfo.processInfo.environment
    if let text = environment["DOORBUSTER_SEED"], let seed = UInt64(text) { return [seed] }
    let count = environment["DOORBUSTER_SEEDS"].flatMap(Int.init) ?? 50
    return (0..<count).map { _ in UInt64.random(in: 0...UInt64.max) }
  }

  @Test(
    "never oversell, never lose an accepted purchase, never leave an order without its purchase",
    arguments: RandomSchedule.Delivery.allCases
  )
  func balance(delivery: RandomSchedule.Delivery) throws {
    for seed in Self.seeds {
      let schedule = try RandomSchedule(seed: seed, delivery)
      try schedule.run()
      #expect(schedule.auditor.findings.isEmpty, "seed \(seed)")
      if !schedule.auditor.findings.isEmpty { break }
    }
  }

  @Test("are the same for the same seed")
  func deterministic() throws {
    let traces = try (0..<2).map { _ in
      let schedule = try RandomSchedule(seed: 7, .messagesAndLog)
      try schedule.run()
      return "\(schedule.world.events) \(schedule.world.nowMs) \(schedule.auditor.heard.count)"
    }
    #expect(traces[0] == traces[1])
  }
}

/// One seeded schedule over a sale.
final class RandomSchedule {
  /// The log makes good what messages lose, and so hides what they lose: some of the schedules do without it.
  enum Delivery: CaseIterable { case messagesAndLog, messagesAlone, log }

  let world: World
  let auditor = Auditor()
  private let sku: SKU
  private let databaseStock: Int64
  private let lengthMs: Int64 = 40_000
  /// How many of the purchases are held first.
  private let holding: Double
  private let orchestrators = [Process("orchestrator 1"), Process("orchestrator 2")]
  private let workers = [Process("worker 1"), Process("worker 2")]
  private let operators = Process("buyers")

  init(seed: UInt64, _ delivery: Delivery) throws {
    world = World(seed: seed)
    if delivery == .messagesAlone { world.settings.overdueMs = Int64(1) << 50 }
    if delivery == .log { world.settings.courier = .log }
    holding = world.random.chance(0.5) ? 0.5 : 0
    sku = try SKU("shoe")
    let units = world.pick(3...40)
    databaseStock = world.random.chance(0.2) ? max(0, units - world.pick(1...8)) : units
    let limit = world.random.chance(0.3) ? world.pick(1...4) : 0
    world.open(sku, units: units, buckets: Int(world.pick(1...3)), limit: limit, databaseStock: databaseStock)
    world.afterEvent = { [auditor] in auditor.watch($0) }
  }

  func run() throws {
    let level = [0.0, 0.02, 0.1][Int(world.pick(0...2))]
    world.faults = World.Faults(refused: level, silent: level, late: level / 2)
    for worker in workers { world.work(in: worker) }
    try scheduleBuyers()
    world.scheduleOutages(withinMs: lengthMs)
    for process in orchestrators { world.scheduleCrashes(of: process, withinMs: lengthMs) }
    for worker in workers {
      world.scheduleCrashes(of: worker, withinMs: lengthMs) { [world] in world.work(in: worker) }
    }
    _ = world.run(forMs: lengthMs)
    settle()
  }

  private func settle() {
    world.comeToRest(orchestrators, workers: workers, holdsMs: 45_000)
    auditor.audit(world, initialDatabaseStock: databaseStock, sku: sku)
    for finding in auditor.findings { Issue.record("\(finding)") }
  }

  private func scheduleBuyers() throws {
    for number in 0..<world.pick(10...60) {
      let user = try UserID("user\(world.pick(0...11))")
      let token = try Token("t\(number)")
      let purchase = try Purchase(sku: sku, user: user, token: token, quantity: world.pick(1...3))
      let atMs = world.pick(0...lengthMs - 10_000)
      let holdMs = world.random.chance(holding) ? world.pick(1...12_000) : nil
      buy(purchase, holdMs: holdMs, afterMs: atMs, retries: 3)
      // A buyer who changes their mind about holding asks for the same token.
      if world.random.chance(0.1) { buy(purchase, afterMs: atMs + world.pick(0...4_000), retries: 0) }
      if holdMs != nil, world.random.chance(0.6) { confirm(purchase, afterMs: atMs + world.pick(0...12_000)) }
      if world.random.chance(0.2) { buy(purchase, holdMs: holdMs, afterMs: atMs + world.pick(0...50), retries: 0) }
      if world.random.chance(0.1) {
        let other = try Purchase(sku: sku, user: UserID("thief\(world.pick(0...5))"), token: token, quantity: 1)
        buy(other, afterMs: atMs + world.pick(0...5_000), retries: 1)
      }
      if world.random.chance(0.25) { cancel(purchase, afterMs: max(0, atMs + world.pick(-20...8_000))) }
    }
  }

  private func buy(_ purchase: Purchase, holdMs: Int64? = nil, afterMs: Int64, retries: Int) {
    let process = orchestrators[Int(world.pick(0...1))]
    world.after(afterMs) { [self] in
      auditor.asked(purchase)
      world.attempt(purchase, holdMs: holdMs, in: process) { [self] outcome in
        auditor.heard(outcome, of: purchase)
        switch outcome {
        case .accepted, .held, .cancelled: break
        case .refused, .unknown, .failed:
          guard retries > 0, world.random.chance(0.7) else { return }
          buy(purchase, holdMs: holdMs, afterMs: world.pick(0...12_000), retries: retries - 1)
        }
      }
    }
  }

  private func confirm(_ purchase: Purchase, afterMs: Int64) {
    let id = world.home(of: purchase)
    world.after(afterMs) { [self] in
      auditor.confirmAsked(purchase.token)
      world.stock(operators) { world throws(StockError) in
        try world.stock.with(id) { bucket throws(StockError) in
          try bucket.confirm(purchase.token, nowMs: world.nowMs)
        }
      } _: { [self] in
        if case .success(.confirmed) = $0 { auditor.heardConfirmed(purchase.token) }
      }
    }
  }

  private func cancel(_ purchase: Purchase, afterMs: Int64) {
    let id = world.home(of: purchase)
    world.after(afterMs) { [self] in
      auditor.cancelAsked(purchase.token)
      world.stock(operators) { world throws(StockError) in
        try world.stock.with(id) { bucket throws(StockError) in
          try bucket.cancel(purchase.token, fence: false, offSale: false, nowMs: world.nowMs)
        }
      } _: { _ in
      }
    }
  }

}

extension World {
  func pick(_ bounds: ClosedRange<Int64>) -> Int64 { Int64.random(in: bounds, using: &random) }
}
