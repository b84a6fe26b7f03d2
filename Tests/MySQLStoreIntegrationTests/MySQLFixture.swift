import Logging
import MySQLStore
import OrderStoreContract
import Orders
import TestServers

/// The server that all tests share; those that stop it or fill it have one of their own.
enum SharedServer {
  static let server = Result { try MariaDBServer() }
}

/// A database of one test.
final class MySQLFixture: OrderStoreFixture {
  let server: MariaDBServer
  let database: String
  let options: MySQLStoreOptions

  init(_ options: MySQLStoreOptions = MySQLStoreOptions(), on server: MariaDBServer? = nil) throws {
    self.server = try server ?? SharedServer.server.get()
    database = try self.server.makeDatabase()
    self.options = options
  }

  deinit { _ = try? server.sql("DROP DATABASE \(database)") }

  var url: MySQLURL { get throws { try MySQLURL(server.url(database: database)) } }

  func open() async throws -> any OrderStore { try await openStore() }

  func openStore(_ options: MySQLStoreOptions? = nil) async throws -> MySQLStore {
    try await MySQLStore.open(url, options: options ?? self.options, logger: Self.logger)
  }

  /// What the tests provoke is no news.
  static let logger: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .error
    return logger
  }()
}
