import Foundation

/// The servers of a run: what the user gave, and what was not given started on a directory of its own, which is removed
/// in the end.
struct RunEnvironment: Sendable {
  let choice: ServerChoice
  /// Which servers these are, for people.
  let description: String

  /// - Parameter needs: what of Redis is to be started, where it is not given.
  static func with<Result>(
    _ given: ServerChoice,
    needing needs: ServerNeeds,
    _ body: (RunEnvironment) async throws -> Result
  ) async throws -> Result {
    try await withDirectory { directory in try await with(given, needing: needs, in: directory, body) }
  }

  /// A directory that nobody else may enter, removed in the end.
  static func withDirectory<Result>(_ body: (URL) async throws -> Result) async throws -> Result {
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
    return try await body(directory)
  }

  private static func with<Result>(
    _ given: ServerChoice,
    needing needs: ServerNeeds,
    in directory: URL,
    _ body: (RunEnvironment) async throws -> Result
  ) async throws -> Result {
    var choice = given
    var server: LocalRedisServer?
    if choice.redisURL == nil, needs.contains(.stock) {
      let started = try await LocalRedisServer.start(in: directory)
      choice.redisURL = started.url
      server = started
    }
    if choice.database == nil {
      choice.database = .sqlite(path: directory.appendingPathComponent("orders.sqlite").path)
    }
    let redis = server.map { "a redis-server of its own at \($0.portURL)" } ?? "the given Redis server"
    let database = given.database.map { "the database \($0.description)" } ?? "a database of its own"
    let description = needs == .none ? "on \(database), without Redis" : "on \(redis) and \(database)"
    let environment = RunEnvironment(choice: choice, description: description)
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
