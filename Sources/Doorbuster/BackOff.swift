/// Growing waits between attempts at what keeps failing.
struct BackOff: Hashable, Sendable {
  var firstMs: Int64 = 50
  var maxMs: Int64 = 5000
  private var failures = 0

  init(firstMs: Int64 = 50, maxMs: Int64 = 5000) {
    self.firstMs = firstMs
    self.maxMs = maxMs
  }

  /// Notes a failure; how long to wait before the next attempt, in ms, without jitter.
  mutating func failed() -> Int64 {
    let wait = min(maxMs, firstMs << min(failures, 20))
    failures += 1
    return wait
  }

  mutating func succeeded() { failures = 0 }
}

extension Int64 {
  /// Half to all of it at random, so that many waiters don't come back at once.
  var jittered: Int64 { self <= 1 ? self : Int64.random(in: self / 2...self) }
}
