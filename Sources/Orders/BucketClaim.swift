/// What a worker has of a sale.
public struct BucketClaim: Hashable, Sendable {
  /// The buckets that are the worker's until its lease ends, in their order.
  public var buckets: [Int]
  /// How many workers share the sale, this one included.
  public var workers: Int

  public init(buckets: [Int], workers: Int) {
    self.buckets = buckets
    self.workers = workers
  }
}

/// A bucket that is a worker's for a while.
public struct BucketLease: Hashable, Sendable {
  public var bucket: Int
  public var worker: String
  /// How long it is, by the database's clock, unless the worker asks again.
  public var remainingMs: Int64

  public init(bucket: Int, worker: String, remainingMs: Int64) {
    self.bucket = bucket
    self.worker = worker
    self.remainingMs = remainingMs
  }
}
