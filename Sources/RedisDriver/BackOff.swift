/// How long to wait before the next attempt to connect: doubling from `first` to `longest`, less a random part.
///
/// The random part, up to a half, keeps many clients from coming back all at once.
public struct BackOff: Sendable, Hashable {
  public var first: Duration
  public var longest: Duration

  public init(first: Duration = .milliseconds(10), longest: Duration = .seconds(1)) {
    self.first = first
    self.longest = longest
  }

  /// Nanoseconds to wait after the given number of failures in a row, from 1: between a half of the full delay and
  /// the full delay, which is `first * 2^(failures - 1)` but at most `longest`.
  func delay(failures: Int, using generator: inout some RandomNumberGenerator) -> Int64 {
    let ceiling = max(longest.wholeNanoseconds, 1)
    let exponent = min(max(failures - 1, 0), 62)
    let (product, overflow) = max(first.wholeNanoseconds, 1).multipliedReportingOverflow(by: 1 << exponent)
    let full = overflow ? ceiling : min(product, ceiling)
    return Int64.random(in: (full - full / 2)...full, using: &generator)
  }
}
