import Messaging
import Stock

/// One attempt at a cart: half message, a hold on each line, commit, and a confirmation of each line; or a roll-back, and
/// what was held given back.
///
/// Each method takes the answer to the last action and returns the next. The rules it keeps:
///
/// - The commit is the decision. Before it every line is held (or sold, by an earlier attempt); after it nothing is given
///   back from here: the worker that gets the message ends the cart as a whole, or records it as a whole.
/// - *Accepted* only after the broker acknowledged the commit, or the same message sent again as a plain one, and
///   after every line's confirmation.
/// - Where all lines are sold, a message that has them is committed already, as only then are lines confirmed. No second one
///   is sent: if this cart is a part of that one's, the worker would take them for two carts of one token.
/// - Lines are held one after the other, in the same order by all carts.
/// - Nothing is given back before one line's token is over for good: a line that can't be had is fenced first. Else another
///   attempt of the token could buy the cart meanwhile, and a cancel on its way would take a line out of it.
/// - An attempt gives back only what it has taken itself. Holds of an earlier attempt of the token belong to that one's
///   half message; where it may be gone, this attempt's stays, so that a check-back looks after them. So does it where a
///   hold's reply was lost, and nobody can tell whose the hold is: the line may have been sold long since.
/// - A hold that may have happened leaves the half message to the check-back, as in ``PurchaseMachine``.
/// - Lines are confirmed in their order, by everyone. So where one line was sold before and another is not, though it
///   comes earlier or could only be held now, the token is another purchase's.
struct CartMachine {
  enum Action: Hashable {
    /// Asks whether the buckets believe in as many buckets as we do.
    case verify
    case sendHalf
    case hold(line: Int)
    /// Asks what the bucket knows of a line that an earlier attempt may have taken.
    case lookUp(line: Int)
    case commit(HalfMessage)
    case sendPlain
    case confirm(line: Int)
    /// Makes sure that a line that can't be had is over.
    case fence(line: Int)
    /// Cancels a line that this attempt has taken.
    case giveBack(line: Int)
    /// The end; the half message, if any, is rolled back, and the answer need not wait for it.
    case answer(CartOutcome, rollBack: HalfMessage?)
  }

  /// How a line stands that is taken.
  private enum Standing {
    /// Held by this attempt, for certain.
    case taken
    /// Held by an earlier one, or by this one, whose reply was lost.
    case held
    case sold
  }

  private enum State {
    case verifying
    case sendingHalf
    case holding(HalfMessage)
    case lookingUp(HalfMessage)
    /// Another attempt may have bought this line since it was taken here.
    case lookingAgain(HalfMessage, line: Int)
    case fencing(HalfMessage, CartOutcome)
    case committing(HalfMessage)
    case confirming(line: Int)
    /// These lines are still to be given back.
    case givingBack([Int], CartOutcome, rollBack: HalfMessage?)
    case answered
  }

  private let purchases: [Purchase]
  private var state = State.verifying
  /// Of the lines taken so far, in their order.
  private var standings: [Standing] = []
  private var lines: [CartOutcome.Line] = []
  /// How often a line was refused, and live when it was to be fenced.
  private var surprises = 0
  private static let surprisesMax = 3

  init(_ cart: Cart) { purchases = cart.purchases }

  mutating func start() -> Action { .verify }

  mutating func verified() -> Action {
    guard case .verifying = state else { return misplaced() }
    state = .sendingHalf
    return .sendHalf
  }

  mutating func verifyFailed(_ error: StockError, line: Int) -> Action {
    guard case .verifying = state else { return misplaced() }
    return answer(.failed(DoorbusterError(error), purchases[line]))
  }

  mutating func halfSent(_ half: HalfMessage) -> Action {
    guard case .sendingHalf = state else { return misplaced() }
    return next(half)
  }

  /// Nothing is held yet; where the half message is stored after all, its check-back finds no line live.
  mutating func halfFailed(_ error: MessagingError) -> Action {
    guard case .sendingHalf = state else { return misplaced() }
    return answer(.failed(DoorbusterError(error), nil))
  }

  // MARK: Holding

  mutating func held(_ outcome: DeductOutcome) -> Action {
    guard case .holding(let half) = state else { return misplaced() }
    let purchase = purchases[standings.count]
    switch outcome {
    case .accepted(let remaining, let sequence, let isRepeat):
      lines.append(CartOutcome.Line(purchase, remaining: remaining, sequence: sequence))
      guard isRepeat else { return took(.taken, half) }
      state = .lookingUp(half)
      return .lookUp(line: standings.count)
    case .refused(let refusal, let remaining):
      if standings.contains(.sold) { return endForeign(without: purchase, half) }
      return fence(.refused(refusal, purchase, remaining: remaining), half)
    case .cancelled: return end(.cancelled(purchase), half)
    case .unknown(let reason): return answer(.unknown(Self.describe(purchase, reason)))
    }
  }

  mutating func holdFailed(_ error: StockError) -> Action {
    guard case .holding(let half) = state else { return misplaced() }
    let purchase = purchases[standings.count]
    if error.code == .replyLost || error.code == .protocolViolation {
      return answer(.unknown(Self.describe(purchase, error.message)))
    }
    let outcome = CartOutcome.failed(DoorbusterError(error), purchase)
    return error.code == .tokenMismatch ? end(outcome, half) : fence(outcome, half)
  }

  /// A token of which the bucket keeps nothing but that it is live is sold: holds are kept whole.
  mutating func found(_ record: PurchaseRecord?) -> Action {
    switch (state, record?.state) {
    case (.lookingUp(let half), .held): return took(.held, half)
    case (.lookingUp(let half), .sold), (.lookingUp(let half), nil): return took(.sold, half)
    case (.lookingUp(let half), .cancelled): return end(.cancelled(purchases[standings.count]), half)
    case (.lookingAgain(let half, let line), .held): return endForeign(without: purchases[line], half)
    case (.lookingAgain(let half, let line), .sold), (.lookingAgain(let half, let line), nil):
      standings[line] = .sold
      return compare(half)
    case (.lookingAgain(let half, let line), .cancelled): return answer(.cancelled(purchases[line]), rollBack: half)
    case (.verifying, _), (.sendingHalf, _), (.holding, _), (.fencing, _), (.committing, _), (.confirming, _),
      (.givingBack, _), (.answered, _):
      return misplaced()
    }
  }

  mutating func lookUpFailed(_ error: StockError) -> Action {
    let line: Int
    switch state {
    case .lookingUp: line = standings.count
    case .lookingAgain(_, let taken): line = taken
    case .verifying, .sendingHalf, .holding, .fencing, .committing, .confirming, .givingBack, .answered:
      return misplaced()
    }
    let reason = "another attempt may have taken it, and how it stands can't be learnt: \(error.message)"
    return answer(.unknown(Self.describe(purchases[line], reason)))
  }

  private mutating func took(_ standing: Standing, _ half: HalfMessage) -> Action {
    standings.append(standing)
    return compare(half)
  }

  private mutating func compare(_ half: HalfMessage) -> Action {
    guard let sold = standings.lastIndex(of: .sold), let taken = standings.firstIndex(of: .taken) else {
      return next(half)
    }
    if sold < taken { return endForeign(without: purchases[taken], half) }
    state = .lookingAgain(half, line: taken)
    return .lookUp(line: taken)
  }

  /// The token has bought other lines before, and not this one.
  private mutating func endForeign(without purchase: Purchase, _ half: HalfMessage) -> Action {
    let other = purchases[standings.firstIndex(of: .sold) ?? 0]
    let error = DoorbusterError(
      .tokenMismatch,
      "token \(other.token) has bought \(other.sku) before, without \(purchase.sku): it names another purchase than this cart"
    )
    return end(.failed(error, purchase), half)
  }

  private mutating func next(_ half: HalfMessage) -> Action {
    guard standings.count == purchases.count else {
      state = .holding(half)
      return .hold(line: standings.count)
    }
    if standings.allSatisfy({ $0 == .sold }) { return answer(.accepted(lines, isRepeat: true), rollBack: half) }
    state = .committing(half)
    return .commit(half)
  }

  // MARK: Committing

  mutating func committed(_ commit: CommitAnswer) -> Action {
    guard case .committing = state else { return misplaced() }
    switch commit {
    case .committed: return confirm(from: 0)
    case .gone: return .sendPlain
    }
  }

  /// Whatever the error, the message may still be deliverable, and a second one does no harm.
  mutating func commitFailed(_ error: MessagingError) -> Action {
    guard case .committing = state else { return misplaced() }
    return .sendPlain
  }

  mutating func plainSent() -> Action {
    guard case .committing = state else { return misplaced() }
    return confirm(from: 0)
  }

  mutating func plainFailed(_ error: MessagingError) -> Action {
    guard case .committing = state else { return misplaced() }
    return answer(.unknown("all lines are held, and the broker did not acknowledge it: \(error.message)"))
  }

  // MARK: Confirming

  mutating func confirmed(_ outcome: ConfirmOutcome) -> Action {
    guard case .confirming(let line) = state else { return misplaced() }
    switch outcome {
    case .confirmed, .alreadyConfirmed: return confirm(from: line + 1)
    // The worker that gets the message gives the other lines back.
    case .cancelled: return answer(.cancelled(purchases[line]))
    case .unknownToken: return answer(.unknown(Self.describe(purchases[line], "its bucket has lost the hold")))
    }
  }

  /// The cart is decided, so a worker finishes it.
  mutating func confirmFailed(_ error: StockError) -> Action {
    guard case .confirming(let line) = state else { return misplaced() }
    return answer(.unknown(Self.describe(purchases[line], "it was not confirmed yet: \(error.message)")))
  }

  private mutating func confirm(from line: Int) -> Action {
    guard let line = purchases.indices.first(where: { $0 >= line && standings[$0] != .sold }) else {
      return answer(.accepted(lines, isRepeat: !standings.contains(.taken)))
    }
    state = .confirming(line: line)
    return .confirm(line: line)
  }

  // MARK: Giving back

  /// What this attempt has taken is given back once the line that can't be had is over.
  private mutating func fence(_ outcome: CartOutcome, _ half: HalfMessage) -> Action {
    guard standings.contains(.taken) else { return end(outcome, half) }
    state = .fencing(half, outcome)
    return .fence(line: standings.count)
  }

  mutating func fenced(_ fence: FenceOutcome) -> Action {
    guard case .fencing(let half, let outcome) = state else { return misplaced() }
    switch fence {
    case .fenced, .alreadyCancelled: return end(outcome, half)
    // Another attempt of the token had more luck.
    case .live:
      surprises += 1
      guard surprises < Self.surprisesMax else {
        return answer(
          .unknown(Self.describe(purchases[standings.count], "attempts of one token got in each other's way"))
        )
      }
      return next(half)
    }
  }

  /// Nothing is given back from here; the check-back does it.
  mutating func fenceFailed(_ error: StockError) -> Action {
    guard case .fencing(_, let outcome) = state else { return misplaced() }
    return answer(outcome)
  }

  mutating func gaveBack(_: CancelOutcome) -> Action {
    guard case .givingBack(let rest, let outcome, let half) = state else { return misplaced() }
    return giveBack(rest.dropFirst(), outcome, rollBack: half)
  }

  /// The check-back finds the line, and gives it back.
  mutating func giveBackFailed(_ error: StockError) -> Action {
    guard case .givingBack(let rest, let outcome, _) = state else { return misplaced() }
    return giveBack(rest.dropFirst(), outcome, rollBack: nil)
  }

  private mutating func end(_ outcome: CartOutcome, _ half: HalfMessage) -> Action {
    let taken = standings.indices.filter { standings[$0] == .taken }
    return giveBack(taken[...], outcome, rollBack: standings.contains(.held) ? nil : half)
  }

  private mutating func giveBack(_ rest: ArraySlice<Int>, _ outcome: CartOutcome, rollBack half: HalfMessage?) -> Action
  {
    guard let line = rest.first else { return answer(outcome, rollBack: half) }
    state = .givingBack(Array(rest), outcome, rollBack: half)
    return .giveBack(line: line)
  }

  private mutating func answer(_ outcome: CartOutcome, rollBack half: HalfMessage? = nil) -> Action {
    state = .answered
    return .answer(outcome, rollBack: half)
  }

  private static func describe(_ purchase: Purchase, _ reason: String) -> String { "\(purchase.sku): \(reason)" }

  /// An answer to what was not asked: the shell's fault, so the honest outcome is that nothing is known.
  private mutating func misplaced() -> Action {
    assertionFailure("an answer to what was not asked")
    return answer(.unknown("the cart's steps came out of order"))
  }
}
