import ArgumentParser
import Doorbuster
import Orders
import Stock

struct RecoverCommand: AsyncParsableCommand {
  /// Something is left that only people can mend.
  static let leftStatus: Int32 = 4

  static let configuration = CommandConfiguration(
    commandName: "recover",
    abstract: "Make a sale's buckets whole again after Redis lost data.",
    discussion: """
      Buckets that are gone are built anew from the database; those that came up frozen, or lack events that the \
      database has, get written in what they lack. Then all sell again. Buyers may keep trying: they hear frozen \
      meanwhile. An operator's freeze is never lifted.

      It may be stopped at any point and run again, also by two at once. Workers do the same by themselves where buckets \
      come up frozen; buckets that are gone wait for this command. Be sure that --redis names the sale's servers: on an \
      empty server it builds the sale a second time.

      Exit status: 0 all buckets sell and nothing is left; 4 something is left, which is named; 1 an error, and the same \
      command goes on.
      """
  )

  @Argument(help: "The product.", transform: Parse.sku) var sku: SKU
  @OptionGroup var output: OutputOptions
  @OptionGroup var servers: ServerOptions

  func run() async throws {
    let progress = ProgressLine()
    let report = try await Deployment.with(servers.choice, for: sku) { deployment in
      defer { progress.clear() }
      return try await deployment.doorbuster.recover(sku) { progress.show($0.line) }
    }
    try RecoveryView(report).print(json: output.json)
    if !report.isComplete { throw ExitCode(Self.leftStatus) }
  }
}

/// A recovery as people and programs read it.
struct RecoveryView: Encodable {
  var sku: String
  /// All buckets sell, and nothing is left to be mended.
  var complete: Bool
  /// By index: sound, rebuilt, completed or stoppedByOperator.
  var buckets: [String]
  /// Written into the buckets.
  var restocks: Int64
  var transfers: Int64
  var orders: [String: Int64]
  var compared: Int64
  var moved: Int64
  var messagesOnTheirWay: Int64
  var remaining: Int64
  var findings: [ReconciliationView.Finding]

  init(_ report: Recovery) {
    sku = report.sku.text
    complete = report.isComplete
    buckets = report.buckets.map(Self.word)
    restocks = report.restocks
    transfers = report.transfers
    orders = Dictionary(uniqueKeysWithValues: OrderState.allCases.map { ($0.rawValue, report.orders[$0] ?? 0) })
    compared = report.compared
    moved = report.moved
    messagesOnTheirWay = report.messagesOnTheirWay
    remaining = report.remaining
    findings = report.findings.map(ReconciliationView.Finding.init)
  }

  private static func word(_ bucket: Recovery.Bucket) -> String {
    switch bucket {
    case .sound: "sound"
    case .rebuilt: "rebuilt"
    case .completed: "completed"
    case .stoppedByOperator: "stoppedByOperator"
    }
  }

  func print(json: Bool) throws {
    if json { return try Output.json(self) }
    guard buckets.contains(where: { $0 != "sound" }) else { return Output.line("\(sku): nothing is lost.") }
    for (index, bucket) in buckets.enumerated() where bucket != "sound" {
      Output.line("bucket \(index): \(bucket == "stoppedByOperator" ? "complete, and frozen by an operator" : bucket)")
    }
    Output.table([
      ("orders compared", "\(compared)"), ("orders written in", "\(orders.values.reduce(0, +))"),
      ("of them with units of other buckets", "\(moved)"), ("restocks written in", "\(restocks)"),
      ("halves of transfers written in", "\(transfers)"),
    ])
    for finding in findings {
      let token = finding.token.map { "token \($0): " } ?? ""
      Output.line("\(token)\(finding.detail): \(finding.reason ?? finding.outcome)")
    }
    if messagesOnTheirWay > 0 {
      Output.line("\(messagesOnTheirWay) messages were not recorded in time; run reconcile \(sku) once they are.")
    }
    Output.line(complete ? "\(sku) sells again." : "\(sku) needs a hand.")
  }
}
