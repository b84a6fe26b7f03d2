import ArgumentParser
import Foundation

@main
enum Main {
  static func main() async {
    StandardOutput.reserveStandardStreams()
    exit(StandardOutput.exitStatus(after: await DoorbusterCommand.run()))
  }
}

struct DoorbusterCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doorbuster",
    abstract: "Flash-sale inventory that does not oversell.",
    discussion: """
      A Redis module decides who gets a unit; transactional messages carry every accepted purchase to the database, \
      once.

      Try it:
        doorbuster demo
        doorbuster replay examples/cd-orders.csv --stock 100

      Run a sale, on a redis-server that has loaded the module (redis-server --loadmodule build/doorbuster.so):
        doorbuster sale create sneaker-42 --stock 500 --limit 2
        doorbuster worker &
        doorbuster buy sneaker-42 --user ann --token ann-1
        doorbuster sale status sneaker-42

      Exit status: 0 done; 1 an error, or books that do not balance; 2 refused (sold out, limit, early, closed, frozen) \
      or cancelled, or a token that no purchase has; 3 unknown (answers were lost, or whether enough is left can't be \
      learnt; the same token tells); 4 reconcile or recover left something; 64 a wrong argument; 130 and 143 a run \
      stopped by a signal.
      """,
    version: "0.1.0",
    subcommands: [
      DemoCommand.self, ReplayCommand.self, SaleCommand.self, BuyCommand.self, ConfirmCommand.self, CancelCommand.self,
      WorkerCommand.self, MessagesCommand.self, RebalanceCommand.self, ReconcileCommand.self, RecoverCommand.self,
      BenchCommand.self,
    ]
  )
}

extension DoorbusterCommand {
  /// As ArgumentParser's own `main`, but that what it prints goes where all output goes.
  /// - Returns: the exit status.
  fileprivate static func run() async -> Int32 {
    do {
      var command = try await asyncParseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
      return EXIT_SUCCESS
    } catch {
      let status = exitCode(for: error).rawValue
      let text = fullMessage(for: error)
      if !text.isEmpty { status == EXIT_SUCCESS ? Output.line(text) : Output.note(text) }
      return status
    }
  }
}
