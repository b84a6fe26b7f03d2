import Foundation
import GRDB
import TestServers

/// A private redis-server that forgets nothing it acknowledged, and a database file beside it.
struct Shop {
  static let sku = "drop"

  /// Bucket i is on server i modulo their number; the messages are on the first.
  let servers: [RedisServer]
  let files: TemporaryDirectory

  var server: RedisServer { servers[0] }

  init(servers count: Int = 1) throws {
    servers = try (0..<count).map { _ in try RedisServer(RedisServerOptions(appendOnly: true, appendFsync: .always)) }
    files = try TemporaryDirectory()
  }

  var databasePath: String { files.file("orders.sqlite") }

  /// Starts a process of its own that sells ``sku``; see the top of Tests/CrashProbe/Probe.swift.
  func probe(stock: Int, _ arguments: String...) throws -> Subprocess { try probe(stock: stock, arguments) }

  func probe(stock: Int, _ arguments: [String]) throws -> Subprocess {
    let all = [
      "redis=\(servers.map { "unix://\($0.socketPath)" }.joined(separator: ","))", "database=\(databasePath)",
      "sku=\(Self.sku)", "stock=\(stock)",
    ]
    return try Subprocess(Self.probePath(), all + arguments)
  }

  /// Starts the command line on this shop's servers.
  func doorbuster(_ arguments: String...) throws -> Subprocess {
    let servers = ["--redis", "unix://\(server.socketPath)", "--database", "sqlite:\(databasePath)"]
    return try Subprocess(BuiltFiles.commandLine(), arguments + servers)
  }

  /// The file of the database, read or changed past the product.
  func database<Value>(_ body: (Database) throws -> Value) throws -> Value {
    var configuration = Configuration()
    configuration.busyMode = .timeout(10)
    return try DatabaseQueue(path: databasePath, configuration: configuration).writeWithoutTransaction(body)
  }

  /// Units that the database has lost, so that it is short of what the bucket still sells.
  func lowerDatabaseStock(of sku: String = Shop.sku, to units: Int) throws {
    try database { db in
      try db.execute(sql: "UPDATE products SET stock = ? WHERE sku = ?", arguments: [units, sku])
    }
  }

  /// The probe is built beside the tests.
  private static func probePath() throws -> String {
    var directory = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    while directory.path != "/" {
      directory.deleteLastPathComponent()
      let file = directory.appendingPathComponent("crash-probe").path
      if FileManager.default.isExecutableFile(atPath: file) { return file }
    }
    throw TestServerError.launch("there is no crash-probe beside \(CommandLine.arguments[0])")
  }
}

extension Subprocess {
  /// Waits until it has died at its crash point. The whole lines that it had printed.
  func diedOfCrash() throws -> [String] {
    let outcome = try wait(timeout: .seconds(40))
    guard outcome.status == .signalled(SIGKILL) else {
      throw TestServerError.launch("it never came to its crash point: \(outcome.status) \(outcome.stderr)")
    }
    return Self.wholeLines(outcome.stdout)
  }

  /// Waits until it has ended well. The lines that it printed.
  func endedWell() throws -> [String] {
    let outcome = try wait(timeout: .seconds(40))
    guard outcome.status == .exited(0) else {
      throw TestServerError.launch("\(outcome.status): \(outcome.stderr)")
    }
    return Self.wholeLines(outcome.stdout)
  }

  /// A line that the crash cut off is no promise to anyone.
  private static func wholeLines(_ text: String) -> [String] {
    text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
  }
}
