import Messaging
import Stock
import Testing

@testable import Doorbuster

@Suite("A purchase, step by step")
struct PurchaseMachineTests {
  let half: HalfMessage
  init() throws { half = Sample.half(try Sample.purchase()) }

  /// A machine whose deduction is the next to be answered.
  private func deducting() -> PurchaseMachine {
    var machine = PurchaseMachine(courier: .messages)
    #expect(machine.start() == .verify)
    #expect(machine.verified() == .sendHalf)
    #expect(machine.halfSent(half) == .deduct)
    return machine
  }

  /// A machine whose commit is the next to be answered.
  private func committing() -> PurchaseMachine {
    var machine = deducting()
    #expect(machine.deducted(.accepted(remaining: 7, sequence: 3, isRepeat: false)) == .commit(half))
    return machine
  }

  private let accepted = PurchaseOutcome.accepted(remaining: 7, sequence: 3, isRepeat: false)

  @Test("is accepted after the broker has acknowledged the commit")
  func accepts() {
    var machine = committing()
    #expect(machine.committed(.committed) == .answer(accepted, rollBack: nil))
  }

  @Test("sends the message again as a plain one where its half is gone")
  func sendsPlainWhereGone() {
    var machine = committing()
    #expect(machine.committed(.gone) == .sendPlain(isHeld: false))
    #expect(machine.plainSent() == .answer(accepted, rollBack: nil))
  }

  @Test(
    "sends the message again as a plain one whatever ended the commit",
    arguments: [
      Sample.brokerSilent, Sample.brokerGone, MessagingError(.full, "no room"),
    ]
  )
  func sendsPlainWhereLost(error: MessagingError) {
    var machine = committing()
    #expect(machine.commitFailed(error) == .sendPlain(isHeld: false))
    #expect(machine.plainSent() == .answer(accepted, rollBack: nil))
  }

  @Test(
    "is unknown where neither commit nor plain message is acknowledged, and cancels nothing",
    arguments: [
      Sample.brokerSilent, Sample.brokerGone,
    ]
  )
  func unknownWithoutAcknowledgement(error: MessagingError) {
    var machine = committing()
    #expect(machine.commitFailed(Sample.brokerSilent) == .sendPlain(isHeld: false))
    guard case .answer(.unknown(let reason), rollBack: nil) = machine.plainFailed(error) else {
      Issue.record("not unknown")
      return
    }
    #expect(reason.contains(error.message))
  }

  @Test(
    "deducts nothing unless the half message is known to be stored",
    arguments: [
      Sample.brokerGone, Sample.brokerSilent, MessagingError(.full, "no room"),
    ]
  )
  func failsWithoutHalf(error: MessagingError) {
    var machine = PurchaseMachine(courier: .messages)
    #expect(machine.start() == .verify)
    #expect(machine.verified() == .sendHalf)
    #expect(machine.halfFailed(error) == .answer(.failed(DoorbusterError(error)), rollBack: nil))
  }

  @Test("rolls back what is refused, and its answer need not wait for it", arguments: Refusal.allCases)
  func rollsBackRefused(refusal: Refusal) {
    var machine = deducting()
    #expect(
      machine.deducted(.refused(refusal, remaining: 1))
        == .answer(.refused(refusal, remaining: 1), rollBack: half)
    )
  }

  @Test("rolls back an attempt that is over")
  func rollsBackCancelled() {
    var machine = deducting()
    #expect(machine.deducted(.cancelled) == .answer(.cancelled, rollBack: half))
  }

  @Test("leaves a deduction that nobody knows of to the check-back")
  func leavesUnknown() {
    var machine = deducting()
    #expect(machine.deducted(.unknown("no reply")) == .answer(.unknown("no reply"), rollBack: nil))
    for error in [Sample.stockSilent, StockError(.protocolViolation, "an answer that can't be read")] {
      machine = deducting()
      #expect(machine.deductFailed(error) == .answer(.unknown(error.message), rollBack: nil))
    }
  }

  @Test(
    "does nothing at all where the bucket believes in another number of buckets, or is out of reach",
    arguments: [
      StockError(.bucketsMismatch, "2 buckets"), Sample.stockGone, StockError(.noBucket, "no bucket"),
    ]
  )
  func verifiesFirst(error: StockError) {
    var machine = PurchaseMachine(courier: .messages)
    #expect(machine.start() == .verify)
    #expect(machine.verifyFailed(error) == .answer(.failed(DoorbusterError(error)), rollBack: nil))
  }

  @Test(
    "rolls back where the deduction was surely not made",
    arguments: [
      Sample.stockGone, StockError(.tokenMismatch, "another user"), StockError(.noBucket, "no bucket"),
      StockError(.outOfMemory, "no memory"), StockError(.bucketsMismatch, "2 buckets"),
    ]
  )
  func rollsBackFailed(error: StockError) {
    var machine = deducting()
    #expect(machine.deductFailed(error) == .answer(.failed(DoorbusterError(error)), rollBack: half))
  }
}
