import Foundation
import MySQLStore

#if canImport(Glibc)
  import Glibc
#endif

/// A mariadbd of our own with an empty database, on a unix socket and a directory that the caller owns.
final class LocalMariaDBServer: Sendable {
  let url: MySQLURL
  private let process: LocalProcess
  private let pidFile: URL

  private init(url: MySQLURL, process: LocalProcess, pidFile: URL) {
    self.url = url
    self.process = process
    self.pidFile = pidFile
  }

  /// The server's own process; nil where it has not said which.
  var processID: Int32? {
    (try? String(contentsOf: pidFile, encoding: .utf8))
      .flatMap { Int32($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
  }

  /// Starts one, and stops it after `body`, whatever becomes of that.
  /// - Parameter connectionsMax: how many clients it takes.
  /// - Throws: ``CommandFailure`` where a program is missing, or the server does not come up; what `body` throws.
  static func with<Result>(
    in directory: URL,
    connectionsMax: Int,
    _ body: (LocalMariaDBServer) async throws -> Result
  ) async throws -> Result {
    let server = try await start(in: directory, connectionsMax: connectionsMax)
    do {
      let result = try await body(server)
      await server.process.stop()
      return result
    } catch {
      await server.process.stop()
      throw error
    }
  }

  private static func start(in directory: URL, connectionsMax: Int) async throws -> LocalMariaDBServer {
    let data = directory.appendingPathComponent("mariadb").path
    let asRoot = geteuid() == 0 ? ["--user=root"] : []
    try await install(data, asRoot, directory)
    let socket = directory.appendingPathComponent("mariadb.sock").path
    let pidFile = directory.appendingPathComponent("mariadb.pid")
    let process = try LocalProcess(
      [
        try program("mariadbd"), "--no-defaults", "--datadir=\(data)", "--socket=\(socket)", "--skip-networking",
        "--pid-file=\(pidFile.path)", "--log-error=\(log(directory).path)",
        "--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=512M", "--innodb-log-file-size=512M",
        "--max-connections=\(connectionsMax + 16)", "--skip-log-bin",
      ] + asRoot,
      directory: directory
    )
    let server = LocalMariaDBServer(
      url: MySQLURL(endpoint: .unix(path: socket), user: "root", database: "doorbuster"),
      process: process,
      pidFile: pidFile
    )
    do {
      try await server.createDatabase(directory)
    } catch {
      await process.stop()
      throw error
    }
    return server
  }

  private static func program(_ name: String) throws -> String {
    guard let path = LocalProcess.executable(name) else {
      throw CommandFailure(
        "there is no \(name) on the PATH; install it (apt-get install mariadb-server) or give --database mysql://…"
      )
    }
    return path
  }

  /// Root may come in by the socket without a password: it is in a directory that nobody else can enter, and the server
  /// listens nowhere else.
  private static func install(_ data: String, _ asRoot: [String], _ directory: URL) async throws {
    let log = directory.appendingPathComponent("install.log")
    _ = FileManager.default.createFile(atPath: log.path, contents: nil)
    let status = try await run(
      try program("mariadb-install-db"),
      ["--no-defaults", "--datadir=\(data)", "--auth-root-authentication-method=normal", "--skip-test-db"] + asRoot,
      output: log
    )
    guard status == 0 else {
      let said = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
      throw CommandFailure("mariadb-install-db failed: \(said.split(separator: "\n").last ?? "it said nothing")")
    }
  }

  /// Another empty database on the same server.
  func makeDatabase() async throws -> MySQLURL {
    var url = url
    url.database = "doorbuster_\(UInt32.random(in: 0 ... .max))"
    guard case .unix(let socket) = url.endpoint, try await create(url.database, socket) == 0 else {
      throw CommandFailure("mariadbd refused to make the database \(url.database)")
    }
    return url
  }

  private func create(_ database: String, _ socket: String) async throws -> Int32 {
    try await Self.run(
      try Self.program("mariadb"),
      ["--no-defaults", "--user=root", "--socket=\(socket)", "--execute", "CREATE DATABASE \(database)"]
    )
  }

  private func createDatabase(_ directory: URL) async throws {
    guard case .unix(let socket) = url.endpoint else { return }
    for _ in 0..<400 {
      if try await create(url.database, socket) == 0 { return }
      guard process.isRunning else { break }
      try await Task.sleep(for: .milliseconds(50))
    }
    let log = (try? String(contentsOf: Self.log(directory), encoding: .utf8)) ?? ""
    throw CommandFailure("mariadbd did not start: \(log.split(separator: "\n").last ?? "it wrote no log")")
  }

  private static func log(_ directory: URL) -> URL { directory.appendingPathComponent("mariadb.log") }

  /// - Returns: the exit status.
  private static func run(_ program: String, _ arguments: [String], output: URL? = nil) async throws -> Int32 {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    let file = try output.map { try FileHandle(forWritingTo: $0) } ?? FileHandle.nullDevice
    process.standardOutput = file
    process.standardError = file
    return try await withCheckedThrowingContinuation { done in
      process.terminationHandler = { done.resume(returning: $0.terminationStatus) }
      do {
        try process.run()
      } catch {
        process.terminationHandler = nil
        done.resume(throwing: error)
      }
    }
  }
}
