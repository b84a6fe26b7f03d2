import Foundation
import Orders
import Stock
import Testing

@testable import Doorbuster

/// Carts among other buyers, at random: lost, late and refused requests, dying processes, outages, holds that end, lines
/// that are given back, tokens used twice, a database that is short. `DOORBUSTER_SEED=n` runs one schedule again,
/// `DOORBUSTER_SEEDS=n` that many new ones.
@Suite("Random schedules of carts")
struct RandomCartTests {
  private static var seeds: [UInt64] {
    let environment = ProcessInfo.processInfo.environment
    if let text = environment["DOORBUSTER_SEED"], let seed = UInt64(text) { return [seed] }
    let count = environment["DOORBUSTER_SEEDS"].flatMap(Int.init) ?? 12
    return (0..<count).map { _ in UInt64.random(in: 0...UInt64.max) }
  }

  @Test("sell every cart as a whole or not at all, and keep the books", arguments: [true, false])
  func balance(logStores: Bool) throws {
    var accepted = 0
    for seed in Self.seeds {
      let schedule = try CartSchedule(seed: seed, logStores: logStores)
      try schedule.run()
      accepted += schedule.carts.heard.keys.count { schedule.carts.accepted($0) }
      if !schedule.findings.isEmpty { break }
    }
    #expect(accepted > 0)
  }

  @Test("are the same for the same seed")
  func deterministic() throws {
    let traces = try (0..<2).map { _ in
      let schedule = try CartSchedule(seed: 7, logStores: true)
      try schedule.run()
      return "\(schedule.world.events) \(schedule.world.nowMs) \(schedule.carts.heard.count)"
    }
    #expect(traces[0] == traces[1])
  }
}

/// One seeded schedule over the sales of some products.
final class CartSchedule {
  let world: World
  let carts = CartAuditor()
  private let purchases = Auditor()
  private var products: [SKU] = []
  private var databaseStock: [SKU: Int64] = [:]
  private let lengthMs: Int64 = 40_000
  private let orchestrators = [Process("orchestrator 1"), Process("orchestrator 2")]
  private let workers = [Process("worker 1"), Process("worker 2")]
  private let buyers = Process("buyers")

  init(seed: UInt64, logStores: Bool) throws {
    world = World(seed: seed)
    // The log makes good what messages lose, and so hides what they lose. Longer than that a cart's hold keeps a log waiting.
    if !logStores { world.settings.overdueMs = 300_000 }
    // Sometimes so short that holds end between commit and confirmation.
    world.settings.cartHoldMs = [4_000, 25_000, 60_000][Int(world.pick(0...2))]
    for number in 0..<world.pick(2...4) {
      let sku = try SKU("product\(number)")
      let units = world.pick(2...25)
      let isShort = world.random.chance(0.15)
      products.append(sku)
      databaseStock[sku] = isShort ? max(0, units - world.pick(1...6)) : units
      let limit = world.random.chance(0.2) ? world.pick(2...5) : 0
      world.open(sku, units: units, buckets: Int(world.pick(1...3)), limit: limit, databaseStock: databaseStock[sku])
    }
    world.afterEvent = { [purchases] in purchases.watch($0) }
  }

  var findings: [String] { carts.findings + purchases.findings }

  func run() throws {
    let level = [0.0, 0.02, 0.1][Int(world.pick(0...2))]
    world.faults = World.Faults(refused: level, silent: level, late: level / 2)
    for worker in workers { world.work(in: worker) }
    for number in 0..<Int(world.pick(10...40)) { try scheduleBuyer(number) }
    world.scheduleOutages(withinMs: lengthMs)
    for process in orchestrators { world.scheduleCrashes(of: process, withinMs: lengthMs) }
    for worker in workers {
      world.scheduleCrashes(of: worker, withinMs: lengthMs) { [world] in world.work(in: worker) }
    }
    _ = world.run(forMs: lengthMs)
    settle()
  }

  private func settle() {
    world.comeToRest(orchestrators, workers: workers, holdsMs: 90_000)
    for sku in products { purchases.audit(world, initialDatabaseStock: databaseStock[sku] ?? 0, sku: sku) }
    carts.audit(world)
    for finding in findings { Issue.record("\(finding)") }
  }

  // MARK: Buyers

  private func scheduleBuyer(_ number: Int) throws {
    let token = try Token("t\(number)")
    let user = try UserID("user\(world.pick(0...7))")
    let atMs = world.pick(0...lengthMs - 10_000)
    guard world.random.chance(0.75) else {
      let sku = products[Int(world.pick(0...Int64(products.count - 1)))]
      let purchase = try Purchase(sku: sku, user: user, token: token, quantity: world.pick(1...2))
      let holdMs = world.random.chance(0.4) ? world.pick(1...12_000) : nil
      return buy(purchase, holdMs: holdMs, afterMs: atMs)
    }
    let cart = try makeCart(user, token)
    buy(cart, afterMs: atMs, retries: 3)
    if world.random.chance(0.2) { buy(cart, afterMs: atMs + world.pick(0...50), retries: 0) }
    if world.random.chance(0.2) { try giveBackLine(of: cart, afterMs: max(0, atMs + world.pick(-20...9_000))) }
    guard world.random.chance(0.1) else { return }
    // The token once more, for something else.
    carts.misused(token)
    if world.random.chance(0.5) {
      buy(try makeCart(user, token), afterMs: atMs + world.pick(0...5_000), retries: 1)
    } else {
      let thief = world.random.chance(0.5) ? user : try UserID("thief")
      let purchase = try Purchase(sku: cart.purchases[0].sku, user: thief, token: token, quantity: 1)
      buy(purchase, holdMs: world.random.chance(0.3) ? 5_000 : nil, afterMs: atMs + world.pick(0...5_000))
    }
  }

  private func makeCart(_ user: UserID, _ token: Token) throws -> Cart {
    let count = Int(world.pick(1...Int64(products.count)))
    let picked = products.shuffled(using: &world.random).prefix(count)
    return try Cart(
      user: user,
      token: token,
      lines: picked.map { try CartLine(sku: $0, quantity: world.pick(1...2)) }
    )
  }

  private func buy(_ cart: Cart, afterMs: Int64, retries: Int) {
    let process = orchestrators[Int(world.pick(0...1))]
    world.after(afterMs) { [self] in
      carts.asked(cart)
      world.attempt(cart, in: process) { [self] outcome in
        carts.heard(outcome, of: cart)
        switch outcome {
        case .accepted, .cancelled: break
        case .refused, .unknown, .failed:
          guard retries > 0, world.random.chance(0.7) else { return }
          buy(cart, afterMs: world.pick(0...12_000), retries: retries - 1)
        }
      }
    }
  }

  private func buy(_ purchase: Purchase, holdMs: Int64?, afterMs: Int64) {
    let process = orchestrators[Int(world.pick(0...1))]
    world.after(afterMs) { [self] in
      // What a token that names a cart too hears is no promise to anybody.
      let isMisused = carts.misused.contains(purchase.token)
      if !isMisused { purchases.asked(purchase) }
      world.attempt(purchase, holdMs: holdMs, in: process) { [self] in
        if !isMisused { purchases.heard($0, of: purchase) }
      }
    }
  }

  private func giveBackLine(of cart: Cart, afterMs: Int64) throws {
    let line = cart.purchases[Int(world.pick(0...Int64(cart.purchases.count - 1)))]
    let id = world.home(of: line)
    world.after(afterMs) { [self] in
      carts.cancelAsked(cart.token)
      purchases.cancelAsked(cart.token)
      world.bucket(id, from: buyers) { bucket, nowMs throws(StockError) in
        try bucket.cancel(line.token, fence: false, offSale: false, nowMs: nowMs)
      } _: { _ in
      }
    }
  }
}
