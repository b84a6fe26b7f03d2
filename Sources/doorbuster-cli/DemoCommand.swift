import ArgumentParser
import Doorbuster
import Foundation
import Orders
import Stock

struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Sell a product out to a crowd, end to end, and show that the books balance.",
    discussion: """
      Starts what is not given: a redis-server with the module, on a free port and a directory of its own, and a SQLite \
      database. A crowd larger than the stock buys, some of its buyers clicking twice; a worker brings every accepted \
      purchase into the database. Ends with a report, and with status 0 only if the books balance.
      """
  )

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Requests of the crowd, second clicks included: 1 to 100000000; 200000 unless told.",
      valueName: "n"
    ),
    transform: Parse.number("--requests", 1...100_000_000)
  )
  var requests: Int64 = 200_000

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Units on sale: 0 to 2^53; 120000 unless told.", valueName: "n"),
    transform: Parse.number("--stock", 0...StockLimits.quantityMax)
  )
  var stock: Int64 = 120_000

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Sets the crowd, 0 to 2^53; the same seed makes the same one.", valueName: "n"),
    transform: Parse.number("--seed", 0...StockLimits.quantityMax)
  )
  var seed: Int64?

  @OptionGroup var path: PathOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var servers: ServerOptions

  func run() async throws {
    let requests = Int(requests)
    let seed = seed ?? Int64.random(in: 0...StockLimits.quantityMax)
    let stop = StopSignal()
    let report = try await stop.watching {
      try await RunEnvironment.with(servers.choice, needing: .of(path.path)) { environment in
        Output.note(
          "demo: \(requests) requests for \(stock) units, path \(path.path.rawValue), \(environment.description), seed \(seed)"
        )
        return try await Deployment.withRun(environment.choice, needing: .of(path.path)) { deployment in
          let sku = try SKU("demo-\(seed)")
          let terms = SaleTerms(buckets: path.bucketCount)
          let isNew = try await deployment.orders.sale(sku) == nil
          _ = try await deployment.doorbuster.createSale(sku, stock: stock, terms: terms, path: path.path)
          let size = Crowd.Size(requests: requests, doubleClickEvery: 8)
          let crowd = Crowd(sku: sku, size: size, seed: UInt64(seed), isNew: isNew)
          return try await sell(sku, to: crowd, deployment, stop)
        }
      }
    }
    try report.print(json: output.json)
    if let status = stop.exitStatus { throw ExitCode(status) }
    guard report.balanced else { throw ExitCode.failure }
  }

  private func sell(
    _ sku: SKU,
    to crowd: Crowd,
    _ deployment: Deployment,
    _ stop: StopSignal
  ) async throws -> RunReport {
    let progress = ProgressLine()
    let faults = FaultReport(command: "demo", progress: progress)
    let run = SaleRun(
      deployment: deployment,
      skus: [sku],
      needs: .of(path.path),
      stop: stop,
      progress: progress,
      faults: faults
    )
    let outcome = try await run.run(expecting: Int(requests)) { try crowd.next() }
    progress.announce("comparing the books, purchase by purchase")
    let books = try await deployment.doorbuster.books(sku)
    progress.clear()
    return RunReport(outcome, badLines: 0, books: [books], newOrders: books.databaseOrders)
  }
}
