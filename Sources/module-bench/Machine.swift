import Foundation
import Glibc
import TestServers

/// What the figures were taken on.
struct Machine: Codable {
  var cores = Machine.cores
  var processor: String
  var kernel: String
  var server: String
  var module: String
  var date: String

  static let cores = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

  init(_ stage: Stage) throws {
    let lines = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n") ?? []
    let model = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last
    processor = model.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
    let about = try stage.info("server")
    kernel = about["os"] ?? "unknown"
    server = "redis-server " + (about["redis_version"] ?? "unknown")
    module = "doorbuster " + (try stage.info("doorbuster")["doorbuster_version"] ?? "unknown")
    date = ISO8601DateFormatter().string(from: Date())
  }

  var line: String { "\(cores) cores, \(processor); \(kernel); \(server); \(module)" }
}
