import Stock

/// What a buyer hears.
public enum PurchaseOutcome: Hashable, Sendable {
  /// The units are the buyer's, and the message that makes it an order is durable. `isRepeat` where an earlier attempt
  /// of the same token had taken them. `remaining` and `sequence` are the bucket's.
  case accepted(remaining: Int64, sequence: Int64, isRepeat: Bool)
  /// Nothing was taken. The same token may be tried again.
  case refused(Refusal, remaining: Int64)
  /// The attempt is over: cancelled, or given up by a check-back. The buyer needs a new token.
  case cancelled
  /// Answers were lost. If the units were taken, the check-back or the log makes them an order; asking again with the
  /// same token tells, and never takes twice.
  case unknown(String)
  /// This call has taken nothing. (An earlier call of the same token keeps what it has.)
  case failed(DoorbusterError)
}
