import ArgumentParser
import Benchmarks
import Foundation
import Orders

struct BenchDatabaseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "database",
    abstract: "Measure the hot-row strategies on one product, under growing loads.",
    discussion: """
      Each buyer waits for his order before he places the next. Without --database a mariadbd is started on a directory \
      of its own. A strategy that works an order at a time gets as many connections as there are buyers, up to \
      --connections. A database that is given keeps the benchmark's sales.
      """
  )

  @OptionGroup var measured: MeasuredDatabaseOption

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Seconds for each strategy under each load: 1 to 3600; 3 unless told.", valueName: "n"),
    transform: Parse.number("--seconds", 1...3_600)
  )
  var seconds: Int64 = 3

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Rounds, of which the best counts for each figure: 1 to 100; 1 unless told.", valueName: "n"),
    transform: Parse.number("--rounds", 1...100)
  )
  var rounds: Int64 = 1

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Buyers at a time, comma-separated; 1,16,64,256,1024 unless told.", valueName: "n,n,…"),
    transform: Parse.numbers("--buyers", 1...100_000)
  )
  var buyers: [Int] = HotRowBenchmark.loads

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Connections at most: 1 to 1024; 64 unless told.", valueName: "n"),
    transform: Parse.number("--connections", 1...1_024)
  )
  var connections: Int64 = 64

  @Option(
    help: ArgumentHelp(
      "Strategies, comma-separated: rowLock, groupCommit, inventoryHint; all that the database has unless told.",
      valueName: "s,s,…"
    ),
    transform: Parse.strategies
  )
  var strategies: [HotRowStrategy]?

  @Option(help: ArgumentHelp("Write a plot to this file (.png or .svg) with gnuplot.", valueName: "file"))
  var plot: String?

  @OptionGroup var output: OutputOptions

  func run() async throws {
    let plot = try plot.map { try DatabasePlot(file: $0) }
    let given = try measured.choice()
    let report = try await RunEnvironment.withDirectory { directory in
      if let given { return try await measure(given, given.description) }
      return try await LocalMariaDBServer.with(in: directory, connectionsMax: Int(connections)) { server in
        try await measure(.mysql(server.url), "a mariadbd of its own")
      }
    }
    if output.json { try Output.json(report) } else { report.print() }
    try plot?.write(report)
  }

  private func measure(_ database: DatabaseChoice, _ description: String) async throws -> DatabaseReport {
    let available: [HotRowStrategy] =
      switch database {
      case .sqlite: [.rowLock, .groupCommit]
      case .mysql: HotRowStrategy.allCases
      }
    Output.note("bench database: \(description)")
    let connections = Int(connections)
    let benchmark = HotRowBenchmark(
      strategies: strategies ?? available,
      loads: buyers,
      seconds: Double(seconds),
      rounds: Int(rounds)
    ) { strategy in
      try await database.open(
        strategy: strategy,
        connectionsMax: connections,
        logger: Deployment.quietLogger()
      )
    }
    let points = try await benchmark.run { point in
      Output.note("  \(point.buyers) buyers, \(point.strategy): \(Int(point.ordersPerSecond)) orders a second")
    }
    return DatabaseReport(
      database: description,
      processors: ProcessInfo.processInfo.activeProcessorCount,
      points: points
    )
  }
}

/// What `bench database` found.
struct DatabaseReport: Encodable {
  var database: String
  var processors: Int
  var points: [HotRowBenchmark.Point]

  func print() {
    Output.line("orders a second on one hot row, by buyers at a time (median wait in ms); \(processors) cores")
    let loads = points.map(\.buyers).reduce(into: [Int]()) { if !$0.contains($1) { $0.append($1) } }
    Output.line(Self.row([""] + loads.map(String.init)))
    for strategy in strategies {
      let cells = loads.map { load in
        points.first { $0.strategy == strategy && $0.buyers == load }
          .map { "\(Int($0.ordersPerSecond.rounded())) (\(String(format: "%.2f", $0.medianMs)))" } ?? "-"
      }
      Output.line(Self.row([strategy] + cells))
    }
  }

  var strategies: [String] { points.map(\.strategy).reduce(into: []) { if !$0.contains($1) { $0.append($1) } } }

  private static func row(_ cells: [String]) -> String {
    cells.enumerated().map { index, cell in
      let padding = String(repeating: " ", count: max(0, 16 - cell.count))
      return index == 0 ? cell + padding : padding + cell
    }.joined()
  }
}
