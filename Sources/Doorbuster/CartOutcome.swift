import Stock

/// What the buyer of a cart hears.
public enum CartOutcome: Hashable, Sendable {
  /// A line whose units are the buyer's.
  public struct Line: Hashable, Sendable {
    public var purchase: Purchase
    /// The home bucket's available stock when its units were taken, and the event that took them.
    public var remaining: Int64
    public var sequence: Int64

    public init(_ purchase: Purchase, remaining: Int64, sequence: Int64) {
      self.purchase = purchase
      self.remaining = remaining
      self.sequence = sequence
    }
  }

  /// All lines are the buyer's: the cart's message is committed, and each line is confirmed. `isRepeat` where an earlier
  /// attempt of the same token had done so, or may have, as the replies to this one's own holds were lost.
  case accepted([Line], isRepeat: Bool)
  /// This line can't be had, and nothing is taken. Where lines before it were held for the cart they were given back, and
  /// their token is spent: another attempt needs a new one. (The first line's refusal leaves the token as it was.) A hold
  /// whose reply was lost is given back by the check-back.
  case refused(Refusal, Purchase, remaining: Int64)
  /// The cart is over: this line was cancelled, its hold has ended, or an attempt was given up. Nothing of it stays sold
  /// unless it was bought before and a line was given back since. The buyer needs a new token.
  case cancelled(Purchase)
  /// Answers were lost. The check-back or a worker makes it a whole order or none; asking again with the same token
  /// tells, and never takes twice.
  case unknown(String)
  /// This call has taken nothing, or given back what it took; with the line that failed, where it was one.
  case failed(DoorbusterError, Purchase?)
}
