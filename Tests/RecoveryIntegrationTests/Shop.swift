import Doorbuster
import Foundation
import Logging
import MySQLStore
import Orders
import RedisDriver
import RedisStreams
import SQLiteStore
import SaleAudit
import Stock
import StockClient
import Synchronization
import TestServers
import Testing

/// How a shop is set up.
struct ShopPlan: Sendable, CustomTestStringConvertible {
  enum Database: Sendable { case sqlite, mariaDB }

  var path: SalePath
  var buckets = 1
  var database = Database.sqlite
  /// Whether messages are on a server of their own, which loses nothing.
  var hasOwnBroker = false
  var stock: Int64 = 1_200
  var limit: Int64 = 0
  /// Of the buckets' server.
  var fsync = RedisServerOptions.AppendFsync.always
  /// Whether the buckets' server has a replica, to which ``Shop/failOver(_:)`` goes.
  var hasReplica = false
  /// How old an order becomes whose hold was written in.
  var holdMax = Duration.seconds(900)

  var testDescription: String {
    "\(path.rawValue), \(buckets) buckets, \(database)\(hasOwnBroker ? ", messages apart" : "")"
  }
}

/// A sale on real servers, sold and followed in this process by the product's own services.
final class Shop: Sendable {
  static let skuText = "drop"

  let plan: ShopPlan
  let sku: SKU
  /// Nil where the messages are on the buckets' server.
  let messages: RedisServer?
  let database: AuditedDatabase
  let orders: any OrderStore
  let doorbuster: Doorbuster
  let opensMs: Int64 = 1_000
  let closesMs: Int64 = 4_000_000_000_000

  private let master: Mutex<RedisServer>
  private let replica: RedisServer?
  private let stock: StockClient
  private let messageClient: RedisClient?
  private let files: TemporaryDirectory

  /// - Parameter mariaDB: the server of its database, if not the one that all tests share.
  init(_ plan: ShopPlan, on mariaDB: MariaDBServer? = nil) async throws {
    self.plan = plan
    let files = try TemporaryDirectory()
    self.files = files
    sku = try SKU(Self.skuText)
    let (server, replica) = try await aside { try Self.startServers(plan) }
    master = Mutex(server)
    self.replica = replica
    try Self.point(files, to: server)
    let messages =
      plan.hasOwnBroker
      ? try await aside { try RedisServer(RedisServerOptions(module: .none, appendOnly: true)) } : nil
    self.messages = messages
    (database, orders) = try await Self.openDatabase(plan, files, mariaDB)
    stock = try await StockClient.connect(
      RedisURL("unix://\(files.file(Self.socket))"),
      configuration: RedisClient.Configuration(logger: Self.logger)
    )
    var configuration = Self.configuration
    configuration.recovery.holdMax = plan.holdMax
    messageClient = try messages.map {
      try RedisClient(RedisURL("unix://\($0.socketPath)"), configuration: .init(logger: Self.logger))
    }
    doorbuster = try Doorbuster(
      stock: stock,
      broker: RedisStreamsBroker(
        messageClient ?? stock.router.clients[0],
        options: Self.brokerOptions,
        logger: Self.logger
      ),
      orders: orders,
      configuration: configuration,
      logger: Self.logger
    )
  }

  private static func startServers(_ plan: ShopPlan) throws -> (RedisServer, RedisServer?) {
    var options = RedisServerOptions(appendOnly: true, appendFsync: plan.fsync, tcp: plan.hasReplica)
    let server = try RedisServer(options)
    guard plan.hasReplica else { return (server, nil) }
    options.replicaOf = server
    return (server, try RedisServer(options))
  }

  /// Where clients look for the server that sells: as a service's address does, it leads to another one after a fail-over.
  private static let socket = "redis.sock"

  private static func point(_ files: TemporaryDirectory, to server: RedisServer) throws {
    let (path, next) = (files.file(socket), files.file(socket + ".next"))
    try FileManager.default.createSymbolicLink(atPath: next, withDestinationPath: server.socketPath)
    guard rename(next, path) == 0 else { throw TestServerError.system("rename", errno) }
  }

  private static func openDatabase(
    _ plan: ShopPlan,
    _ files: TemporaryDirectory,
    _ mariaDB: MariaDBServer?
  ) async throws -> (AuditedDatabase, any OrderStore) {
    switch plan.database {
    case .sqlite:
      let path = files.file("orders.sqlite")
      return (.sqlite(path: path), try await SQLiteStore.open(path: path, strategy: .groupCommit, logger: logger))
    case .mariaDB:
      let server = if let mariaDB { mariaDB } else { try await SharedMariaDB.get() }
      let name = try await aside { try server.makeDatabase() }
      let store = try await MySQLStore.open(MySQLURL(server.url(database: name)), logger: logger)
      return (.mariaDB(server, database: name), store)
    }
  }

  /// Puts ``sku`` on sale.
  @discardableResult
  func createSale() async throws -> Sale {
    let terms = SaleTerms(buckets: plan.buckets, limit: plan.limit, opensMs: opensMs, closesMs: closesMs)
    return try await doorbuster.createSale(sku, stock: plan.stock, terms: terms, path: plan.path)
  }

  func close() async {
    await stock.close()
    await messageClient?.close()
    await orders.close()
  }

  // MARK: Services

  /// Runs `body` beside the services that a deployment has.
  func serving<Value: Sendable>(workers: [Worker], _ body: @escaping @Sendable () async throws -> Value) async throws
    -> Value
  {
    try await withThrowingTaskGroup(of: Value?.self) { group in
      group.addTask { [doorbuster] in
        try await doorbuster.run()
        return nil
      }
      group.addTask { [doorbuster] in
        try await doorbuster.checkBack().run()
        return nil
      }
      for worker in workers {
        group.addTask {
          try await worker.run()
          return nil
        }
      }
      group.addTask { try await body() }
      while let value = try await group.next() {
        guard let value else { throw TestServerError.launch("a service ended before the test did") }
        group.cancelAll()
        return value
      }
      throw TestServerError.launch("all services ended")
    }
  }

  /// What the buyer hears at last: on a busy machine a call's deadline may pass before it is sent, and it is made again.
  func answer(to purchase: Purchase, holdMs: Int64? = nil) async throws -> PurchaseOutcome {
    var outcome = PurchaseOutcome.unknown("not asked yet")
    try await eventually("an answer to \(purchase.token)") {
      outcome = await doorbuster.purchase(purchase, holdMs: holdMs)
      switch outcome {
      case .accepted, .held, .refused, .cancelled: return true
      case .unknown: return false
      case .failed(let error): return !error.isTransient
      }
    }
    return outcome
  }

  /// Waits until nothing is on its way. A bucket that is out of reach or frozen is.
  func waitUntilSettled() async throws {
    try await eventually("the end of all that is on its way") {
      guard let status = try? await doorbuster.status(sku), status.isSettled else { return false }
      return status.buckets.allSatisfy { $0.transfers.isEmpty && $0.info?.frozen == nil }
    }
  }

  /// A worker in a process of its own, connected to its servers; its settings are as scaled down as those here. Blocks.
  func startWorker() throws -> Subprocess {
    let worker = try Subprocess(
      BuiltFiles.beside("crash-probe"),
      ["redis=unix://\(files.file(Self.socket))", "database=\(database.place)", "sku=\(Self.skuText)", "work=always"]
    )
    try waitUntil("a worker") { worker.stdout == "ready\n" }
    return worker
  }

  // MARK: Servers

  /// The buckets' server.
  var server: RedisServer { master.withLock { $0 } }

  /// Makes the replica a master while the old one still sells, for as long as `meanwhile` takes; then the old one dies, and
  /// clients find the new one. Blocks but for `meanwhile`.
  /// - Returns: why the new one's buckets came up frozen.
  func failOver(_ meanwhile: () async throws -> Void) async throws -> [String?] {
    guard let replica else { throw TestServerError.launch("the shop has no replica") }
    #expect(try await aside { try replica.call("REPLICAOF", "NO", "ONE") } == .ok)
    try await meanwhile()
    let old = server
    try await aside { try old.kill9() }
    master.withLock { $0 = replica }
    let reasons = try infos().map { $0["frozen"]?.text }
    try Self.point(files, to: replica)
    return reasons
  }

  // MARK: Past the product

  /// How long the append-only file is with all that the server has answered by now. Blocks.
  func bytesWritten() throws -> Int {
    // `everysec` may write an answered change later.
    let redis = try server.connect()
    _ = try redis.call("CONFIG", "SET", "appendfsync", "always")
    let bytes = try AppendOnlyFile.bytes(of: server)
    _ = try redis.call("CONFIG", "SET", "appendfsync", plan.fsync.rawValue)
    return bytes
  }

  func infos() throws -> [RESP] {
    let redis = try server.connect()
    return try (0..<plan.buckets).map { try redis.call("STOCK.INFO", SaleAudit.key(Self.skuText, Int64($0))) }
  }

  func epochs() throws -> [Int64] { try infos().map { $0["epoch"]?.integer ?? 0 } }

  /// How many purchases the buckets' logs tell of that were written in.
  func purchasesWrittenIn() throws -> Int {
    let redis = try server.connect()
    return try (0..<plan.buckets).reduce(0) { count, bucket in
      let key = SaleAudit.key(Self.skuText, Int64(bucket))
      let first = try redis.call("STOCK.INFO", key)["logFirst"]?.integer ?? 1
      let events = try redis.call("STOCK.LOG", key, first - 1, "COUNT", 10_000).elements ?? []
      return count + events.count { $0[1]?.text == "record" && $0[3] != .null }
    }
  }

  func rows() throws -> [String: SaleAudit.Row] { try SaleAudit.rows(of: Self.skuText, in: database) }

  func audit() throws -> SaleAudit { try SaleAudit(server, messages: messages, database, units: .even) }

  // MARK: Settings

  /// Scaled down, so that a test sees all bounds pass in seconds.
  private static var configuration: DoorbusterConfiguration {
    var configuration = DoorbusterConfiguration()
    configuration.firstCheck = .seconds(1)
    configuration.purchaseDeadline = .milliseconds(700)
    configuration.storeFromLogAfter = .milliseconds(1_200)
    configuration.batchMax = 64
    configuration.logInterval = .milliseconds(20)
    configuration.logBatchMax = 100
    configuration.bucketLease = .milliseconds(500)
    configuration.upkeepInterval = .milliseconds(100)
    configuration.recovery.restartGrace = .milliseconds(1_000)
    configuration.recovery.promotionGrace = .milliseconds(1_500)
    configuration.recovery.drainMax = .seconds(10)
    return configuration
  }

  private static let brokerOptions = RedisStreamsOptions(
    checkAfter: configuration.firstCheck,
    checkInterval: .milliseconds(50),
    checkDelay: .milliseconds(200),
    retryDelay: .milliseconds(100),
    visibility: .milliseconds(700),
    pollInterval: .milliseconds(50)
  )

  static var books: BooksSettings {
    var settings = BooksSettings()
    settings.settle = .milliseconds(400)
    settings.transferAge = .seconds(5)
    return settings
  }

  /// What the tests provoke is no news.
  private static let logger: Logger = {
    var logger = Logger(label: "test") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = .critical
    return logger
  }()
}
