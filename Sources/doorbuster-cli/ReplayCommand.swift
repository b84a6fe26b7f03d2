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
    let survey = OrderFileSurvey(orders)
    let stop = StopSignal()
    let report = try await stop.watching {
      try await RunEnvironment.with(servers.choice, needing: .of(path.path)) { environment in
        let products = survey.demand.count == 1 ? "1 product" : "\(survey.demand.count) products"
        Output.note("replay: \(file), \(products), \(environment.description)")
        return try await Deployment.withRun(environment.choice, needing: .of(path.path)) { deployment in
          var sales: [OpenedSale] = []
          for (sku, units) in survey.demand.sorted(by: { $0.key.text < $1.key.text }) {
            sales.append(try await openSale(of: sku, demand: units, deployment))
          }
          return try await replay(orders, survey, sales, deployment, stop)
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

  /// A sale that exists is used as it is.
  private func openSale(of sku: SKU, demand: Int64, _ deployment: Deployment) async throws -> OpenedSale {
    if let sale = try await deployment.doorbuster.existingSale(sku) { return OpenedSale(sale: sale, isNew: false) }
    let terms = SaleTerms(buckets: path.bucketCount)
    return OpenedSale(
      sale: try await deployment.doorbuster.createSale(sku, stock: stock ?? demand, terms: terms, path: path.path),
      isNew: true
    )
  }

  private func replay(
    _ orders: OrderFile,
    _ survey: OrderFileSurvey,
    _ sales: [OpenedSale],
    _ deployment: Deployment,
    _ stop: StopSignal
  ) async throws -> RunReport {
    let progress = ProgressLine()
    let skus = sales.map(\.sale.sku)
    let lines = OrderLines(orders, new: Set(sales.filter(\.isNew).map(\.sale.sku))) { line, reason in
      progress.clear()
      Output.note("replay: \(file), line \(line): \(reason)")
    }
    let before = try await databaseOrders(of: skus, deployment)
    let faults = FaultReport(command: "replay", progress: progress)
    let doubtful = DoubtfulPurchases(sales, survey)
    var run = SaleRun(
      deployment: deployment,
      skus: skus,
      needs: .of(path.path),
      stop: stop,
      progress: progress,
      faults: faults
    )
    run.accepted = doubtful.note
    var outcome = try await run.run(expecting: survey.lines) { lines.next() }
    progress.announce("comparing the books, purchase by purchase")
    var books: [SaleBooks] = []
    for sku in skus { books.append(try await deployment.doorbuster.books(sku)) }
    progress.clear()
    let conflicts = try await doubtful.conflicts(in: deployment.orders)
    outcome.tally.accepted -= conflicts.count
    outcome.tally.failed += conflicts.count
    DoubtfulPurchases.report(conflicts, FaultReport(command: "replay", progress: progress))
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
    /// Hashes of the new sales' tokens. Two that share one make the second count as one that was sent before, which is
    /// asked of its bucket.
    var sent: Set<Int> = []
  }

  private let new: Set<SKU>
  private let state: Mutex<State>
  private let report: @Sendable (Int, String) -> Void

  /// - Parameter new: the sales of which no token was sent before.
  init(_ orders: OrderFile, new: Set<SKU>, report: @escaping @Sendable (Int, String) -> Void) {
    self.new = new
    state = Mutex(State(rest: orders.makeIterator()))
    self.report = report
  }

  var badLines: Int { state.withLock { $0.badLines } }

  func next() -> Click? {
    while true {
      let (line, isFirst): (OrderFile.Line?, Bool) = state.withLock { state -> (OrderFile.Line?, Bool) in
        let line = state.rest.next()
        switch line {
        case .purchase(let purchase, _)?: return (line, isNew(purchase, &state.sent))
        case .bad?: state.badLines += 1
        case nil: break
        }
        return (line, false)
      }
      switch line {
      case .purchase(let purchase, let number):
        return Click(purchase: purchase, isFirstAttempt: isFirst, line: number)
      case .bad(let number, let reason): report(number, reason)
      case nil: return nil
      }
    }
  }

  private func isNew(_ purchase: Purchase, _ sent: inout Set<Int>) -> Bool {
    guard new.contains(purchase.sku) else { return false }
    return sent.insert(OrderFileSurvey.hash(of: purchase)).inserted
  }
}
