import ArgumentParser
import Foundation
import RedisDriver
import Stock
import StockClient

/// Deductions over the buckets of several servers, and what they cost each server's processor.
struct SpreadBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "spread",
    abstract:
      "Runs deductions over the buckets of one server or a list and prints what they cost the servers, as JSON.",
    discussion: """
      A server's rate is its deductions by the processor time that its whole process took meanwhile: what it would do in a \
      second with a processor of its own. A machine with fewer processors than servers can't show such a rate by the \
      clock. The rate of a list is the sum of its servers' rates, each for its own part of the load. The buckets are made \
      for the run and removed afterwards.
      """
  )

  @Option(help: "The servers, with the module loaded: one, or a list.")
  var redis = "redis://127.0.0.1:6379"

  @Option(help: "Deductions to make.")
  var requests = 400_000

  @Option(help: "Tasks that make them, one at a time each.")
  var tasks = 512

  @Option(help: "Buckets of the sale, over all servers.")
  var buckets = 12

  func validate() throws {
    guard tasks > 0, requests >= tasks else { throw ValidationError("--requests must be at least --tasks, and that 1") }
    guard (1...16_384).contains(buckets) else {
      throw ValidationError("--buckets is \(buckets); it must be 1 to 16384")
    }
  }

  struct Server: Codable {
    var server: String
    var deductions: Int
    var cpuSeconds: Double
    var deductionsPerCPUSecond: Double
  }

  struct Report: Codable {
    var servers: [Server]
    /// The sum of the servers' rates.
    var allPerCPUSecond: Double
    /// By the clock, on this machine.
    var deductionsPerSecond: Double
    var clientMicrosecondsPerCommand: Double
  }

  func run() async throws {
    let client = try await StockClient.connect(RedisServers(redis))
    guard client.router.cluster == nil else { throw ValidationError("--redis must be one server or a list") }
    let run = UInt64.random(in: .min ... .max)
    let sku = try SKU("driver-bench-\(run)")
    let all = (0..<buckets).map { BucketID(sku: sku, index: $0) }
    for bucket in all {
      try await client.create(bucket, quantity: Int64(requests), terms: SaleTerms(buckets: buckets))
    }
    let before = try await usages(client)
    let load = DeductionLoad(client: client, sku: sku, buckets: buckets, run: run, tasks: tasks, commands: requests)
    let measured = try await load.measure(on: client.taskExecutor)
    let after = try await usages(client)
    let servers = zip(client.router.clients, zip(before, after)).map { redis, usage in
      let deductions = usage.1.deductions - usage.0.deductions
      let seconds = usage.1.cpuSeconds - usage.0.cpuSeconds
      return Server(
        server: redis.url.server,
        deductions: deductions,
        cpuSeconds: seconds,
        deductionsPerCPUSecond: Double(deductions) / max(seconds, 0.001)
      )
    }
    for (index, bucket) in all.enumerated() {
      let clients = client.router.clients
      _ = try await clients[index % clients.count].send(["UNLINK", .init("doorbuster:{\(bucket)}")])
    }
    await client.close()
    let report = Report(
      servers: servers,
      allPerCPUSecond: servers.reduce(0) { $0 + $1.deductionsPerCPUSecond },
      deductionsPerSecond: measured.commandsPerSecond,
      clientMicrosecondsPerCommand: measured.clientMicrosecondsPerCommand
    )
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    print(String(decoding: try encoder.encode(report), as: UTF8.self))
  }

  private struct Usage {
    var deductions = 0
    /// Of the whole process, in user and system mode.
    var cpuSeconds = 0.0
  }

  private func usages(_ client: StockClient) async throws -> [Usage] {
    var usages: [Usage] = []
    for redis in client.router.clients {
      var usage = Usage()
      for section in ["cpu", "commandstats"] {
        let text = try await redis.send(["INFO", .init(section)]).string ?? ""
        for line in text.split(whereSeparator: \.isNewline) {
          let parts = line.split(separator: ":")
          guard parts.count == 2 else { continue }
          switch parts[0].lowercased() {
          case "used_cpu_user", "used_cpu_sys": usage.cpuSeconds += Double(parts[1]) ?? 0
          case "cmdstat_stock.deduct": usage.deductions = Int(parts[1].dropFirst(6).prefix(while: \.isNumber)) ?? 0
          default: continue
          }
        }
      }
      usages.append(usage)
    }
    return usages
  }
}
