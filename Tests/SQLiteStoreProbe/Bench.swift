import Foundation
import Orders
import SQLiteStore
import Stock

/// One hot row: `orders` orders of random 36-byte tokens from `callers` concurrent callers, then their log.
struct Bench {
  let path: String
  let strategy: HotRowStrategy
  let orders: Int
  let callers: Int

  func run() async throws {
    let store = try await SQLiteStore.open(path: path, strategy: strategy)
    let sku = try SKU("BENCH")
    let terms = SaleTerms()
    _ = try await store.create(
      Sale(sku: sku, stock: Int64(orders), terms: terms, path: .combined, createdAtMs: 1_700_000_000_000)
    )
    let batch = try (0..<orders).map { index in
      let purchase = try Purchase(sku: sku, user: UserID("user-\(index % 300_000)"), token: Token(UUID().uuidString))
      return Order(purchase: purchase, bucket: 0, createdAtMs: 1_700_000_000_000)
    }
    let clock = ContinuousClock()
    let processorAtStart = Self.processorMicroseconds()
    let recording = try await clock.measure {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for caller in 0..<callers {
          group.addTask {
            for index in stride(from: caller, to: batch.count, by: callers) {
              guard try await store.record([batch[index]]) == [.recorded] else { throw CancellationError() }
            }
          }
        }
        try await group.waitForAll()
      }
    }
    let processorRecording = Self.processorMicroseconds() - processorAtStart
    var position = LogPosition(epoch: 1, sequence: 0)
    let following = try await clock.measure {
      for start in stride(from: 0, to: batch.count, by: 1_000) {
        let steps = (start..<min(start + 1_000, batch.count)).map { index in
          LogBatch.Step(
            sequence: Int64(index) + 1,
            entry: .purchased(batch[index], state: .sold, storeIfMissing: false)
          )
        }
        let bucket = BucketID(sku: sku, index: 0)
        let outcome = try await store.follow(LogBatch(bucket: bucket, from: position, steps: steps))
        guard outcome.applied, outcome.stop == nil else { throw CancellationError() }
        position = outcome.position
      }
    }
    let processorFollowing = Self.processorMicroseconds() - processorAtStart - processorRecording
    var totals: SaleTotals?
    let counting = try await clock.measure { totals = try await store.totals(of: sku) }
    await store.close()
    guard totals?.stock == 0, totals?.orders[.sold] == Int64(orders) else { throw CancellationError() }
    print(
      "\(strategy.rawValue): \(orders) orders of \(callers) callers, "
        + "\(figures(recording, processorRecording, "orders")); "
        + "log followed at \(figures(following, processorFollowing, "events")); totals in \(counting)"
    )
  }

  private func figures(_ duration: Duration, _ processor: Int, _ what: String) -> String {
    let rate = Int(Double(orders) / (duration / .seconds(1)))
    return "\(rate) \(what)/s (\((Double(processor) / Double(orders) * 10).rounded() / 10) us of CPU each)"
  }

  /// What all threads of the process have used, in user and system mode. It repeats better than time on a busy machine.
  private static func processorMicroseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
  }
}
