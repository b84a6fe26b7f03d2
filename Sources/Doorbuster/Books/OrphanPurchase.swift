import Orders
import Stock

/// A purchase that a bucket lists and that has no order of its own.
struct OrphanPurchase: Hashable, Sendable {
  var record: PurchaseRecord
  /// The order of its token, which is another purchase's; nil where there is none.
  var other: StoredOrder?

  func subject(in bucket: Int) -> BooksFinding.Subject {
    guard let other else { return .purchaseWithoutOrder(record, bucket: bucket) }
    return .purchaseOfAnotherOrder(record, bucket: bucket, order: other)
  }

  /// The order is written, or, where the token has one, the purchase given back.
  var repair: BooksFinding.Direction { other == nil ? .database : .bucket }

  /// Nil where the bucket no longer tells all of it.
  func order(of sku: SKU, in bucket: Int, nowMs: Int64) -> Order? {
    guard let user = record.user, let quantity = record.quantity else { return nil }
    guard let purchase = try? Purchase(sku: sku, user: user, token: record.token, quantity: quantity) else {
      return nil
    }
    return Order(
      purchase: purchase,
      bucket: bucket,
      sequence: record.sequence,
      createdAtMs: record.timestampMs ?? nowMs
    )
  }
}

extension SaleAccess {
  /// Hands the events that a bucket lists up to `end` over, page by page, with those of their purchases that have no
  /// order of their own, cancelled ones among them.
  func eachOrphanPage(
    _ index: Int,
    upTo end: Int64,
    _ body: ([StockEvent], [OrphanPurchase]) async throws(DoorbusterError) -> Void
  ) async throws(DoorbusterError) {
    var next = try await logStart(index)
    while next.sequence < end {
      let from = next
      let count = Int(min(end - from.sequence, 10_000))
      let events: [StockEvent]
      do throws(DoorbusterError) {
        events = try await askStock { stock throws(StockError) in
          try await stock.log(bucket(index), after: from, count: count)
        }
      } catch {
        // What is trimmed meanwhile is in the database.
        guard error.hasStockCode(.logTrimmed) else { throw error }
        next = try await logStart(index)
        continue
      }
      guard let last = events.last else { return }
      try await body(events, try await orphans(of: try takers(in: events, of: index), in: index))
      next.sequence = last.sequence
    }
  }

  /// The purchases of these takers that have no order of their own, cancelled ones among them.
  func orphans(of takers: [LogTaker], in index: Int) async throws(DoorbusterError) -> [OrphanPurchase] {
    let rows = try await orders(takers.map(\.token))
    let without = takers.filter { rows[$0.token]?.order.bucket != index }
    let found = try await each(without) { taker async throws(DoorbusterError) -> OrphanPurchase? in
      guard let record = try await purchase(taker.token, in: index), record.sequence == taker.sequence else {
        return nil
      }
      guard let row = rows[taker.token] else { return OrphanPurchase(record: record, other: nil) }
      // An order that only names another bucket is this purchase's own.
      let compared = try await look(at: row)
      return compared.record != nil && compared.bucket == index ? nil : OrphanPurchase(record: record, other: row)
    }
    return found.compactMap { $0 }
  }

  /// Those that stand without their order still after a while.
  func persistent(
    _ orphans: [OrphanPurchase],
    in index: Int,
    youngerThan overdue: Duration
  ) async throws(DoorbusterError) -> [OrphanPurchase] {
    var left = orphans.filter(\.record.state.isLive)
    guard !left.isEmpty else { return [] }
    try await wait(settings.settle)
    let takers = left.compactMap { orphan in
      orphan.record.sequence.map { LogTaker(token: orphan.record.token, sequence: $0) }
    }
    let youngest = clock.wallMs - overdue.wholeMs
    left = try await self.orphans(of: takers, in: index).filter(\.record.state.isLive)
    // A hold whose order depends on others is undecided for a while.
    return left.filter { $0.record.state != .held || ($0.record.timestampMs ?? 0) <= youngest }
  }

  /// Those that differ still, and not by what is on its way: differing twice, with a while in between, by nothing that
  /// the log tells beyond the database's position.
  func persistent(_ suspects: [ComparedOrder]) async throws(DoorbusterError) -> [ComparedOrder] {
    var left = suspects
    for isSecond in [false, true] {
      guard !left.isEmpty else { return [] }
      if isSecond { try await wait(settings.settle) }
      left = try await differing(left.map(\.token))
    }
    return left
  }

  private func differing(_ tokens: [Token]) async throws(DoorbusterError) -> [ComparedOrder] {
    try await readingLogs { () async throws(DoorbusterError) in
      // In this order: the rows have all that the positions tell, and the logs what the buckets have beyond them.
      let positions = try await positions()
      let rows = try await orders(tokens)
      let looked = try await each(tokens.compactMap { rows[$0] }) { row async throws(DoorbusterError) in
        try await look(at: row)
      }
      let left = looked.filter { !$0.agrees }
      guard !left.isEmpty else { return [] }
      let moving = try await self.tokens(movedAfter: positions, among: left)
      return left.filter { !moving.contains($0.token) }
    }
  }

  /// The tokens of these orders that events beyond the positions tell of.
  private func tokens(
    movedAfter positions: [Int: LogPosition],
    among orders: [ComparedOrder]
  ) async throws(DoorbusterError) -> Set<Token> {
    let asked = Set(orders.map(\.token))
    var moved: Set<Token> = []
    for index in Set(orders.map(\.bucket)).union(orders.map(\.order.order.bucket)).sorted() {
      guard let position = positions[index] else { continue }
      let end = try await info(index).logLast
      try await eachLogPage(index, after: position, upTo: end) { events throws(DoorbusterError) in
        for event in events {
          guard let bytes = event.token, let token = try? Token(bytes: bytes) else { continue }
          if asked.contains(token) { moved.insert(token) }
        }
      }
    }
    return moved
  }

  // MARK: Cuts

  /// A bucket's sums at the database's position, and how many events are beyond it.
  func cut(_ index: Int) async throws(DoorbusterError) -> (BucketSums, beyond: Int64) {
    try await readingLogs { () async throws(DoorbusterError) in
      let position = try await askDatabase { orders throws(OrderStoreError) in
        try await orders.position(of: bucket(index))
      }
      guard let position else { throw .bucketLost(sku, "the database does not know bucket \(bucket(index))") }
      let info = try await info(index)
      guard position.epoch == info.epoch else {
        throw .bucketLost(sku, "bucket \(bucket(index)) is in another epoch than the database has followed")
      }
      var tail = BucketTail()
      try await eachLogPage(index, after: position, upTo: info.logLast) { events throws(DoorbusterError) in
        for record in try await purchases(takenBy: events, of: index) { tail.add(record) }
      }
      let sums = BucketSums(cut: position.sequence, info: info, beyond: tail)
      return (sums, max(0, info.logLast - position.sequence))
    }
  }

  /// The place before the first event that the bucket lists.
  func logStart(_ index: Int) async throws(DoorbusterError) -> LogPosition {
    let info = try await info(index)
    return LogPosition(epoch: info.epoch, sequence: info.logFirst - 1)
  }

  /// Does what begins with reading positions and reads logs behind them again where the database has gone on meanwhile,
  /// and those events were trimmed.
  private func readingLogs<T>(
    _ body: () async throws(DoorbusterError) -> T
  ) async throws(DoorbusterError) -> T {
    for _ in 0..<100 {
      do throws(DoorbusterError) {
        return try await body()
      } catch {
        guard error.hasStockCode(.logTrimmed) else { throw error }
        try await wait(.milliseconds(50))
      }
    }
    return try await body()
  }
}
