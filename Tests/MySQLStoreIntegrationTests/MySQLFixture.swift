import Logging
import MySQLStore
import OrderStoreContract
import Orders
import TestServers

extension Slots {
  /// Hundreds of stores at once, with eight threads each, would wait for each other past every bound.
  fileprivate static let ofStores = Slots(4)
}

/// A database of one test.
final class MySQLFixture: OrderStoreFixture {
  let server: MariaDBServer
  let database: String
  let options: MySQLStoreOptions

  private init(_ options: MySQLStoreOptions, on server: MariaDBServer, database: String) {
    self.server = server
    self.database = database
    self.options = options
  }

  // The slot goes back when nobody has the fixture any more.
  deinit { Task { await Slots.ofStores.give() } }

  static func make(
    _ options: MySQLStoreOptions = MySQLStoreOptions(),
    on server: MariaDBServer? = nil
  ) async throws -> MySQLFixture {
    await Slots.ofStores.take()
    do {
      let server = if let server { server } else { try await SharedMariaDB.get() }
      return MySQLFixture(options, on: server, database: try await aside { try server.makeDatabase() })
    } catch {
      await Slots.ofStores.give()
      throw error
    }
  }

  /// Runs statements as root, in this database.
  @discardableResult
  func sql(_ statements: String, delimiter: String = ";") async throws -> String {
    let (server, database) = (server, database)
    return try await aside { try server.sql(statements, database: database, delimiter: delimiter) }
  }

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
