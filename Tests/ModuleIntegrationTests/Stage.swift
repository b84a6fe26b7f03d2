import Foundation
import Glibc
import TestServers
import Testing

/// A private server with the module, and a connection to it: `try stock("DEDUCT", "key", "user", "token", 1)`.
struct Stage {
  let server: RedisServer
  let redis: RawRedis

  init(_ options: RedisServerOptions = .init(), resp: Int = 2) throws {
    server = try RedisServer(options)
    redis = try server.connect()
    try speak(resp)
  }

  func speak(_ resp: Int) throws { try redis.call("HELLO", resp) }

  /// Sends `STOCK.<command>`.
  @discardableResult
  func callAsFunction(_ command: String, _ arguments: any RedisArgument...) throws -> RESP {
    try redis.call(["STOCK." + command] + arguments)
  }

  func digest(_ key: any RedisArgument) throws -> RESP {
    let reply = try redis.call("DEBUG", "DIGEST-VALUE", key)
    #expect(reply.errorCode == nil)
    return reply
  }

  /// All that can be read of a bucket, but for what may differ between equal ones: epoch, freeze and bytes.
  func readings(_ key: String, tokens: [String] = []) throws -> [RESP] {
    let info = try info(key).filter { !["epoch", "frozen", "bytes"].contains($0.key) }
    let sorted = info.sorted { $0.key < $1.key }.map { RESP.array([.bulk(Array($0.key.utf8)), $0.value]) }
    let first = info["logFirst"]?.integer ?? 1
    let log = try self("LOG", key, first - 1, "COUNT", 10_000)
    let transfers = try self("TRANSFERS", key, "ALL", "COUNT", 1_000)
    return sorted + [log, transfers] + (try tokens.map { try self("GET", key, $0) }) + [try digest(key)]
  }

  /// The bucket's books, after checking that they balance.
  func info(_ key: any RedisArgument, _ location: SourceLocation = #_sourceLocation) throws -> [String: RESP] {
    let reply = try self("INFO", key)
    let fields = try #require(Self.fields(of: reply), "\(reply)", sourceLocation: location)
    func number(_ name: String) -> Int64 { fields[name]?.integer ?? .min / 8 }
    #expect(
      number("created") + number("added") + number("transferredIn")
        == number("available") + number("held") + number("sold") + number("transferredOut"),
      "\(reply)",
      sourceLocation: location
    )
    return fields
  }

  /// A map's values by their names, in either protocol.
  static func fields(of reply: RESP) -> [String: RESP]? {
    var pairs: [(String, RESP)] = []
    if case .map(let entries) = reply {
      pairs = entries.compactMap { entry in entry.key.text.map { ($0, entry.value) } }
    } else if case .array(let flat) = reply, flat.count.isMultiple(of: 2) {
      pairs = stride(from: 0, to: flat.count, by: 2).compactMap { at in flat[at].text.map { ($0, flat[at + 1]) } }
    } else {
      return nil
    }
    return Dictionary(pairs) { first, _ in first }
  }

  /// The server's clock in milliseconds.
  func nowMs() throws -> Int64 {
    let time = try redis.call("TIME")
    let (seconds, micros) = (Int64(time[0]?.text ?? ""), Int64(time[1]?.text ?? ""))
    return try #require(seconds) * 1000 + #require(micros) / 1000
  }
}

/// Expects an error with this code, whose text names each of `culprits`.
func expectError(
  _ reply: RESP,
  _ code: String = "ERR",
  naming culprits: String...,
  comment: @autoclosure () -> String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(reply.errorCode == code, "\(comment()) \(reply)", sourceLocation: sourceLocation)
  for culprit in culprits {
    let text = reply.text?.lowercased() ?? ""
    #expect(text.contains(culprit.lowercased()), "\(comment()) \(reply)", sourceLocation: sourceLocation)
  }
}

/// Runs `body` on that many threads at once and gives what each returned, in order.
func onThreads<Value: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Value) throws -> [Value] {
  let results = (0..<count).map { _ in Box<Value>() }
  let done = DispatchGroup()
  for (index, result) in results.enumerated() {
    done.enter()
    Thread.detachNewThread {
      result.value = Result { try body(index) }
      done.leave()
    }
  }
  done.wait()
  return try results.map { try #require($0.value).get() }
}

/// Written by one thread, and read after it has left the group.
private final class Box<Value: Sendable>: @unchecked Sendable {
  var value: Result<Value, any Error>?
}

extension String {
  static func bytes(_ count: Int) -> String { String(repeating: "x", count: count) }
}

let maximum: Int64 = 1 << 53
let farFuture: Int64 = 4_000_000_000_000
