import Foundation
import SaleAudit
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

  static func key(_ bucket: Int, of sku: String = sku) -> String { "doorbuster:{\(sku)/\(bucket)}" }

  /// The server that has a bucket, by what the servers say.
  func owner(of bucket: Int, of sku: String = sku) throws -> RedisServer {
    switch servers {
    case .cluster(let cluster): try cluster.owner(ofKey: Self.key(bucket, of: sku))
    case .list(let list): list[bucket % list.count]
    }
  }

  /// The buckets that a server has.
  func buckets(of server: RedisServer) throws -> [Int] {
    try (0..<Self.buckets).filter { try owner(of: $0) === server }
  }

  /// Read past the product.
  var database: AuditedDatabase { .sqlite(path: databasePath) }

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
    return try Subprocess(BuiltFiles.beside("crash-probe"), all + arguments)
  }
}

extension Subprocess {
  /// How long a process may take that moves units while others sell.
  static let endMax = Duration.seconds(60)

  /// Waits for its end; whether it has died at its crash point. Else it has ended well.
  func hasDied() async throws -> Bool {
    let outcome = try await outcome(timeout: Self.endMax)
    guard outcome.status != .signalled(SIGKILL) else { return true }
    guard outcome.status == .exited(0) else { throw TestServerError.launch("\(outcome.status): \(outcome.stderr)") }
    return false
  }

  /// Waits until it has stopped itself, or ended well.
  func hasStopped() async throws -> Bool {
    var isStopped = false
    try await eventually("process \(pid) to stop itself; it says: \(stderr)", timeout: Self.endMax) {
      // The state is the first word behind the name in parentheses.
      let words = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8))?.split(separator: ")").last
      isStopped = words?.split(separator: " ").first == "T"
      return isStopped || !isRunning
    }
    if !isStopped { try await endedWell(timeout: Self.endMax) }
    return isStopped
  }
}
