import Foundation
import Glibc

/// Waits until `condition` gives a value, looking every millisecond.
///
/// - Throws: ``TestServerError/timeout(_:)`` naming `what` when `timeout` has passed; what `condition` throws, at once.
@discardableResult
public func waitUntil<Value>(
  _ what: String,
  timeout: Duration = .seconds(20),
  _ condition: () throws -> Value?
) throws -> Value {
  let clock = ContinuousClock()
  let deadline = clock.now + timeout
  while true {
    if let value = try condition() { return value }
    guard clock.now < deadline else { throw TestServerError.timeout(what) }
    usleep(1_000)
  }
}

/// Waits until `condition` holds, looking every millisecond. Throws as the other form does.
public func waitUntil(
  _ what: String,
  timeout: Duration = .seconds(20),
  _ condition: () throws -> Bool
) throws {
  try waitUntil(what, timeout: timeout) { try condition() ? true : nil }
}

/// Waits without blocking a thread until `condition` holds.
///
/// - Throws: ``TestServerError/timeout(_:)`` naming `what` when `timeout` has passed; what `condition` throws, at once.
public func eventually(
  _ what: @autoclosure () -> String,
  timeout: Duration = .seconds(120),
  _ condition: () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + timeout
  while try await !condition() {
    guard ContinuousClock.now < end else { throw TestServerError.timeout(what()) }
    try await Task.sleep(for: .milliseconds(2))
  }
}

/// Runs what blocks (starting a server, say) where it holds up none of the few threads that all tests share.
public func aside<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
  try await withCheckedThrowingContinuation { done in
    Thread.detachNewThread { done.resume(with: Result(catching: body)) }
  }
}
