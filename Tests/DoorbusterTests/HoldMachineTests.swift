import Messaging
import Stock
import Testing

@testable import Doorbuster

@Suite("A purchase that is held, repeated, or delivered by the log, step by step")
struct HoldMachineTests {
  let half: HalfMessage
  let purchase: Purchase
  init() throws {
    purchase = try Sample.purchase()
    half = Sample.half(purchase)
  }

  private let accepted = PurchaseOutcome.accepted(remaining: 7, sequence: 3, isRepeat: false)
  private let acceptedBefore = PurchaseOutcome.accepted(remaining: 7, sequence: 3, isRepeat: true)
  private let held = PurchaseOutcome.held(expiresMs: 5000, remaining: 7, sequence: 3, isRepeat: false)
  private let heldBefore = PurchaseOutcome.held(expiresMs: 4000, remaining: 7, sequence: 3, isRepeat: true)

  /// A machine whose deduction was answered, and the action after that.
  private func deducted(
    _ courier: Courier,
    hold: Bool,
    isRepeat: Bool
  ) -> (PurchaseMachine, PurchaseMachine.Action) {
    var machine = PurchaseMachine(courier: courier, holdEndsMs: hold ? 5000 : nil)
    #expect(machine.start() == .verify)
    switch courier {
    case .messages:
      #expect(machine.verified() == .sendHalf)
      #expect(machine.halfSent(half) == .deduct)
    case .log: #expect(machine.verified() == .deduct)
    }
    let action = machine.deducted(.accepted(remaining: 7, sequence: 3, isRepeat: isRepeat))
    return (machine, action)
  }

  private func record(_ state: PurchaseState) -> PurchaseRecord {
    PurchaseRecord(
      token: purchase.token,
      user: purchase.user,
      quantity: 2,
      state: state,
      sequence: 3,
      timestampMs: 1000,
      expiresMs: state == .held ? 4000 : nil
    )
  }

  @Test("A hold is heard of with its end after the broker has acknowledged the commit")
  func holds() {
    var (machine, action) = deducted(.messages, hold: true, isRepeat: false)
    #expect(action == .commit(half))
    #expect(machine.commitFailed(Sample.brokerSilent) == .sendPlain(isHeld: true))
    #expect(machine.plainSent() == .answer(held, rollBack: nil))
  }

  @Test("Where the log delivers, the deduction is all, and no message is sent")
  func logDelivers() {
    #expect(deducted(.log, hold: false, isRepeat: false).1 == .answer(accepted, rollBack: nil))
    #expect(deducted(.log, hold: true, isRepeat: false).1 == .answer(held, rollBack: nil))
    var machine = PurchaseMachine(courier: .log)
    _ = machine.start()
    _ = machine.verified()
    #expect(
      machine.deducted(.refused(.soldOut, remaining: 0)) == .answer(.refused(.soldOut, remaining: 0), rollBack: nil)
    )
    machine = PurchaseMachine(courier: .log)
    _ = machine.start()
    _ = machine.verified()
    #expect(
      machine.deductFailed(Sample.stockSilent) == .answer(.unknown(Sample.stockSilent.message), rollBack: nil)
    )
  }

  @Test("A repeat is answered by what the bucket knows", arguments: [Courier.messages, .log])
  func repeats(courier: Courier) {
    func end(_ hold: Bool, _ record: PurchaseRecord?) -> PurchaseMachine.Action {
      var (machine, action) = deducted(courier, hold: hold, isRepeat: true)
      #expect(action == .lookUp)
      action = machine.found(record)
      if case .commit = action { action = machine.committed(.committed) }
      return action
    }
    #expect(end(false, record(.sold)) == .answer(acceptedBefore, rollBack: nil))
    #expect(end(true, record(.sold)) == .answer(acceptedBefore, rollBack: nil))
    #expect(end(true, record(.held)) == .answer(heldBefore, rollBack: nil))
    // What is kept in its compact form is sold.
    #expect(end(false, nil) == .answer(acceptedBefore, rollBack: nil))
    #expect(end(false, record(.cancelled)) == .answer(.cancelled, rollBack: courier == .messages ? half : nil))
  }

  @Test("A hold without an end is told without one, whatever end the attempt asks for", arguments: [false, true])
  func endless(hold: Bool) {
    var endless = record(.held)
    endless.expiresMs = nil
    var (machine, action) = deducted(.log, hold: hold, isRepeat: true)
    #expect(action == .lookUp)
    action = machine.found(endless)
    #expect(
      action == .answer(.held(expiresMs: nil, remaining: 7, sequence: 3, isRepeat: true), rollBack: nil)
    )
  }

  @Test("An attempt to buy what is held sends no message of a sale")
  func buyingWhatIsHeld() {
    var (machine, action) = deducted(.messages, hold: false, isRepeat: true)
    #expect(action == .lookUp)
    #expect(machine.found(record(.held)) == .sendPlain(isHeld: true))
    #expect(machine.plainSent() == .answer(heldBefore, rollBack: half))
    (machine, action) = deducted(.log, hold: false, isRepeat: true)
    #expect(machine.found(record(.held)) == .answer(heldBefore, rollBack: nil))
  }

  @Test("A repeat whose state can't be learnt is unknown, and its half message is left to the check-back")
  func unknownRepeat() {
    var (machine, _) = deducted(.messages, hold: false, isRepeat: true)
    guard case .answer(.unknown, rollBack: nil) = machine.lookUpFailed(Sample.stockGone) else {
      Issue.record("not unknown")
      return
    }
  }

  @Test("A check-back commits a hold's message, sold meanwhile or not, and no sale's message of what is held")
  func checkBack() {
    func decision(isHeld: Bool, _ state: PurchaseState) -> CheckMachine.Action {
      let body = PurchaseMessage(purchase: purchase, bucket: 0, createdAtMs: 1, isHeld: isHeld)
      let half = HalfMessage(id: "h", message: body.message(topic: Sample.topic), sentAtMs: 0)
      return CheckMachine(half).found(record(state))
    }
    #expect(decision(isHeld: true, .held) == .decide(.commit))
    #expect(decision(isHeld: true, .sold) == .decide(.commit))
    #expect(decision(isHeld: false, .sold) == .decide(.commit))
    #expect(decision(isHeld: false, .held) == .decide(.rollBack))
  }
}
