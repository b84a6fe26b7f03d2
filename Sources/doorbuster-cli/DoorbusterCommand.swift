import ArgumentParser

@main
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

      Exit status: 0 done; 1 an error, or books that do not balance; 2 refused (sold out, limit, closed, …); 3 unknown \
      (answers were lost; the same token tells); 4 reconcile or recover left something; 64 a wrong argument; 130 and 143 a run stopped by a signal.
      """,
    version: "0.1.0",
    subcommands: [
      DemoCommand.self, ReplayCommand.self, SaleCommand.self, BuyCommand.self, ConfirmCommand.self, CancelCommand.self,
      WorkerCommand.self, MessagesCommand.self, RebalanceCommand.self, ReconcileCommand.self, RecoverCommand.self,
      BenchCommand.self,
    ]
  )
}
