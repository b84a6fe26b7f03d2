import Orders
import Stock
import StockCore

@testable import Doorbuster

/// A sale over many buckets in the simulated world: buckets of the module's own rules, processes with a desk each, and
/// rebalancers, all one event at a time.
final class SpreadWorld {
  /// A process whose buyers stand at one desk; all of it is gone when it dies.
  final class Shop {
    let process: Process
    var desk: PullDesk
    var duties: [PullDesk.BuyerID: (PullDesk.Duty) -> Void] = [:]

    init(_ name: String, buckets: Int) {
      process = Process(name)
      desk = PullDesk(buckets: buckets)
    }
  }

  let world: World
  let sku: SKU
  let sale: KnownSale
  let buckets: [CoreBucket]
  private(set) var findings: [String] = []
  /// What was unsold at the least since each open call began.
  private var leastUnsold: [Int: Int64] = [:]
  private var lastCall = 0

  init(seed: UInt64, units: Int64, buckets count: Int, limit: Int64 = 0) throws {
    world = World(seed: seed)
    sku = try SKU("shoe")
    let terms = SaleTerms(buckets: count, limit: limit)
    let sale = Sale(sku: sku, stock: units, terms: terms, path: .buckets, createdAtMs: world.nowMs)
    self.sale = KnownSale(sale)
    buckets = (0..<count).map { [world] index in
      CoreBucket(
        quantity: sale.share(of: units, bucket: index),
        terms: terms,
        epoch: Int64(index) + 1,
        nowMs: world.nowMs
      )
    }
    world.afterEvent = { [unowned self] _ in audit() }
  }

  var now: ContinuousClock.Instant { Sample.instant(world.nowMs) }

  /// Units on sale and in transfer.
  var unsold: Int64 { buckets.reduce(0) { $0 + $1.info.unsold } }

  func find(_ finding: String) {
    guard findings.count < 5 else { return }
    findings.append("seed \(world.seed), event \(world.events), \(world.nowMs) ms: \(finding)")
  }

  // MARK: Auditing at every instant

  private func audit() {
    var left: Int64 = 0
    var moving: Int64 = 0
    for (index, bucket) in buckets.enumerated() {
      let info = bucket.info
      let isBalanced =
        info.created + info.added + info.transferredIn
        == info.available + info.held + info.sold + info.transferredOut
      if !isBalanced || min(info.available, info.held, info.sold) < 0 { find("bucket \(index): \(info)") }
      left += info.unsold
      moving += info.transferredOut - info.transferredIn
    }
    if moving < 0 { find("\(-moving) units were deposited that nobody has withdrawn") }
    if left < 0 { find("\(-left) units are oversold") }
    for call in leastUnsold.keys { leastUnsold[call] = min(leastUnsold[call] ?? left, left) }
  }

  func beginCall() -> Int {
    lastCall += 1
    leastUnsold[lastCall] = unsold
    return lastCall
  }

  func endCall(_ call: Int, _ purchase: Stock.Purchase, isSoldOut: Bool) {
    let least = leastUnsold.removeValue(forKey: call) ?? 0
    if isSoldOut, least >= purchase.quantity {
      find("\(purchase.token) heard sold out of \(purchase.quantity); at least \(least) were left all the time")
    }
  }

  // MARK: Requests

  func ask<R>(
    _ process: Process,
    _ bucket: Int,
    _ apply: @escaping (CoreBucket, Int64) throws(CoreBucket.Fault) -> R,
    _ reply: @escaping (Result<R, CoreBucket.Fault>) -> Void
  ) {
    world.call(
      .stock,
      from: process,
      gone: Sample.stockGone,
      silent: Sample.stockSilent,
      { [unowned self] () throws(CoreBucket.Fault) in try apply(buckets[bucket], world.nowMs) },
      reply
    )
  }

  /// Asks something for each item, all at once; the answers in their order.
  func each<Item, R>(
    _ process: Process,
    _ items: [Item],
    bucket: (Item) -> Int,
    _ apply: @escaping (Item, CoreBucket, Int64) throws(CoreBucket.Fault) -> R,
    _ reply: @escaping ([Result<R, CoreBucket.Fault>]) -> Void
  ) {
    var answers: [Int: Result<R, CoreBucket.Fault>] = [:]
    for (index, item) in items.enumerated() {
      ask(process, bucket(item)) { bucket, nowMs throws(CoreBucket.Fault) in
        try apply(item, bucket, nowMs)
      } _: { answer in
        answers[index] = answer
        if answers.count == items.count { reply(items.indices.compactMap { answers[$0] }) }
      }
    }
    if items.isEmpty { reply([]) }
  }

  func read(_ process: Process, _ done: @escaping (SoldOutReading) -> Void) {
    let startedAt = now
    each(process, Array(buckets.indices), bucket: \.self) { _, bucket, _ throws(CoreBucket.Fault) in
      bucket.info
    } _: { [unowned self] answers in
      var reading = SoldOutReading(infos: [], problem: nil, startedAt: startedAt, endedAt: now)
      for answer in answers {
        switch answer {
        case .success(let info): reading.infos.append(info)
        case .failure(let error):
          reading.infos.append(nil)
          reading.problem = error.message
        }
      }
      done(reading)
    }
  }

  /// Lists open transfers of these buckets.
  func list(
    _ process: Process,
    _ indices: [Int],
    _ done: @escaping ([Int: [ListedTransfer]]) -> Void
  ) {
    each(process, indices, bucket: \.self) { _, bucket, _ throws(CoreBucket.Fault) in
      try bucket.transfers(settled: false, after: nil, count: 1000)
    } _: { answers in
      var listed: [Int: [ListedTransfer]] = [:]
      for (index, answer) in zip(indices, answers) { listed[index] = try? answer.get() }
      done(listed)
    }
  }

  func finish(_ process: Process, _ transfers: [OpenTransfer], _ done: @escaping () -> Void) {
    guard let transfer = transfers.first else { return done() }
    var machine = FinishingMachine(transfer)
    func perform(_ action: FinishingMachine.Action) {
      switch action {
      case .deposit:
        ask(process, transfer.target) { bucket, nowMs throws(CoreBucket.Fault) in
          try bucket.deposit(transfer.deposit, nowMs: nowMs)
        } _: {
          perform(machine.deposited($0))
        }
      case .settleAtSource, .settleAtTarget:
        let bucket = action == .settleAtSource ? transfer.source : transfer.target
        ask(process, bucket) { bucket, _ throws(CoreBucket.Fault) in
          try bucket.settle(transfer.name)
        } _: {
          perform(machine.settled($0))
        }
      case .finish: finish(process, Array(transfers.dropFirst()), done)
      }
    }
    perform(machine.start())
  }

  // MARK: Rebalancing

  /// Looks and moves twice a second, as long as the process lives.
  func rebalance(in process: Process) {
    var demand = BucketDemand(buckets: buckets.count)
    var seen = SeenTransfers()
    let life = process.life
    var number = 0
    func round() {
      guard process.life == life, process.isUp else { return }
      read(process) { [unowned self] reading in
        demand.note(reading)
        let open = reading.infos.indices.filter { (reading.infos[$0]?.transfers ?? 0) > 0 }
        list(process, open) { [unowned self] listed in
          let overdue = seen.overdue(OpenTransfer.all(in: listed), isOld: { _ in false }, now: now, afterMs: 2000)
          finish(process, overdue) { [unowned self] in
            let loads = reading.infos.indices.map { index in
              RebalancePlan.Load(
                available: reading.infos[index]?.available ?? 0,
                rate: demand.rates[index],
                server: nil,
                isMovable: reading.infos[index].map { $0.frozen == nil } ?? false
              )
            }
            for move in RebalancePlan(loads).moves {
              number += 1
              self.move(move, in: process, run: UInt64(life), number: number)
            }
            world.after(500) { round() }
          }
        }
      }
    }
    world.after(world.pick(0...500)) { round() }
  }

  private func move(_ move: RebalancePlan.Move, in process: Process, run: UInt64, number: Int) {
    guard let name = try? TransferName("\(process.name)/\(run)/\(number)") else { return }
    ask(process, move.source) { bucket, nowMs throws(CoreBucket.Fault) in
      try bucket.withdraw(name, quantity: move.quantity, to: move.target, nowMs: nowMs)
    } _: { [unowned self] answer in
      guard case .success(.withdrawn(let units, _)) = answer else { return }
      let transfer = OpenTransfer(
        name: name,
        source: move.source,
        target: move.target,
        quantity: units,
        isDeposited: false
      )
      finish(process, [transfer]) {}
    }
  }
}
