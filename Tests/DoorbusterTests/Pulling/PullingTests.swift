import Orders
import Stock
import Synchronization
import Testing

@testable import Doorbuster

/// Buyers, services and buckets as they are, in one process: nothing but the servers is made up.
@Suite("Units move to their buyers")
struct PullingTests {
  let sku: SKU
  init() throws { sku = try Sample.sku() }

  /// Counts what a crowd hears.
  struct Tally {
    var accepted: Int64 = 0
    var units: Int64 = 0
    var soldOut = 0
    var smallestRefused = Int64.max
    var others: [String] = []

    mutating func add(_ outcome: Result<DeductOutcome, StockError>, of purchase: Purchase) {
      switch outcome {
      case .success(.accepted):
        accepted += 1
        units += purchase.quantity
      case .success(.refused(.soldOut, _)):
        soldOut += 1
        smallestRefused = min(smallestRefused, purchase.quantity)
      case .success(let outcome): others.append("\(outcome)")
      case .failure(let error): others.append(error.message)
      }
    }
  }

  /// A sale on its buckets, and the orchestrators of some processes.
  private func open(
    _ servers: CoreServers,
    units: Int64,
    buckets: Int,
    limit: Int64 = 0,
    processes: Int = 1
  ) async throws -> ([Puller], KnownSale) {
    let terms = SaleTerms(buckets: buckets, limit: limit)
    let sale = Sale(sku: sku, stock: units, terms: terms, path: .buckets, createdAtMs: 1)
    for bucket in sale.buckets {
      try await servers.create(bucket, quantity: sale.share(of: units, bucket: bucket.index), terms: terms)
    }
    servers.resetCounts()
    let pullers = (0..<processes).map { _ in
      Puller(stock: servers, clock: servers.clock, logger: Sample.logger)
    }
    return (pullers, KnownSale(sale))
  }

  /// Each of the purchases once, by so many at a time, spread over the processes.
  private func crowd(
    _ purchases: [Purchase],
    atATime lanes: Int,
    _ pullers: [Puller],
    _ sale: KnownSale,
    seconds: Int = 20
  ) async -> Tally {
    await withTaskGroup(of: Tally.self) { group in
      for lane in 0..<lanes {
        group.addTask {
          var tally = Tally()
          for index in stride(from: lane, to: purchases.count, by: lanes) {
            tally.add(
              await deduct(purchases[index], pullers[index % pullers.count], sale, seconds: seconds),
              of: purchases[index]
            )
          }
          return tally
        }
      }
      var all = Tally()
      for await tally in group {
        all.accepted += tally.accepted
        all.units += tally.units
        all.soldOut += tally.soldOut
        all.smallestRefused = min(all.smallestRefused, tally.smallestRefused)
        all.others += tally.others
      }
      return all
    }
  }

  private func deduct(
    _ purchase: Purchase,
    _ puller: Puller,
    _ sale: KnownSale,
    seconds: Int = 20
  ) async -> Result<DeductOutcome, StockError> {
    do throws(StockError) {
      return .success(
        try await puller.deduct(
          purchase,
          of: sale,
          holdMs: nil,
          before: RunningClock().now.advanced(by: .seconds(seconds))
        )
      )
    } catch {
      return .failure(error)
    }
  }

  private func purchases(_ count: Int, skewed: Bool, quantities: [Int64] = [1]) throws -> [Purchase] {
    var users: [UserID] = []
    var number = 0
    while users.count < count {
      let user = try UserID("user\(number)")
      number += 1
      if skewed, user.homeBucket(among: 12) != 5 { continue }
      users.append(user)
    }
    return try users.enumerated()
      .map {
        try Purchase(sku: sku, user: $1, token: Token("t\($0)"), quantity: quantities[$0 % quantities.count])
      }
  }

  /// Nothing oversold, nothing on its way, and what is left is less than anybody was refused.
  private func expectSoldOut(_ servers: CoreServers, units: Int64, _ tally: Tally) {
    let infos = servers.infos(of: sku)
    let available = infos.reduce(0) { $0 + $1.available }
    #expect(infos.reduce(0) { $0 + $1.sold } == tally.units)
    #expect(tally.units + available == units)
    #expect(available < tally.smallestRefused)
    #expect(infos.allSatisfy { $0.transfers == 0 })
    #expect(tally.others.isEmpty, "\(tally.others.prefix(3))")
  }

  @Test(
    "at the tail of a sale all 100 units go to 1,000 buyers, who cost the servers less than four commands each",
    .timeLimit(.minutes(10)),
    arguments: [1, 16, 1000],
    [false, true]
  )
  func tail(atATime: Int, skewed: Bool) async throws {
    let servers = CoreServers()
    let (pullers, sale) = try await open(servers, units: 100, buckets: 12)
    let tally = await crowd(try purchases(1000, skewed: skewed), atATime: atATime, pullers, sale)
    #expect(tally.accepted == 100 && tally.soldOut == 900)
    expectSoldOut(servers, units: 100, tally)
    #expect(servers.commands <= 4000, "\(servers.commands) commands")
  }

  @Test(
    "several processes sell exactly the stock, in single units and in mixed ones",
    .timeLimit(.minutes(10)),
    arguments: [[1], [1, 2, 3, 7], [5, 11]] as [[Int64]],
    [false, true]
  )
  func processes(quantities: [Int64], skewed: Bool) async throws {
    let servers = CoreServers()
    let (pullers, sale) = try await open(servers, units: 600, buckets: 12, processes: 4)
    let tally = await crowd(
      try purchases(1500, skewed: skewed, quantities: quantities),
      atATime: 64,
      pullers,
      sale
    )
    expectSoldOut(servers, units: 600, tally)
  }

  @Test("an order larger than any bucket is filled from several", .timeLimit(.minutes(10)))
  func large() async throws {
    let servers = CoreServers()
    let (pullers, sale) = try await open(servers, units: 60, buckets: 12)
    let purchase = try Purchase(sku: sku, user: UserID("ann"), token: Token("big"), quantity: 60)
    guard case .success(.accepted(remaining: 0, _, isRepeat: false)) = await deduct(purchase, pullers[0], sale) else {
      Issue.record("it was not filled")
      return
    }
    #expect(servers.infos(of: sku).allSatisfy { $0.available == 0 && $0.transfers == 0 })
  }

  @Test("an order larger than all that is left is refused, and moves nothing", .timeLimit(.minutes(10)))
  func tooLarge() async throws {
    let servers = CoreServers()
    let (pullers, sale) = try await open(servers, units: 60, buckets: 12)
    let purchase = try Purchase(sku: sku, user: UserID("ann"), token: Token("big"), quantity: 61)
    #expect(await deduct(purchase, pullers[0], sale) == .success(.refused(.soldOut, remaining: 60)))
    #expect(servers.count(.withdraw) == 0)
  }

  @Test("a limit, a window and a freeze pull nothing", .timeLimit(.minutes(10)))
  func otherRefusals() async throws {
    let servers = CoreServers()
    let (pullers, sale) = try await open(servers, units: 12, buckets: 12, limit: 1)
    let user = try UserID("ann")
    let home = sale.home(of: user)
    func buy(_ token: String, _ quantity: Int64) async throws -> Result<DeductOutcome, StockError> {
      await deduct(
        try Purchase(sku: sku, user: user, token: Token(token), quantity: quantity),
        pullers[0],
        sale
      )
    }
    #expect(try await buy("t1", 2) == .success(.refused(.limit, remaining: 1)))
    try await servers.freeze(home)
    #expect(try await buy("t1", 1) == .success(.refused(.frozen, remaining: 1)))
    try await servers.thaw(home, epoch: nil)
    try await servers.schedule(home, limit: nil, opensMs: Int64.max / 2048, closesMs: nil)
    #expect(try await buy("t1", 1) == .success(.refused(.early, remaining: 1)))
    try await servers.schedule(home, limit: nil, opensMs: 0, closesMs: 1)
    #expect(try await buy("t1", 1) == .success(.refused(.closed, remaining: 1)))
    #expect(servers.count(.withdraw) == 0 && servers.count(.info) == 0)
  }

  @Test("a token sent again hears its first outcome, however sold out its product is", .timeLimit(.minutes(10)))
  func repeats() async throws {
    let servers = CoreServers()
    let (pullers, sale) = try await open(servers, units: 12, buckets: 12)
    let all = try purchases(40, skewed: true)
    let tally = await crowd(all, atATime: 4, pullers, sale)
    #expect(tally.accepted == 12)
    var repeats = 0
    for purchase in all {
      if case .success(.accepted(_, _, isRepeat: true)) = await deduct(purchase, pullers[0], sale) { repeats += 1 }
    }
    #expect(repeats == 12)
    expectSoldOut(servers, units: 12, tally)
  }

  @Test("units in a frozen bucket are neither sold nor sold out", .timeLimit(.minutes(10)))
  func frozenSource() async throws {
    let servers = CoreServers()
    let (pullers, sale) = try await open(servers, units: 24, buckets: 12)
    try await servers.freeze(BucketID(sku: sku, index: 3))
    let all = try purchases(30, skewed: true)
    for (index, purchase) in all.enumerated() {
      let outcome = await deduct(purchase, pullers[0], sale, seconds: index < 22 ? 20 : 0)
      switch outcome {
      case .success(.accepted): #expect(index < 22)
      case .failure(let error): #expect(index >= 22 && error.code == .undecided)
      case .success(let other): Issue.record("\(other)")
      }
    }
    try await servers.thaw(BucketID(sku: sku, index: 3), epoch: nil)
    let tally = await crowd(all, atATime: 4, pullers, sale)
    #expect(tally.accepted == 24)
  }

  @Test("a server that does not answer holds up only what nobody else can give", .timeLimit(.minutes(10)))
  func hangingServer() async throws {
    let servers = CoreServers()
    let (pullers, sale) = try await open(servers, units: 24, buckets: 12)
    let home = try purchases(1, skewed: true)[0]
    let dead = 7
    servers.onCommand { _, bucket in bucket.index == dead ? .hanging(.seconds(30)) : nil }
    let started = servers.clock.now
    let tally = await crowd(try purchases(22, skewed: true), atATime: 4, pullers, sale)
    #expect(tally.accepted == 22)
    #expect(servers.clock.now - started < .seconds(10))
    #expect(sale.home(of: home.user).index != dead)
    let next = try Purchase(sku: sku, user: home.user, token: Token("late"), quantity: 1)
    guard case .failure(let error) = await deduct(next, pullers[0], sale, seconds: 1) else {
      Issue.record("it was decided without a bucket")
      return
    }
    #expect(error.code == .undecided)
    servers.onCommand { _, _ in nil }
    _ = await crowd(try purchases(30, skewed: true), atATime: 4, pullers, sale)
    #expect(servers.infos(of: sku).allSatisfy { $0.available == 0 })
  }

  @Test("units whose source has lost their withdrawal meanwhile are not put on sale twice", .timeLimit(.minutes(10)))
  func lateDeposit() async throws {
    let servers = CoreServers()
    let (pullers, sale) = try await open(servers, units: 24, buckets: 12)
    let source = Mutex<BucketID?>(nil)
    let isLate = Mutex(false)
    servers.onCommand { command, bucket in
      switch command {
      case .withdraw: source.withLock { $0 = $0 ?? bucket }
      case .deduct:
        // The deduction that brings the units along takes its time, and its server is not the one that fails.
        guard let lost = source.withLock({ $0 }),
          !isLate.withLock({ isLate in
            defer { isLate = true }
            return isLate
          })
        else { return nil }
        servers.loseWrites(of: lost, quantity: 2, terms: SaleTerms(buckets: 12))
        return .hanging(.seconds(2))
      default: break
      }
      return nil
    }
    let all = try purchases(30, skewed: true)
    _ = await crowd(all, atATime: 1, pullers, sale)
    servers.onCommand { _, _ in nil }
    _ = await crowd(all, atATime: 1, pullers, sale)
    let infos = servers.infos(of: sku)
    #expect(isLate.withLock { $0 })
    #expect(infos.reduce(0) { $0 + $1.sold } == 24)
    #expect(infos.reduce(0) { $0 + $1.transferredOut - $1.transferredIn } == 0)
  }

  @Test("lost and refused commands cost no unit and sell none twice", .timeLimit(.minutes(10)), arguments: 1...4)
  func lostReplies(seed: UInt64) async throws {
    let servers = CoreServers()
    let (pullers, sale) = try await open(servers, units: 120, buckets: 12, processes: 3)
    let random = Mutex(SeededRandom(seed: seed))
    servers.onCommand { command, _ in
      // The driver resolves a lost deduction, and says so where it can't.
      guard command != .deduct else { return nil }
      return random.withLock { $0.chance(0.1) ? .silent : $0.chance(0.1) ? .refused : nil }
    }
    let all = try purchases(300, skewed: seed.isMultiple(of: 2), quantities: [1, 2])
    _ = await crowd(all, atATime: 16, pullers, sale)
    servers.onCommand { _, _ in nil }
    let tally = await crowd(all, atATime: 16, pullers, sale)
    #expect(tally.others.isEmpty, "\(tally.others.prefix(3))")
    let infos = servers.infos(of: sku)
    #expect(infos.reduce(0) { $0 + $1.sold } == 120 && infos.allSatisfy { $0.available == 0 })
    // Nothing is on its way. A transfer whose last settling was lost may be open still: no buyer needs it closed.
    #expect(infos.reduce(0) { $0 + $1.transferredOut - $1.transferredIn } == 0)
  }

  @Test("a buyer whose task is cancelled leaves its place to the next", .timeLimit(.minutes(10)))
  func cancelled() async throws {
    let servers = CoreServers()
    let (pullers, sale) = try await open(servers, units: 12, buckets: 12)
    try await servers.freeze(BucketID(sku: sku, index: 3))
    let all = try purchases(13, skewed: true)
    _ = await crowd(Array(all[..<11]), atATime: 1, pullers, sale)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { _ = await deduct(all[11], pullers[0], sale) }
      group.cancelAll()
      group.addTask {
        guard case .failure(let error) = await deduct(all[12], pullers[0], sale, seconds: 1) else {
          Issue.record("it was decided without a bucket")
          return
        }
        #expect(error.code == .undecided)
      }
    }
    #expect(servers.infos(of: sku).reduce(0) { $0 + $1.sold } == 11)
  }
}
