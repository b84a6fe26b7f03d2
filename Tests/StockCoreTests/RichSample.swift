import StockCore

extension Bucket {
  /// The tokens of purchases and fences that the sample knows.
  static let richTokens = [
    "sold", "sold-2", "held", "held-long", "confirmed", "cancelled-held", "cancelled-sold", "off-held", "off-sold",
    "expired", "fenced", "r-held", "r-sold", "r-cancelled", "r-rejected", "r-confirmed", "r-cancel-held",
    "r-cancel-sold", "r-reject-held", "r-reject-sold", "own",
  ]

  /// A bucket with events of every effect and what is left of them: open and settled transfers, holds that are timed, that are
  /// not, and that have ended in every way. It is frozen in the end, by an operator, for another reason too.
  static func richSample(limit: Int64 = 0) -> Bucket {
    var bucket = Bucket.sample(100, limit: limit)
    for play in selling + moving + recording { bucket.play(play, now: 1000) }
    bucket.play(.deduct(user: "v", token: "own", quantity: 3, hold: 500), now: 1005)
    bucket.play(.fence(token: "own"), now: 1600)
    rebalance(&bucket, weights: [1, 3])
    rebalance(&bucket, weights: [5, 1])
    for play in ending { bucket.play(play, now: 1700) }
    bucket.play(.schedule(limit: limit, opens: 500, closes: 5000), now: 1700)
    bucket.play(.freeze, now: 1700)
    bucket.play(.thaw(.none), now: 1701)
    bucket.play(.freezeAnew(.load, seed: 1))
    bucket.play(.freeze, now: 1702)
    return bucket
  }

  private static let selling: [Play] = [
    .deduct(user: "u", token: "sold", quantity: 2), .deduct(user: "v", token: "sold-2", quantity: 300),
    .add(token: "more", quantity: 300), .deduct(user: "v", token: "sold-2", quantity: 300),
    .add(token: "less", quantity: -20),
    .deduct(user: "u", token: "held", quantity: 1, hold: 900),
    .deduct(user: "w", token: "held-long", quantity: 1, hold: 9_000_000),
    .deduct(user: "u", token: "confirmed", quantity: 1, hold: 90_000), .confirm(token: "confirmed"),
    .deduct(user: "u", token: "cancelled-held", quantity: 1, hold: 90_000), .cancel(token: "cancelled-held"),
    .deduct(user: "u", token: "cancelled-sold", quantity: 1), .cancel(token: "cancelled-sold"),
    .deduct(user: "u", token: "off-held", quantity: 1, hold: 90_000), .cancel(token: "off-held", offSale: true),
    .deduct(user: "u", token: "off-sold", quantity: 1), .cancel(token: "off-sold", offSale: true),
    .fence(token: "fenced"),
  ]

  private static let moving: [Play] = [
    .withdraw(transfer: "out", quantity: 3, to: 7), .deposit(transfer: "in", quantity: 40, from: 8),
    .withdraw(transfer: "out-open", quantity: 1, to: 9), .settle(transfer: "out"), .settle(transfer: "in"),
    .recordTransfer(transfer: "r-out", direction: .outgoing, peer: 16383, quantity: 2),
    .recordTransfer(transfer: "r-in", direction: .incoming, peer: 0, quantity: 5), .settle(transfer: "r-in"),
  ]

  private static let recording: [Play] = [
    .record(user: "u", token: "r-held", quantity: 1, as: .held),
    .record(user: "u", token: "r-sold", quantity: 1, as: .sold),
    .record(user: "u", token: "r-cancelled", quantity: 7, as: .cancelled),
    .record(user: "u", token: "r-rejected", quantity: 2, as: .rejected), .recordRestock(token: "r-more", quantity: 6),
    .recordRestock(token: "r-less", quantity: -1), .deduct(user: "u", token: "r-confirmed", quantity: 1, hold: 90_000),
    .record(user: "u", token: "r-confirmed", quantity: 1, as: .sold),
    .deduct(user: "u", token: "r-cancel-held", quantity: 1, hold: 90_000),
    .record(user: "u", token: "r-cancel-held", quantity: 1, as: .cancelled),
    .deduct(user: "u", token: "r-reject-held", quantity: 1, hold: 90_000),
    .record(user: "u", token: "r-reject-held", quantity: 1, as: .rejected),
    .deduct(user: "u", token: "r-cancel-sold", quantity: 1), .deduct(user: "u", token: "r-reject-sold", quantity: 1),
    .deduct(user: "x", token: "expired", quantity: 1, hold: 20),
  ]

  private static let ending: [Play] = [
    .record(user: "u", token: "r-cancel-sold", quantity: 1, as: .cancelled),
    .record(user: "u", token: "r-reject-sold", quantity: 1, as: .rejected), .expire(count: 1),
  ]

  /// Shares the bucket's stock out with another one's.
  private static func rebalance(_ bucket: inout Bucket, weights: [Int64]) {
    let other = UnsafeMutablePointer<Bucket>.allocate(capacity: 1)
    other.initialize(to: .sample(50))
    withUnsafeMutablePointer(to: &bucket) { _ = try? Bucket.rebalance([$0, other], weights: weights, now: 1650) }
    other.deinitialize(count: 1)
    other.deallocate()
  }
}
