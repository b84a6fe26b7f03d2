import StockCore
import Testing

@Suite("Sharing out")
struct AllocationTests {
  private func check(_ whole: Int64, _ weights: [Int64]) {
    let shares = shares(of: whole, weights: weights)
    #expect(shares.count == weights.count && shares.reduce(0, +) == whole, "\(whole) by \(weights)")
    let total = weights.reduce(0, +)
    for (share, weight) in zip(shares, weights) {
      let (quotient, remainder) = total.dividingFullWidth(whole.multipliedFullWidth(by: weight))
      #expect(share == quotient || remainder > 0 && share == quotient + 1, "\(whole) by \(weights): \(shares)")
    }
  }

  @Test("Shares add up, and each is its exact part rounded down or up, for every small whole and weights")
  func exhaustive() {
    for whole: Int64 in 0...13 {
      for first: Int64 in 0...4 {
        for second: Int64 in 0...4 {
          for third: Int64 in 0...4 where first + second + third > 0 { check(whole, [first, second, third]) }
        }
      }
    }
  }

  @Test("Equal weights differ by one at most, however many", arguments: [1, 2, 3, 7, 64, 16384])
  func equal(count: Int) {
    for whole in [0, 1, Int64(count) - 1, Int64(count), 1_000_003, Limits.number] {
      let shares = shares(of: whole, weights: [Int64](repeating: 1, count: count))
      #expect(shares.reduce(0, +) == whole)
      #expect((shares.max() ?? 0) - (shares.min() ?? 0) <= 1)
    }
  }

  @Test("The largest wholes and weights neither trap nor lose a unit")
  func extremes() {
    let most = Limits.number
    check(most, [most])
    check(most, [1, most - 1])
    check(most, [most - 1, 1])
    check(most, [0, most, 0])
    check(most, [most / 2, most / 2])
    check(1, [most / 2, most / 2])
    check(0, [most])
    check(most, [1, 1, 1])
    check(most - 1, [most / 3, most / 3, most / 3])
    #expect(shares(of: most, weights: [0, 0, 1]) == [0, 0, most])
  }

  @Test("Random wholes and weights", arguments: 0..<200)
  func random(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let count = Int.random(in: 1...20, using: &random)
    var weights: [Int64] = []
    for _ in 0..<count {
      let bits = Int.random(in: 0...48, using: &random)
      weights.append(.random(in: 0...(1 << bits), using: &random))
    }
    weights[.random(in: weights.indices, using: &random)] += 1
    check(.random(in: 0...Limits.number, using: &random), weights)
  }
}
