import ArgumentParser
import Benchmarks
import Foundation
import Orders

struct BenchLogCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log",
    abstract: "Measure how fast a database follows the logs of a sale's buckets.",
    discussion: """
      Twice: orders that the log stores because no message brought them, and orders that messages have brought, which \
      get their sequence. No Redis is asked. Without --database a SQLite file of its own. A database that is given \
      keeps the benchmark's sale.
      """
  )

  @OptionGroup var measured: MeasuredDatabaseOption

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Events of each kind: 1 to 100000000; 200000 unless told.", valueName: "n"),
    transform: Parse.number("--events", 1...100_000_000)
  )
  var events: Int64 = 200_000

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Events of one transaction: 1 to 10000; 5000 unless told.", valueName: "n"),
    transform: Parse.number("--batch", 1...10_000)
  )
  var batch: Int64 = 5_000

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Buckets, each followed by a worker of its own: 1 to 1024; 1 unless told.", valueName: "n"),
    transform: Parse.number("--followers", 1...1_024)
  )
  var followers: Int64 = 1

  @OptionGroup var output: OutputOptions

  func run() async throws {
    let given = try measured.choice()
    let benchmark = LogFollowingBenchmark(events: Int(events), batch: Int(batch), buckets: Int(followers))
    let points = try await RunEnvironment.withDirectory { directory in
      let choice = given ?? .sqlite(path: directory.appendingPathComponent("orders.sqlite").path)
      let store = try await choice.open(logger: Deployment.quietLogger())
      return try await store.closing { try await benchmark.run(store) }
    }
    if output.json { return try Output.json(["points": points]) }
    Output.table(
      points.map { point in
        let what = point.delivery == "log" ? "stored from the log" : "brought by messages before"
        let buckets = point.buckets == 1 ? "1 bucket" : "\(point.buckets) buckets"
        return (what, "\(Int(point.eventsPerSecond)) events a second, \(point.batch) to a transaction, \(buckets)")
      }
    )
  }
}
