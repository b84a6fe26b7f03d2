import CStockABI

extension Bucket {
  /// Freezes the bucket for an operator; nothing changes where it is so already. Fault `overflow`, else `ok`.
  public mutating func freeze(now: Int64) -> Outcome {
    beginChange()
    if freezing.isByOperator { return outcome(.ok) }
    let fault = record(makeEvent(.freeze, now: now))
    guard fault == .none else { return failed(fault) }
    freezing.isByOperator = true
    return outcome(.ok, sequence: lastSequence)
  }

  /// Takes the shown reason away: an operator's, under which the other comes back, or that other. With an `epoch` (not 0)
  /// never an operator's. In order: faults `epochMismatch`, `frozenByOperator`, `overflow`; `ok`.
  public mutating func thaw(epoch: Int64, now: Int64) -> Outcome {
    beginChange()
    if epoch != 0 {
      if epoch != self.epoch { return failed(.epochMismatch) }
      if freezing.isByOperator { return failed(.frozenByOperator) }
    }
    if !freezing.isFrozen { return outcome(.ok) }
    let fault = record(makeEvent(.thaw, now: now))
    guard fault == .none else { return failed(fault) }
    if freezing.isByOperator { freezing.isByOperator = false } else { freezing.reason = .no }
    return outcome(.ok, sequence: lastSequence)
  }

  /// Freezes the bucket because writes may be missing, in an epoch that follows from the random seed and the bucket's hash
  /// key, so that each copy of the bucket comes to the same one, also a copy that was made when the freeze had been applied
  /// and was still to be propagated, and applies it again. That two freezes give the same epoch is as improbable as two
  /// equal epochs at creation. Makes no event.
  public mutating func freezeAnew(_ reason: FreezeReason, seed: UInt64) {
    beginChange()
    freezing.reason = reason
    let mask = UInt64(truncatingIfNeeded: Limits.number &- 1)
    epoch = Int64(truncatingIfNeeded: hashing.hash(number: seed, .epoch) & mask) &+ 1
  }
}
