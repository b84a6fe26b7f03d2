/// Why a deduction was refused. A refused token is not remembered; it may succeed later.
public enum Refusal: String, Hashable, Sendable, CaseIterable {
  case soldOut, limit, early, closed, frozen
}

public enum DeductOutcome: Hashable, Sendable {
  /// The units are the buyer's. Without `isRepeat` this call took them, in the state that it asked for. With it an earlier
  /// call of the same token may have, in another: the token's record tells whether they are held or sold. So it is too
  /// where this call's own reply was lost, and nobody can tell which of them it was.
  case accepted(remaining: Int64, sequence: Int64, isRepeat: Bool)
  /// Nothing was taken.
  case refused(Refusal, remaining: Int64)
  /// The attempt is over (cancelled or fenced); the buyer needs a new token.
  case cancelled
  /// Replies were lost and the outcome can't be learnt in time.
  case unknown(String)
}

/// What became of a deduction that came with deposits.
public struct DepositedDeduction: Hashable, Sendable {
  public var deduction: DeductOutcome
  /// Whether all deposits are known to be on sale in the bucket. While they are not, their transfers must not be
  /// settled; depositing again, by itself, tells.
  public var isDeposited: Bool

  public init(deduction: DeductOutcome, isDeposited: Bool) {
    self.deduction = deduction
    self.isDeposited = isDeposited
  }
}

public enum ConfirmOutcome: Hashable, Sendable {
  case confirmed, alreadyConfirmed
  /// The hold was cancelled or has expired, or the token is fenced.
  case cancelled
  case unknownToken
}

public enum CancelOutcome: Hashable, Sendable {
  case cancelled, alreadyCancelled, unknownToken
}

public enum FenceOutcome: Hashable, Sendable {
  /// The token was unknown, and is cancelled now.
  case fenced
  case alreadyCancelled
  /// Held or sold; nothing changed.
  case live
}

public enum AddOutcome: Hashable, Sendable {
  case added(remaining: Int64)
  case alreadyAdded
  /// Fewer units are unsold than were to be taken off sale.
  case short(remaining: Int64)
}

public enum WithdrawOutcome: Hashable, Sendable {
  /// So many units, at least one, are in the transfer: by this call, or by an earlier one of the same name (`isRepeat`).
  case withdrawn(Int64, isRepeat: Bool)
  /// Nothing is on sale here; the transfer is not remembered.
  case soldOut
}

public enum DepositOutcome: Hashable, Sendable {
  case deposited(remaining: Int64)
  case alreadyDeposited(remaining: Int64)
}

public enum SettleOutcome: Hashable, Sendable {
  case settled, alreadySettled, unknownTransfer
}

/// What ``StockService/record(_:in:)`` writes in: something that the database, a message or another bucket knows, and
/// this bucket may have lost.
public enum LostEntry: Hashable, Sendable {
  /// Where the purchase stands. The raw value is the word in `STOCK.RECORD`.
  public enum State: String, Hashable, Sendable, CaseIterable {
    case held, sold, cancelled
    /// Cancelled, with its units off sale.
    case rejected
  }

  case purchase(Purchase, State)
  case transfer(Transfer)
  case restock(Token, quantity: Int64)
}

public enum LostEntryOutcome: Hashable, Sendable {
  case recorded
  /// The bucket has it, so far or further on.
  case alreadyThere
  /// The units that it takes are not there.
  case short(remaining: Int64)
}
