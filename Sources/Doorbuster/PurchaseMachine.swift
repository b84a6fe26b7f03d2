import Messaging
import Stock

/// One purchase attempt on a bucket: half message, deduction, commit or roll-back; where the log delivers, the deduction
/// alone.
///
/// Each method takes the answer to the last action and returns the next. The rules it keeps:
///
/// - *Accepted* (and *held*) only after the broker acknowledged a commit, or the same message sent again as a plain one;
///   where the log delivers, after the deduction.
/// - Without a half message known to be stored nothing is deducted. Where its answer was lost the attempt ends: it has
///   taken nothing, so the check-back that finds the message will fence the token and roll back, or commit
///   what another attempt of the same token took.
/// - A deduction that may have happened leaves its half message to the check-back, and is never cancelled from here.
/// - A repeat is answered by what the bucket knows of the token: an attempt to buy does not make a hold a sale, nor does
///   its message.
/// - A roll-back is a courtesy to the check-back: its failure changes nothing that the buyer hears.
struct PurchaseMachine {
  indirect enum Action: Hashable {
    /// Asks whether the bucket believes in as many buckets as we do: else its buyers' tokens may live elsewhere.
    case verify
    case sendHalf
    case deduct
    /// Asks what the bucket knows of a token that an earlier attempt may have taken.
    case lookUp
    case commit(HalfMessage)
    /// The message once more, as a plain one, of a purchase that is held or sold.
    case sendPlain(isHeld: Bool)
    /// The end; the half message, if any, is rolled back, and the answer need not wait for it.
    case answer(PurchaseOutcome, rollBack: HalfMessage?)
  }

  /// What an earlier attempt took, or this one, whose reply was lost.
  private struct Repeat {
    let remaining: Int64
    let sequence: Int64

    var accepted: PurchaseOutcome { .accepted(remaining: remaining, sequence: sequence, isRepeat: true) }

    func held(untilMs expiresMs: Int64?) -> PurchaseOutcome {
      .held(expiresMs: expiresMs, remaining: remaining, sequence: sequence, isRepeat: true)
    }
  }

  private enum State {
    case verifying
    case sendingHalf
    case deducting(HalfMessage?)
    case lookingUp(HalfMessage?, Repeat)
    /// The units are taken; what is missing is the broker's acknowledgement.
    case committing(PurchaseOutcome, rollBack: HalfMessage?)
    case answered
  }

  private let courier: Courier
  /// When a hold that is made now ends; nil where the attempt is to buy at once.
  private let holdEndsMs: Int64?
  private var state = State.verifying

  private var isHold: Bool { holdEndsMs != nil }

  init(courier: Courier, holdEndsMs: Int64? = nil) {
    self.courier = courier
    self.holdEndsMs = holdEndsMs
  }

  mutating func start() -> Action { .verify }

  mutating func verified() -> Action {
    guard case .verifying = state else { return misplaced() }
    switch courier {
    case .messages:
      state = .sendingHalf
      return .sendHalf
    case .log:
      state = .deducting(nil)
      return .deduct
    }
  }

  mutating func verifyFailed(_ error: StockError) -> Action {
    guard case .verifying = state else { return misplaced() }
    return answer(.failed(DoorbusterError(error)))
  }

  mutating func halfSent(_ half: HalfMessage) -> Action {
    guard case .sendingHalf = state else { return misplaced() }
    state = .deducting(half)
    return .deduct
  }

  mutating func halfFailed(_ error: MessagingError) -> Action {
    guard case .sendingHalf = state else { return misplaced() }
    return answer(.failed(DoorbusterError(error)))
  }

  mutating func deducted(_ outcome: DeductOutcome) -> Action {
    guard case .deducting(let half) = state else { return misplaced() }
    switch outcome {
    case .accepted(let remaining, let sequence, isRepeat: true):
      state = .lookingUp(half, Repeat(remaining: remaining, sequence: sequence))
      return .lookUp
    case .accepted(let remaining, let sequence, isRepeat: false):
      guard let holdEndsMs else {
        return take(.accepted(remaining: remaining, sequence: sequence, isRepeat: false), half)
      }
      return take(.held(expiresMs: holdEndsMs, remaining: remaining, sequence: sequence, isRepeat: false), half)
    case .refused(let refusal, let remaining):
      return answer(.refused(refusal, remaining: remaining), rollBack: half)
    case .cancelled:
      return answer(.cancelled, rollBack: half)
    case .unknown(let reason):
      return answer(.unknown(reason))
    }
  }

  mutating func deductFailed(_ error: StockError) -> Action {
    guard case .deducting(let half) = state else { return misplaced() }
    if error.code == .replyLost || error.code == .protocolViolation { return answer(.unknown(error.message)) }
    // Nothing was taken, and the same token may be tried again: so its half message goes.
    if error.code == .undecided { return answer(.unknown(error.message), rollBack: half) }
    return answer(.failed(DoorbusterError(error)), rollBack: half)
  }

  /// A token of which the bucket keeps nothing but that it is live is sold: holds are kept whole.
  mutating func found(_ record: PurchaseRecord?) -> Action {
    guard case .lookingUp(let half, let first) = state else { return misplaced() }
    switch record?.state {
    case .sold, nil: return take(first.accepted, half)
    case .cancelled: return answer(.cancelled, rollBack: half)
    case .held:
      let outcome = first.held(untilMs: record?.expiresMs)
      guard let half, !isHold else { return take(outcome, half) }
      // Our half message would make it a sale.
      state = .committing(outcome, rollBack: half)
      return .sendPlain(isHeld: true)
    }
  }

  mutating func lookUpFailed(_ error: StockError) -> Action {
    guard case .lookingUp = state else { return misplaced() }
    return answer(
      .unknown("the units are taken, maybe by an earlier attempt, and how they stand can't be learnt: \(error.message)")
    )
  }

  mutating func committed(_ commit: CommitAnswer) -> Action {
    guard case .committing(let accepted, let half) = state else { return misplaced() }
    switch commit {
    case .committed: return answer(accepted, rollBack: half)
    case .gone: return .sendPlain(isHeld: isHold)
    }
  }

  /// Whatever the error, the message may still be deliverable, and a second one does no harm.
  mutating func commitFailed(_ error: MessagingError) -> Action {
    guard case .committing = state else { return misplaced() }
    return .sendPlain(isHeld: isHold)
  }

  mutating func plainSent() -> Action {
    guard case .committing(let accepted, let half) = state else { return misplaced() }
    return answer(accepted, rollBack: half)
  }

  mutating func plainFailed(_ error: MessagingError) -> Action {
    guard case .committing(_, let half) = state else { return misplaced() }
    return answer(
      .unknown("the units are taken, and the broker did not acknowledge it: \(error.message)"),
      rollBack: half
    )
  }

  /// The units are the buyer's; where there is a half message, it is still to be committed.
  private mutating func take(_ outcome: PurchaseOutcome, _ half: HalfMessage?) -> Action {
    guard let half else { return answer(outcome) }
    state = .committing(outcome, rollBack: nil)
    return .commit(half)
  }

  private mutating func answer(_ outcome: PurchaseOutcome, rollBack half: HalfMessage? = nil) -> Action {
    state = .answered
    return .answer(outcome, rollBack: half)
  }

  /// An answer to what was not asked: the shell's fault, so the honest outcome is that nothing is known.
  private mutating func misplaced() -> Action {
    assertionFailure("an answer to what was not asked")
    return answer(.unknown("the purchase's steps came out of order"))
  }
}
