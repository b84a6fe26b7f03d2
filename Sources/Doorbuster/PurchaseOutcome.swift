import Stock

/// What a buyer hears.
///
/// `remaining` and `sequence` are the bucket's; on the path `database` they are the product's stock, and 0. `isRepeat`
/// where an earlier attempt of the same token had taken the units, or may have, as this one's own reply was lost.
public enum PurchaseOutcome: Hashable, Sendable {
  /// The units are the buyer's, and what makes it an order is durable: the order itself on the path `database`, the
  /// message on the paths that deliver by messages, the bucket's log on the path `buckets`.
  case accepted(remaining: Int64, sequence: Int64, isRepeat: Bool)
  /// The units are kept for the buyer until ``Doorbuster/confirm(_:token:)``, or until `expiresMs` (ms since 1970), when
  /// they go back on sale by themselves. Durable as ``accepted(remaining:sequence:isRepeat:)`` is.
  ///
  /// Of a repeat, `expiresMs` is the bucket's own, or nil where the hold has no end: it was written in by a recovery, which
  /// knows none, and stands until it is confirmed or cancelled. Of a new hold it is counted from the call's start by this process'
  /// clock: but for a difference of the two clocks, it is not after the bucket's.
  case held(expiresMs: Int64?, remaining: Int64, sequence: Int64, isRepeat: Bool)
  /// Nothing was taken. The same token may be tried again.
  case refused(Refusal, remaining: Int64)
  /// The attempt is over: cancelled, expired, or given up by a check-back. The buyer needs a new token.
  case cancelled
  /// Answers were lost: if the units were taken, the check-back or the log makes them an order. Or whether enough units are
  /// left could not be learnt in time: then nothing was taken. Asking again with the same token tells, and never takes
  /// twice.
  case unknown(String)
  /// This call has taken nothing. (An earlier call of the same token keeps what it has.)
  case failed(DoorbusterError)
}
