import Dispatch
import Foundation
import Glibc
import RedisDriver
import Synchronization
import TestServers

/// A server on a unix socket that does what a test tells it: for each connection in turn one script, run on a thread
/// of its own. Further connections are refused by closing them.
///
/// A script ends with its connection. What it throws is kept in ``failures``.
final class ScriptedPeer: Sendable {
  typealias Script = @Sendable (PeerConnection) throws -> Void

  private let directory: TemporaryDirectory
  private let listener: Int32
  private let state = Mutex(State())

  private struct State {
    var failures: [String] = []
    var connections = 0
  }

  init(_ scripts: Script...) throws {
    directory = try TemporaryDirectory()
    listener = try Self.listen(directory.file("peer.sock"))
    let listener = listener
    Thread.detachNewThread { [weak self] in
      var scripts = scripts[...]
      while true {
        let descriptor = accept(listener, nil, nil)
        if descriptor < 0 { return }
        self?.state.withLock { $0.connections += 1 }
        let connection = PeerConnection(descriptor)
        do {
          try scripts.popFirst()?(connection)
        } catch {
          self?.state.withLock { $0.failures.append("\(error)") }
        }
      }
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  var url: RedisURL { RedisURL(endpoint: .unix(path: directory.file("peer.sock"))) }
  var failures: [String] { state.withLock { $0.failures } }
  var connections: Int { state.withLock { $0.connections } }

  private static func listen(_ path: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
    }
    guard bound == 0, Glibc.listen(descriptor, 16) == 0 else { throw TestServerError.system("listen", errno) }
    return descriptor
  }
}

/// The peer's end of one connection. Closed when it goes.
final class PeerConnection {
  enum Failure: Error {
    case ended, silent
    case unexpected(String)
  }

  private let descriptor: Int32
  private var received: [UInt8] = []

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit {
    // Closing alone is not enough while a server that another test has just started holds a copy of the descriptor.
    shutdown(descriptor, Int32(SHUT_RDWR))
    close(descriptor)
  }

  /// Takes the greeting of a client without password and database.
  func greet() throws {
    try expect("PING")
    reply("+PONG\r\n")
  }

  /// The next command's words, joined by blanks.
  func next() throws -> String {
    while true {
      if let command = takeCommand() { return command }
      var bytes = [UInt8](repeating: 0, count: 4096)
      let count = recv(descriptor, &bytes, bytes.count, 0)
      guard count != 0 else { throw Failure.ended }
      guard count > 0 else { throw Failure.silent }
      received += bytes[..<count]
    }
  }

  func expect(_ command: String) throws {
    let next = try next()
    guard next == command else { throw Failure.unexpected("\(next) in place of \(command)") }
  }

  func reply(_ text: String) {
    let bytes = Array(text.utf8)
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count <= 0 { return }
      sent += count
    }
  }

  /// Waits until the client closes, and fails if it says anything more.
  func waitForEnd() throws {
    do {
      throw Failure.unexpected(try next())
    } catch Failure.ended {}
  }

  private func takeCommand() -> String? {
    var rest = received[...]
    func line() -> Int? {
      guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
      let text = String(decoding: rest[rest.startIndex + 1..<end - 1], as: UTF8.self)
      rest = rest[(end + 1)...]
      return Int(text)
    }
    guard let count = line() else { return nil }
    var words: [String] = []
    for _ in 0..<count {
      guard let size = line(), rest.count >= size + 2 else { return nil }
      words.append(String(decoding: rest.prefix(size), as: UTF8.self))
      rest = rest.dropFirst(size + 2)
    }
    received = Array(rest)
    return words.joined(separator: " ")
  }
}

/// Opens once. Scripts wait for it on their thread, tests in their task; both for 20 seconds at most.
final class Gate: Sendable {
  private let semaphore = DispatchSemaphore(value: 0)
  private let isOpen = Mutex(false)

  func open() {
    isOpen.withLock { $0 = true }
    semaphore.signal()
  }

  func wait() throws {
    guard semaphore.wait(timeout: .now() + 20) == .success else { throw TestServerError.timeout("a gate") }
    semaphore.signal()
  }

  func opened() async throws { try await eventually("a gate") { self.isOpen.withLock { $0 } } }
}

/// Waits without blocking a thread until `condition` holds, for 20 seconds at most.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
  let end = ContinuousClock.now + .seconds(20)
  while try await !condition() {
    guard ContinuousClock.now < end else { throw TestServerError.timeout(what) }
    try await Task.sleep(for: .milliseconds(1))
  }
}

/// The error that `body` throws; nil if it throws none.
func failure<Result>(_ body: () async throws -> Result) async -> RedisError? {
  do {
    _ = try await body()
    return nil
  } catch {
    return error as? RedisError
  }
}

extension RedisClient.Configuration {
  /// Short waits before another attempt, and time-outs so long that no busy machine meets them by accident.
  static let patient = RedisClient.Configuration(
    connectTimeout: .seconds(40),
    timeout: .seconds(40),
    patience: .seconds(60),
    backOff: BackOff(first: .milliseconds(1), longest: .milliseconds(5))
  )
}

/// Closes the client whatever happens.
func withClient(
  _ url: RedisURL,
  _ configuration: RedisClient.Configuration = .patient,
  _ body: (RedisClient) async throws -> Void
) async throws {
  let client = try RedisClient(url, configuration: configuration)
  do {
    try await body(client)
  } catch {
    await client.close()
    throw error
  }
  await client.close()
}

extension RedisServer {
  /// A plain server without the module.
  static func plain(tcp: Bool = false, appendOnly: Bool = false, _ lines: String...) throws -> RedisServer {
    try RedisServer(.init(module: .none, appendOnly: appendOnly, tcp: tcp, configLines: lines))
  }

  var unixURL: RedisURL { RedisURL(endpoint: .unix(path: socketPath)) }
  var tcpURL: RedisURL { RedisURL(endpoint: .tcp(host: "127.0.0.1", port: port)) }
}
