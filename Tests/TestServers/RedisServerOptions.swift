import Foundation

/// How a ``RedisServer`` is started.
public struct RedisServerOptions: Sendable {
  public enum Module: Sendable {
    /// `build/doorbuster.so` of this package, or the file that `DOORBUSTER_MODULE` names.
    case product
    case path(String)
    case none
  }

  public enum AppendFsync: String, Sendable {
    case always, everysec, no
  }

  /// What runs the server, before the name of its configuration: `redis-server`, or the words that
  /// `DOORBUSTER_REDIS_SERVER` holds (separated by blanks), such as a checking tool before it.
  public var program: [String]
  /// What is loaded at the start.
  public var module: Module
  /// Words after the module's path, as in `--loadmodule`.
  public var moduleArguments: [String]
  /// Whether an append-only file is kept. Without it nothing is saved unless told (`SAVE`).
  public var appendOnly: Bool
  public var appendFsync: AppendFsync
  /// Whether a rewritten append-only file begins with an RDB.
  public var rdbPreamble: Bool
  /// Whether the server listens on a free port of 127.0.0.1 too. A master of real replicas must.
  public var tcp: Bool
  /// The master, which must listen on a port.
  public var replicaOf: RedisServer?
  /// Further lines of redis.conf, which win over all others.
  public var configLines: [String]

  public init(
    program: [String] = BuiltFiles.redisServer,
    module: Module = .product,
    moduleArguments: [String] = [],
    appendOnly: Bool = false,
    appendFsync: AppendFsync = .always,
    rdbPreamble: Bool = true,
    tcp: Bool = false,
    replicaOf: RedisServer? = nil,
    configLines: [String] = []
  ) {
    self.program = program
    self.module = module
    self.moduleArguments = moduleArguments
    self.appendOnly = appendOnly
    self.appendFsync = appendFsync
    self.rdbPreamble = rdbPreamble
    self.tcp = tcp
    self.replicaOf = replicaOf
    self.configLines = configLines
  }

  func lines(directory: String, socket: String, port: Int) throws -> [String] {
    var lines = [
      "dir \(directory)", "unixsocket \(socket)", "bind 127.0.0.1", "port \(port)", "daemonize no", "save \"\"",
      "enable-debug-command yes", "enable-module-command yes", "repl-diskless-sync no",
      "appendonly \(appendOnly ? "yes" : "no")", "appendfsync \(appendFsync.rawValue)",
      "aof-use-rdb-preamble \(rdbPreamble ? "yes" : "no")",
    ]
    if let path = try modulePath() {
      lines.append((["loadmodule", path] + moduleArguments).joined(separator: " "))
    }
    return lines + configLines
  }

  private func modulePath() throws -> String? {
    switch module {
    case .none: nil
    case .path(let path): path
    case .product: try BuiltFiles.module()
    }
  }
}

/// The files that `scripts/build` and the tests' build leave.
public enum BuiltFiles {
  /// The root of this package.
  public static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

  /// `redis-server`, or the words of `DOORBUSTER_REDIS_SERVER`.
  public static let redisServer =
    (ProcessInfo.processInfo.environment["DOORBUSTER_REDIS_SERVER"] ?? "redis-server").split(separator: " ").map(
      String.init
    )

  /// The module: what `DOORBUSTER_MODULE` names, else `build/doorbuster.so`.
  public static func module() throws -> String { try existing("DOORBUSTER_MODULE", "build/doorbuster.so") }

  /// The command line: what `DOORBUSTER_CLI` names, else `build/doorbuster`.
  public static func commandLine() throws -> String { try existing("DOORBUSTER_CLI", "build/doorbuster") }

  /// A program that is built with the tests, which the build leaves beside them.
  public static func beside(_ name: String) throws -> String {
    var directory = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    while directory.path != "/" {
      directory.deleteLastPathComponent()
      let file = directory.appendingPathComponent(name).path
      if FileManager.default.isExecutableFile(atPath: file) { return file }
    }
    throw TestServerError.launch("there is no \(name) beside \(CommandLine.arguments[0])")
  }

  private static func existing(_ variable: String, _ path: String) throws -> String {
    let file = ProcessInfo.processInfo.environment[variable] ?? root + "/" + path
    guard FileManager.default.fileExists(atPath: file) else {
      throw TestServerError.launch("\(file) is missing: scripts/build makes it, or \(variable) names another")
    }
    return file
  }
}
