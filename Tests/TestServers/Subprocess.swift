import Foundation
import Glibc

/// A command-line program under test, with its output in files, so that a chatty one never blocks on a full pipe.
///
/// It runs in a process group of its own; what is left of the group is killed when this object goes, or with the test
/// process.
public final class Subprocess: Sendable {
  /// What a program that has ended left behind.
  public struct Outcome: Sendable {
    public let status: ExitStatus
    public let stdout: String
    public let stderr: String
  }

  private let files: TemporaryDirectory
  private let child: ChildProcess
  private let terminal: PseudoTerminal?

  public var pid: pid_t { child.pid }

  /// Starts `path` (looked up in `PATH` if it has no slash).
  ///
  /// - Parameters:
  ///   - environment: variables set on top of this process' own.
  ///   - input: what its standard input reads before the end of the file.
  ///   - directory: its working directory; a fresh temporary one unless told.
  ///   - errorsToTerminal: whether its standard error is a terminal, as for a user who watches it. Who waits for such a
  ///     program must look at ``stderr`` meanwhile if it writes more than a few kilobytes: ``wait(timeout:)`` does.
  public init(
    _ path: String,
    _ arguments: [String] = [],
    environment: [String: String] = [:],
    input: [UInt8] = [],
    directory: String? = nil,
    errorsToTerminal: Bool = false
  ) throws {
    files = try TemporaryDirectory()
    try Data(input).write(to: URL(fileURLWithPath: files.file("stdin")))
    let work = files.file("work")
    try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
    terminal = errorsToTerminal ? try PseudoTerminal() : nil
    child = try ChildProcess(
      [path] + arguments,
      directory: directory ?? work,
      input: .path(files.file("stdin")),
      output: files.file("stdout"),
      errors: terminal?.path ?? files.file("stderr"),
      environment: environment
    )
  }

  // The group must be gone before its directory is removed.
  deinit { child.end() }

  /// All that it has written to its standard output so far.
  public var stdout: String { text(of: "stdout") }

  /// All that it has written to its standard error so far.
  public var stderr: String { terminal?.text() ?? text(of: "stderr") }

  public var isRunning: Bool { child.poll() == nil }

  /// Sends a signal to the program itself, not to its children. Nothing happens once it has ended.
  public func signal(_ number: Int32) { child.signal(number) }

  /// Kills the program as a crash would, and waits until it is gone.
  public func kill9() throws {
    child.signal(SIGKILL)
    _ = try child.wait(timeout: .seconds(20))
  }

  /// - Throws: ``TestServerError/timeout(_:)`` if it still runs after `timeout`; it goes on running.
  public func wait(timeout: Duration = .seconds(60)) throws -> Outcome {
    let status = try waitUntil("the end of process \(pid)", timeout: timeout) {
      _ = terminal?.text()
      return child.poll()
    }
    return Outcome(status: status, stdout: stdout, stderr: stderr)
  }

  /// Runs a program to its end; beyond `timeout` it is killed and the call throws.
  public static func run(
    _ path: String,
    _ arguments: [String] = [],
    environment: [String: String] = [:],
    input: [UInt8] = [],
    timeout: Duration = .seconds(60)
  ) throws -> Outcome {
    try Subprocess(path, arguments, environment: environment, input: input).wait(timeout: timeout)
  }

  private func text(of name: String) -> String {
    String(decoding: (try? Data(contentsOf: URL(fileURLWithPath: files.file(name)))) ?? Data(), as: UTF8.self)
  }
}
