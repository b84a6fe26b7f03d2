import Glibc

/// A small seeded generator: the same seed gives the same numbers on every machine.
public struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }

  /// True once in `n` times.
  public mutating func oneIn(_ n: UInt64) -> Bool { next() % n == 0 }

  /// The seed of this run: `DOORBUSTER_SEED` where it is set, so that a failure can be played again; else a fresh one.
  public static func seedOfRun() -> UInt64 {
    if let text = getenv("DOORBUSTER_SEED"), let seed = UInt64(String(cString: text)) { return seed }
    return UInt64.random(in: 0...UInt64.max)
  }
}

/// Runs `body` with a generator; if it throws, the seed that repeats the run is printed first.
///
/// Expectations that don't throw should carry `seed` in their comment.
public func withSeed<Value>(
  _ seed: UInt64 = SplitMix64.seedOfRun(),
  _ body: (_ seed: UInt64, inout SplitMix64) throws -> Value
) rethrows -> Value {
  var random = SplitMix64(seed: seed)
  do {
    return try body(seed, &random)
  } catch {
    print("repeat this failure with DOORBUSTER_SEED=\(seed)")
    throw error
  }
}
