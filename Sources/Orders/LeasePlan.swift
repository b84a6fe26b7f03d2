/// How a sale's buckets are shared out: decided from what the leases' table says, while nobody else changes it.
package struct LeasePlan: Hashable, Sendable {
  /// The buckets that the worker has from now on.
  package var buckets: [Int]
  package var workers: Int

  /// - Parameters:
  ///   - workers: those whose lease has not expired, the one that asks included.
  ///   - leases: the leases that have not expired.
  package init(worker: String, workers: Set<String>, buckets: Int, leases: [Int: String]) {
    let names = workers.union([worker]).sorted()
    let place = names.firstIndex(of: worker) ?? 0
    let (part, rest) = buckets.quotientAndRemainder(dividingBy: names.count)
    let fair = part + (place < rest ? 1 : 0)
    let own = (0..<buckets).filter { leases[$0] == worker }
    let free = (0..<buckets).filter { leases[$0] == nil }
    self.buckets = (own.prefix(fair) + free.prefix(max(0, fair - own.count))).sorted()
    self.workers = names.count
  }
}
