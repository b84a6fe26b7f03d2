import Stock

@testable import Doorbuster

/// One call to buy, in a process of the simulated world: home first, then whatever the desk says.
final class SpreadBuyer {
  private let sim: SpreadWorld
  private let shop: SpreadWorld.Shop
  private let purchase: Purchase
  private let holdMs: Int64?
  private let home: Int
  private let deadlineMs: Int64
  private let call: Int
  private let heard: (Result<DeductOutcome, StockError>) -> Void
  private var attempt = 1

  init(
    _ sim: SpreadWorld,
    _ shop: SpreadWorld.Shop,
    _ purchase: Purchase,
    holdMs: Int64? = nil,
    patienceMs: Int64 = 3000,
    _ heard: @escaping (Result<DeductOutcome, StockError>) -> Void
  ) {
    self.sim = sim
    self.shop = shop
    self.purchase = purchase
    self.holdMs = holdMs
    self.heard = heard
    home = sim.sale.home(of: purchase.user).index
    deadlineMs = sim.world.nowMs + patienceMs
    call = sim.beginCall()
  }

  func start() {
    deduct([]) { [self] answer in
      switch answer {
      case .success(let deposited):
        guard case .refused(.soldOut, let remaining) = deposited.deduction else {
          return end(.success(deposited.deduction))
        }
        enter(remaining)
      case .failure(let error): end(.failure(error))
      }
    }
  }

  private func end(_ answer: Result<DeductOutcome, StockError>) {
    var isSoldOut = false
    if case .success(.refused(.soldOut, _)) = answer { isSoldOut = true }
    sim.endCall(call, purchase, isSoldOut: isSoldOut)
    heard(answer)
  }

  // MARK: At the desk

  private func enter(_ remaining: Int64) {
    let (buyer, assignments) = shop.desk.enter(
      quantity: purchase.quantity,
      home: home,
      remaining: remaining,
      attempt: attempt,
      deadline: Sample.instant(deadlineMs),
      now: sim.now
    )
    shop.duties[buyer] = { [self] in perform($0, buyer) }
    give(assignments)
  }

  private func give(_ assignments: [PullDesk.Assignment]) {
    _ = shop.desk.takeDeclaration()
    for assignment in assignments { shop.duties[assignment.buyer]?(assignment.duty) }
  }

  private func perform(_ duty: PullDesk.Duty, _ buyer: PullDesk.BuyerID) {
    switch duty {
    case .tryAgain:
      shop.duties[buyer] = nil
      start()
    case .refuse(let left):
      shop.duties[buyer] = nil
      end(.success(.refused(.soldOut, remaining: left)))
    case .giveUp(let reason):
      shop.duties[buyer] = nil
      end(.failure(StockError(.undecided, reason)))
    case .pull(let drafts, let attempt):
      self.attempt = attempt + 1
      let withdrawals = drafts.compactMap { draft in
        (try? TransferName.pull(purchase.token, attempt: attempt, from: draft.source, to: home))
          .map { PullMachine.Withdrawal(name: $0, source: draft.source, quantity: draft.quantity) }
      }
      pull(PullMachine(withdrawals)) { [self] result in
        let assignments = shop.desk.pulled(buyer, drafts, result, now: sim.now)
        switch result.deduction {
        case .success(.refused(.soldOut, _)), nil: break
        case .some(let answer):
          shop.duties[buyer] = nil
          end(answer)
        }
        give(assignments)
      }
    case .read:
      sim.read(shop.process) { [self] in give(shop.desk.read(buyer, $0, now: sim.now)) }
    case .wait(let ms):
      later(ms) { [self] in give(shop.desk.woke(buyer, now: sim.now)) }
    case .finishTransfers(let buckets):
      sim.list(shop.process, buckets) { [self] listed in
        sim.finish(shop.process, OpenTransfer.all(in: listed)) { [self] in
          give(shop.desk.woke(buyer, now: sim.now))
        }
      }
    }
  }

  private func later(_ ms: Int64, _ body: @escaping () -> Void) {
    let life = shop.process.life
    sim.world.after(max(1, ms)) { [self] in if shop.process.life == life { body() } }
  }

  // MARK: Pulling

  private func pull(_ pull: PullMachine, _ done: @escaping (PullMachine.Result) -> Void) {
    var machine = pull
    func atHome(_: Deposit) -> Int { home }
    func perform(_ action: PullMachine.Action) {
      if sim.world.nowMs >= deadlineMs { machine.hurry() }
      let process = shop.process
      switch action {
      case .withdraw(let withdrawals):
        sim.each(process, withdrawals, bucket: \.source) { [home] item, bucket, nowMs throws(StockError) in
          try bucket.withdraw(item.name, quantity: item.quantity, to: home, nowMs: nowMs)
        } _: {
          perform(machine.withdrawn($0))
        }
      case .deduct(let deposits): deduct(deposits) { perform(machine.deducted($0)) }
      case .deposit(let deposits):
        sim.each(process, deposits, bucket: atHome) { item, bucket, nowMs throws(StockError) in
          try bucket.deposit(item, nowMs: nowMs)
        } _: {
          perform(machine.deposited($0))
        }
      case .settleAtSource(let deposits):
        sim.each(process, deposits, bucket: \.source) { item, bucket, _ throws(StockError) in
          try bucket.settle(item.name)
        } _: {
          perform(machine.settledAtSource($0))
        }
      case .settleAtHome(let deposits):
        sim.each(process, deposits, bucket: atHome) { item, bucket, _ throws(StockError) in
          try bucket.settle(item.name)
        } _: {
          perform(machine.settledAtHome($0))
        }
      case .wait(let ms): later(ms) { perform(machine.woke()) }
      case .finish(let result): done(result)
      }
    }
    perform(machine.start())
  }

  // MARK: The driver's promise

  /// Sent again after a lost reply, a later refusal decided by the fence, nothing sent after the deadline.
  private func deduct(
    _ deposits: [Deposit],
    isSilent: Bool = false,
    isDeposited: Bool = false,
    _ done: @escaping (Result<DepositedDeduction, StockError>) -> Void
  ) {
    func answer(_ outcome: DeductOutcome, _ isDeposited: Bool) {
      done(.success(DepositedDeduction(deduction: outcome, isDeposited: isDeposited)))
    }
    guard sim.world.nowMs < deadlineMs else {
      return isSilent ? answer(.unknown("no reply in time"), isDeposited) : done(.failure(Sample.stockGone))
    }
    sim.ask(shop.process, home) { [purchase, holdMs] bucket, nowMs throws(StockError) in
      for deposit in deposits { _ = try bucket.deposit(deposit, nowMs: nowMs) }
      return try bucket.deduct(purchase, holdMs: holdMs, nowMs: nowMs)
    } _: { [self] result in
      switch result {
      case .success(.refused(let refusal, let remaining)) where isSilent:
        fence(refusal, remaining, tries: 3) { [self] decided in
          if let decided { answer(decided, true) } else { deduct(deposits, isSilent: true, isDeposited: true, done) }
        }
      case .success(let outcome): answer(outcome, true)
      case .failure(let error) where error.isTransient:
        later(50) { [self] in
          deduct(deposits, isSilent: isSilent || error.code == .replyLost, isDeposited: isDeposited, done)
        }
      case .failure(let error): done(.failure(error))
      }
    }
  }

  /// Nil where the purchase is live after all.
  private func fence(
    _ refusal: Refusal,
    _ remaining: Int64,
    tries: Int,
    _ done: @escaping (DeductOutcome?) -> Void
  ) {
    guard tries > 0 else { return done(.unknown("no reply to the fence")) }
    sim.ask(shop.process, home) { [purchase] bucket, nowMs throws(StockError) in
      try bucket.fence(purchase.token, nowMs: nowMs)
    } _: { [self] result in
      switch result {
      case .success(.fenced), .success(.alreadyCancelled): done(.refused(refusal, remaining: remaining))
      case .success(.live): done(nil)
      case .failure: fence(refusal, remaining, tries: tries - 1, done)
      }
    }
  }
}
