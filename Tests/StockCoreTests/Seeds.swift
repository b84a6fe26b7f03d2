import Foundation

/// The seeds of a random test: so many from a first one on. `DOORBUSTER_SEED=n` plays that one again instead,
/// `DOORBUSTER_SEEDS=n` plays that many.
func seeds(_ count: Int, from first: UInt64) -> [UInt64] {
  let environment = ProcessInfo.processInfo.environment
  if let text = environment["DOORBUSTER_SEED"], let seed = UInt64(text) { return [seed] }
  let count = environment["DOORBUSTER_SEEDS"].flatMap(Int.init) ?? count
  return (0..<UInt64(max(count, 0))).map { first + $0 }
}

/// A small generator whose seed a failing test prints.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
