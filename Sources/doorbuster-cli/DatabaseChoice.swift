import Foundation
import Logging
import MySQLStore
import Orders
import SQLiteStore

/// A database that a user named, as something that this program can open.
enum DatabaseChoice: Equatable {
  case sqlite(path: String)
  case mysql(MySQLURL)

  /// - Throws: ``CommandFailure``, whose text repeats nothing that may be a password.
  init(_ setting: ServerSetting) throws {
    let url = setting.url
    switch try setting.scheme(known: ["sqlite", "mysql"]) {
    case "mysql":
      do throws(OrderStoreError) {
        self = .mysql(try MySQLURL(url))
      } catch {
        throw CommandFailure("\(setting.name): \(error.message)")
      }
    default:
      let path = String(url.dropFirst("sqlite:".count))
      guard !path.isEmpty else { throw CommandFailure("\(setting.name) names no file; it must be sqlite:PATH") }
      self = .sqlite(path: path)
    }
  }

  var isMySQL: Bool {
    switch self {
    case .sqlite: false
    case .mysql: true
    }
  }

  /// For people, without a password.
  var description: String {
    switch self {
    case .sqlite(let path): path
    case .mysql(let url): url.description
    }
  }

  /// - Throws: ``OrderStoreError``.
  func open(
    strategy: HotRowStrategy = .groupCommit,
    connectionsMax: Int? = nil,
    logger: Logger
  ) async throws(OrderStoreError) -> any OrderStore {
    switch self {
    case .sqlite(let path): return try await SQLiteStore.open(path: path, strategy: strategy, logger: logger)
    case .mysql(let url):
      var options = MySQLStoreOptions(strategy: strategy)
      if let connectionsMax { options.connectionsMax = connectionsMax }
      return try await MySQLStore.open(url, options: options, logger: logger)
    }
  }
}
