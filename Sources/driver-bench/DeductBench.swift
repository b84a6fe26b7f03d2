import ArgumentParser
import Foundation
import RedisDriver
import Stock
import StockClient

/// Deductions through the driver as fast as they go, for comparison with `redis-benchmark` on the same server.
struct DeductBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "deduct",
    abstract: "Runs deductions with distinct tokens through StockClient and prints rate and client CPU as JSON.",
    discussion: "The bucket is made for the run, on the given server, and removed afterwards."
  )

  @Option(help: "The server, with the module loaded.")
  var redis = "redis://127.0.0.1:6379"

  @Option(help: "Deductions to make.")
  var requests = 1_000_000

  @Option(help: "Tasks that make them, one at a time each.")
  var tasks = 512

  @Option(help: "Where the tasks run: io (the driver's thread) or pool (Swift's default).")
  var executor = Executor.io

  @Option(help: "Units on sale; fewer than the requests makes the rest of them refusals.")
  var stock: Int?

  enum Executor: String, ExpressibleByArgument, CaseIterable { case io, pool }

  func validate() throws {
    guard tasks > 0, requests >= tasks else { throw ValidationError("--requests must be at least --tasks, and that 1") }
    guard stock ?? 0 >= 0 else { throw ValidationError("--stock is \(stock ?? 0); it must be at least 0") }
  }

  func run() async throws {
    let client = try await StockClient.connect(url: redis)
    let run = UInt64.random(in: .min ... .max)
    let bucket = BucketID(sku: try SKU("driver-bench-\(run)"), index: 0)
    try await client.create(bucket, quantity: Int64(stock ?? requests), terms: SaleTerms())
    let load = DeductionLoad(client: client, sku: bucket.sku, run: run, tasks: tasks, commands: requests)
    let report = try await load.measure(on: executor == .io ? client.taskExecutor : nil)
    let key = "doorbuster:{\(bucket)}"
    let slot = HashSlot(ofKey: Array(key.utf8))
    // Of a list bucket 0 is on the first server.
    if let cluster = client.router.cluster {
      _ = try await cluster.call("UNLINK", slot: slot, as: Int.self) { $0.argument(key) }
    } else {
      _ = try await client.router.clients[0].send(["UNLINK", .init(key)])
    }
    await client.close()
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    print(String(decoding: try encoder.encode(report), as: UTF8.self))
  }
}
