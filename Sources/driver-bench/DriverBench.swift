import ArgumentParser

@main
struct DriverBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "driver-bench",
    abstract: "Measures the driver.",
    subcommands: [DeductBench.self, SpreadBench.self, SoldOutCacheBench.self],
    defaultSubcommand: DeductBench.self
  )
}
