import GRDB
import Logging
import Orders
import Synchronization

/// Gathers the orders of concurrent calls and writes them on the one writing connection.
///
/// While a batch is being written, the next gathers: a lone order never waits, and the busier the store, the larger
/// the batches. With the strategy `rowLock` a batch is one order.
final class OrderWriter: Sendable {
  fileprivate struct Call {
    let orders: [Order]
    let reply: UnsafeContinuation<Result<[RecordOutcome], OrderStoreError>, Never>
  }

  fileprivate struct Inbox {
    var calls: [Call] = []
    var isWriting = false
  }

  /// Larger transactions dirty fewer pages an order, and make their callers wait longer: 4,000 take some 50 ms.
  private static let groupedOrdersMax = 4_000

  private let inbox = Mutex(Inbox())
  private let pool: DatabasePool
  private let path: String
  private let transactionOrdersMax: Int
  private let logger: Logger

  init(pool: DatabasePool, path: String, strategy: HotRowStrategy, logger: Logger) {
    self.pool = pool
    self.path = path
    self.logger = logger
    transactionOrdersMax =
      switch strategy {
      case .rowLock: 1
      case .groupCommit: Self.groupedOrdersMax
      }
  }

  func record(_ orders: [Order]) async throws(OrderStoreError) -> [RecordOutcome] {
    // Checked continuations cost as much as a tenth of an order's insert.
    let result = await withUnsafeContinuation {
      (reply: UnsafeContinuation<Result<[RecordOutcome], OrderStoreError>, Never>) in
      let starts = inbox.withLock { inbox in
        inbox.calls.append(Call(orders: orders, reply: reply))
        defer { inbox.isWriting = true }
        return !inbox.isWriting
      }
      if starts { schedule() }
    }
    return try result.get()
  }

  private func schedule() { pool.asyncWriteWithoutTransaction { [self] db in writeNext(db) } }

  private func writeNext(_ db: Database) {
    let calls = inbox.withLock { $0.takeCalls(ordersMax: transactionOrdersMax) }
    let results = write(calls.flatMap(\.orders), db: db)
    var start = 0
    for call in calls {
      let end = start + call.orders.count
      call.reply.resume(returning: Self.reply(results[start..<end]))
      start = end
    }
    let continues = inbox.withLock { inbox in
      inbox.isWriting = !inbox.calls.isEmpty
      return inbox.isWriting
    }
    // By way of the queue, so that other writers of this process (followers, restocks) have their turn.
    if continues { schedule() }
  }

  private static func reply(
    _ results: ArraySlice<Result<RecordOutcome, OrderStoreError>>
  ) -> Result<[RecordOutcome], OrderStoreError> {
    var outcomes: [RecordOutcome] = []
    outcomes.reserveCapacity(results.count)
    for result in results {
      switch result {
      case .success(let outcome): outcomes.append(outcome)
      case .failure(let error): return .failure(error)
      }
    }
    return .success(outcomes)
  }

  private func write(_ orders: [Order], db: Database) -> [Result<RecordOutcome, OrderStoreError>] {
    var results: [Result<RecordOutcome, OrderStoreError>] = []
    results.reserveCapacity(orders.count)
    for start in stride(from: 0, to: orders.count, by: transactionOrdersMax) {
      write(orders[start..<min(start + transactionOrdersMax, orders.count)], db: db, to: &results)
    }
    return results
  }

  /// One transaction. Where an order can't be written for its own sake, each half is tried alone.
  private func write(
    _ orders: ArraySlice<Order>,
    db: Database,
    to results: inout [Result<RecordOutcome, OrderStoreError>]
  ) {
    do {
      let outcomes = try db.writeImmediately { db in
        var rows = try OrderRows(db: db)
        let outcomes = try orders.map { order in try rows.record(order, as: .sold) }
        try rows.settle()
        return outcomes
      }
      results.append(contentsOf: outcomes.lazy.map { .success($0) })
    } catch {
      let failure = OrderStoreError(error, while: "recording \(orders.count) orders", path: path)
      if failure.code != .refused {
        results.append(contentsOf: repeatElement(.failure(failure), count: orders.count))
      } else if orders.count == 1 {
        logger.warning("The database refused an order", metadata: ["error": "\(failure)"])
        results.append(.success(.refused(failure.message)))
      } else {
        let middle = orders.startIndex + orders.count / 2
        write(orders[..<middle], db: db, to: &results)
        write(orders[middle...], db: db, to: &results)
      }
    }
  }
}

extension OrderWriter.Inbox {
  /// Whole calls, up to the one with which `ordersMax` is reached.
  mutating func takeCalls(ordersMax: Int) -> [OrderWriter.Call] {
    var orders = 0
    let end = calls.firstIndex { call in
      defer { orders += call.orders.count }
      return orders >= ordersMax
    }
    let taken = Array(calls[..<(end ?? calls.endIndex)])
    calls.removeFirst(taken.count)
    return taken
  }
}
