import Logging
import OrderBatching
import Orders
import Stock

/// The order store of larger shops: a MySQL (5.7 and later) or MariaDB (10.5 and later) database, shared by any number
/// of processes and machines.
///
/// A call has returned only when the server has acknowledged its commit; how durable that is, the server decides
/// (`innodb_flush_log_at_trx_commit=1`). Transactions are READ COMMITTED. One that meets a deadlock, or whose connection
/// is lost before its commit was sent, is tried again; one that waits for locks for too long ends as
/// ``OrderStoreError/Code/unavailable``. Where the connection dies after the commit was sent the call throws
/// ``OrderStoreError/Code/outcomeUnknown``, and the same call again tells. A call, once made, is carried out even if its
/// task is cancelled.
public final class MySQLStore: OrderStore {
  public let url: MySQLURL
  public let options: MySQLStoreOptions
  public var strategy: HotRowStrategy { options.strategy }
  /// Whether the server knows inventory hints; nil where the strategy does not ask.
  public let knowsInventoryHint: Bool?

  let pool: ConnectionPool
  private let writer: OrderBatcher<Recording, RecordOutcome, Connection>
  private let cartWriter: OrderBatcher<CartRecording, CartRecordOutcome, Connection>
  let seller: OrderBatcher<SellAttempt, Result<SellOutcome, OrderStoreError>, Connection>
  let repairer: OrderBatcher<OrderRepair, RepairOutcome, Connection>

  private init(_ pool: ConnectionPool, hint: InventoryHint?, knowsInventoryHint: Bool?, logger: Logger) {
    self.pool = pool
    url = pool.url
    options = pool.options
    self.knowsInventoryHint = knowsInventoryHint
    let strategy = options.strategy
    let limits = Self.limits(options)
    let dispatch: @Sendable (@escaping ConnectionPool.Job) -> Void = { pool.run($0) }
    writer = OrderBatcher(
      limits,
      dispatch: dispatch,
      write: { orders, connection throws(OrderStoreError) in try connection.record(orders, hint: hint) },
      refuse: { _, error in
        logger.warning("The database refused an order", metadata: ["error": "\(error)"])
        return .refused(error.message)
      }
    )
    cartWriter = OrderBatcher(
      limits,
      dispatch: dispatch,
      write: { carts, connection throws(OrderStoreError) in try connection.record(carts) },
      refuse: { _, error in
        logger.warning("The database refused a cart", metadata: ["error": "\(error)"])
        return .refused(error.message)
      }
    )
    seller = OrderBatcher(
      limits,
      dispatch: dispatch,
      write: { attempts, connection throws(OrderStoreError) in
        guard strategy != .groupCommit, let attempt = attempts.first else { return try connection.sell(attempts) }
        return [try connection.answer(attempt, hint: hint)]
      },
      refuse: { _, error in .failure(error) }
    )
    repairer = OrderBatcher(
      BatchLimits(batchMax: 1_000),
      dispatch: dispatch,
      write: { repairs, connection throws(OrderStoreError) in try connection.repair(repairs) },
      refuse: { _, error in .refused(error.message) }
    )
  }

  private static func limits(_ options: MySQLStoreOptions) -> BatchLimits {
    switch options.strategy {
    case .rowLock, .inventoryHint: BatchLimits(batchMax: 1, writersMax: options.connectionsMax)
    case .groupCommit: BatchLimits(batchMax: options.batchMax)
    }
  }

  /// Connects, and makes the tables or brings them up to this program's version.
  ///
  /// - Throws: ``OrderStoreError`` `refused` for an option outside its bounds; `unavailable`, `notAuthorized` or
  ///   `unknownDatabase` where the server can't be used; `notOurs` for a database with another program's tables of the
  ///   same names, which is left as it was; `schemaTooNew`; `readOnly`; `full`.
  public static func open(
    _ url: MySQLURL,
    options: MySQLStoreOptions = MySQLStoreOptions(),
    logger: Logger = Logger(label: "doorbuster.mysql")
  ) async throws(OrderStoreError) -> MySQLStore {
    try options.validate()
    let pool = ConnectionPool(url, options, logger)
    do throws(OrderStoreError) {
      try await pool.call { connection throws(OrderStoreError) in try connection.migrate() }
      let hint = options.strategy == .inventoryHint ? InventoryHint() : nil
      var isKnown: Bool?
      if let hint {
        isKnown = try await pool.call { connection throws(OrderStoreError) in try hint.probe(connection) }
        if isKnown == false {
          logger.notice("The server does not know inventory hints; decrements are checked and committed without them")
        }
      }
      logger.debug("Opened the database", metadata: ["database": "\(url)", "strategy": "\(options.strategy.rawValue)"])
      return MySQLStore(pool, hint: hint, knowsInventoryHint: isKnown, logger: logger)
    } catch {
      await pool.close()
      throw error
    }
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
    try await read("reading an order of \(sku)") { try $0.orders(of: sku, tokens: [token]).first }
  }

  public func totals(of sku: SKU) async throws(OrderStoreError) -> SaleTotals? {
    try await read("reading the totals of \(sku)") { try $0.totals(of: sku) }
  }

  public func create(_ sale: Sale) async throws(OrderStoreError) -> Sale {
    try sale.checkBounds()
    return try await pool.call { connection throws(OrderStoreError) in try connection.create(sale) }
  }

  public func undoCreate(_ sale: Sale) async throws(OrderStoreError) {
    try await pool.call { connection throws(OrderStoreError) in try connection.undoCreate(sale) }
  }

  public func sale(_ sku: SKU) async throws(OrderStoreError) -> Sale? {
    try await read("reading the sale of \(sku)") { try $0.sale(sku) }
  }

  public func sales() async throws(OrderStoreError) -> [Sale] { try await read("reading the sales") { try $0.sales() } }

  public func reschedule(
    _ sku: SKU,
    limit: Int64?,
    opensMs: Int64?,
    closesMs: Int64?
  ) async throws(OrderStoreError) {
    try Sale.checkTerms(of: sku, limit: limit, opensMs: opensMs, closesMs: closesMs)
    try await pool.call { connection throws(OrderStoreError) in
      try connection.reschedule(sku, limit: limit, opensMs: opensMs, closesMs: closesMs)
    }
  }

  public func restock(_ sku: SKU, token: Token, quantity: Int64) async throws(OrderStoreError) -> RestockOutcome {
    try StoreBounds.checkRestock(sku, quantity: quantity)
    return try await pool.call { connection throws(OrderStoreError) in
      try connection.restock(sku, token: token, quantity: quantity)
    }
  }

  public func undoRestock(_ sku: SKU, token: Token) async throws(OrderStoreError) {
    try await pool.call { connection throws(OrderStoreError) in try connection.undoRestock(sku, token: token) }
  }

  public func position(of bucket: BucketID) async throws(OrderStoreError) -> LogPosition? {
    try await read("reading the log position of \(bucket)") { try $0.position(of: bucket) }
  }

  public func follow(_ batch: LogBatch) async throws(OrderStoreError) -> LogBatchOutcome {
    try batch.validate()
    return try await pool.call { connection throws(OrderStoreError) in try connection.follow(batch) }
  }

  /// Waits for what is under way, then closes all connections and ends their threads, which live as long as nobody calls
  /// this. Later calls throw
  /// ``OrderStoreError/Code/unavailable``.
  public func close() async { await pool.close() }

  func read<Value: Sendable>(
    _ what: @autoclosure @escaping @Sendable () -> String,
    _ body: @escaping @Sendable (Connection) throws -> Value
  ) async throws(OrderStoreError) -> Value {
    try await pool.call { connection throws(OrderStoreError) in try connection.read(what()) { try body(connection) } }
  }
}

extension Connection {
  /// A sale that can't be sold so is its caller's fault alone.
  fileprivate func answer(
    _ attempt: SellAttempt,
    hint: InventoryHint?
  ) throws(OrderStoreError) -> Result<SellOutcome, OrderStoreError> {
    .success(try sell(attempt, hint: hint))
  }
}
