import Orders
import Stock

/// A bucket's log on its way into the database: how many events a second.
public struct LogFollowingBenchmark: Sendable {
  public struct Point: Sendable, Hashable, Codable {
    /// `log`: orders that no message brought are stored from the log. `messages`: they are there, and get their
    /// sequence.
    public var delivery: String
    public var batch: Int
    public var buckets: Int
    public var events: Int
    public var eventsPerSecond: Double
  }

  private let events: Int
  private let batch: Int
  private let buckets: Int

  public init(events: Int = 200_000, batch: Int = 5_000, buckets: Int = 1) {
    self.events = events
    self.batch = batch
    self.buckets = buckets
  }

  public func run(_ store: any OrderStore) async throws -> [Point] {
    let sku = try SKU("bench-\(UInt64.random(in: 0...UInt64.max))")
    let sale = Sale(
      sku: sku,
      stock: StockLimits.quantityMax,
      terms: SaleTerms(buckets: buckets),
      path: .buckets,
      createdAtMs: 1_700_000_000_000
    )
    _ = try await store.create(sale)
    let log = try await measure(store, sku, prefix: "a", storeIfMissing: true, from: 0)
    let orders = try (0..<events).map { try order(sku, "b", $0, bucket: 0) }
    _ = try await store.record(orders)
    let position = try await store.position(of: BucketID(sku: sku, index: 0))?.sequence ?? 0
    let single = LogFollowingBenchmark(events: events, batch: batch, buckets: 1)
    let messages = try await single.measure(store, sku, prefix: "b", storeIfMissing: false, from: position)
    return [log, messages]
  }

  private func measure(
    _ store: any OrderStore,
    _ sku: SKU,
    prefix: String,
    storeIfMissing: Bool,
    from position: Int64
  ) async throws -> Point {
    let start = ContinuousClock.now
    try await withThrowingTaskGroup(of: Void.self) { group in
      for bucket in 0..<buckets {
        group.addTask {
          try await follow(store, BucketID(sku: sku, index: bucket), prefix, storeIfMissing, from: position)
        }
      }
      try await group.waitForAll()
    }
    let seconds = start.duration(to: .now) / .seconds(1)
    let count = events / buckets * buckets
    return Point(
      delivery: storeIfMissing ? "log" : "messages",
      batch: batch,
      buckets: buckets,
      events: count,
      eventsPerSecond: Double(count) / seconds
    )
  }

  private func follow(
    _ store: any OrderStore,
    _ bucket: BucketID,
    _ prefix: String,
    _ storeIfMissing: Bool,
    from start: Int64
  ) async throws {
    var position = LogPosition(epoch: 1, sequence: start)
    let share = events / buckets
    for first in stride(from: 0, to: share, by: batch) {
      let steps = try (first..<min(first + batch, share)).map { index in
        let order = try order(bucket.sku, prefix, index, bucket: bucket.index)
        return LogBatch.Step(
          sequence: start + Int64(index) + 1,
          entry: .purchased(order, state: .sold, storeIfMissing: storeIfMissing)
        )
      }
      let outcome = try await store.follow(LogBatch(bucket: bucket, from: position, steps: steps))
      guard outcome.applied, outcome.stop == nil else {
        throw OrderStoreError(.corrupt, "the log of the benchmark was not followed")
      }
      position = outcome.position
    }
  }

  /// Tokens are as long as UUIDs written out, and scattered like them.
  private func order(_ sku: SKU, _ prefix: String, _ index: Int, bucket: Int) throws -> Order {
    var word = (UInt64(index) << 16 | UInt64(bucket)) &* 0x9E37_79B9_7F4A_7C15
    word ^= word >> 29
    word = word &* 0xBF58_476D_1CE4_E5B9
    let token = Array("\(String(word, radix: 16))-\(prefix)-\(index)-".utf8)
    let padded = token + Array(repeating: UInt8(ascii: "0"), count: max(0, 36 - token.count))
    let purchase = try Purchase(sku: sku, user: UserID("user-\(index % 300_000)"), token: Token(bytes: padded))
    return Order(purchase: purchase, bucket: bucket, createdAtMs: 1_700_000_000_000)
  }
}
