import Glibc

// How a process that may kill itself at a chosen step ends, waited for without blocking a thread.
extension Subprocess {
  /// Waits until it has died at its crash point. The whole lines that it had printed.
  @discardableResult
  public func diedOfCrash(timeout: Duration = .seconds(40)) async throws -> [String] {
    let outcome = try await outcome(timeout: timeout)
    guard outcome.status == .signalled(SIGKILL) else {
      throw TestServerError.launch("it never came to its crash point: \(outcome.status) \(outcome.stderr)")
    }
    return wholeLines
  }

  /// Waits until it has ended well. The lines that it printed.
  @discardableResult
  public func endedWell(timeout: Duration = .seconds(40)) async throws -> [String] {
    let outcome = try await outcome(timeout: timeout)
    guard outcome.status == .exited(0) else {
      throw TestServerError.launch("\(outcome.status): \(outcome.stderr)")
    }
    return wholeLines
  }

  /// Waits for its end.
  public func outcome(timeout: Duration = .seconds(40)) async throws -> Outcome {
    try await eventually("the end of process \(pid); it says: \(stderr)", timeout: timeout) { !isRunning }
    return try wait(timeout: .seconds(1))
  }

  /// What it has printed. A line that a crash cut off is no promise to anyone.
  public var wholeLines: [String] {
    stdout.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
  }
}
