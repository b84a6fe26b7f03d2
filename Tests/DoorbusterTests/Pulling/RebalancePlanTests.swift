import Orders
import Stock
import Testing

@testable import Doorbuster

@Suite("A plan of rebalancing")
struct RebalancePlanTests {
  typealias Load = RebalancePlan.Load

  private func loads(_ available: [Int64], rates: [Double], servers: [String]? = nil) -> [Load] {
    available.indices.map {
      Load(available: available[$0], rate: rates[$0], server: servers?[$0], isMovable: true)
    }
  }

  /// What the buckets have once the plan is carried out.
  private func after(_ plan: RebalancePlan, _ loads: [Load]) -> [Int64] {
    var units = loads.map(\.available)
    for share in plan.shares {
      let total = share.buckets.reduce(0) { $0 + units[$1] }
      #expect(share.weights.reduce(0, +) == total)
      for (bucket, weight) in zip(share.buckets, share.weights) { units[bucket] = weight }
    }
    for move in plan.moves {
      units[move.source] -= move.quantity
      units[move.target] += move.quantity
    }
    return units
  }

  @Test("moves nothing where nobody buys, and nothing while each bucket has enough for its buyers")
  func quiet() {
    #expect(RebalancePlan(loads([0, 900, 3], rates: [0, 0, 0])).isEmpty)
    #expect(RebalancePlan(loads([500, 900, 300], rates: [90, 1, 50])).isEmpty)
    #expect(RebalancePlan(loads([0, 0, 0], rates: [9, 9, 9])).isEmpty)
    #expect(RebalancePlan(loads([100], rates: [99])).isEmpty)
  }

  @Test("brings a hot bucket most of what the cold ones have, in few moves")
  func hot() {
    let loads = loads([100, 1000, 1000, 1000], rates: [500, 1, 1, 1])
    let plan = RebalancePlan(loads)
    #expect(plan.moves.count == 3)
    #expect(plan.moves.allSatisfy { $0.target == 0 })
    let units = after(plan, loads)
    #expect(units.reduce(0, +) == 3100)
    #expect(units[0] > 2000 && units.dropFirst().allSatisfy { $0 > 10 })
  }

  @Test("spreads over more buckets as the heat rises")
  func spreading() {
    let stock: [Int64] = [10_000, 0, 0, 0]
    #expect(RebalancePlan(loads(stock, rates: [900, 0, 0, 0])).active == [0])
    let plan = RebalancePlan(loads(stock, rates: [3000, 1500, 1000, 0]))
    #expect(plan.active == [0, 1, 2])
    #expect(plan.moves.map(\.target) == [1, 2])
  }

  @Test("draws the stock together as it runs low, where most is bought")
  func consolidating() {
    let loads = loads([4, 4, 4, 4, 4], rates: [1, 5, 2, 9, 0])
    let plan = RebalancePlan(loads)
    #expect(plan.active == [1, 3])
    let units = after(plan, loads)
    #expect(units[0] == 0 && units[2] == 0 && units[4] == 0 && units[1] + units[3] == 20)
  }

  @Test("lets buckets of one server share in one step, and moves the rest")
  func sharing() {
    let loads = loads([0, 600, 600, 0], rates: [100, 0, 0, 100], servers: ["a", "a", "a", "b"])
    let plan = RebalancePlan(loads)
    #expect(plan.shares.map(\.buckets) == [[0, 1, 2]] || plan.shares.map(\.buckets) == [[0, 1]])
    #expect(plan.moves.allSatisfy { $0.target == 3 } && !plan.moves.isEmpty)
    var apart = RebalancePlan.Settings()
    apart.canShare = false
    #expect(RebalancePlan(loads, apart).shares.isEmpty)
  }

  @Test("leaves out buckets that are frozen or can't be asked")
  func immovable() {
    var loads = loads([0, 600, 600], rates: [100, 0, 0])
    loads[1].isMovable = false
    #expect(RebalancePlan(loads).moves.map(\.source) == [2])
    loads[0].isMovable = false
    #expect(RebalancePlan(loads).isEmpty)
  }

  @Test("neither makes units nor takes more than a bucket has, whatever the loads")
  func conserves() {
    var random = SeededRandom(seed: UInt64.random(in: 0...UInt64.max))
    for _ in 0..<2000 {
      let count = Int.random(in: 1...14, using: &random)
      let loads = (0..<count).map { _ in
        Load(
          available: random.chance(0.3) ? 0 : Int64.random(in: 0...(random.chance(0.5) ? 20 : 1 << 40), using: &random),
          rate: random.chance(0.4) ? 0 : Double.random(in: 0...50_000, using: &random),
          server: ["a", "b", nil].randomElement(using: &random) ?? nil,
          isMovable: random.chance(0.9)
        )
      }
      let plan = RebalancePlan(loads)
      let units = after(plan, loads)
      #expect(units.allSatisfy { $0 >= 0 } && units.reduce(0, +) == loads.reduce(0) { $0 + $1.available })
      #expect(plan.moves.allSatisfy { $0.quantity > 0 && loads[$0.source].isMovable && loads[$0.target].isMovable })
    }
  }
}

@Suite("A sale's rebalancer")
struct SaleRebalancerTests {
  let sku: SKU
  init() throws { sku = try Sample.sku() }

  private func open(_ servers: CoreServers, units: Int64, buckets: Int) async throws -> SaleRebalancer {
    let terms = SaleTerms(buckets: buckets)
    let sale = Sale(sku: sku, stock: units, terms: terms, path: .buckets, createdAtMs: 1)
    for bucket in sale.buckets {
      try await servers.create(bucket, quantity: sale.share(of: units, bucket: bucket.index), terms: terms)
    }
    var settings = SaleRebalancer.Settings()
    settings.overdueMs = 20
    return SaleRebalancer(
      sale: KnownSale(sale),
      stock: servers,
      clock: servers.clock,
      logger: Sample.logger,
      settings: settings
    )
  }

  private func bucket(_ index: Int) -> BucketID { BucketID(sku: sku, index: index) }

  @Test("brings units to where they are bought, before they run out", .timeLimit(.minutes(10)), arguments: [1, 6])
  func ahead(serverCount: Int) async throws {
    let servers = CoreServers(servers: serverCount)
    var rebalancer = try await open(servers, units: 600, buckets: 6)
    _ = await rebalancer.round()
    for number in 0..<90 {
      let purchase = try Sample.purchase("t\(number)", user: "u\(number)", quantity: 1)
      _ = try await servers.deduct(purchase, from: bucket(2), before: .now)
    }
    let round = await rebalancer.round()
    #expect(round.plan.moves.isEmpty == (serverCount == 1) && round.plan.shares.isEmpty == (serverCount == 6))
    let infos = servers.infos(of: sku)
    #expect(infos[2].available > 100)
    #expect(infos.reduce(0) { $0 + $1.available } == 510 && infos.allSatisfy { $0.transfers == 0 })
  }

  @Test("finishes what others have left open, from whichever step, and says so", .timeLimit(.minutes(10)))
  func finishes() async throws {
    let servers = CoreServers()
    var rebalancer = try await open(servers, units: 60, buckets: 6)
    for step in 0..<4 {
      let name = try TransferName("left/\(step)")
      _ = try await servers.withdraw(name, quantity: 3, from: bucket(step), to: 5)
      if step > 0 {
        _ = try await servers.deposit(Deposit(name: name, source: step, quantity: 3), into: bucket(5))
      }
      if step > 1 { _ = try await servers.settle(name, in: bucket(step)) }
    }
    let dry = await rebalancer.round(isDry: true)
    #expect(dry.finished == 0)
    let deadline = servers.clock.now.advanced(by: .seconds(10))
    var finished = 0
    while finished < 4, servers.clock.now < deadline { finished += await rebalancer.round().finished }
    #expect(finished == 4)
    let infos = servers.infos(of: sku)
    #expect(infos.allSatisfy { $0.transfers == 0 } && infos[5].available == 22)
    #expect(infos.reduce(0) { $0 + $1.available } == 60)
  }

  @Test("leaves a transfer open whose source has lost it", .timeLimit(.minutes(10)))
  func halfLost() async throws {
    let servers = CoreServers()
    var rebalancer = try await open(servers, units: 60, buckets: 6)
    _ = try await servers.deposit(Deposit(name: TransferName("x"), source: 1, quantity: 3), into: bucket(0))
    let deadline = servers.clock.now.advanced(by: .seconds(10))
    while await rebalancer.round().overdue.isEmpty { try #require(servers.clock.now < deadline) }
    #expect(servers.infos(of: sku)[0].transfers == 1)
  }
}
