import Foundation
import Stock
import Testing

@testable import Doorbuster

/// Sales over many buckets, at random: homes, demand, scaling, freezes, lost, late and refused requests, processes that die
/// between any two steps. `DOORBUSTER_SEED=n` runs one schedule again, `DOORBUSTER_SEEDS=n` that many new ones.
@Suite("Random schedules over many buckets")
struct SpreadScheduleTests {
  private static var seeds: [UInt64] {
    let environment = ProcessInfo.processInfo.environment
    if let text = environment["DOORBUSTER_SEED"], let seed = UInt64(text) { return [seed] }
    let count = environment["DOORBUSTER_SEEDS"].flatMap(Int.init) ?? 60
    return (0..<count).map { _ in UInt64.random(in: 0...UInt64.max) }
  }

  @Test("oversell nothing, lose no unit, say sold out only where it is true, and leave no transfer open")
  func balance() throws {
    for seed in Self.seeds {
      let schedule = try SpreadSchedule(seed: seed)
      try schedule.run()
      #expect(schedule.sim.findings.isEmpty, "seed \(seed)")
      if !schedule.sim.findings.isEmpty { break }
    }
  }

  @Test("are the same for the same seed")
  func deterministic() throws {
    let traces = try (0..<2).map { _ in
      let schedule = try SpreadSchedule(seed: 7)
      try schedule.run()
      return "\(schedule.sim.world.events) \(schedule.sim.world.nowMs) \(schedule.heard)"
    }
    #expect(traces[0] == traces[1])
  }
}

/// One seeded schedule.
final class SpreadSchedule {
  let sim: SpreadWorld
  private(set) var heard = 0
  private let world: World
  private var shops: [SpreadWorld.Shop]
  private let rebalancers = [Process("rebalancer 1"), Process("rebalancer 2")]
  private let operators = Process("operators")
  private let lengthMs: Int64 = 20_000
  private var purchases: [Purchase] = []
  private var unanswered = 0

  init(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let count = Int.random(in: 2...12, using: &random)
    let units = Int64.random(in: 5...150, using: &random)
    let limit = random.chance(0.2) ? Int64.random(in: 1...5, using: &random) : 0
    sim = try SpreadWorld(seed: seed, units: units, buckets: count, limit: limit)
    world = sim.world
    shops = (1...3).map { SpreadWorld.Shop("shop \($0)", buckets: count) }
  }

  func run() throws {
    let level = [0.0, 0.02, 0.1][Int(world.pick(0...2))]
    world.faults = World.Faults(refused: level, silent: level, late: level / 2)
    for rebalancer in rebalancers { sim.rebalance(in: rebalancer) }
    try scheduleBuyers()
    try scheduleOperators()
    for place in shops.indices { scheduleCrashes(ofShop: place) }
    for rebalancer in rebalancers { scheduleCrashes(rebalancer) }
    expireHolds()
    _ = world.run(forMs: lengthMs)
    settle()
  }

  // MARK: The sale

  private func scheduleBuyers() throws {
    let isSkewed = world.random.chance(0.4)
    let quantityMax = [1, 1, 4, 12][Int(world.pick(0...3))]
    let home = UserIDs.home(isSkewed ? Int(world.pick(0...Int64(sim.buckets.count - 1))) : nil, sim.sale)
    for number in 0..<world.pick(20...150) {
      let purchase = try Purchase(
        sku: sim.sku,
        user: home(Int(number)),
        token: Token("t\(number)"),
        quantity: world.pick(1...Int64(quantityMax))
      )
      purchases.append(purchase)
      buy(purchase, afterMs: world.pick(0...lengthMs - 5000), retries: 2)
      if world.random.chance(0.1) { cancel(purchase, afterMs: world.pick(0...lengthMs)) }
    }
  }

  private func buy(_ purchase: Purchase, afterMs: Int64, retries: Int) {
    let place = Int(world.pick(0...2))
    let holdMs = world.random.chance(0.2) ? world.pick(500...5000) : nil
    world.after(afterMs) { [self] in
      guard shops[place].process.isUp else { return }
      SpreadBuyer(sim, shops[place], purchase, holdMs: holdMs) { [self] answer in
        heard += 1
        switch answer {
        case .success(.accepted), .success(.cancelled): break
        case .success(.refused), .success(.unknown), .failure:
          if retries > 0, world.random.chance(0.6) {
            buy(purchase, afterMs: world.pick(0...3000), retries: retries - 1)
          }
        }
      }
      .start()
    }
  }

  private func cancel(_ purchase: Purchase, afterMs: Int64) {
    world.after(afterMs) { [self] in
      sim.ask(operators, sim.sale.home(of: purchase.user).index) { bucket, nowMs throws(StockError) in
        try bucket.cancel(purchase.token, fence: false, offSale: false, nowMs: nowMs)
      } _: { _ in
      }
    }
  }

  /// Restocks, and buckets that stand still for a while.
  private func scheduleOperators() throws {
    for number in 0..<world.pick(0...3) {
      let token = try Token("r\(number)")
      let index = Int(world.pick(0...Int64(sim.buckets.count - 1)))
      let quantity = world.pick(1...20)
      world.after(world.pick(0...lengthMs)) { [self] in
        sim.ask(operators, index) { bucket, nowMs throws(StockError) in
          try bucket.add(token, quantity: quantity, nowMs: nowMs)
        } _: { _ in
        }
      }
    }
    for _ in 0..<world.pick(0...3) {
      let bucket = sim.buckets[Int(world.pick(0...Int64(sim.buckets.count - 1)))]
      let seed = world.random.next()
      let isPromoted = world.random.chance(0.5)
      let lastsMs = world.pick(10...4000)
      world.after(world.pick(0...lengthMs - 5000)) { [world] in
        if isPromoted { bucket.comeUp(.promotion, seed: seed) } else { try? bucket.freeze(nowMs: world.nowMs) }
        world.after(lastsMs) {
          while bucket.info.frozen != nil { try? bucket.thaw(epoch: nil, nowMs: world.nowMs) }
        }
      }
    }
  }

  private func expireHolds() {
    for bucket in sim.buckets { bucket.expire(nowMs: world.nowMs) }
    world.after(500) { [self] in expireHolds() }
  }

  private func scheduleCrashes(ofShop place: Int) {
    for _ in 0..<world.pick(0...4) {
      world.after(world.pick(0...lengthMs)) { [self] in
        shops[place].process.crash()
        world.after(world.pick(0...2000)) { [self] in restart(place) }
      }
    }
  }

  /// What stood at the desk is gone with its process.
  private func restart(_ place: Int) {
    let shop = shops[place]
    guard !shop.process.isUp else { return }
    shop.process.restart()
    shop.desk = PullDesk(buckets: sim.buckets.count)
    shop.duties = [:]
  }

  private func scheduleCrashes(_ process: Process) {
    for _ in 0..<world.pick(0...4) {
      world.after(world.pick(0...lengthMs)) { [self] in
        process.crash()
        world.after(world.pick(0...3000)) { [self] in
          guard !process.isUp else { return }
          process.restart()
          sim.rebalance(in: process)
        }
      }
    }
  }

  // MARK: Its end

  /// Without faults all that was open is finished within 10 s, and whoever has nothing yet is served or truly refused.
  private func settle() {
    world.faults = .none
    for place in shops.indices { restart(place) }
    for rebalancer in rebalancers where !rebalancer.isUp {
      rebalancer.restart()
      sim.rebalance(in: rebalancer)
    }
    // What was sent late arrives by then.
    _ = world.run(forMs: 20_000)
    let isFinished = world.run(forMs: 10_000) { [sim] _ in sim.buckets.allSatisfy { $0.info.transfers == 0 } }
    if !isFinished { sim.find("transfers are open: \(sim.buckets.map(\.info.transfers))") }
    var open = purchases.count
    var smallestRefused = Int64.max
    for purchase in purchases {
      SpreadBuyer(sim, shops[0], purchase, patienceMs: 60_000) { [sim] answer in
        open -= 1
        switch answer {
        case .success(.accepted), .success(.cancelled), .success(.refused(.limit, _)): break
        case .success(.refused(.soldOut, _)): smallestRefused = min(smallestRefused, purchase.quantity)
        case .success(.refused), .success(.unknown), .failure: sim.find("\(purchase.token) hears \(answer)")
        }
      }
      .start()
    }
    if !world.run(forMs: 100_000, until: { _ in open == 0 }) { sim.find("\(open) buyers are never answered") }
    _ = world.run(forMs: 10_000) { [sim] _ in sim.buckets.allSatisfy { $0.info.transfers == 0 } }
    let available = sim.buckets.reduce(0) { $0 + $1.info.available }
    if available >= smallestRefused { sim.find("\(available) units are left, and \(smallestRefused) were refused") }
    if available != sim.unsold { sim.find("\(sim.unsold - available) units are still in transfer") }
  }
}

/// Buyers who live anywhere, or all in one home.
private enum UserIDs {
  static func home(_ home: Int?, _ sale: KnownSale) -> (Int) throws -> UserID {
    { number in
      guard let home else { return try UserID("user\(number)") }
      var candidate = number * 1000
      while true {
        let user = try UserID("user\(candidate)")
        if user.homeBucket(among: sale.buckets) == home { return user }
        candidate += 1
      }
    }
  }
}
