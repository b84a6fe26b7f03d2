import Logging
import Stock

/// Brings to their end transfers that somebody has left open. Anyone may, at any time.
struct TransferFinisher: Sendable {
  let stock: any StockService
  let clock: any SaleClock
  let logger: Logger

  /// Transfers finished at the same time.
  private static let lanes = 16
  private static let pageMax = 1000

  /// How long after its source's word that units are gone they may be sent to their target. A source that has lost the
  /// withdrawal by then is not back on sale: its recovery waits longer than this, a call to the source and a command under
  /// way take together (``RecoverySettings/restartGrace``), and then counts what has arrived.
  static let depositsWithin = Duration.seconds(1)

  /// Finishes what these buckets list as open. What can't be finished by that instant stays open.
  /// - Returns: how many were finished.
  @discardableResult
  func finish(_ sale: KnownSale, _ buckets: [Int], by instant: ContinuousClock.Instant) async -> Int {
    await finish(OpenTransfer.all(in: await list(sale, buckets, by: instant)), of: sale.sku, by: instant)
  }

  /// Finishes what their sources have said just now to be open.
  /// - Returns: how many were finished. The others are to be listed again.
  func finish(_ transfers: [OpenTransfer], of sku: SKU, by latest: ContinuousClock.Instant) async -> Int {
    let instant = min(latest, clock.now.advanced(by: Self.depositsWithin))
    var finished = 0
    var rest = transfers[...]
    while !rest.isEmpty, clock.now < instant {
      let part = Array(rest.prefix(Self.lanes))
      rest = rest.dropFirst(part.count)
      await withTaskGroup(of: Bool.self) { group in
        for transfer in part { group.addTask { await finish(transfer, of: sku, by: instant) } }
        for await isFinished in group where isFinished { finished += 1 }
      }
    }
    return finished
  }

  /// What the buckets list as open. A bucket that can't be asked is missing.
  func list(
    _ sale: KnownSale,
    _ buckets: [Int],
    by instant: ContinuousClock.Instant
  ) async -> [Int: [ListedTransfer]] {
    let answers = await clock.all(buckets, by: instant) { [stock] index async throws(StockError) in
      var listed: [ListedTransfer] = []
      while true {
        let page = try await stock.transfers(
          BucketID(sku: sale.sku, index: index),
          settled: false,
          after: listed.last?.transfer.name,
          count: Self.pageMax
        )
        listed += page
        if page.count < Self.pageMax { return listed }
      }
    }
    var listed: [Int: [ListedTransfer]] = [:]
    for (bucket, answer) in zip(buckets, answers) {
      switch answer {
      case .success(let transfers): listed[bucket] = transfers
      case .failure(let error): logger.debug("the transfers of \(sale.sku)/\(bucket) can't be listed: \(error.message)")
      }
    }
    return listed
  }

  private func finish(_ transfer: OpenTransfer, of sku: SKU, by instant: ContinuousClock.Instant) async -> Bool {
    let source = BucketID(sku: sku, index: transfer.source)
    let target = BucketID(sku: sku, index: transfer.target)
    var machine = FinishingMachine(transfer)
    var action = machine.start()
    while true {
      switch action {
      case .deposit:
        action = machine.deposited(
          await clock.bounded(by: instant) { [stock] () async throws(StockError) in
            try await stock.deposit(transfer.deposit, into: target)
          }
        )
      case .settleAtSource: action = machine.settled(await settle(transfer.name, in: source, by: instant))
      case .settleAtTarget: action = machine.settled(await settle(transfer.name, in: target, by: instant))
      case .finish(.finished): return true
      case .finish(.open(let reason)):
        logger.debug("the transfer \(transfer.name) from \(source) to \(target) stays open: \(reason)")
        return false
      }
    }
  }

  private func settle(
    _ name: TransferName,
    in bucket: BucketID,
    by instant: ContinuousClock.Instant
  ) async -> Result<SettleOutcome, StockError> {
    await clock.bounded(by: instant) { [stock] () async throws(StockError) in
      try await stock.settle(name, in: bucket)
    }
  }
}
