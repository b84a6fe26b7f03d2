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
    /// Of the sales whose last claim failed.
    var backOffs: [SKU: BackOff] = [:]
  }

  /// What a round of claims has come to.
  struct Round {
    /// To be followed from now on, each once.
    var begun: [(Sale, BucketID)] = []
    /// The sales whose claim failed. What they had before is still followed.
    var failed: [(sku: SKU, error: OrderStoreError)] = []
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

  /// Claims what is due of the sales' buckets. One sale's fault holds up none of the others; it is claimed again after
  /// a growing wait.
  func claim(_ sales: [Sale]) async -> Round {
    let leaseMs = min(max(leaseMsMin, Int64(sales.count) * Self.leaseMsPerSale), 3_600_000)
    var round = Round()
    for sale in sales {
      let now = clock.now
      guard state.withLock({ $0.renewals[sale.sku].map { $0 <= now } ?? true }) else { continue }
      do throws(OrderStoreError) {
        let claim = try await orders.claimBuckets(of: sale.sku, for: worker, leaseMs: leaseMs)
        let renewal = now.advanced(by: .milliseconds(leaseMs / 3))
        round.begun += take(Set(claim.buckets), of: sale, renewal: renewal).map { (sale, $0) }
      } catch {
        putOff(sale.sku)
        round.failed.append((sale.sku, error))
      }
    }
    return round
  }

  /// - Returns: those that were not followed before.
  private func take(_ ours: Set<Int>, of sale: Sale, renewal: ContinuousClock.Instant) -> [BucketID] {
    state.withLock { state in
      state.renewals[sale.sku] = renewal
      state.backOffs[sale.sku] = nil
      var begun: [BucketID] = []
      for bucket in sale.buckets {
        let isFollowed = state.followed[bucket] != nil
        if isFollowed || ours.contains(bucket.index) { state.followed[bucket] = ours.contains(bucket.index) }
        if !isFollowed, ours.contains(bucket.index) { begun.append(bucket) }
      }
      return begun
    }
  }

  private func putOff(_ sku: SKU) {
    let now = clock.now
    state.withLock { state in
      let waitMs = state.backOffs[sku, default: BackOff()].failed().jittered
      state.renewals[sku] = now.advanced(by: .milliseconds(waitMs))
    }
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
