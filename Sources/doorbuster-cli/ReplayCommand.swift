import ArgumentParser
import Doorbuster
import Foundation
import OrderFile
import Orders
import Stock
import Synchronization

struct ReplayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Run the orders of a CSV file as purchases, end to end.",
    discussion: """
      The file has a header that names token, user, product and quantity; further columns are ignored. Each product \
      becomes a sale, unless it is one already. Starts what is not given, as demo does. A bad line goes to standard \
      error with its number and counts as failed; it changes neither the rest nor the exit status. Ends with a report, \
      and with status 0 only if the books balance.
      """
  )

  @Argument(help: ArgumentHelp("The file: CSV by RFC 4180, LF or CRLF.", valueName: "file.csv"))
  var file: String

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Units on sale per product: 0 to 2^53. Without it, as many as the file asks for.",
      valueName: "n"
    ),
    transform: Parse.number("--stock", 0...StockLimits.quantityMax)
  )
  var stock: Int64?

  @OptionGroup var path: PathOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var servers: ServerOptions

  func run() async throws {
    let orders = try readFile()
    let demand = try demand(of: orders)
    let stop = StopSignal()
    let report = try await stop.watching {
      try await RunEnvironment.with(servers.choice, needing: .of(path.path)) { environment in
        let products = demand.count == 1 ? "1 product" : "\(demand.count) products"
        Output.note("replay: \(file), \(products), \(environment.description)")
        return try await Deployment.with(environment.choice, needing: .of(path.path)) { deployment in
          let skus = demand.keys.sorted { $0.text < $1.text }
          for sku in skus { try await openSale(of: sku, demand: demand[sku] ?? 0, deployment) }
          return try await replay(orders, skus, deployment, stop)
        }
      }
    }
    try report.print(json: output.json)
    if let status = stop.exitStatus { throw ExitCode(status) }
    guard report.balanced else { throw ExitCode.failure }
  }

  private func readFile() throws -> OrderFile {
    let bytes: Data
    do {
      bytes = try Data(contentsOf: URL(fileURLWithPath: file), options: .mappedIfSafe)
    } catch {
      throw CommandFailure(
        "the file \(file) can't be read: \(FileManager.default.fileExists(atPath: file) ? "no permission, or not a file" : "there is no such file")"
      )
    }
    do {
      return try OrderFile(Array(bytes))
    } catch {
      throw CommandFailure("\(file): \(error)")
    }
  }

  /// Units asked for by product, up to 2^53. Distinct tokens and repeated ones alike: ample is ample.
  private func demand(of orders: OrderFile) throws -> [SKU: Int64] {
    var demand: [SKU: Int64] = [:]
    for case .purchase(let purchase, _) in orders {
      let sum = demand[purchase.sku, default: 0] + purchase.quantity
      demand[purchase.sku] = min(sum, StockLimits.quantityMax)
    }
    return demand
  }

  /// A sale that exists is used as it is.
  private func openSale(of sku: SKU, demand: Int64, _ deployment: Deployment) async throws {
    if try await deployment.doorbuster.existingSale(sku) != nil { return }
    let terms = SaleTerms(buckets: path.bucketCount)
    _ = try await deployment.doorbuster.createSale(sku, stock: stock ?? demand, terms: terms, path: path.path)
  }

  private func replay(
    _ orders: OrderFile,
    _ skus: [SKU],
    _ deployment: Deployment,
    _ stop: StopSignal
  ) async throws -> RunReport {
    let progress = ProgressLine()
    let lines = OrderLines(orders) { line, reason in
      progress.clear()
      Output.note("replay: \(file), line \(line): \(reason)")
    }
    let before = try await databaseOrders(of: skus, deployment)
    let faults = FaultReport(command: "replay", progress: progress)
    let run = SaleRun(
      deployment: deployment,
      skus: skus,
      needs: .of(path.path),
      stop: stop,
      progress: progress,
      faults: faults
    )
    let outcome = try await run.run(expecting: orders.reduce(0) { count, _ in count + 1 }) { lines.next() }
    progress.announce("comparing the books, purchase by purchase")
    var books: [SaleBooks] = []
    for sku in skus { books.append(try await deployment.doorbuster.books(sku)) }
    progress.clear()
    let after = books.reduce(0) { $0 + $1.databaseOrders }
    return RunReport(outcome, badLines: lines.badLines, books: books, newOrders: after - before)
  }

  private func databaseOrders(of skus: [SKU], _ deployment: Deployment) async throws -> Int64 {
    var orders: Int64 = 0
    for sku in skus {
      let totals = try await deployment.doorbuster.status(sku).totals
      orders += (totals.orders[.held] ?? 0) + (totals.orders[.sold] ?? 0)
    }
    return orders
  }
}

/// The purchases of a file, handed out to many tasks; bad lines are reported as they are met.
private final class OrderLines: Sendable {
  private struct State: Sendable {
    var rest: OrderFile.Lines
    var badLines = 0
  }

  private let state: Mutex<State>
  private let report: @Sendable (Int, String) -> Void

  init(_ orders: OrderFile, report: @escaping @Sendable (Int, String) -> Void) {
    state = Mutex(State(rest: orders.makeIterator()))
    self.report = report
  }

  var badLines: Int { state.withLock { $0.badLines } }

  func next() -> Purchase? {
    while true {
      let line = state.withLock { state in
        let line = state.rest.next()
        if case .bad = line { state.badLines += 1 }
        return line
      }
      switch line {
      case .purchase(let purchase, _): return purchase
      case .bad(let number, let reason): report(number, reason)
      case nil: return nil
      }
    }
  }
}
