import Logging
import RedisDriver
import Synchronization
import TestServers

/// Set once, by any task.
final class Flag: Sendable {
  private let value = Atomic<Bool>(false)
  var isSet: Bool { value.load(ordering: .relaxed) }
  func set() { value.store(true, ordering: .relaxed) }
}

/// The driver's error, if the call ends with one.
func failure<Result>(_ body: () async throws -> Result) async -> RedisError? {
  do {
    _ = try await body()
    return nil
  } catch {
    return error as? RedisError
  }
}

extension RedisClient.Configuration {
  /// Short waits before another attempt, and time-outs so long that no busy machine meets them by accident.
  static let patient = RedisClient.Configuration(
    connectTimeout: .seconds(40),
    timeout: .seconds(40),
    patience: .seconds(60),
    backOff: BackOff(first: .milliseconds(1), longest: .milliseconds(50)),
    logger: Logger(label: "silent") { _ in SwiftLogNoOpLogHandler() }
  )
}

extension RedisServer {
  var unixURL: RedisURL { RedisURL(endpoint: .unix(path: socketPath)) }
  var tcpURL: RedisURL { RedisURL(endpoint: .tcp(host: "127.0.0.1", port: port)) }
}

extension TestCluster {
  var seeds: [RedisURL] { masters.map(\.tcpURL) }

  /// A key, without braces, that the server has.
  func tag(on server: RedisServer) throws -> String {
    for number in 0..<10_000 {
      let tag = "tag\(number)"
      if try owner(ofKey: tag) === server { return tag }
    }
    throw TestServerError.launch("no key is at home on the server")
  }
}

extension HashSlot {
  static func of(_ key: String) -> HashSlot { HashSlot(ofKey: Array(key.utf8)) }
}

extension RedisServer {
  /// How often the server has answered such an error.
  func errors(_ word: String) throws -> Int {
    let lines = try call("INFO", "errorstats").text?.split(whereSeparator: \.isNewline) ?? []
    let count = lines.first { $0.hasPrefix("errorstat_\(word):") }?.split(separator: "=").last
    return count.flatMap { Int($0) } ?? 0
  }

  /// Clients by TCP that are connected.
  func connections() throws -> Int {
    let lines = try call("CLIENT", "LIST", "TYPE", "NORMAL").text?.split(whereSeparator: \.isNewline) ?? []
    return lines.count { $0.contains("addr=127.0.0.1") }
  }

  /// How often a command has run.
  func calls(_ command: String) throws -> Int {
    let lines = try call("INFO", "commandstats").text?.split(whereSeparator: \.isNewline) ?? []
    // A module's commands stand there as it has written them.
    let line = lines.first { $0.lowercased().hasPrefix("cmdstat_\(command):calls=") }
    return line?.split(separator: "=").dropFirst().first.flatMap { Int($0.prefix(while: \.isNumber)) } ?? 0
  }
}

/// Closes the client whatever happens.
func withCluster(
  _ cluster: TestCluster,
  _ configuration: RedisClient.Configuration = .patient,
  _ body: (RedisCluster) async throws -> Void
) async throws {
  let client = try RedisCluster(seeds: [cluster.seeds[0]], configuration: configuration)
  do {
    try await client.connect()
    try await body(client)
  } catch {
    await client.close()
    throw error
  }
  await client.close()
}
