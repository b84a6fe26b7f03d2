import Testing

@testable import StockCore

@Suite("Rebalancing")
struct RebalancingTests {
  private func product(_ quantities: [Int64]) throws -> Product {
    Product(try quantities.map { try Rehearsal($0) })
  }

  private func available(_ product: Product) -> [Int64] { product.buckets.map { $0.bucket.figures.available } }

  @Test("Buckets share evenly or by weights, in one event each that gains or loses")
  func shares() throws {
    let product = try product([10, 0, 3])
    try product.rebalance(weights: nil, "evenly")
    #expect(available(product).sorted() == [4, 4, 5])
    let last = product.buckets.map { $0.bucket.figures.log_last }
    #expect(last == [2, 2, 2])
    try product.rebalance(weights: [1, 1, 1], "again")
    #expect(product.buckets.map { $0.bucket.figures.log_last } == last)
    try product.rebalance(weights: [0, 3, 10], "by weights")
    #expect(available(product) == [0, 3, 10])
    #expect(try product.buckets[0].bucket.events(after: 2, count: 9).map(\.action) == [.rebalance])
    try product.rebalance(weights: [1, 0, 0], "all to one")
    #expect(available(product) == [13, 0, 0])
    #expect(product.buckets[0].bucket.figures.transferred_out > 0)
    try product.checkAll("at the end")
  }

  @Test("What is held or sold stays where it is, and holds that are due are not expired")
  func untouched() throws {
    let product = try product([10, 0])
    try product.buckets[0].play(.deduct(user: "u", token: "s", quantity: 2), now: 1000, "sold")
    try product.buckets[0].play(.deduct(user: "u", token: "h", quantity: 3, hold: 1), now: 1000, "held")
    product.now = 5000
    try product.rebalance(weights: [0, 1], "all to the other")
    #expect(available(product) == [0, 5])
    expectBooks(product.buckets[0].bucket, available: 0, held: 3, sold: 2, transferredOut: 5)
    expectBooks(product.buckets[1].bucket, available: 5, transferredIn: 5)
  }

  @Test("A frozen bucket among them, or totals beyond 2^53, change none")
  func refusals() throws {
    let frozen = try product([10, 0, 4])
    try frozen.buckets[2].play(.freeze, now: 1000, "freeze")
    try frozen.rebalance(weights: nil, "frozen")
    #expect(available(frozen) == [10, 0, 4])
    let large = try product([Limits.number, 1])
    try large.rebalance(weights: nil, "too much")
    #expect(available(large) == [Limits.number, 1])
    try large.rebalance(weights: [Limits.number, 1], "too heavy")
    let most = try product([Limits.number, 0])
    try most.rebalance(weights: [0, Limits.number], "all of it")
    #expect(available(most) == [0, Limits.number])
    // Nothing more can be transferred out of the first or into the second.
    try most.buckets[0].play(.add(token: "r", quantity: 1), now: 1000, "more")
    try most.rebalance(weights: nil, "there is too much again")
    try most.buckets[1].play(.add(token: "r", quantity: -Limits.number), now: 1000, "less")
    try most.rebalance(weights: [0, 1], "the totals are full")
    #expect(available(most) == [1, 0])
  }

  @Test("The culprit of a refusal is told by its place")
  func culprit() throws {
    let product = try product([1, 2, 3])
    try product.buckets[1].play(.freeze, now: 1000, "freeze")
    var outcomes = [Outcome](repeating: Outcome(), count: 3)
    var culprit = 9
    let places = product.buckets.map(\.place)
    let fault = places.withUnsafeBufferPointer { buckets -> Fault in
      outcomes.withUnsafeMutableBufferPointer { results in
        guard let first = buckets.baseAddress, let result = results.baseAddress else { return .none }
        return Bucket.rebalance(first, count: 3, weights: nil, now: 1, outcomes: result, culprit: &culprit)
      }
    }
    #expect(fault == .frozen && culprit == 1)
  }

  @Test("One bucket alone keeps what it has")
  func alone() throws {
    let product = try product([7])
    try product.rebalance(weights: nil, "alone")
    try product.rebalance(weights: [Limits.number], "alone, by weight")
    #expect(available(product) == [7] && product.buckets[0].bucket.figures.log_last == 1)
  }
}
