import Doorbuster
import Foundation
import Logging
import Messaging
import Orders
import RedisDriver
import RedisStreams
import SQLiteStore
import Stock
import StockClient

/// The one place where implementations are chosen: connections to the servers that the user named.
struct Deployment: Sendable {
  static let defaultRedisURL = "redis://127.0.0.1:6379"
  static let defaultDatabasePath = "doorbuster.sqlite"

  let stock: StockClient
  let broker: RedisStreamsBroker
  /// The broker's own connection; nil where it shares the stock's.
  private let brokerClient: RedisClient?
  let orders: SQLiteStore
  let doorbuster: Doorbuster

  /// The database comes last, so that a server that can't be used leaves no new file behind.
  /// - Throws: ``CommandFailure``, or the error of the server or file that can't be used; each names it.
  static func open(
    _ choice: ServerChoice,
    checks: CheckSettings = CheckSettings(),
    logger: Logger = quietLogger()
  ) async throws -> Deployment {
    let stockServers = try redisServers(choice.redisURL ?? defaultRedisURL, setting: "--redis")
    let brokerURL = try choice.brokerURL.map { try redisURL($0, setting: "--broker") }
    let connection = RedisClient.Configuration(logger: logger)
    let stock = try await StockClient.connect(stockServers, configuration: connection)
    // On the stock's server the broker shares its connection and I/O thread, so that a purchase never changes threads.
    let brokerClient = try brokerURL.map { try RedisClient($0, configuration: connection) }
    do {
      try await brokerClient?.connect()
    } catch {
      throw CommandFailure("--broker: \(error)")
    }
    guard let brokerServer = brokerClient ?? stock.router.clients.first else {
      throw CommandFailure(
        "--broker: needed with redis-cluster://, as messages stay on one server: redis-streams://host:port"
      )
    }
    let broker = RedisStreamsBroker(brokerServer, options: checks.brokerOptions, logger: logger)
    let orders = try await SQLiteStore.open(
      path: choice.databasePath ?? defaultDatabasePath,
      strategy: .groupCommit
    )
    let doorbuster = try Doorbuster(
      stock: stock,
      broker: broker,
      orders: orders,
      configuration: checks.configuration,
      logger: logger
    )
    return Deployment(
      stock: stock,
      broker: broker,
      brokerClient: brokerClient,
      orders: orders,
      doorbuster: doorbuster
    )
  }

  func close() async {
    await broker.close()
    await brokerClient?.close()
    await stock.close()
    await orders.close()
  }

  /// Opens, runs and closes, whatever happens.
  static func with<Result>(
    _ choice: ServerChoice,
    checks: CheckSettings = CheckSettings(),
    logger: Logger = quietLogger(),
    _ body: (Deployment) async throws -> Result
  ) async throws -> Result {
    let deployment = try await open(choice, checks: checks, logger: logger)
    do {
      let result = try await body(deployment)
      await deployment.close()
      return result
    } catch {
      await deployment.close()
      throw error
    }
  }

  /// Commands that run once report by their error; services also say what they met on the way.
  static func quietLogger(_ level: Logger.Level = .error) -> Logger {
    var logger = Logger(label: "doorbuster") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = level
    return logger
  }

  private static func redisServers(_ text: String, setting: String) throws -> RedisServers {
    do {
      return try RedisServers(text)
    } catch {
      throw CommandFailure("\(setting): \(error.message)")
    }
  }

  private static func redisURL(_ text: String, setting: String) throws -> RedisURL {
    do {
      return try RedisURL(text)
    } catch {
      throw CommandFailure("\(setting): \(error.message)")
    }
  }
}
