import ArgumentParser
import Doorbuster
import Logging
import ServiceLifecycle

struct WorkerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker",
    abstract: "Bring accepted purchases into the database, until SIGINT or SIGTERM.",
    discussion: """
      Reads committed messages, writes orders, then acknowledges; follows the buckets' logs; and answers the broker's
      check-backs. Any number of workers may share the work. A stop finishes the batch under way, so that nothing is
      lost; what a worker that died had taken goes to another one.
      """
  )

  @OptionGroup var servers: ServerOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    try await Deployment.with(servers.choice, logger: Deployment.quietLogger(.notice)) { deployment in
      let worker = deployment.doorbuster.worker()
      Output.note("worker: started; SIGINT or SIGTERM stops it")
      let group = ServiceGroup(
        services: [worker, deployment.doorbuster.checkBack()],
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
      ("logEvents", counters.logEvents), ("fromLog", counters.fromLog), ("haltedBuckets", counters.haltedBuckets),
    ]
    if output.json {
      try Output.json(Dictionary(uniqueKeysWithValues: rows))
    } else {
      Output.line("worker: stopped")
      Output.table(rows.map { ($0.0, String($0.1)) })
    }
  }
}
