import Dispatch
import Foundation
import GRDB
import Logging
import Orders
import Stock

/// The embedded order store: one SQLite file, shared by any number of processes of one machine.
///
/// A call has returned only when its effect is on disk (WAL, `synchronous=FULL`). Writers of all processes take turns
/// (`BEGIN IMMEDIATE`); one that waits longer than the busy time-out gets ``OrderStoreError/Code/unavailable`` and has
/// changed nothing. Readers never wait for writers. A call, once made, is carried out even if its task is cancelled.
public final class SQLiteStore: OrderStore {
  /// The file, as an absolute path.
  public let path: String
  public let strategy: HotRowStrategy

  let pool: DatabasePool
  private let writer: OrderWriter
  let seller: SellingWriter
  let repairer: RepairWriter
  private let cartWriter: CartWriter

  init(path: String, strategy: HotRowStrategy, pool: DatabasePool, logger: Logger) {
    self.path = path
    self.strategy = strategy
    self.pool = pool
    writer = OrderWriter(pool, path: path, strategy: strategy, logger: logger)
    seller = SellingWriter(pool, path: path, strategy: strategy)
    repairer = RepairWriter(pool, path: path)
    cartWriter = CartWriter(pool, path: path, strategy: strategy, logger: logger)
  }

  public func record(
    _ orders: [Order],
    as state: OrderState,
    rejecting: Bool
  ) async throws(OrderStoreError) -> [RecordOutcome] {
    guard !orders.isEmpty else { return [] }
    return try await writer.submit(orders.map { Recording(order: $0, state: state, rejecting: rejecting) })
  }

  public func record(carts: [CartRecording]) async throws(OrderStoreError) -> [CartRecordOutcome] {
    carts.isEmpty ? [] : try await cartWriter.submit(carts)
  }

  public func order(_ sku: SKU, token: Token) async throws(OrderStoreError) -> StoredOrder? {
    try await read("reading an order of \(sku)") { db in try OrderRows.fetch(sku, token: token, db: db) }
  }

  public func totals(of sku: SKU) async throws(OrderStoreError) -> SaleTotals? {
    try await read("reading the totals of \(sku)") { db in try SaleRows.totals(of: sku, db: db) }
  }

  public func create(_ sale: Sale) async throws(OrderStoreError) -> Sale {
    try sale.checkBounds()
    return try await write("creating the sale of \(sale.sku)") { db in try SaleRows.create(sale, db: db) }
  }

  public func undoCreate(_ sale: Sale) async throws(OrderStoreError) {
    try await write("undoing the creation of \(sale.sku)") { db in try SaleRows.remove(sale, db: db) }
  }

  public func sale(_ sku: SKU) async throws(OrderStoreError) -> Sale? {
    try await read("reading the sale of \(sku)") { db in try SaleRows.fetch(sku, db: db) }
  }

  public func sales() async throws(OrderStoreError) -> [Sale] {
    try await read("reading the sales") { db in try SaleRows.fetchAll(db: db) }
  }

  public func reschedule(
    _ sku: SKU,
    limit: Int64?,
    opensMs: Int64?,
    closesMs: Int64?
  ) async throws(OrderStoreError) {
    try Sale.checkTerms(of: sku, limit: limit, opensMs: opensMs, closesMs: closesMs)
    try await write("rescheduling the sale of \(sku)") { db in
      try SaleRows.reschedule(sku, limit: limit, opensMs: opensMs, closesMs: closesMs, db: db)
    }
  }

  public func restock(_ sku: SKU, token: Token, quantity: Int64) async throws(OrderStoreError) -> RestockOutcome {
    try StoreBounds.checkRestock(sku, quantity: quantity)
    return try await write("restocking \(sku)") { db in
      try RestockRows.add(sku, token: token, quantity: quantity, db: db)
    }
  }

  public func undoRestock(_ sku: SKU, token: Token) async throws(OrderStoreError) {
    try await write("undoing a restock of \(sku)") { db in try RestockRows.remove(sku, token: token, db: db) }
  }

  public func position(of bucket: BucketID) async throws(OrderStoreError) -> LogPosition? {
    try await read("reading the log position of \(bucket)") { db in try PositionRows.fetch(bucket, db: db) }
  }

  public func follow(_ batch: LogBatch) async throws(OrderStoreError) -> LogBatchOutcome {
    try batch.validate()
    return try await write("following the log of \(batch.bucket)") { db in
      var follower = try LogFollower(batch: batch, db: db)
      return try follower.run()
    }
  }

  /// Waits for what is under way, then closes the file. Later calls throw ``OrderStoreError/Code/unavailable``.
  public func close() async {
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      DispatchQueue.global().async { [pool] in
        // The last connection to a file copies the WAL back and removes it, which a reader can't: readers go first.
        // Where it fails nothing is lost: every transaction was durable when its call returned.
        pool.invalidateReadOnlyConnections()
        try? pool.close()
        done.resume()
      }
    }
  }

  // MARK: - Getting to the file

  func read<Value: Sendable>(
    _ what: @autoclosure @escaping @Sendable () -> String,
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(OrderStoreError) -> Value {
    let result = await withCheckedContinuation { (done: CheckedContinuation<Result<Value, any Error>, Never>) in
      pool.asyncRead { access in done.resume(returning: Result { try body(access.get()) }) }
    }
    return try unwrap(result, what())
  }

  /// One transaction, begun as a writer, so that it never has to become one half-way (which could fail as busy).
  func write<Value: Sendable>(
    _ what: @autoclosure @escaping @Sendable () -> String,
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(OrderStoreError) -> Value {
    let result = await withCheckedContinuation { (done: CheckedContinuation<Result<Value, any Error>, Never>) in
      pool.asyncWriteWithoutTransaction { db in
        done.resume(returning: Result { try db.writeImmediately(body) })
      }
    }
    return try unwrap(result, what())
  }

  private func unwrap<Value>(_ result: Result<Value, any Error>, _ what: String) throws(OrderStoreError) -> Value {
    switch result {
    case .success(let value): return value
    case .failure(let error): throw OrderStoreError(error, while: what, path: path)
    }
  }
}

extension Database {
  /// Runs `body` in one transaction that holds the write lock from its beginning.
  func writeImmediately<Value>(_ body: (Database) throws -> Value) throws -> Value {
    var result: Result<Value, any Error>?
    try inTransaction(.immediate) {
      result = .success(try body(self))
      return .commit
    }
    guard let result else { throw DatabaseError(resultCode: .SQLITE_INTERNAL, message: "the transaction did not run") }
    return try result.get()
  }
}
