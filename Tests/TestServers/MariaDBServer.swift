import Foundation
import Glibc
import Synchronization

/// How a ``MariaDBServer`` is started.
public struct MariaDBServerOptions: Sendable {
  /// What a commit waits for: 1 the disk, 2 the operating system, 0 nothing.
  public var flushLogAtCommit: Int
  /// Further options of mariadbd, without their dashes; they win over all others.
  public var lines: [String]
  /// Where the data is, if not in a directory of the server's own: an empty directory.
  public var dataDirectory: String?

  public init(flushLogAtCommit: Int = 1, lines: [String] = [], dataDirectory: String? = nil) {
    self.flushLogAtCommit = flushLogAtCommit
    self.lines = lines
    self.dataDirectory = dataDirectory
  }
}

/// A private mariadbd on a temporary directory, with a unix socket and a port of 127.0.0.1, an empty database `shop`, and
/// the user `shop` with the password `secret` who may do everything there.
///
/// Its directory lives as long as this object, so a server that was stopped or killed can be started again on it.
/// Nothing outlives the test process. Methods block; all of them may be called from any thread.
public final class MariaDBServer: Sendable {
  public let options: MariaDBServerOptions
  public let directory: TemporaryDirectory
  public let port: Int

  private let process = Mutex<ChildProcess?>(nil)

  /// Starts a server and waits until it answers.
  ///
  /// - Throws: ``TestServerError/launch(_:)`` with the server's log if it ends or does not answer in time.
  public init(_ options: MariaDBServerOptions = .init()) throws {
    self.options = options
    directory = try TemporaryDirectory()
    port = FreePort.find()
    try install()
    try start()
    try sql(
      """
      CREATE DATABASE shop; CREATE USER shop@'%' IDENTIFIED BY 'secret'; GRANT ALL ON shop.* TO shop@'%';
      """
    )
  }

  // The server must be gone before its directory is removed.
  deinit { process.withLock { $0?.end() } }

  public var socketPath: String { directory.file("my.sock") }

  /// A server's URL by its unix socket, or by its port.
  public func url(database: String = "shop", tcp: Bool = false) -> String {
    tcp ? "mysql://shop:secret@127.0.0.1:\(port)/\(database)" : "mysql://shop:secret@/\(database)?socket=\(socketPath)"
  }

  /// The process id, or null while the server is down.
  public var pid: pid_t? { process.withLock { $0?.poll() == nil ? $0?.pid : nil } }

  /// All that the server has logged, over all its starts.
  public var log: String {
    String(decoding: (try? Data(contentsOf: URL(fileURLWithPath: directory.file("log")))) ?? Data(), as: UTF8.self)
  }

  /// Runs statements as root, by the command-line client.
  /// - Parameter delimiter: what stands between them; another than `;` for a trigger.
  /// - Returns: the rows, with tabs between their columns, and no header.
  @discardableResult
  public func sql(_ statements: String, database: String? = nil, delimiter: String = ";") throws -> String {
    let words =
      ["mariadb", "--no-defaults", "--batch", "--skip-column-names", "--user=root", "--socket=\(socketPath)"]
      + ["--delimiter=\(delimiter)"]
    let client = try Subprocess(
      words[0],
      words.dropFirst() + (database.map { [$0] } ?? []) + ["--execute", statements]
    )
    let outcome = try client.wait(timeout: .seconds(60))
    guard outcome.status == .exited(0) else { throw TestServerError.launch("SQL: \(outcome.stderr)") }
    return outcome.stdout
  }

  /// A database of its own for one test.
  public func makeDatabase() throws -> String {
    let name = "test_\(UInt64.random(in: 0...UInt64.max))"
    try sql("CREATE DATABASE \(name); GRANT ALL ON \(name).* TO shop@'%'")
    return name
  }

  /// Kills the server as a crash does and waits until it is gone. The directory stays.
  public func kill9() throws { try end(SIGKILL) }

  /// Ends the server as an orderly shutdown does and waits until it is gone. The directory stays.
  public func stop() throws { try end(SIGTERM) }

  /// Starts the server again, on the same directory, socket and port, after stopping it if it runs.
  public func restart() throws {
    if pid != nil { try stop() }
    try start()
  }

  /// Stops the server's process as a hung machine would (SIGSTOP), until ``resume()``.
  public func pause() { process.withLock { $0?.signal(SIGSTOP) } }

  public func resume() { process.withLock { $0?.signal(SIGCONT) } }

  private var dataDirectory: String { options.dataDirectory ?? directory.file("data") }

  /// mariadbd refuses to run as root unless told so.
  private var user: [String] { geteuid() == 0 ? ["--user=root"] : [] }

  private func install() throws {
    let words =
      ["mariadb-install-db", "--no-defaults", "--datadir=\(dataDirectory)", "--auth-root-authentication-method=normal"]
      + ["--skip-test-db", "--innodb-log-file-size=16M"] + user
    var outcome = try Subprocess(words[0], Array(words.dropFirst())).wait(timeout: .seconds(120))
    if outcome.status != .exited(0) {
      // Many set-ups at once can run out of the kernel's asynchronous I/O; by then it is free again.
      try? FileManager.default.removeItem(atPath: dataDirectory)
      outcome = try Subprocess(words[0], Array(words.dropFirst())).wait(timeout: .seconds(120))
    }
    guard outcome.status == .exited(0) else {
      throw TestServerError.launch("mariadb-install-db: \(outcome.stdout) \(outcome.stderr)")
    }
  }

  private func start() throws {
    let output = directory.file("log")
    let before = log.utf8.count
    let child = try ChildProcess(
      ["mariadbd", "--no-defaults"] + user + settings,
      directory: directory.path,
      input: .path("/dev/null"),
      output: output,
      errors: output
    )
    process.withLock { $0 = child }
    do {
      try waitUntil("mariadbd", timeout: .seconds(60)) {
        if let status = child.poll() { throw TestServerError.launch("mariadbd ended: \(status)") }
        return (try? sql("SELECT 1")) == "1\n"
      }
    } catch {
      process.withLock { $0 = nil }
      throw TestServerError.launch("\(error)\n\(String(decoding: log.utf8.dropFirst(before), as: UTF8.self))")
    }
  }

  private var settings: [String] {
    [
      "--datadir=\(dataDirectory)", "--socket=\(socketPath)", "--port=\(port)", "--bind-address=127.0.0.1",
      "--pid-file=\(directory.file("pid"))", "--tmpdir=\(directory.path)", "--skip-name-resolve",
      "--innodb-flush-log-at-trx-commit=\(options.flushLogAtCommit)", "--innodb-buffer-pool-size=256M",
      "--innodb-log-file-size=256M", "--innodb-flush-method=O_DIRECT_NO_FSYNC", "--performance-schema=OFF",
      "--max-connections=1200", "--skip-log-bin", "--innodb-buffer-pool-dump-at-shutdown=OFF",
      "--innodb-buffer-pool-load-at-startup=OFF",
    ] + options.lines.map { "--\($0)" }
  }

  private func end(_ signal: Int32) throws {
    guard let running = process.withLock({ $0 }) else { return }
    running.signal(signal)
    if signal == SIGTERM { running.signal(SIGCONT) }
    _ = try running.wait(timeout: .seconds(60))
    process.withLock { $0 = nil }
    unlink(socketPath)
  }
}
