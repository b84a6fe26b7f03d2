import Foundation
import Glibc
import TestServers
import Testing

/// The built command line.
enum Doorbuster {
  /// Settings of whoever runs the tests are none of the tests'.
  static let noSettings = ["DOORBUSTER_REDIS": "", "DOORBUSTER_BROKER": "", "DOORBUSTER_DATABASE": ""]

  static func start(
    _ arguments: [String],
    environment: [String: String] = [:],
    errorsToTerminal: Bool = false
  ) throws -> Subprocess {
    try Subprocess(
      BuiltFiles.commandLine(),
      arguments,
      environment: noSettings.merging(environment) { $1 },
      errorsToTerminal: errorsToTerminal
    )
  }

  static func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Subprocess.Outcome {
    try start(arguments, environment: environment).wait()
  }
}

/// A Redis server with the module and a database file, and the command line that uses them.
final class Shop: Sendable {
  let server: RedisServer
  let files: TemporaryDirectory

  init(_ options: RedisServerOptions = .init()) throws {
    server = try RedisServer(options)
    files = try TemporaryDirectory()
  }

  var redis: String { "unix://\(server.socketPath)" }
  var database: String { "sqlite:" + files.file("orders.sqlite") }
  var flags: [String] { ["--redis", redis, "--database", database] }

  func run(_ arguments: String...) throws -> Subprocess.Outcome { try Doorbuster.run(arguments + flags) }

  func start(_ arguments: String...) throws -> Subprocess { try Doorbuster.start(arguments + flags) }

  /// What a command prints with `--json`, once it has ended with that status.
  func json(
    _ arguments: String...,
    status: Int32 = 0,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> JSON {
    let outcome = try Doorbuster.run(arguments + ["--json"] + flags)
    #expect(outcome.status == .exited(status), "\(outcome.stderr)", sourceLocation: sourceLocation)
    return try JSON(outcome.stdout)
  }

  func status(_ sku: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> JSON {
    try json("sale", "status", sku, sourceLocation: sourceLocation)
  }

  /// Runs a worker until `condition` holds, then stops it as a service manager does.
  ///
  /// - Returns: what it counted.
  @discardableResult
  func work(_ settings: String..., until condition: () throws -> Bool) throws -> JSON {
    let worker = try Doorbuster.start(["worker", "--json"] + settings + flags)
    try waitUntil("the worker's work; it says: \(worker.stderr)", condition)
    worker.signal(SIGTERM)
    let outcome = try worker.wait()
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    return try JSON(outcome.stdout)
  }

  func write(_ text: String, to name: String) throws -> String {
    let path = files.file(name)
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    return path
  }

  /// All that the server holds, as its digest tells.
  func digest() throws -> String? { try server.call("DEBUG", "DIGEST").text }
}

/// Expects that a command failed without a word on standard output, and named the culprit at the start of its
/// standard error, in few and short lines.
func expectRefusal(
  _ outcome: Subprocess.Outcome,
  status: Int32 = 1,
  naming culprit: String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let lines = outcome.stderr.split(separator: "\n")
  let comment = Comment(rawValue: outcome.stderr)
  #expect(outcome.status == .exited(status), comment, sourceLocation: sourceLocation)
  #expect(outcome.stdout.isEmpty, comment, sourceLocation: sourceLocation)
  #expect(lines.prefix(2).joined(separator: "\n").contains(culprit), comment, sourceLocation: sourceLocation)
  // A wrong argument is followed by its help and the usage.
  #expect(lines.count <= (status == 64 ? 6 : 2), comment, sourceLocation: sourceLocation)
  #expect(!outcome.stderr.contains(".swift"), comment, sourceLocation: sourceLocation)
}
