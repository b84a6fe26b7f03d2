import Messaging
import Stock

@testable import Doorbuster

extension World {
  static let purchaseDeadlineMs: Int64 = 3000

  /// Runs one attempt in a process. Where the process dies, nobody hears an answer.
  func attempt(
    _ purchase: Purchase,
    holdMs: Int64? = nil,
    in process: Process,
    _ heard: @escaping (PurchaseOutcome) -> Void
  ) {
    let body = PurchaseMessage(
      purchase: purchase,
      bucket: home(of: purchase).index,
      createdAtMs: nowMs,
      isHeld: holdMs != nil
    )
    let run = AttemptRun(self, process, body, holdMs: holdMs, heard)
    run.perform(run.machine.start())
  }

  func home(of purchase: Purchase) -> BucketID {
    let buckets = orders.sales[purchase.sku]?.terms.buckets ?? 1
    return BucketID(sku: purchase.sku, index: purchase.user.homeBucket(among: buckets))
  }
}

/// Performs a ``PurchaseMachine``'s actions as requests of the simulated world.
private final class AttemptRun {
  var machine: PurchaseMachine
  private let world: World
  private let process: Process
  private var body: PurchaseMessage
  private let holdMs: Int64?
  private let deadlineMs: Int64
  private let heard: (PurchaseOutcome) -> Void

  private var message: Message { body.message(topic: Sample.topic) }

  init(
    _ world: World,
    _ process: Process,
    _ body: PurchaseMessage,
    holdMs: Int64?,
    _ heard: @escaping (PurchaseOutcome) -> Void
  ) {
    self.world = world
    self.process = process
    self.body = body
    self.holdMs = holdMs
    self.heard = heard
    machine = PurchaseMachine(courier: world.settings.courier, holdEndsMs: holdMs.map { world.nowMs + $0 })
    deadlineMs = world.nowMs + World.purchaseDeadlineMs
  }

  func perform(_ action: PurchaseMachine.Action) {
    switch action {
    // The driver asks once a connection; here it has done so.
    case .verify: perform(machine.verified())
    case .sendHalf:
      world.broker(process) { [message] in
        $0.broker.sendHalf(message, nowMs: $0.nowMs)
      } _: { [self] in
        switch $0 {
        case .success(let half): perform(machine.halfSent(half))
        case .failure(let error): perform(machine.halfFailed(error))
        }
      }
    case .deduct:
      SimulatedDriver(world, process, body, holdMs, deadlineMs).deduct { [self] in
        switch $0 {
        case .success(let outcome): perform(machine.deducted(outcome))
        case .failure(let error): perform(machine.deductFailed(error))
        }
      }
    case .lookUp:
      world.stock(process) { [body] world throws(StockError) in
        try world.stock.with(body.bucketID) { bucket throws(StockError) in bucket.record(of: body.purchase.token) }
      } _: { [self] in
        switch $0 {
        case .success(let record): perform(machine.found(record))
        case .failure(let error): perform(machine.lookUpFailed(error))
        }
      }
    case .commit(let half):
      world.broker(process) {
        $0.broker.commit(half)
      } _: { [self] in
        switch $0 {
        case .success(let answer): perform(machine.committed(answer))
        case .failure(let error): perform(machine.commitFailed(error))
        }
      }
    case .sendPlain(let isHeld):
      body.isHeld = isHeld
      world.broker(process) { [message] in
        $0.broker.send(message)
      } _: { [self] in
        switch $0 {
        case .success: perform(machine.plainSent())
        case .failure(let error): perform(machine.plainFailed(error))
        }
      }
    case .answer(let outcome, let half):
      heard(outcome)
      if let half {
        world.broker(process) {
          $0.broker.rollBack(half)
        } _: { _ in
        }
      }
    }
  }
}

/// What the stock seam promises of a deduction: sent again after a lost reply, a later refusal decided by the fence,
/// nothing sent after the deadline, and never a guess.
final class SimulatedDriver {
  private let world: World
  private let process: Process
  private let body: PurchaseMessage
  private let holdMs: Int64?
  private let deadlineMs: Int64
  private var isSilent = false

  init(_ world: World, _ process: Process, _ body: PurchaseMessage, _ holdMs: Int64?, _ deadlineMs: Int64) {
    self.world = world
    self.process = process
    self.body = body
    self.holdMs = holdMs
    self.deadlineMs = deadlineMs
  }

  func deduct(_ done: @escaping (Result<DeductOutcome, StockError>) -> Void) {
    guard world.nowMs < deadlineMs else {
      guard isSilent else { return done(.failure(Sample.stockGone)) }
      // The seam knows two words for it.
      let isError = world.random.chance(0.5)
      return done(isError ? .failure(Sample.stockSilent) : .success(.unknown("no reply in time")))
    }
    world.stock(process) { [body, holdMs] world throws(StockError) in
      try world.stock.with(body.bucketID) { bucket throws(StockError) in
        try bucket.deduct(body.purchase, holdMs: holdMs, nowMs: world.nowMs)
      }
    } _: { [self] result in
      switch result {
      case .success(.refused(let refusal, let remaining)) where isSilent: fence(refusal, remaining, tries: 3, done)
      case .success(let outcome): done(.success(outcome))
      case .failure(let error) where error.code == .replyLost:
        isSilent = true
        world.after(100) { [self] in deduct(done) }
      case .failure(let error) where error.code == .unavailable:
        world.after(100) { [self] in deduct(done) }
      case .failure(let error): done(.failure(error))
      }
    }
  }

  private func fence(
    _ refusal: Refusal,
    _ remaining: Int64,
    tries: Int,
    _ done: @escaping (Result<DeductOutcome, StockError>) -> Void
  ) {
    guard tries > 0 else { return done(.success(.unknown("no reply to the fence"))) }
    world.stock(process) { [body] world throws(StockError) in
      try world.stock.with(body.bucketID) { bucket throws(StockError) in
        try bucket.fence(body.purchase.token, nowMs: world.nowMs)
      }
    } _: { [self] result in
      switch result {
      case .success(.fenced), .success(.alreadyCancelled): done(.success(.refused(refusal, remaining: remaining)))
      // Whose it is, a repetition tells: a known token takes nothing.
      case .success(.live): deduct(done)
      case .failure: fence(refusal, remaining, tries: tries - 1, done)
      }
    }
  }
}
