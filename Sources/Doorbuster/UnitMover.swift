import Logging
import Stock

/// Units that are to be brought to a bucket whose share of a restock is to be taken off sale.
struct UnitGathering: Sendable {
  let sale: KnownSale
  let target: Int
  /// Names the transfers, so that the same restock meets its own.
  let token: Token
  /// What is still to be taken from each bucket, the target's own share included. No bucket's share is moved away.
  let shares: [Int: Int64]

  /// What to move where, by what the buckets have; empty where their spare units don't suffice.
  func drafts(_ reading: SoldOutReading) -> [PullDesk.Draft] {
    var lacking = (shares[target] ?? 0) - (reading.infos[target]?.available ?? 0)
    let spare = reading.infos.indices
      .compactMap { index -> (Int, Int64)? in
        guard index != target, let info = reading.infos[index], info.frozen == nil else { return nil }
        let units = info.available - (shares[index] ?? 0)
        return units > 0 ? (index, units) : nil
      }
      .sorted { ($0.1, $1.0) > ($1.1, $0.0) }
    guard lacking > 0, spare.reduce(0, { $0 + $1.1 }) >= lacking else { return [] }
    var drafts: [PullDesk.Draft] = []
    for (source, units) in spare where lacking > 0 {
      let quantity = min(units, lacking)
      drafts.append(PullDesk.Draft(source: source, quantity: quantity))
      lacking -= quantity
    }
    return drafts
  }

  /// Why all buckets together have too little; nil where they may have enough.
  func shortage(_ left: Int64) -> String? {
    let wanted = shares.values.reduce(0, +)
    return left < wanted ? "\(left) of \(wanted) units are left over all buckets" : nil
  }
}

/// Moves units between the buckets of a sale for whoever needs them in one place.
struct UnitMover: Sendable {
  let stock: any StockService
  let clock: any SaleClock
  let logger: Logger

  /// How long it tries, and how long one command may take.
  private static let patience = Duration.seconds(30)
  private static let callMs: Int64 = 1000

  /// Brings units to the target until `isDone` says that it has enough.
  /// - Returns: why not, where all buckets together have too little.
  /// - Throws: ``DoorbusterError`` `stock` with ``StockError`` `undecided` where neither came to be in time, and what
  ///   `isDone` throws.
  func gather(
    _ gathering: UnitGathering,
    until isDone: () async throws(DoorbusterError) -> Bool
  ) async throws(DoorbusterError) -> String? {
    let reader = BucketReader(stock: stock, clock: clock)
    let finisher = TransferFinisher(stock: stock, clock: clock, logger: logger)
    let deadline = clock.now.advanced(by: Self.patience)
    var earlier: SoldOutReading?
    var attempt = 0
    var reason = "units were sold as fast as they were moved"
    while clock.now < deadline, !Task.isCancelled {
      let reading = await reader.read(gathering.sale, by: bound)
      let drafts = gathering.drafts(reading)
      if drafts.isEmpty {
        if let left = earlier.flatMap({ reading.unsoldAtMost(after: $0) }), let short = gathering.shortage(left) {
          return short
        }
        reason = reading.flaw ?? "units are on their way between buckets"
        earlier = reading
        await finisher.finish(gathering.sale, Array(0..<gathering.sale.buckets), by: bound)
      } else {
        attempt += 1
        await move(drafts, attempt: attempt, gathering, finisher)
      }
      if try await isDone() { return nil }
      if drafts.isEmpty { _ = await clock.wait(ms: Int64(10).jittered) }
    }
    throw DoorbusterError(
      StockError(
        .undecided,
        "the units of \(gathering.sale.sku) could not be brought to bucket \(gathering.target) in time: \(reason)"
      )
    )
  }

  private var bound: ContinuousClock.Instant { clock.now.advanced(by: .milliseconds(Self.callMs)) }

  private func move(
    _ drafts: [PullDesk.Draft],
    attempt: Int,
    _ gathering: UnitGathering,
    _ finisher: TransferFinisher
  ) async {
    let sku = gathering.sale.sku
    let target = gathering.target
    let named = drafts.compactMap { draft in
      (try? TransferName.gathering(gathering.token, attempt: attempt, from: draft.source, to: target)).map {
        ($0, draft)
      }
    }
    let answers = await clock.all(named, by: bound) { [stock] named async throws(StockError) in
      try await stock.withdraw(
        named.0,
        quantity: named.1.quantity,
        from: BucketID(sku: sku, index: named.1.source),
        to: target
      )
    }
    var withdrawn: [OpenTransfer] = []
    for (answer, (name, draft)) in zip(answers, named) {
      guard case .success(.withdrawn(let units, _)) = answer else { continue }
      withdrawn.append(
        OpenTransfer(name: name, source: draft.source, target: target, quantity: units, isDeposited: false)
      )
    }
    _ = await finisher.finish(withdrawn, of: sku, by: bound)
  }
}
