import ArgumentParser
import Doorbuster
import ServiceLifecycle
import Stock

struct RebalanceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rebalance",
    abstract: "Move a sale's stock to the buckets where it is bought, and finish transfers that were left open.",
    discussion: """
      Looks once, for a second, and moves what is to be moved; with --watch it goes on until SIGINT or SIGTERM. Workers do \
      the same all the time, so this is needed only where none runs, or to see what would be done. Nothing goes wrong \
      where several are at it.
      """
  )

  @Argument(help: "The products; all that are on sale where none is named.", transform: Parse.sku) var skus: [SKU] = []
  @Flag(help: "Look and move again and again, until SIGINT or SIGTERM.") var watch = false
  @Flag(help: "Look once and say what would be moved; move nothing.") var dryRun = false
  @OptionGroup var output: OutputOptions
  @OptionGroup var servers: ServerOptions

  func validate() throws {
    if watch, dryRun { throw ValidationError("--watch moves units, and --dry-run moves none") }
    if watch, output.json { throw ValidationError("--watch does not end with a report; --json prints one") }
  }

  func run() async throws {
    let wanted = skus.isEmpty ? nil : skus
    let logger = Deployment.quietLogger(watch ? .info : .error)
    try await Deployment.with(servers.choice, needing: .stock, logger: logger) { deployment in
      guard !watch else {
        // Named products that nobody sells are an error at once.
        _ = try await deployment.doorbuster.rebalance(wanted, isDry: true, demandFor: .zero)
        Output.note("rebalance: started; SIGINT or SIGTERM stops it")
        let group = ServiceGroup(
          services: [deployment.doorbuster.rebalancer(of: wanted)],
          gracefulShutdownSignals: [.sigint, .sigterm],
          logger: Deployment.quietLogger()
        )
        return try await group.run()
      }
      let reports = try await deployment.doorbuster.rebalance(wanted, isDry: dryRun)
      let leftAlone = wanted == nil ? try await Self.salesElsewhere(deployment) : []
      if output.json {
        try Output.json(RebalanceView(reports, leftAlone: leftAlone, isDry: dryRun))
      } else {
        for report in reports { for line in report.lines(isDry: dryRun) { Output.line(line) } }
        if reports.isEmpty, leftAlone.isEmpty { Output.line("no sale has several buckets: there is nothing to move") }
      }
      for sale in leftAlone { Output.note("rebalance: \(sale.sku) is left alone: \(sale.reason)") }
      if reports.isEmpty, !leftAlone.isEmpty { throw ExitCode.failure }
    }
  }

  /// Sales of several buckets that these servers, or this order of them, are not the ones of.
  private static func salesElsewhere(_ deployment: Deployment) async throws -> [RebalanceView.LeftAlone] {
    try await deployment.orders.sales().filter { $0.path != .database && $0.terms.buckets > 1 }.compactMap { sale in
      guard let servers = sale.servers else { return nil }
      do throws(StockError) {
        try deployment.stock.verify(servers: servers)
        return nil
      } catch {
        return RebalanceView.LeftAlone(sku: sale.sku.text, reason: error.message)
      }
    }
  }
}

private struct RebalanceView: Encodable {
  struct Sale: Encodable {
    struct Move: Encodable {
      var from: Int
      var to: Int
      var quantity: Int64
    }

    var sku: String
    var shared: [[Int]]
    var moves: [Move]
    var overdue: Int
    var finished: Int
    var problem: String?
  }

  struct LeftAlone: Encodable {
    var sku: String
    var reason: String
  }

  var dryRun: Bool
  var sales: [Sale]
  /// Sales on other servers.
  var leftAlone: [LeftAlone]

  init(_ reports: [RebalanceReport], leftAlone: [LeftAlone], isDry: Bool) {
    dryRun = isDry
    self.leftAlone = leftAlone
    sales = reports.map { report in
      Sale(
        sku: report.sku.text,
        shared: report.shared,
        moves: report.moves.map { .init(from: $0.source, to: $0.target, quantity: $0.quantity) },
        overdue: report.overdue,
        finished: report.finished,
        problem: report.problem
      )
    }
  }
}

extension RebalanceReport {
  fileprivate func lines(isDry: Bool) -> [String] {
    var lines: [String] = []
    for buckets in shared {
      let names = buckets.map(String.init).joined(separator: ", ")
      lines.append("buckets \(names) \(isDry ? "would share" : "share") their stock anew")
    }
    for move in moves {
      lines.append(
        "\(move.quantity) units \(isDry ? "would move" : "moved") from bucket \(move.source) to \(move.target)"
      )
    }
    if overdue > 0 {
      lines.append(
        isDry ? "\(overdue) open transfers would be finished" : "\(finished) of \(overdue) open transfers finished"
      )
    }
    if let problem { lines.append(problem) }
    if lines.isEmpty { lines = ["nothing to move"] }
    return lines.map { "\(sku): \($0)" }
  }
}
