/// Shares a whole out in proportion to weights: each share is its exact part rounded down or up, and all add up. Equal
/// weights give shares that differ by one at most.
struct Allocation {
  private let whole: UInt64
  private let weightTotal: UInt64
  private var weightSoFar: UInt64 = 0
  private var sharedSoFar: UInt64 = 0

  /// `whole` is 0 to 2^53, `weightTotal`, the sum of the weights to come, 1 to 2^63 - 1.
  init(whole: Int64, weightTotal: Int64) {
    self.whole = UInt64(truncatingIfNeeded: whole)
    self.weightTotal = UInt64(truncatingIfNeeded: max(weightTotal, 1))
  }

  /// The share of the next weight, which is at least 0.
  mutating func next(weight: Int64) -> Int64 {
    weightSoFar = min(weightSoFar &+ UInt64(truncatingIfNeeded: weight), weightTotal)
    // The quotient is at most `whole`, for the divisor is at least the weight.
    let product = whole.multipliedFullWidth(by: weightSoFar)
    let shared = weightTotal.dividingFullWidth(product).quotient
    let share = shared &- sharedSoFar
    sharedSoFar = shared
    return Int64(truncatingIfNeeded: share)
  }
}
