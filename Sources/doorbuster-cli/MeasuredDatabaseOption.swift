import ArgumentParser

/// `--database` of benchmarks that start or make one of their own where none is given.
struct MeasuredDatabaseOption: ParsableArguments {
  @Option(
    help: ArgumentHelp("A database to measure, as elsewhere; $DOORBUSTER_DATABASE is not looked at.", valueName: "url")
  )
  var database: String?

  /// - Throws: ``CommandFailure`` for a URL that is none.
  func choice() throws -> DatabaseChoice? {
    try database.map { try DatabaseChoice(ServerSetting($0, of: "--database")) }
  }
}
