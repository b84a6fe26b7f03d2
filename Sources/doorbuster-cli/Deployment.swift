import Doorbuster
import Foundation
import Logging
import Orders
import RedisDriver
import Stock
import StockClient

/// The one place where implementations are chosen: connections to the servers that the user named.
///
/// A server that the command has no need for is not asked for anything: a sale on the path `database` works without
/// Redis.
struct Deployment: Sendable {
  static let defaultRedisURL = "redis://127.0.0.1:6379"
  static let defaultDatabasePath = "doorbuster.sqlite"

  let stock: StockClient
  private let broker: Broker
  let orders: any OrderStore
  let doorbuster: Doorbuster

  /// Where the database is no new one, it tells which servers are needed, and comes first. Else it comes last, so that a
  /// server that can't be used leaves no new file behind.
  /// - Parameters:
  ///   - unlessTold: what is needed where the database can't tell.
  ///   - needs: asked of a database that is there.
  /// - Throws: ``CommandFailure``, or the error of the server or file that can't be used; each names it.
  private static func open(
    _ choice: ServerChoice,
    checks: CheckSettings,
    logger: Logger,
    soldOut: SoldOutCache? = nil,
    unlessTold: ServerNeeds = .all,
    needs: (any OrderStore) async throws -> ServerNeeds?
  ) async throws -> Deployment {
    guard choice.isDatabaseThere else {
      let servers = try await Servers.open(choice, unlessTold, checks, soldOut, logger)
      return try await servers.closingOnFailure {
        try deployment(servers, try await openOrders(choice, logger), checks, logger)
      }
    }
    let orders = try await openOrders(choice, logger)
    do {
      let servers = try await Servers.open(choice, try await needs(orders) ?? unlessTold, checks, soldOut, logger)
      return try await servers.closingOnFailure { try deployment(servers, orders, checks, logger) }
    } catch {
      await orders.close()
      throw error
    }
  }

  private static func deployment(
    _ servers: Servers,
    _ orders: any OrderStore,
    _ checks: CheckSettings,
    _ logger: Logger
  ) throws -> Deployment {
    let doorbuster = try Doorbuster(
      stock: servers.stock,
      broker: servers.broker.broker,
      orders: orders,
      configuration: checks.configuration,
      logger: logger
    )
    return Deployment(
      stock: servers.stock,
      broker: servers.broker,
      orders: orders,
      doorbuster: doorbuster
    )
  }

  private static func openOrders(_ choice: ServerChoice, _ logger: Logger) async throws -> any OrderStore {
    try await (choice.database ?? .sqlite(path: defaultDatabasePath)).open(strategy: choice.strategy, logger: logger)
  }

  private func close() async {
    await broker.close()
    await stock.close()
    await orders.close()
  }

  /// Opens what is needed, runs and closes, whatever happens.
  /// - Parameter soldOut: for whoever buys again and again; it hears of what comes back on sale elsewhere.
  static func with<Result>(
    _ choice: ServerChoice,
    needing needs: ServerNeeds = .all,
    checks: CheckSettings = CheckSettings(),
    soldOut: SoldOutCache? = nil,
    logger: Logger = quietLogger(),
    _ body: (Deployment) async throws -> Result
  ) async throws -> Result {
    let deployment = try await open(
      choice,
      checks: checks,
      logger: logger,
      soldOut: soldOut,
      unlessTold: needs
    ) { _ in needs }
    return try await deployment.closing(after: body)
  }

  /// As ``with(_:needing:checks:soldOut:logger:_:)``, with what the sale of a product needs.
  static func with<Result>(
    _ choice: ServerChoice,
    for sku: SKU,
    _ body: (Deployment) async throws -> Result
  ) async throws -> Result {
    let deployment = try await open(choice, checks: CheckSettings(), logger: quietLogger()) { orders in
      try await orders.sale(sku).map { .of($0.path) }
    }
    return try await deployment.closing(after: body)
  }

  /// As ``with(_:needing:checks:soldOut:logger:_:)``, with what all sales need.
  static func withAllSales<Result>(
    _ choice: ServerChoice,
    checks: CheckSettings,
    logger: Logger,
    _ body: (Deployment) async throws -> Result
  ) async throws -> Result {
    let deployment = try await open(choice, checks: checks, logger: logger) { orders in
      let sales = try await orders.sales()
      return sales.isEmpty ? nil : sales.reduce(into: .none) { $0.formUnion(.of($1.path)) }
    }
    return try await deployment.closing(after: body)
  }

  /// As ``with(_:needing:checks:soldOut:logger:_:)``, for a run whose worker looks after all sales of the database: with
  /// what these need, too.
  /// - Throws: ``CommandFailure`` also where they need Redis and no server was named or started. One that stands where it
  ///   stands by default need not be theirs.
  static func withRun<Result>(
    _ choice: ServerChoice,
    needing needs: ServerNeeds,
    _ body: (Deployment) async throws -> Result
  ) async throws -> Result {
    let deployment = try await open(
      choice,
      checks: CheckSettings(),
      logger: quietLogger(),
      soldOut: SoldOutCache(),
      unlessTold: needs
    ) { orders in
      let others = try await orders.sales().filter { !needs.isSuperset(of: .of($0.path)) }
      if let sale = others.first, choice.redisURL == nil {
        throw CommandFailure(
          """
          the database has a sale of \(sale.sku) on the path \(sale.path.rawValue), which needs Redis; a run looks after \
          all sales of its database: name their servers by --redis, or another database
          """
        )
      }
      return others.reduce(into: needs) { $0.formUnion(.of($1.path)) }
    }
    return try await deployment.closing(after: body)
  }

  private func closing<Result>(after body: (Deployment) async throws -> Result) async throws -> Result {
    do {
      let result = try await body(self)
      await close()
      return result
    } catch {
      await close()
      throw error
    }
  }

  /// Commands that run once report by their error; services also say what they met on the way.
  static func quietLogger(_ level: Logger.Level = .error) -> Logger {
    var logger = Logger(label: "doorbuster") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = level
    return logger
  }
}

/// Which servers beside the database a command can't do without.
struct ServerNeeds: OptionSet, Sendable {
  let rawValue: Int

  static let stock = ServerNeeds(rawValue: 1)
  static let broker = ServerNeeds(rawValue: 2)
  static let none: ServerNeeds = []
  static let all: ServerNeeds = [.stock, .broker]

  /// What a sale on that path needs.
  static func of(_ path: SalePath) -> ServerNeeds {
    switch path {
    case .database: .none
    case .buckets: .stock
    case .redisMQ, .combined: .all
    }
  }
}

/// The clients of Redis. One that is not needed connects when it is first used.
private struct Servers {
  let stock: StockClient
  let broker: Broker

  static func open(
    _ choice: ServerChoice,
    _ needs: ServerNeeds,
    _ checks: CheckSettings,
    _ soldOut: SoldOutCache?,
    _ logger: Logger
  ) async throws -> Servers {
    let stockServers = try redisServers(choice.redisURL ?? Deployment.defaultRedisURL, setting: choice.redisSetting)
    let broker = try BrokerChoice(choice, stockServers, needs)
    let connection = RedisClient.Configuration(logger: logger)
    let options = StockClientOptions(soldOut: soldOut)
    let stock =
      needs.contains(.stock)
      ? try await StockClient.connect(stockServers, configuration: connection, options: options)
      : StockClient(try RedisRouter(stockServers, configuration: connection), options: options)
    do {
      return Servers(stock: stock, broker: try await broker.open(beside: stock, needs, checks, connection))
    } catch {
      await stock.close()
      throw error
    }
  }

  func closingOnFailure<Result>(_ body: () async throws -> Result) async throws -> Result {
    do {
      return try await body()
    } catch {
      await broker.close()
      await stock.close()
      throw error
    }
  }

  private static func redisServers(_ text: String, setting: String) throws -> RedisServers {
    do {
      return try RedisServers(text)
    } catch {
      throw CommandFailure("\(setting): \(error.message)")
    }
  }
}
