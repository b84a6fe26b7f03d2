import Stock

/// How fast each bucket of a sale sells, from its books of one reading after the other.
struct BucketDemand: Hashable, Sendable {
  /// Units a second by bucket, smoothed.
  private(set) var rates: [Double]
  private var taken: [Int64?]
  private var epochs: [Int64?]
  private var readAt: ContinuousClock.Instant?

  /// After this time an old rate counts for half.
  private static let halfLife = 2.0

  init(buckets: Int) {
    rates = Array(repeating: 0, count: buckets)
    taken = Array(repeating: nil, count: buckets)
    epochs = Array(repeating: nil, count: buckets)
  }

  var total: Double { rates.reduce(0, +) }

  mutating func note(_ reading: SoldOutReading) {
    let elapsed = readAt.map { Self.seconds(from: $0, to: reading.startedAt) } ?? 0
    readAt = reading.startedAt
    for (index, info) in reading.infos.enumerated() where index < rates.count {
      guard let info else { continue }
      // What came back was bought before.
      let now = info.held + info.sold + info.cancelled
      if let before = taken[index], epochs[index] == info.epoch, elapsed > 0 {
        let rate = Double(max(0, now - before)) / elapsed
        let weight = 1 - Self.half(after: elapsed)
        rates[index] += weight * (rate - rates[index])
        if rates[index] < 0.001 { rates[index] = 0 }
      }
      taken[index] = now
      epochs[index] = info.epoch
    }
  }

  private static func seconds(from start: ContinuousClock.Instant, to end: ContinuousClock.Instant) -> Double {
    let (seconds, attoseconds) = start.duration(to: end).components
    return Double(seconds) + Double(attoseconds) * 1e-18
  }

  /// The weight that something keeps after so many seconds, by halves in equal times, without a library of functions.
  private static func half(after seconds: Double) -> Double {
    var weight = 1.0
    var rest = seconds / halfLife
    while rest >= 1, weight > 1e-6 {
      weight /= 2
      rest -= 1
    }
    // Between the halves a straight line is good enough.
    return weight * (1 - rest / 2)
  }
}
