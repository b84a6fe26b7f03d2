import ArgumentParser

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure this machine.",
    subcommands: [BenchPatternsCommand.self, BenchDatabaseCommand.self, BenchLogCommand.self]
  )
}
