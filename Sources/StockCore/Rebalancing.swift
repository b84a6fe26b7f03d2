import CStockABI

extension Bucket {
  /// Shares the available stock of different buckets out, evenly or by weights (0 to 2^53 each, not all 0, their sum
  /// below 2^63), in one step. A
  /// fault (`frozen`, `overflow`) changes none of them, and `culprit` is the index of the bucket it met.
  static func rebalance(
    _ buckets: UnsafePointer<UnsafeMutablePointer<Bucket>>,
    count: Int,
    weights: UnsafePointer<Int64>?,
    now: Int64,
    outcomes: UnsafeMutablePointer<Outcome>,
    culprit: inout Int
  ) -> Fault {
    var whole: Int64 = 0
    var weightTotal: Int64 = 0
    culprit = 0
    while culprit < count {
      let bucket = buckets[culprit]
      bucket.pointee.beginChange()
      if bucket.pointee.freezing.isFrozen { return .frozen }
      whole &+= bucket.pointee.books.available
      // Two terms below 2^63 each: a sum beyond it shows as negative.
      weightTotal &+= weights?[culprit] ?? 1
      guard whole <= Limits.number, weightTotal >= 0 else { return .overflow }
      culprit &+= 1
    }
    var allocation = Allocation(whole: whole, weightTotal: weightTotal)
    culprit = 0
    while culprit < count {
      let share = allocation.next(weight: weights?[culprit] ?? 1)
      guard buckets[culprit].pointee.canHave(available: share, now: now) else { return .overflow }
      culprit &+= 1
    }
    allocation = Allocation(whole: whole, weightTotal: weightTotal)
    var index = 0
    while index < count {
      let share = allocation.next(weight: weights?[index] ?? 1)
      outcomes[index] = buckets[index].pointee.set(available: share, now: now)
      index &+= 1
    }
    return .none
  }

  /// Whether `set(available:now:)` will succeed.
  private func canHave(available: Int64, now: Int64) -> Bool {
    available == books.available
      || books.after(rebalancing(to: available, now: now)) != nil && lastSequence < Limits.number && log.hasRoom
  }

  private mutating func set(available: Int64, now: Int64) -> Outcome {
    available == books.available ? outcome(.ok) : commit(rebalancing(to: available, now: now))
  }

  private func rebalancing(to available: Int64, now: Int64) -> Event {
    let change = available &- books.available
    return change < 0
      ? makeEvent(.rebalanceOut, quantity: 0 &- change, now: now) : makeEvent(.rebalanceIn, quantity: change, now: now)
  }
}
