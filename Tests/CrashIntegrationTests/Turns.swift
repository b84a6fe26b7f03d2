import TestServers
import Testing

/// Lets a few tests of a suite run at a time. Their processes wait for most of it, so more of them than there are cores go well
/// together; all at once would miss their own bounds.
///
/// Such a test has no time limit: that would count the wait for its turn, which lasts as long as all before it take. What it
/// waits for in its turn (a process, a server's answer) has a bound each.
struct Turns: SuiteTrait, TestTrait, TestScoping {
  private static let slots = Slots(5)

  var isRecursive: Bool { true }

  func provideScope(
    for test: Test,
    testCase: Test.Case?,
    performing body: @Sendable () async throws -> Void
  ) async throws {
    await Self.slots.take()
    let result: Result<Void, any Error>
    do {
      result = .success(try await body())
    } catch {
      result = .failure(error)
    }
    await Self.slots.give()
    try result.get()
  }
}

extension Trait where Self == Turns {
  static var inTurns: Turns { Turns() }
}
