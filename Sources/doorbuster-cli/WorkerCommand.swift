import ArgumentParser
import Doorbuster
import Logging
import ServiceLifecycle

struct WorkerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker",
    abstract: "Bring accepted purchases into the database, until SIGINT or SIGTERM.",
    discussion: """
      Reads committed messages, writes orders, then acknowledges; follows the buckets' logs, stores what they deliver, and \
      trims them; answers the broker's check-backs; and ends the holds that are over on the path database. Any number of \
      workers may share the work. A stop finishes the batch under way, so that nothing is lost; what a worker that died \
      had taken goes to another one, within seconds.
      """
  )

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Age at which a half message without an answer is checked, in ms: 100 to 86400000; 10000 unless told.",
      discussion: "Also the longest first pause between two checks of it. All workers should have the same.",
      valueName: "ms"
    ),
    transform: Parse.number("--check-after", CheckSettings.afterMsBounds)
  )
  var checkAfter: Int64?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Checks without a decision after which a half message is parked: 1 to 1023; 15 unless told.",
      valueName: "n"
    ),
    transform: Parse.number("--checks-max", CheckSettings.checksMaxBounds)
  )
  var checksMax: Int64?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Events that stay in each bucket's log: 0 to 100000000; 100000 unless told.",
      discussion: "What is before them is trimmed, once the database has it. reconcile mends best what is still there.",
      valueName: "n"
    ),
    transform: Parse.number("--keep-log", 0...100_000_000)
  )
  var keepLog: Int64?

  @OptionGroup var output: OutputOptions
  @OptionGroup var servers: ServerOptions

  func run() async throws {
    let checks = CheckSettings(afterMs: checkAfter, checksMax: checksMax, logKept: keepLog)
    let logger = Deployment.quietLogger(.notice)
    try await Deployment.withAllSales(servers.choice, checks: checks, logger: logger) { deployment in
      let worker = deployment.doorbuster.worker()
      let group = ServiceGroup(
        services: [StartNote(), worker, deployment.doorbuster.checkBack()],
        gracefulShutdownSignals: [.sigint, .sigterm],
        logger: Deployment.quietLogger()
      )
      try await group.run()
      try report(worker.counters)
    }
  }

  private func report(_ counters: WorkerCounters) throws {
    let rows: [(String, Int64)] = [
      ("acknowledged", counters.acknowledged), ("retried", counters.retried),
      ("deadLettered", counters.deadLettered), ("rejected", counters.rejected), ("conflicts", counters.conflicts),
      ("logEvents", counters.logEvents), ("fromLog", counters.fromLog), ("expired", counters.expired),
      ("haltedBuckets", counters.haltedBuckets),
    ]
    if output.json {
      try Output.json(Dictionary(uniqueKeysWithValues: rows))
    } else {
      Output.line("worker: stopped")
      Output.table(rows.map { ($0.0, String($0.1)) })
    }
  }
}

/// Says that the worker has started, once signals stop it gracefully: the first of a group's services starts after that.
private struct StartNote: Service {
  func run() async throws {
    Output.note("worker: started; SIGINT or SIGTERM stops it")
    try await gracefulShutdown()
  }
}
