import Foundation
import Glibc
import Synchronization

/// A private redis-server on a temporary directory, with a unix socket and, where asked for, a port of 127.0.0.1.
///
/// Its directory lives as long as this object, so a server that was stopped or killed can be started again on it.
/// Nothing outlives the test process. Methods block; all of them may be called from any thread.
public final class RedisServer: Sendable {
  public let options: RedisServerOptions
  public let directory: TemporaryDirectory

  private let process = Mutex<ChildProcess?>(nil)
  private let chosenPort = Mutex<Int>(0)

  /// Starts a server and waits until it answers.
  ///
  /// - Throws: ``TestServerError/launch(_:)`` with the server's log if it ends or does not answer in time.
  public init(_ options: RedisServerOptions = .init()) throws {
    self.options = options
    directory = try TemporaryDirectory()
    try start()
  }

  // The server must be gone before its directory is removed.
  deinit { process.withLock { $0?.end() } }

  /// Where the server listens.
  public var socketPath: String { directory.file("redis.sock") }

  /// The port of 127.0.0.1, or 0 without ``RedisServerOptions/tcp``. It stays the same over restarts.
  public var port: Int { chosenPort.withLock { $0 } }

  /// The process id, or null while the server is down.
  public var pid: pid_t? { process.withLock { $0?.poll() == nil ? $0?.pid : nil } }

  /// All that the server has logged, over all its starts.
  public var log: String {
    String(decoding: (try? Data(contentsOf: URL(fileURLWithPath: directory.file("log")))) ?? Data(), as: UTF8.self)
  }

  /// A new connection by the unix socket.
  public func connect() throws -> RawRedis { try RawRedis(path: socketPath) }

  /// Sends one command on a connection of its own.
  @discardableResult
  public func call(_ arguments: any RedisArgument...) throws -> RESP { try connect().call(arguments) }

  /// Ends the server as an orderly shutdown does (SIGTERM) and waits until it is gone. The directory stays.
  public func stop() throws { try end(SIGTERM) }

  /// Kills the server as a crash does and waits until it is gone. The directory stays.
  public func kill9() throws { try end(SIGKILL) }

  /// Starts the server again, on the same directory, socket and port, after stopping it if it runs.
  public func restart() throws {
    if pid != nil { try stop() }
    try start()
  }

  /// Stops the server's process as a hung machine would (SIGSTOP), until ``resume()``.
  public func pause() { process.withLock { $0?.signal(SIGSTOP) } }

  public func resume() { process.withLock { $0?.signal(SIGCONT) } }

  /// Waits until this replica has all that its master had when this was called.
  public func waitForSync(with master: RedisServer) throws {
    let here = try connect()
    let there = try master.connect()
    try waitUntil("the replica's link") { try info(here, "master_link_status") == "up" }
    guard let goal = Int64(try info(there, "master_repl_offset") ?? "") else {
      throw TestServerError.launch("the master tells no replication offset")
    }
    try waitUntil("the replica's offset \(goal)") {
      Int64(try info(here, "slave_repl_offset") ?? "").map { $0 >= goal } ?? false
    }
  }

  /// Makes this server a replica of `master`, which must listen on a port, and waits until it is in step.
  public func follow(_ master: RedisServer) throws {
    guard master.port != 0 else { throw TestServerError.launch("the master of a replica needs a port") }
    try call("REPLICAOF", "127.0.0.1", master.port)
    try waitForSync(with: master)
  }

  private func info(_ connection: RawRedis, _ field: String) throws -> String? {
    let lines = try connection.call("INFO", "replication").text?.split(whereSeparator: \.isNewline) ?? []
    return lines.first { $0.hasPrefix(field + ":") }.map { String($0.dropFirst(field.count + 1)) }
  }

  private func end(_ signal: Int32) throws {
    guard let running = process.withLock({ $0 }) else { return }
    running.signal(signal)
    if signal == SIGTERM { running.signal(SIGCONT) }
    _ = try running.wait(timeout: .seconds(30))
    process.withLock { $0 = nil }
    // A killed server leaves its socket behind, which would make the next one look as if it were up.
    unlink(socketPath)
  }

  private func start() throws {
    var attempts = 0
    while true {
      attempts += 1
      let port = chosenPort.withLock { port in
        if port == 0, options.tcp { port = Self.freePort() }
        return port
      }
      do {
        try launch(port: port)
        if let master = options.replicaOf { try follow(master) }
        return
      } catch let error as TestServerError {
        // Somebody else took the port between our looking and the server's binding.
        guard attempts < 10, "\(error)".contains("Address already in use") else { throw error }
        if log.components(separatedBy: "Ready to accept connections").count == 1 { chosenPort.withLock { $0 = 0 } }
      }
    }
  }

  private func launch(port: Int) throws {
    let configuration = directory.file("redis.conf")
    try options.lines(directory: directory.path, socket: socketPath, port: port).joined(separator: "\n")
      .write(toFile: configuration, atomically: true, encoding: .utf8)
    let output = directory.file("log")
    let before = log.utf8.count
    let child = try ChildProcess(
      ["redis-server", configuration],
      directory: directory.path,
      input: .path("/dev/null"),
      output: output,
      errors: output
    )
    process.withLock { $0 = child }
    do {
      try waitUntil("redis-server", timeout: .seconds(30)) {
        if let status = child.poll() { throw TestServerError.launch("redis-server ended: \(status)") }
        guard let answer = try? RawRedis(path: socketPath).call("PING") else { return false }
        return answer == .simple("PONG") || answer.errorCode == "NOAUTH"
      }
    } catch {
      process.withLock { $0 = nil }
      throw TestServerError.launch("\(error)\n\(String(decoding: log.utf8.dropFirst(before), as: UTF8.self))")
    }
  }

  /// A port below the range that the kernel gives to outgoing connections, so that it is still free after a restart.
  static func freePort() -> Int {
    while true {
      let port = Int.random(in: 20_000..<32_000)
      let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
      defer { close(probe) }
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = in_port_t(port).bigEndian
      address.sin_addr.s_addr = inet_addr("127.0.0.1")
      let code = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(probe, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      if code == 0 { return port }
    }
  }
}
