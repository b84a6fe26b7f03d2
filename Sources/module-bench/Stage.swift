import Foundation
import TestServers

/// A fresh server for one measurement, on a processor of its own where there are two, and with a replication backlog, so
/// that every change is propagated.
struct Stage {
  let server: RedisServer
  let redis: RawRedis

  init(
    appendOnly: Bool,
    slowlogMicroseconds: Int = -1,
    program: [String] = BuiltFiles.redisServer,
    module: RedisServerOptions.Module = .product
  ) throws {
    var lines = [
      "auto-aof-rewrite-percentage 0", "slowlog-log-slower-than \(slowlogMicroseconds)", "slowlog-max-len 1000000",
    ]
    if Machine.cores > 1 { lines += ["server_cpulist 0", "bio_cpulist 1-\(Machine.cores - 1)"] }
    server = try RedisServer(
      .init(program: program, module: module, appendOnly: appendOnly, appendFsync: .everysec, configLines: lines)
    )
    redis = try server.connect()
    // The backlog stays when the replica that it was made for has gone.
    _ = try ReplicationStream(server).commands()
    try waitUntil("the end of the replica") { try info("replication")["connected_slaves"] == "0" }
  }

  /// The fields of a section of `INFO`.
  func info(_ section: String) throws -> [String: String] {
    let lines = try redis.call("INFO", section).text?.split(whereSeparator: \.isNewline) ?? []
    let pairs = lines.compactMap { line -> (String, String)? in
      guard let colon = line.firstIndex(of: ":") else { return nil }
      return (line[..<colon].lowercased(), String(line[line.index(after: colon)...]))
    }
    return Dictionary(pairs) { $1 }
  }

  func number(_ section: String, _ field: String) throws -> Double {
    guard let number = Double(try info(section)[field] ?? "") else { throw BenchError.missing("\(field) in INFO") }
    return number
  }

  /// Bytes of the server's data: without the backlog and without clients, which are waited for to go.
  func dataBytes() throws -> Double {
    try waitUntil("the end of all clients but one") { try number("clients", "connected_clients") == 1 }
    let memory = try info("memory")
    func bytes(_ field: String) throws -> Double {
      guard let number = Double(memory[field] ?? "") else { throw BenchError.missing("\(field) in INFO") }
      return number
    }
    return try bytes("used_memory") - bytes("mem_total_replication_buffers") - bytes("mem_aof_buffer")
  }

  /// Microseconds of the server's work for these commands since `CONFIG RESETSTAT`.
  func microseconds(of commands: [String]) throws -> Double {
    let stats = try info("commandstats")
    return commands.reduce(0) { sum, command in
      let field = stats["cmdstat_" + command]?.split(separator: ",").first { $0.hasPrefix("usec=") }
      return sum + (field.flatMap { Double($0.dropFirst(5)) } ?? 0)
    }
  }

  /// Processor time of the server's process in microseconds, its reading, writing and propagating included.
  func processMicroseconds() throws -> Double {
    let cpu = try info("cpu")
    return ["used_cpu_user", "used_cpu_sys"].reduce(0) { $0 + (Double(cpu[$1] ?? "") ?? 0) } * 1_000_000
  }
}
