import ArgumentParser
import Doorbuster
import Foundation
import Orders
import Stock

struct BenchPatternsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "patterns",
    abstract: "Send the same crowd through the four paths, and compare.",
    discussion: """
      Each run has a redis-server of its own, where its path needs one, with AOF everysec, and a database of its own. A \
      database that is given must have no sales yet; then all runs share one redis-server. The path database is measured \
      with each of --strategies, the others group their orders. Each of the buyers waits for an answer before it sends the next request. CPU is counted \
      until every order is recorded and every log followed. Ends with status 1 where the books of a run do not balance.
      """
  )

  @Option(
    help: ArgumentHelp(
      "An empty database for all runs, as elsewhere; it keeps their sales. $DOORBUSTER_DATABASE is not looked at.",
      valueName: "url"
    )
  )
  var database: String?

  @Flag(help: "Start a mariadbd on a directory of its own, instead of SQLite.")
  var mariadb = false

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Requests of the crowd, second clicks included: 1 to 100000000; 50000 unless told.",
      valueName: "n"
    ),
    transform: Parse.number("--requests", 1...100_000_000)
  )
  var requests: Int64 = 50_000

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Units on sale: 0 to 2^53; 30000 unless told.", valueName: "n"),
    transform: Parse.number("--stock", 0...StockLimits.quantityMax)
  )
  var stock: Int64 = 30_000

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Requests under way at a time, comma-separated; 16,512 unless told.", valueName: "n,n,…"),
    transform: Parse.numbers("--buyers", 1...100_000)
  )
  var buyers: [Int] = [16, 512]

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Buckets on the paths buckets and combined: 1 to 16384; 4 unless told.", valueName: "n"),
    transform: Parse.number("--buckets", 1...16_384)
  )
  var buckets: Int64 = PathOptions.bucketsUnlessTold

  @Option(
    help: ArgumentHelp("Paths, comma-separated; all four unless told.", valueName: "p,p,…"),
    transform: Parse.paths
  )
  var paths: [SalePath] = SalePath.allCases

  @Option(
    help: ArgumentHelp(
      "How the database treats the hot row on the path database, comma-separated; rowLock,groupCommit unless told.",
      valueName: "s,s,…"
    ),
    transform: Parse.strategies
  )
  var strategies: [HotRowStrategy] = [.rowLock, .groupCommit]

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Sets the crowd, 0 to 2^53; the same seed makes the same one.", valueName: "n"),
    transform: Parse.number("--seed", 0...StockLimits.quantityMax)
  )
  var seed: Int64?

  @Option(help: ArgumentHelp("Write a plot to this file (.png or .svg) with gnuplot.", valueName: "file"))
  var plot: String?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard database == nil || !mariadb else {
      throw ValidationError("--database and --mariadb each choose the database; give one of them")
    }
  }

  func run() async throws {
    let plot = try plot.map { try PatternsPlot(file: $0) }
    let given = try database.map { try DatabaseChoice(ServerSetting($0, of: "--database")) }
    if strategies.contains(.inventoryHint), !mariadb, given?.isMySQL != true {
      throw CommandFailure("--strategies has 'inventoryHint'; SQLite knows rowLock and groupCommit")
    }
    let stop = StopSignal()
    let report = try await stop.watching { try await measure(given, stop) }
    if output.json { try Output.json(report) } else { report.print() }
    try plot?.draw(report)
    if let status = stop.exitStatus { throw ExitCode(status) }
    guard report.runs.allSatisfy(\.balanced) else { throw ExitCode.failure }
  }

  private func measure(_ given: DatabaseChoice?, _ stop: StopSignal) async throws -> PatternsReport {
    if let given {
      try await Self.requireNoSales(given)
      var choice = try ServerChoice()
      choice.database = given
      return try await RunEnvironment.with(choice, needing: .all) { environment in
        try await measure(given.description, stop) { run in try await run.measure(environment.choice, nil, stop) }
      }
    }
    guard mariadb else {
      return try await measure("SQLite", stop) { run in try await run.measure(ServerChoice(), nil, stop) }
    }
    return try await RunEnvironment.withDirectory { directory in
      try await LocalMariaDBServer.with(in: directory, connectionsMax: 64) { server in
        try await measure("a mariadbd of its own", stop) { run in
          var choice = try ServerChoice()
          choice.database = .mysql(try await server.makeDatabase())
          return try await run.measure(choice, server, stop)
        }
      }
    }
  }

  /// The benchmark's worker would follow their logs, too, on a server that has none of them.
  private static func requireNoSales(_ database: DatabaseChoice) async throws {
    let store = try await database.open(logger: Deployment.quietLogger())
    guard try await store.closing(after: { try await store.sales() }).isEmpty else {
      throw CommandFailure("--database is \(database.description), which has sales; it must be one without any")
    }
  }

  private func measure(
    _ database: String,
    _ stop: StopSignal,
    _ measure: (PatternRun) async throws -> PatternRun.Figures
  ) async throws -> PatternsReport {
    let seed = seed ?? Int64.random(in: 0...StockLimits.quantityMax)
    var report = PatternsReport(
      database: database,
      processors: ProcessInfo.processInfo.activeProcessorCount,
      requests: Int(requests),
      stock: stock,
      buckets: Int(buckets),
      runs: []
    )
    Output.note("bench patterns: \(requests) requests for \(stock) units, \(database), seed \(seed)")
    // Load by load, the paths one after the other, so that a machine that is slow for a while is slow for all of them.
    for buyers in buyers {
      for path in paths {
        for strategy in path == .database ? strategies : [.groupCommit] where !stop.isStopping {
          let run = PatternRun(
            path: path,
            strategy: strategy,
            buyers: buyers,
            buckets: Int(buckets),
            stock: stock,
            crowd: Crowd.Size(requests: Int(requests), doubleClickEvery: 8),
            seed: UInt64(seed)
          )
          let figures = try await measure(run)
          Output.note("  \(buyers) buyers, \(figures.name): \(Int(figures.ordersPerSecond)) orders a second")
          report.runs.append(figures)
        }
      }
    }
    return report
  }
}
