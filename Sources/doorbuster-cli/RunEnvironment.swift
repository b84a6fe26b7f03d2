import Foundation

/// The servers of a run: what the user gave, and what was not given started on a directory of its own, which is removed
/// in the end.
struct RunEnvironment: Sendable {
  let choice: ServerChoice
  /// Which servers these are, for people.
  let description: String

  static func with<Result>(_ given: ServerChoice, _ body: (RunEnvironment) async throws -> Result) async throws
    -> Result
  {
    let directory = FileManager.default.temporaryDirectory
      .appendingPathComponent(
        "doorbuster-\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0 ... .max))"
      )
    try FileManager.default.createDirectory(
      at: directory,
      withIntermediateDirectories: true,
      attributes: [.posixPermissions: 0o700]
    )
    defer { try? FileManager.default.removeItem(at: directory) }
    var choice = given
    var server: LocalRedisServer?
    if choice.redisURL == nil {
      let started = try await LocalRedisServer.start(in: directory)
      choice.redisURL = started.url
      server = started
    }
    if choice.databasePath == nil { choice.databasePath = directory.appendingPathComponent("orders.sqlite").path }
    let redis = server.map { "a redis-server of its own at \($0.portURL)" } ?? "the given Redis server"
    let database = given.databasePath.map { "the database \($0)" } ?? "a database of its own"
    let environment = RunEnvironment(choice: choice, description: "on \(redis) and \(database)")
    do {
      let result = try await body(environment)
      await server?.stop()
      return result
    } catch {
      await server?.stop()
      throw error
    }
  }
}
