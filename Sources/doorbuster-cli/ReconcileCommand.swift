import ArgumentParser
import Doorbuster
import Stock

struct ReconcileCommand: AsyncParsableCommand {
  /// Findings remain.
  static let findingsStatus: Int32 = 4

  static let configuration = CommandConfiguration(
    commandName: "reconcile",
    abstract: "Hold a sale's buckets against its database, and mend what differs.",
    discussion: """
      Names each purchase without its order, order without its purchase, difference in quantity, user, bucket or state, \
      and stock that does not add up, with the side that its repair changes. The sale may go on: what is on its way \
      (messages, events of the log, young transfers) is no finding. Without --repair nothing is changed. Repairing twice \
      changes nothing more.

      An order without its purchase is written into its bucket, with units of other buckets where that has too few, and \
      rejected only where none has any.

      Exit status: 0 nothing found, or all of it repaired; 4 findings remain; 1 an error, so where a bucket has to be \
      recovered first.
      """
  )

  @Argument(help: "The product.", transform: Parse.sku) var sku: SKU
  @Flag(help: "Mend what can be mended.") var repair = false
  @OptionGroup var output: OutputOptions
  @OptionGroup var servers: ServerOptions

  func run() async throws {
    let progress = ProgressLine()
    let report = try await Deployment.with(servers.choice, for: sku) { deployment in
      defer { progress.clear() }
      return try await deployment.doorbuster.reconcile(sku, repair: repair) { progress.show($0.line) }
    }
    try ReconciliationView(report, isRepair: repair).print(json: output.json)
    if !report.isClean { throw ExitCode(Self.findingsStatus) }
  }
}

extension BooksProgress {
  var line: String {
    let share = total.map { " of \($0)" } ?? ""
    let found = findings == 0 ? "" : ", \(findings) \(findings == 1 ? "finding" : "findings")"
    return "\(done)\(share) \(step)\(found)"
  }
}
