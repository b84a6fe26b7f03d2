import Foundation
import SaleAudit
import TestServers

/// A private redis-server that forgets nothing it acknowledged, and a database file beside it, or a database on a server.
struct Shop {
  static let sku = "drop"

  /// Bucket i is on server i modulo their number; the messages are on the first.
  let servers: [RedisServer]
  let files: TemporaryDirectory
  let database: AuditedDatabase

  var server: RedisServer { servers[0] }

  init(on mariaDB: MariaDBServer? = nil, servers count: Int = 1) throws {
    servers = try (0..<count).map { _ in try RedisServer(RedisServerOptions(appendOnly: true, appendFsync: .always)) }
    files = try TemporaryDirectory()
    if let mariaDB {
      database = .mariaDB(mariaDB, database: try mariaDB.makeDatabase())
    } else {
      database = .sqlite(path: files.file("orders.sqlite"))
    }
  }

  /// Starts a process of its own that sells ``sku``; see the top of Tests/CrashProbe/Probe.swift.
  func probe(stock: Int, _ arguments: String...) throws -> Subprocess { try probe(stock: stock, arguments) }

  func probe(stock: Int, _ arguments: [String]) throws -> Subprocess {
    let all = [
      "redis=\(servers.map { "unix://\($0.socketPath)" }.joined(separator: ","))", "database=\(database.place)",
      "sku=\(Self.sku)", "stock=\(stock)",
    ]
    return try Subprocess(BuiltFiles.beside("crash-probe"), all + arguments)
  }

  /// Starts the command line on this shop's servers.
  func doorbuster(_ arguments: String...) throws -> Subprocess {
    let servers = ["--redis", "unix://\(server.socketPath)", "--database", "sqlite:\(database.place)"]
    return try Subprocess(BuiltFiles.commandLine(), arguments + servers)
  }

  /// Units that the database has lost, so that it is short of what the bucket still sells.
  func lowerDatabaseStock(of sku: String = Shop.sku, to units: Int) throws {
    try database.execute("UPDATE products SET stock = \(units) WHERE sku = '\(sku)'")
  }
}
