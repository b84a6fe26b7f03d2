import Messaging
import Stock

/// One purchase attempt: half message, deduction, commit or roll-back.
///
/// Each method takes the answer to the last action and returns the next. The rules it keeps:
///
/// - *Accepted* only after the broker acknowledged a commit, or the same message sent again as a plain one.
/// - Without a half message known to be stored nothing is deducted. Where its answer was lost the attempt ends: it has
///   taken nothing, so the check-back that finds the message will fence the token and roll back, or commit
///   what another attempt of the same token took.
/// - A deduction that may have happened leaves its half message to the check-back, and is never cancelled from here.
/// - A roll-back is a courtesy to the check-back: its failure changes nothing that the buyer hears.
struct PurchaseMachine {
  enum Action: Hashable {
    /// Asks whether the bucket believes in as many buckets as we do: else its buyers' tokens may live elsewhere.
    case verify
    case sendHalf
    case deduct
    case commit(HalfMessage)
    /// The message once more, as a plain one.
    case sendPlain
    /// The end; the half message, if any, is rolled back, and the answer need not wait for it.
    case answer(PurchaseOutcome, rollBack: HalfMessage?)
  }

  private enum State {
    case verifying
    case sendingHalf
    case deducting(HalfMessage)
    /// The units are taken; what is missing is the broker's acknowledgement.
    case committing(PurchaseOutcome)
    case answered
  }

  private var state = State.verifying

  mutating func start() -> Action { .verify }

  mutating func verified() -> Action {
    guard case .verifying = state else { return misplaced() }
    state = .sendingHalf
    return .sendHalf
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
    case .accepted(let remaining, let sequence, let isRepeat):
      state = .committing(.accepted(remaining: remaining, sequence: sequence, isRepeat: isRepeat))
      return .commit(half)
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
    return answer(.failed(DoorbusterError(error)), rollBack: half)
  }

  mutating func committed(_ commit: CommitAnswer) -> Action {
    guard case .committing(let accepted) = state else { return misplaced() }
    switch commit {
    case .committed: return answer(accepted)
    case .gone: return .sendPlain
    }
  }

  /// Whatever the error, the message may still be deliverable, and a second one does no harm.
  mutating func commitFailed(_ error: MessagingError) -> Action {
    guard case .committing = state else { return misplaced() }
    return .sendPlain
  }

  mutating func plainSent() -> Action {
    guard case .committing(let accepted) = state else { return misplaced() }
    return answer(accepted)
  }

  mutating func plainFailed(_ error: MessagingError) -> Action {
    guard case .committing = state else { return misplaced() }
    return answer(.unknown("the units are taken, and the broker did not acknowledge it: \(error.message)"))
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
