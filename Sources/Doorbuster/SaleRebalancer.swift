import Logging
import Stock

/// Keeps one sale's stock where it is bought, and brings to their end transfers that others have left open: round by round.
struct SaleRebalancer: Sendable {
  /// What a round has done, or found to do.
  struct Round: Hashable, Sendable {
    var plan = RebalancePlan()
    /// Transfers that have been open for too long.
    var overdue: [OpenTransfer] = []
    /// Of those, how many were finished.
    var finished = 0
    /// Why the round was not complete; nil where it was.
    var problem: String?
  }

  let sale: KnownSale
  private let stock: any StockService
  private let clock: any SaleClock
  private let logger: Logger
  private let reader: BucketReader
  private let finisher: TransferFinisher
  private let settings: Settings
  private var demand: BucketDemand
  private var seen = SeenTransfers()
  /// Makes the names of this one's transfers its own.
  private let run = UInt64.random(in: 0...UInt64.max)
  private var movesMade = 0
  /// Whether buckets of one server may be shared out in one step; not so in a cluster, where each has its own slot.
  private var canShare = true

  struct Settings: Hashable, Sendable {
    var plan = RebalancePlan.Settings()
    /// A transfer that has been open for so long is nobody's work any more.
    var overdueMs: Int64 = 2000
    /// How long one command may take.
    var callMs: Int64 = 2000
  }

  init(
    sale: KnownSale,
    stock: any StockService,
    clock: any SaleClock,
    logger: Logger,
    settings: Settings = Settings()
  ) {
    self.sale = sale
    self.stock = stock
    self.clock = clock
    self.logger = logger
    self.settings = settings
    reader = BucketReader(stock: stock, clock: clock)
    finisher = TransferFinisher(stock: stock, clock: clock, logger: logger)
    demand = BucketDemand(buckets: sale.buckets)
  }

  /// Reads the buckets, finishes what is overdue, and moves units ahead of demand. With `isDry` it only says what it
  /// would do.
  mutating func round(isDry: Bool = false) async -> Round {
    var round = Round()
    let reading = await reader.read(sale, by: bound)
    round.problem = reading.problem
    demand.note(reading)
    round.overdue = await overdue(reading)
    round.plan = RebalancePlan(await loads(reading), planSettings)
    guard !isDry else { return round }
    round.finished = await finisher.finish(round.overdue, of: sale.sku, by: bound)
    for share in round.plan.shares { await carryOut(share) }
    await carryOut(round.plan.moves)
    return round
  }

  private var bound: ContinuousClock.Instant { clock.now.advanced(by: .milliseconds(settings.callMs)) }

  private var planSettings: RebalancePlan.Settings {
    var plan = settings.plan
    plan.canShare = plan.canShare && canShare
    return plan
  }

  private func loads(_ reading: SoldOutReading) async -> [RebalancePlan.Load] {
    var loads: [RebalancePlan.Load] = []
    for (index, info) in reading.infos.enumerated() {
      loads.append(
        RebalancePlan.Load(
          available: info?.available ?? 0,
          rate: demand.rates[index],
          server: canShare ? await stock.server(of: BucketID(sku: sale.sku, index: index)) : nil,
          isMovable: info.map { $0.frozen == nil } ?? false
        )
      )
    }
    return loads
  }

  /// Open transfers that this one has seen for long, or that are old by their bucket's clock.
  private mutating func overdue(_ reading: SoldOutReading) async -> [OpenTransfer] {
    let buckets = reading.infos.indices.filter { (reading.infos[$0]?.transfers ?? 0) > 0 }
    guard !buckets.isEmpty else {
      seen = SeenTransfers()
      return []
    }
    let listed = await finisher.list(sale, buckets, by: bound)
    let old = clock.wallMs - settings.overdueMs
    return seen.overdue(
      OpenTransfer.all(in: listed),
      isOld: { OpenTransfer.isOld($0, in: listed, before: old) },
      now: clock.now,
      afterMs: settings.overdueMs
    )
  }

  private mutating func carryOut(_ share: RebalancePlan.Share) async {
    do throws(StockError) {
      _ = try await stock.rebalance(sale.sku, buckets: share.buckets, weights: share.weights)
      logger.info("\(sale.sku): buckets \(share.buckets) share their stock anew")
    } catch {
      if error.code == .bucketsApart { canShare = false }
      logger.debug("\(sale.sku): buckets \(share.buckets) did not share their stock: \(error.message)")
    }
  }

  /// Each transfer by itself, all at the same time.
  private mutating func carryOut(_ moves: [RebalancePlan.Move]) async {
    var named: [(TransferName, RebalancePlan.Move)] = []
    for move in moves {
      movesMade += 1
      guard let name = try? TransferName.move(from: move.source, to: move.target, run: run, number: movesMade) else {
        continue
      }
      named.append((name, move))
    }
    let by = bound
    let sku = sale.sku
    await withTaskGroup(of: Void.self) { [stock, clock, finisher, logger] group in
      for (name, move) in named {
        group.addTask {
          let answer = await clock.bounded(by: by) { () async throws(StockError) in
            try await stock.withdraw(
              name,
              quantity: move.quantity,
              from: BucketID(sku: sku, index: move.source),
              to: move.target
            )
          }
          guard case .success(.withdrawn(let units, _)) = answer else {
            // Where it is not known whether units left, the next round sees them open.
            return logger.debug("\(sku): nothing was moved from bucket \(move.source): \(answer)")
          }
          logger.info("\(sku): \(units) units move from bucket \(move.source) to \(move.target)")
          let transfer = OpenTransfer(
            name: name,
            source: move.source,
            target: move.target,
            quantity: units,
            isDeposited: false
          )
          _ = await finisher.finish([transfer], of: sku, by: by)
        }
      }
    }
  }
}

/// Since when open transfers have been seen.
struct SeenTransfers: Hashable, Sendable {
  private struct Ends: Hashable {
    var name: TransferName
    var source: Int
    var target: Int
  }

  private var since: [Ends: ContinuousClock.Instant] = [:]

  /// Those of the open transfers that have been seen for that long, or are old. The others are seen from now on.
  mutating func overdue(
    _ open: [OpenTransfer],
    isOld: (OpenTransfer) -> Bool,
    now: ContinuousClock.Instant,
    afterMs: Int64
  ) -> [OpenTransfer] {
    var next: [Ends: ContinuousClock.Instant] = [:]
    var overdue: [OpenTransfer] = []
    for transfer in open {
      let ends = Ends(name: transfer.name, source: transfer.source, target: transfer.target)
      let first = since[ends] ?? now
      next[ends] = first
      if isOld(transfer) || first.advanced(by: .milliseconds(afterMs)) <= now { overdue.append(transfer) }
    }
    since = next
    return overdue
  }
}
