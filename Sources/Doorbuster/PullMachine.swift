import Stock

/// One attempt to bring units home for a purchase: withdraw them, put them on sale at home together with the deduction,
/// settle.
///
/// Each step is named, so it may be repeated by anyone at any time. What can't be finished here is left open, for whoever
/// finishes open transfers. Rules it keeps:
///
/// - What was withdrawn is deposited, whatever became of the deduction; and only while the source's word that it is gone is
///   fresh. Later the source is asked again: it may have lost the withdrawal, and be about to sell the units itself.
/// - A transfer is settled only where it is known to be deposited; at its source first.
/// - What an earlier call of the same purchase has moved under these names is deposited once more, which changes nothing.
struct PullMachine {
  /// Units to be asked of one bucket.
  struct Withdrawal: Hashable, Sendable {
    var name: TransferName
    var source: Int
    var quantity: Int64
  }

  enum Action: Hashable {
    /// All at once; one answer each.
    case withdraw([Withdrawal])
    /// In one step at home.
    case deduct([Deposit])
    /// At home, each by itself; one answer each.
    case deposit([Deposit])
    /// One answer each.
    case settleAtSource([Deposit])
    case settleAtHome([Deposit])
    case wait(ms: Int64)
    case finish(Result)
  }

  /// What became of the attempt.
  struct Result: Hashable, Sendable {
    /// What the deduction answered; nil where none was sent, as nothing had been withdrawn.
    var deduction: Swift.Result<DeductOutcome, StockError>?
    /// What each bucket asked has given, in the order of the withdrawals; nil where that is not known.
    var moved: [Moved]
    /// Whether nothing of the attempt is open any more. Only then may the next one begin.
    var isSettled: Bool
  }

  enum Moved: Hashable, Sendable {
    /// By this attempt: all that was there, or as much as was asked for.
    case units(Int64)
    /// An earlier call of the same purchase had moved them.
    case before
    /// Nothing: the bucket did not take the command.
    case nothing(StockError)
    case unknown(StockError)
  }

  private enum Step {
    case withdrawing
    case deducting
    case depositing
    case settlingAtSource
    case settlingAtHome
    case withdrawingAgain
    /// For these withdrawals, whose units are not deposited yet.
    case askingAgain([Int])
    /// Then the step before is repeated.
    case waiting
    case finished
  }

  private let withdrawals: [Withdrawal]
  private var step = Step.withdrawing
  private var afterWait = Step.withdrawing
  private var moved: [Moved] = []
  private var deduction: Swift.Result<DeductOutcome, StockError>?
  /// What the step under way concerns.
  private var current: [Deposit] = []
  private var isLeftOpen = false
  private var backOff = BackOff(firstMs: 5, maxMs: 500)
  private var triesLeft = Self.triesMax

  /// How often a step that fails for a while is tried.
  static let triesMax = 4

  /// - Parameter withdrawals: at least one.
  init(_ withdrawals: [Withdrawal]) { self.withdrawals = withdrawals }

  mutating func start() -> Action { .withdraw(withdrawals) }

  mutating func withdrawn(_ answers: [Swift.Result<WithdrawOutcome, StockError>]) -> Action {
    switch step {
    case .withdrawing: moved = zip(withdrawals, answers).map { note($1, of: $0) }
    case .withdrawingAgain:
      var answers = answers.makeIterator()
      for (index, withdrawal) in withdrawals.enumerated() {
        guard case .unknown = moved[index], let answer = answers.next() else { continue }
        moved[index] = note(answer, of: withdrawal)
      }
    case .askingAgain(let indices):
      for (index, answer) in zip(indices, answers) {
        let again = note(answer, of: withdrawals[index])
        // What was moved was moved then; else the source has lost that, and moved what this says.
        if again != .before { moved[index] = again }
      }
    case .deducting, .depositing, .settlingAtSource, .settlingAtHome, .waiting, .finished: break
    }
    guard !current.isEmpty else { return afterDeposits() }
    if deduction != nil { return deposit() }
    step = .deducting
    return .deduct(current)
  }

  /// Instead of a deposit, where the sources' word is too old to go by.
  mutating func askAgain() -> Action {
    let names = Set(current.map(\.name))
    let indices = withdrawals.indices.filter { names.contains(withdrawals[$0].name) }
    step = .askingAgain(indices)
    current = []
    return .withdraw(indices.map { withdrawals[$0] })
  }

  mutating func deducted(_ answer: Swift.Result<DepositedDeduction, StockError>) -> Action {
    deduction = answer.map(\.deduction)
    if case .success(let deposited) = answer, deposited.isDeposited { return settleAtSource() }
    return deposit()
  }

  mutating func deposited(_ answers: [Swift.Result<DepositOutcome, StockError>]) -> Action {
    keep(answers.map { $0.map { _ in true } }) { $0.settleAtSource() }
  }

  /// Where the source does not know the transfer it has lost it, and has to be told by recovery: it stays open.
  mutating func settledAtSource(_ answers: [Swift.Result<SettleOutcome, StockError>]) -> Action {
    keep(answers.map { $0.map(\.isKnown) }) { $0.settleAtHome() }
  }

  mutating func settledAtHome(_ answers: [Swift.Result<SettleOutcome, StockError>]) -> Action {
    keep(answers.map { $0.map(\.isKnown) }) { machine in
      machine.current = []
      return machine.afterDeposits()
    }
  }

  /// Time is short: nothing is tried again from now on.
  mutating func hurry() { triesLeft = 0 }

  mutating func woke() -> Action {
    switch afterWait {
    case .depositing: return deposit()
    case .settlingAtSource: return settleAtSource()
    case .settlingAtHome: return settleAtHome()
    case .withdrawing, .withdrawingAgain, .askingAgain, .deducting, .waiting, .finished: return withdrawAgain()
    }
  }

  // MARK: Steps

  private mutating func deposit() -> Action {
    step = .depositing
    return .deposit(current)
  }

  private mutating func settleAtSource() -> Action {
    step = .settlingAtSource
    return .settleAtSource(current)
  }

  private mutating func settleAtHome() -> Action {
    step = .settlingAtHome
    return .settleAtHome(current)
  }

  /// All that was withdrawn is done with. What may have been withdrawn is asked for again, unless the buyer has been
  /// served: then it is left to others.
  private mutating func afterDeposits() -> Action {
    guard hasUnknown else { return finish() }
    if case .success(.accepted) = deduction {
      isLeftOpen = true
      return finish()
    }
    guard triesLeft > 0 else {
      isLeftOpen = true
      return finish()
    }
    return wait(then: .withdrawingAgain)
  }

  private var hasUnknown: Bool {
    moved.contains { if case .unknown = $0 { true } else { false } }
  }

  private mutating func withdrawAgain() -> Action {
    step = .withdrawingAgain
    return .withdraw(
      zip(withdrawals, moved).compactMap { if case .unknown = $1 { $0 } else { nil } }
    )
  }

  private mutating func wait(then next: Step) -> Action {
    triesLeft -= 1
    step = .waiting
    afterWait = next
    return .wait(ms: backOff.failed())
  }

  private mutating func finish() -> Action {
    step = .finished
    return .finish(Result(deduction: deduction, moved: moved, isSettled: !isLeftOpen))
  }

  /// Takes what is done on to the next step. What failed for a while is tried again, and holds the rest up; what failed for
  /// good is left open.
  private mutating func keep(
    _ isDone: [Swift.Result<Bool, StockError>],
    then next: (inout Self) -> Action
  ) -> Action {
    var failed: [Deposit] = []
    var done: [Deposit] = []
    for (deposit, answer) in zip(current, isDone) {
      switch answer {
      case .success(true): done.append(deposit)
      case .success(false): isLeftOpen = true
      case .failure(let error): if error.isTransient { failed.append(deposit) } else { isLeftOpen = true }
      }
    }
    if !failed.isEmpty, triesLeft > 0 {
      // Each step may be repeated, so those that are done go along.
      current = done + failed
      return wait(then: step)
    }
    if !failed.isEmpty { isLeftOpen = true }
    current = done
    guard !current.isEmpty else { return afterDeposits() }
    return next(&self)
  }

  /// Notes what a bucket has given, to be deposited.
  private mutating func note(_ answer: Swift.Result<WithdrawOutcome, StockError>, of withdrawal: Withdrawal) -> Moved {
    switch answer {
    case .success(.withdrawn(let units, let isRepeat)):
      current.append(Deposit(name: withdrawal.name, source: withdrawal.source, quantity: units))
      return isRepeat ? .before : .units(units)
    case .success(.soldOut): return .units(0)
    case .failure(let error):
      return error.code == .replyLost || error.code == .protocolViolation ? .unknown(error) : .nothing(error)
    }
  }
}

extension SettleOutcome {
  /// Whether the bucket knows the transfer, and has settled it now or before.
  var isKnown: Bool {
    switch self {
    case .settled, .alreadySettled: true
    case .unknownTransfer: false
    }
  }
}
