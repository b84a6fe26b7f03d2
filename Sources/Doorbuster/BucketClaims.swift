import Logging
import Orders
import Stock
import Synchronization

/// Which buckets this worker follows: those that the database leases to it. Leases save double work; nothing else hangs
/// on them.
final class BucketClaims: Sendable {
  private struct State {
    /// Buckets that are followed, and whether they still are to be.
    var followed: [BucketID: Bool] = [:]
    /// When each sale's leases are to be renewed.
    var renewals: [SKU: ContinuousClock.Instant] = [:]
  }

  /// The name under which the leases are held.
  let worker = "worker-" + String(UInt64.random(in: 0 ... .max), radix: 16)
  private let orders: any OrderStore
  private let clock: any SaleClock
  private let leaseMsMin: Int64
  private let state = Mutex(State())

  /// Every claim is a transaction, so many sales are claimed more seldom.
  private static let leaseMsPerSale: Int64 = 100

  init(orders: any OrderStore, clock: any SaleClock, leaseMsMin: Int64) {
    self.orders = orders
    self.clock = clock
    self.leaseMsMin = leaseMsMin
  }

  /// Claims what is due of the sales' buckets. Returns those that are to be followed from now on, each once.
  func claim(_ sales: [Sale]) async throws(OrderStoreError) -> [(Sale, BucketID)] {
    let leaseMs = min(max(leaseMsMin, Int64(sales.count) * Self.leaseMsPerSale), 3_600_000)
    var begun: [(Sale, BucketID)] = []
    for sale in sales {
      let now = clock.now
      guard state.withLock({ $0.renewals[sale.sku].map { $0 <= now } ?? true }) else { continue }
      let claim = try await orders.claimBuckets(of: sale.sku, for: worker, leaseMs: leaseMs)
      let ours = Set(claim.buckets)
      state.withLock { state in
        state.renewals[sale.sku] = now.advanced(by: .milliseconds(leaseMs / 3))
        for bucket in sale.buckets {
          let isFollowed = state.followed[bucket] != nil
          if isFollowed || ours.contains(bucket.index) { state.followed[bucket] = ours.contains(bucket.index) }
          if !isFollowed, ours.contains(bucket.index) { begun.append((sale, bucket)) }
        }
      }
    }
    return begun
  }

  func isOurs(_ bucket: BucketID) -> Bool { state.withLock { $0.followed[bucket] ?? false } }

  /// To be asked by the bucket's follower before it ends; false where the bucket has become ours again.
  func end(_ bucket: BucketID) -> Bool {
    state.withLock { state in
      if state.followed[bucket] == true { return false }
      state.followed[bucket] = nil
      return true
    }
  }

  /// Gives all leases up, so that others need not wait for their end.
  func release(logger: Logger) async {
    let skus = state.withLock { Array($0.renewals.keys) }
    for sku in skus {
      do throws(OrderStoreError) {
        try await orders.releaseBuckets(of: sku, from: worker)
      } catch {
        logger.debug("the leases of \(sku) are left to their end: \(error.message)")
        return
      }
    }
  }
}
