import Testing

@testable import RedisDriver

/// `#expect` takes copies of what it looks at, which noncopyable values don't allow; these look at results only.
func expectEqual<Value: Equatable>(_ value: Value, _ expected: Value, sourceLocation: SourceLocation = #_sourceLocation)
{
  #expect(value == expected, sourceLocation: sourceLocation)
}

func expectTrue(_ value: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(value, sourceLocation: sourceLocation)
}

/// The error that `body` throws; a failure if it throws none.
func expectError(
  sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () throws(RedisError) -> Void
) -> RedisError? {
  do throws(RedisError) {
    try body()
    Issue.record("no error was thrown", sourceLocation: sourceLocation)
    return nil
  } catch {
    return error
  }
}

/// Xorshift: the same numbers for the same seed, which must not be 0.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}

/// Milliseconds on a clock that nobody reads.
func at(_ milliseconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: milliseconds * 1_000_000) }

/// Always the longest wait, so that times can be told.
struct Longest: RandomNumberGenerator {
  mutating func next() -> UInt64 { .max }
}
