import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// A redis-server of our own with the module loaded, on a free port of 127.0.0.1, a unix socket and a directory that
/// the caller owns.
final class LocalRedisServer: Sendable {
  /// The socket's URL, for this process.
  let url: String
  /// The port's URL, for anyone else on this machine.
  let portURL: String
  private let process: LocalProcess

  private init(url: String, portURL: String, process: LocalProcess) {
    self.url = url
    self.portURL = portURL
    self.process = process
  }

  /// - Throws: ``CommandFailure`` where redis-server or the module is missing, or the server does not come up.
  static func start(in directory: URL) async throws -> LocalRedisServer {
    let module = try modulePath()
    guard let server = LocalProcess.executable("redis-server") else {
      throw CommandFailure(
        "there is no redis-server on the PATH; install it (apt-get install redis-server) or give --redis"
      )
    }
    var last = ""
    for _ in 0..<5 {
      let port = try freePort()
      let started = try launch(server: server, module: module, directory: directory, port: port)
      if try await started.waitUntilReady(directory: directory) { return started }
      await started.stop()
      last = lastLogLine(directory)
    }
    throw CommandFailure("redis-server did not start: \(last)")
  }

  /// Ends the server and waits for it.
  func stop() async { await process.stop() }

  /// The module stands beside the command line, as scripts/build leaves it.
  private static func modulePath() throws -> String {
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let path = own.deletingLastPathComponent().appendingPathComponent("doorbuster.so").path
    guard FileManager.default.isReadableFile(atPath: path) else {
      throw CommandFailure("the module is missing: there is no \(path); run scripts/build")
    }
    return path
  }

  private static func launch(server: String, module: String, directory: URL, port: Int) throws -> LocalRedisServer {
    let socket = directory.appendingPathComponent("redis.sock").path
    let process = try LocalProcess(
      [
        server, "--port", String(port), "--bind", "127.0.0.1", "--unixsocket", socket,
        "--dir", directory.path, "--logfile", logFile(directory).path, "--appendonly", "yes", "--appendfsync",
        "everysec",
        "--save", "", "--notify-keyspace-events", "Ed",
        "--loadmodule", module,
      ],
      directory: directory
    )
    return LocalRedisServer(url: "unix://\(socket)", portURL: "redis://127.0.0.1:\(port)", process: process)
  }

  private func waitUntilReady(directory: URL) async throws -> Bool {
    for _ in 0..<200 {
      let log = (try? String(contentsOf: Self.logFile(directory), encoding: .utf8)) ?? ""
      if log.contains("The server is now ready to accept connections at") { return true }
      if !process.isRunning || log.contains("Failed listening on port")
        || log.contains("Module") && log.contains("failed")
      {
        return false
      }
      try await Task.sleep(for: .milliseconds(25))
    }
    return false
  }

  private static func logFile(_ directory: URL) -> URL { directory.appendingPathComponent("redis.log") }

  private static func lastLogLine(_ directory: URL) -> String {
    let log = (try? String(contentsOf: logFile(directory), encoding: .utf8)) ?? ""
    return log.split(separator: "\n").last.map(String.init) ?? "it wrote no log"
  }

  private static func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw CommandFailure("no socket: \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(descriptor, address, length) == 0 && getsockname(descriptor, address, &length) == 0
      }
    }
    guard bound else { throw CommandFailure("no free port: \(String(cString: strerror(errno)))") }
    return Int(UInt16(bigEndian: address.sin_port))
  }
}
