import Logging
import Stock
import Synchronization

/// Brings units to buyers whose home is short: does what a ``PullDesk`` decides.
final class Puller: Sendable {
  private let stock: any StockService
  private let clock: any SaleClock
  private let logger: Logger
  /// What this process knows to be sold out: the stock service's own where it keeps it, else one that forgets soon.
  let soldOut: SoldOutCache
  private let desks = Mutex<[SKU: PullMailbox]>([:])

  private let reader: BucketReader
  private let finisher: TransferFinisher

  /// How long a command to one bucket may take before it is given up.
  private static let callMax = Duration.seconds(1)

  init(stock: any StockService, clock: any SaleClock, logger: Logger) {
    self.stock = stock
    self.clock = clock
    self.logger = logger
    reader = BucketReader(stock: stock, clock: clock)
    finisher = TransferFinisher(stock: stock, clock: clock, logger: logger)
    soldOut = stock.soldOut ?? SoldOutCache(ageMax: .milliseconds(100), ageMaxUnwatched: .milliseconds(100))
  }

  /// Takes a purchase's units at home, pulling them there from other buckets where home is short.
  nonisolated(nonsending) func deduct(
    _ purchase: Purchase,
    of sale: KnownSale,
    holdMs: Int64?,
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DeductOutcome {
    let home = sale.home(of: purchase.user)
    let askedAt = clock.now
    let outcome = try await stock.deduct(purchase, from: home, holdMs: holdMs, before: deadline)
    guard case .refused(.soldOut, let remaining) = outcome else { return outcome }
    if sale.buckets == 1 {
      soldOut.declare(purchase.sku, quantity: purchase.quantity, asOf: askedAt)
      return outcome
    }
    let errand = Errand(purchase: purchase, sale: sale, home: home.index, holdMs: holdMs, deadline: deadline)
    return try await deductPulling(errand, remaining: remaining)
  }

  /// Where home of several buckets is short, with so many left. Apart, as few purchases come here and all others are spared
  /// the memory.
  @inline(never)
  private nonisolated(nonsending) func deductPulling(
    _ errand: Errand,
    remaining: Int64
  ) async throws(StockError) -> DeductOutcome {
    var errand = errand
    let (purchase, home) = (errand.purchase, errand.bucket(errand.home))
    var remaining = remaining
    while true {
      // The home has said that it does not know the token, so the cache may speak for the other buckets.
      if soldOut.isSoldOut(purchase.sku, quantity: purchase.quantity, at: clock.now) {
        return .refused(.soldOut, remaining: remaining)
      }
      if let outcome = try await stand(at: desk(of: errand.sale), &errand, remaining: remaining) { return outcome }
      let outcome = try await stock.deduct(purchase, from: home, holdMs: errand.holdMs, before: errand.deadline)
      guard case .refused(.soldOut, let left) = outcome else { return outcome }
      remaining = left
    }
  }

  /// What one purchase is about, over all its attempts.
  private struct Errand {
    let purchase: Purchase
    let sale: KnownSale
    let home: Int
    let holdMs: Int64?
    let deadline: ContinuousClock.Instant
    /// The number of the next attempt to pull.
    var attempt = 1

    func bucket(_ index: Int) -> BucketID { BucketID(sku: sale.sku, index: index) }
  }

  private func desk(of sale: KnownSale) -> PullMailbox {
    desks.withLock { desks in
      if let desk = desks[sale.sku] { return desk }
      let desk = PullMailbox(PullDesk(buckets: sale.buckets))
      desks[sale.sku] = desk
      return desk
    }
  }

  /// Does a buyer's duties. Nil where it is to try its home again.
  private nonisolated(nonsending) func stand(
    at desk: PullMailbox,
    _ errand: inout Errand,
    remaining: Int64
  ) async throws(StockError) -> DeductOutcome? {
    let buyer = desk.enter(
      quantity: errand.purchase.quantity,
      home: errand.home,
      remaining: remaining,
      attempt: errand.attempt,
      deadline: errand.deadline,
      now: clock.now
    )
    while true {
      let duty = await desk.duty(of: buyer)
      switch duty {
      case .tryAgain: return nil
      case .refuse(let left): return .refused(.soldOut, remaining: left)
      case .giveUp(let reason): throw undecided(errand, reason)
      case .pull, .read, .wait, .finishTransfers: break
      }
      guard !Task.isCancelled else {
        _ = desk.report { $0.leave(buyer, now: clock.now) }
        throw undecided(errand, "the task was cancelled")
      }
      switch duty {
      case .pull(let drafts, let attempt):
        errand.attempt = attempt + 1
        let result = await pull(drafts, attempt: attempt, errand)
        _ = desk.report { $0.pulled(buyer, drafts, result, now: clock.now) }
        guard let deduction = result.deduction else { continue }
        let outcome = try deduction.get()
        if case .refused(.soldOut, _) = outcome { continue }
        return outcome
      case .read:
        let reading = await reader.read(errand.sale, by: bound(errand.deadline))
        if let declared = desk.report({ $0.read(buyer, reading, now: clock.now) }) {
          soldOut.declare(errand.sale.sku, quantity: declared.left + 1, asOf: declared.asOf)
        }
      case .wait(let ms):
        _ = await clock.wait(ms: ms.jittered)
        _ = desk.report { $0.woke(buyer, now: clock.now) }
      case .finishTransfers(let buckets):
        await finisher.finish(errand.sale, buckets, by: bound(errand.deadline))
        _ = desk.report { $0.woke(buyer, now: clock.now) }
      case .tryAgain, .refuse, .giveUp: break
      }
    }
  }

  private func undecided(_ errand: Errand, _ reason: String) -> StockError {
    StockError(
      .undecided,
      """
      whether \(errand.purchase.quantity) units of \(errand.sale.sku) are left could not be learnt in time, and nothing \
      was taken: \(reason)
      """
    )
  }

  /// Until when one command may take: not much longer than the purchase has, and not so short that none could succeed.
  private func bound(_ deadline: ContinuousClock.Instant) -> ContinuousClock.Instant {
    let now = clock.now
    return min(now.advanced(by: Self.callMax), max(deadline, now.advanced(by: .milliseconds(100))))
  }

  /// Pulls to its end, whatever becomes of the buyer's task: units in transfer are on sale nowhere.
  private nonisolated(nonsending) func pull(
    _ drafts: [PullDesk.Draft],
    attempt: Int,
    _ errand: Errand
  ) async -> PullMachine.Result {
    await uncancelled { [self] in
      do throws(InvalidInput) {
        var withdrawals: [PullMachine.Withdrawal] = []
        for draft in drafts {
          let name = try TransferName.pull(
            errand.purchase.token,
            attempt: attempt,
            from: draft.source,
            to: errand.home
          )
          withdrawals.append(.init(name: name, source: draft.source, quantity: draft.quantity))
        }
        return await run(PullMachine(withdrawals), errand)
      } catch {
        let error = StockError(.refused, error.description)
        return PullMachine.Result(deduction: .failure(error), moved: [], isSettled: true)
      }
    }
  }

  private func run(_ pull: PullMachine, _ errand: Errand) async -> PullMachine.Result {
    var machine = pull
    var action = machine.start()
    var depositsUntil = clock.now
    while true {
      if clock.now >= errand.deadline { machine.hurry() }
      if action.deposits, clock.now >= depositsUntil { action = machine.askAgain() }
      switch action {
      case .withdraw(let withdrawals):
        action = machine.withdrawn(
          await each(withdrawals, errand) { [stock] withdrawal async throws(StockError) in
            try await stock.withdraw(
              withdrawal.name,
              quantity: withdrawal.quantity,
              from: errand.bucket(withdrawal.source),
              to: errand.home
            )
          }
        )
        depositsUntil = clock.now.advanced(by: TransferFinisher.depositsWithin)
      case .deduct(let deposits):
        let deadline = min(errand.deadline, depositsUntil)
        action = machine.deducted(await deduct(depositing: deposits, errand, before: deadline))
      case .deposit(let deposits):
        action = machine.deposited(
          await each(deposits, errand) { [stock] deposit async throws(StockError) in
            try await stock.deposit(deposit, into: errand.bucket(errand.home))
          }
        )
      case .settleAtSource(let deposits):
        action = machine.settledAtSource(
          await each(deposits, errand) { [stock] deposit async throws(StockError) in
            try await stock.settle(deposit.name, in: errand.bucket(deposit.source))
          }
        )
      case .settleAtHome(let deposits):
        action = machine.settledAtHome(
          await each(deposits, errand) { [stock] deposit async throws(StockError) in
            try await stock.settle(deposit.name, in: errand.bucket(errand.home))
          }
        )
      case .wait(let ms):
        _ = await clock.wait(ms: ms.jittered)
        action = machine.woke()
      case .finish(let result):
        if !result.isSettled {
          logger.notice("\(errand.sale.sku) token \(errand.purchase.token): a pull is left to be finished by others")
        }
        return result
      }
    }
  }

  private func deduct(
    depositing deposits: [Deposit],
    _ errand: Errand,
    before deadline: ContinuousClock.Instant
  ) async -> Result<DepositedDeduction, StockError> {
    do throws(StockError) {
      return .success(
        try await stock.deduct(
          errand.purchase,
          from: errand.bucket(errand.home),
          holdMs: errand.holdMs,
          depositing: deposits,
          before: deadline
        )
      )
    } catch {
      return .failure(error)
    }
  }

  /// A command for each, all at once; the answers in their order.
  private func each<Item: Sendable, Answer: Sendable>(
    _ items: [Item],
    _ errand: Errand,
    _ call: @escaping @Sendable (Item) async throws(StockError) -> Answer
  ) async -> [Result<Answer, StockError>] {
    await clock.all(items, by: bound(errand.deadline), call)
  }
}

extension PullMachine.Action {
  /// Whether it puts withdrawn units on sale.
  fileprivate var deposits: Bool {
    switch self {
    case .deduct, .deposit: true
    case .withdraw, .settleAtSource, .settleAtHome, .wait, .finish: false
    }
  }
}
