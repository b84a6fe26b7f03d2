import Foundation
import GRDB
import RedisDriver
import Stock
import TestServers

/// Several servers that share a sale's buckets, a server of their own for the messages, and a database file.
final class SpreadShop: Sendable {
  enum Servers: Sendable {
    case cluster(TestCluster)
    case list([RedisServer])
  }

  static let sku = "drop"
  static let buckets = 12

  let servers: Servers
  let messages: RedisServer
  let files: TemporaryDirectory

  /// - Parameter options: of each server that has buckets; it listens on a port, whatever they say.
  private init(_ servers: Servers) throws {
    self.servers = servers
    messages = try RedisServer(RedisServerOptions(module: .none, appendOnly: true, tcp: true))
    files = try TemporaryDirectory()
  }

  static let options = RedisServerOptions(
    appendOnly: true,
    tcp: true,
    configLines: ["notify-keyspace-events Ed", "save \"\""]
  )

  /// Three masters, which forget nothing that they acknowledged.
  static func onCluster(withReplicas: Bool = true) throws -> SpreadShop {
    try SpreadShop(.cluster(TestCluster(withReplicas: withReplicas, options: options)))
  }

  /// Three servers that know nothing of each other.
  static func onList(fsync: RedisServerOptions.AppendFsync = .always) throws -> SpreadShop {
    var options = options
    options.appendFsync = fsync
    let servers = try (0..<3).map { _ in try RedisServer(options) }
    return try SpreadShop(.list(servers))
  }

  static func on(_ kind: Kind) throws -> SpreadShop {
    switch kind {
    case .cluster: try onCluster(withReplicas: false)
    case .list: try onList()
    }
  }

  enum Kind: String, CaseIterable, Sendable { case cluster, list }

  /// As `--redis` takes them.
  var redis: String {
    switch servers {
    case .cluster(let cluster): "redis-cluster://127.0.0.1:\(cluster.masters[0].port)"
    case .list(let list): list.map { "redis://127.0.0.1:\($0.port)" }.joined(separator: ",")
    }
  }

  var broker: String { "redis://127.0.0.1:\(messages.port)" }
  var databasePath: String { files.file("orders.sqlite") }

  /// Servers that may have buckets.
  var all: [RedisServer] {
    switch servers {
    case .cluster(let cluster): cluster.servers
    case .list(let list): list
    }
  }

  static func key(_ bucket: Int) -> String { "doorbuster:{\(sku)/\(bucket)}" }

  /// The server that has a bucket, by what the servers say.
  func owner(of bucket: Int) throws -> RedisServer {
    switch servers {
    case .cluster(let cluster): try cluster.owner(ofKey: Self.key(bucket))
    case .list(let list): list[bucket % list.count]
    }
  }

  /// The buckets that a server has.
  func buckets(of server: RedisServer) throws -> [Int] {
    try (0..<Self.buckets).filter { try owner(of: $0) === server }
  }

  /// The file of the database, read past the product.
  func database<Value>(_ body: (Database) throws -> Value) throws -> Value {
    var configuration = GRDB.Configuration()
    configuration.busyMode = .timeout(10)
    return try DatabaseQueue(path: databasePath, configuration: configuration).writeWithoutTransaction(body)
  }

  /// A user whose home that bucket is.
  static func user(_ name: String, home: Int) throws -> UserID {
    var number = 0
    while true {
      let user = try UserID("\(name)-\(number)")
      if user.homeBucket(among: buckets) == home { return user }
      number += 1
    }
  }

  /// Starts a process of its own that sells the product; see the top of Tests/CrashProbe/Probe.swift.
  func probe(stock: Int64, _ arguments: String...) throws -> Subprocess { try probe(stock: stock, arguments) }

  func probe(stock: Int64, _ arguments: [String]) throws -> Subprocess {
    let all = [
      "redis=\(redis)", "broker=\(broker)", "database=\(databasePath)", "sku=\(Self.sku)", "stock=\(stock)",
      "buckets=\(Self.buckets)", "path=combined", "check=4000",
    ]
    return try Subprocess(Self.probePath(), all + arguments)
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
  /// Waits until it has died at its crash point.
  func diedOfCrash() async throws {
    let outcome = try await end()
    guard outcome.status == .signalled(SIGKILL) else {
      throw TestServerError.launch("it never came to its crash point: \(outcome.status) \(outcome.stderr)")
    }
  }

  /// Waits for its end; whether it has died at its crash point. Else it has ended well.
  func hasDied() async throws -> Bool {
    let outcome = try await end()
    guard outcome.status != .signalled(SIGKILL) else { return true }
    guard outcome.status == .exited(0) else { throw TestServerError.launch("\(outcome.status): \(outcome.stderr)") }
    return false
  }

  /// Waits until it has stopped itself, or ended.
  func hasStopped() async throws -> Bool {
    var isStopped = false
    try await eventually("process \(pid) to stop itself; it says: \(stderr)", within: .seconds(60)) {
      // The state is the first word behind the name in parentheses.
      let words = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8))?.split(separator: ")").last
      isStopped = words?.split(separator: " ").first == "T"
      return isStopped || !isRunning
    }
    return isStopped
  }

  /// Waits until it has ended well.
  func endedWell() async throws {
    let outcome = try await end()
    guard outcome.status == .exited(0) else { throw TestServerError.launch("\(outcome.status): \(outcome.stderr)") }
  }

  private func end() async throws -> Outcome {
    try await eventually("the end of process \(pid); it says: \(stderr)", within: .seconds(60)) { !isRunning }
    return try wait()
  }

  /// The whole lines that it has printed: the tokens whose buyers heard that they have bought. A line that a crash cut off
  /// is no promise to anyone.
  var promised: Set<String> {
    Set(stdout.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init))
  }
}

/// Waits until the condition holds, without keeping a thread from the tasks that are to bring it about.
func eventually(
  _ what: @autoclosure () -> String,
  within bound: Duration,
  _ condition: () throws -> Bool
) async throws {
  let deadline = ContinuousClock.now + bound
  while try !condition() {
    guard ContinuousClock.now < deadline else { throw TestServerError.timeout(what()) }
    try await Task.sleep(for: .milliseconds(10))
  }
}
