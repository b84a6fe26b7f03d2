import Messaging
import Stock
import Testing

@testable import Doorbuster

@Suite("A cart, step by step")
struct CartMachineTests {
  let cart: Cart
  let half: HalfMessage
  let hat: Purchase
  let shoe: Purchase

  init() throws {
    cart = try Sample.cart()
    half = try Sample.half(cart)
    (hat, shoe) = (cart.purchases[0], cart.purchases[1])
  }

  private let took = DeductOutcome.accepted(remaining: 7, sequence: 3, isRepeat: false)
  private let tookBefore = DeductOutcome.accepted(remaining: 7, sequence: 3, isRepeat: true)

  private func accepted(isRepeat: Bool = false) -> CartMachine.Action {
    let lines = [hat, shoe].map { CartOutcome.Line($0, remaining: 7, sequence: 3) }
    return .answer(.accepted(lines, isRepeat: isRepeat), rollBack: nil)
  }

  private var acceptedBefore: CartMachine.Action {
    .answer(
      .accepted([hat, shoe].map { CartOutcome.Line($0, remaining: 7, sequence: 3) }, isRepeat: true),
      rollBack: half
    )
  }

  /// A machine whose first hold is the next to be answered.
  private func holding() -> CartMachine {
    var machine = CartMachine(cart)
    #expect(machine.start() == .verify)
    #expect(machine.verified() == .sendHalf)
    #expect(machine.halfSent(half) == .hold(line: 0))
    return machine
  }

  /// A machine that has held the hat, and whose hold of the shoes is the next to be answered.
  private func holdingSecond() -> CartMachine {
    var machine = holding()
    #expect(machine.held(took) == .hold(line: 1))
    return machine
  }

  /// A machine whose commit is the next to be answered.
  private func committing() -> CartMachine {
    var machine = holdingSecond()
    #expect(machine.held(took) == .commit(half))
    return machine
  }

  /// A machine whose first confirmation is the next to be answered.
  private func confirming() -> CartMachine {
    var machine = committing()
    #expect(machine.committed(.committed) == .confirm(line: 0))
    return machine
  }

  @Test("holds its lines in order of their products, and is accepted after the commit and all confirmations")
  func accepts() {
    #expect(hat.sku.text == "hat")
    var machine = confirming()
    #expect(machine.confirmed(.confirmed) == .confirm(line: 1))
    #expect(machine.confirmed(.alreadyConfirmed) == accepted())
  }

  @Test("gives back what it holds where a line is sold out, once that line's token is over")
  func givesBack() {
    var machine = holdingSecond()
    let outcome = CartOutcome.refused(.soldOut, shoe, remaining: 1)
    #expect(machine.held(.refused(.soldOut, remaining: 1)) == .fence(line: 1))
    #expect(machine.fenced(.fenced) == .giveBack(line: 0))
    #expect(machine.gaveBack(.cancelled) == .answer(outcome, rollBack: half))
  }

  @Test("gives nothing back where another attempt of its token got the line meanwhile, and goes on")
  func goesOnWhereLive() {
    var machine = holdingSecond()
    #expect(machine.held(.refused(.soldOut, remaining: 1)) == .fence(line: 1))
    #expect(machine.fenced(.live) == .hold(line: 1))
    #expect(machine.held(tookBefore) == .lookUp(line: 1))
    #expect(machine.found(Sample.record(shoe, .held)) == .commit(half))
  }

  @Test("does not go on for ever where its token is used by others")
  func givesUp() {
    var machine = holdingSecond()
    for _ in 0..<2 {
      #expect(machine.held(.refused(.soldOut, remaining: 1)) == .fence(line: 1))
      #expect(machine.fenced(.live) == .hold(line: 1))
    }
    _ = machine.held(.refused(.soldOut, remaining: 1))
    guard case .answer(.unknown, rollBack: nil) = machine.fenced(.live) else {
      Issue.record("not unknown")
      return
    }
  }

  @Test("is refused by its first line without a trace")
  func refusedAtOnce() {
    var machine = holding()
    let outcome = CartOutcome.refused(.limit, hat, remaining: 9)
    #expect(machine.held(.refused(.limit, remaining: 9)) == .answer(outcome, rollBack: half))
  }

  @Test("leaves its half message to the check-back where it can't fence or give back")
  func leavesToCheck() {
    let outcome = CartOutcome.refused(.soldOut, shoe, remaining: 1)
    var machine = holdingSecond()
    #expect(machine.held(.refused(.soldOut, remaining: 1)) == .fence(line: 1))
    #expect(machine.fenceFailed(Sample.stockGone) == .answer(outcome, rollBack: nil))
    machine = holdingSecond()
    #expect(machine.held(.refused(.soldOut, remaining: 1)) == .fence(line: 1))
    #expect(machine.fenced(.alreadyCancelled) == .giveBack(line: 0))
    #expect(machine.giveBackFailed(Sample.stockSilent) == .answer(outcome, rollBack: nil))
  }

  @Test("names the line whose bucket can't be asked")
  func failsByLine() {
    var machine = holdingSecond()
    #expect(machine.holdFailed(Sample.stockGone) == .fence(line: 1))
    let outcome = CartOutcome.failed(DoorbusterError(Sample.stockGone), shoe)
    #expect(machine.fenceFailed(Sample.stockGone) == .answer(outcome, rollBack: nil))
    machine = CartMachine(cart)
    #expect(machine.start() == .verify)
    #expect(machine.verifyFailed(Sample.stockGone, line: 1) == .answer(outcome, rollBack: nil))
  }

  @Test("is unknown where a hold may have happened, and gives nothing back", arguments: [true, false])
  func unknownHold(isThrown: Bool) {
    var machine = holdingSecond()
    let action = isThrown ? machine.holdFailed(Sample.stockSilent) : machine.held(.unknown("no reply"))
    guard case .answer(.unknown(let reason), rollBack: nil) = action else {
      Issue.record("not unknown: \(action)")
      return
    }
    #expect(reason.contains("shoe"))
  }

  @Test("takes nothing without a half message that is known to be stored")
  func failsWithoutHalf() {
    var machine = CartMachine(cart)
    _ = machine.start()
    _ = machine.verified()
    let outcome = CartOutcome.failed(DoorbusterError(Sample.brokerSilent), nil)
    #expect(machine.halfFailed(Sample.brokerSilent) == .answer(outcome, rollBack: nil))
  }

  @Test("is over where a line was cancelled before")
  func over() {
    var machine = holdingSecond()
    #expect(machine.held(.cancelled) == .giveBack(line: 0))
    #expect(machine.gaveBack(.cancelled) == .answer(.cancelled(shoe), rollBack: half))
  }

  @Test("sends its message again as a plain one where the commit is not acknowledged")
  func sendsPlain() {
    var machine = committing()
    #expect(machine.committed(.gone) == .sendPlain)
    #expect(machine.plainSent() == .confirm(line: 0))
    machine = committing()
    #expect(machine.commitFailed(Sample.brokerSilent) == .sendPlain)
    guard case .answer(.unknown, rollBack: nil) = machine.plainFailed(Sample.brokerGone) else {
      Issue.record("not unknown")
      return
    }
  }

  @Test("gives nothing back after the commit: that is the worker's to do")
  func cancelledAfterCommit() {
    var machine = confirming()
    #expect(machine.confirmed(.confirmed) == .confirm(line: 1))
    #expect(machine.confirmed(.cancelled) == .answer(.cancelled(shoe), rollBack: nil))
    for fails in [true, false] {
      machine = confirming()
      let action = fails ? machine.confirmFailed(Sample.stockGone) : machine.confirmed(.unknownToken)
      guard case .answer(.unknown, rollBack: nil) = action else {
        Issue.record("not unknown: \(action)")
        return
      }
    }
  }

  @Test("hears that it was accepted before")
  func repeats() {
    var machine = holding()
    #expect(machine.held(tookBefore) == .lookUp(line: 0))
    #expect(machine.found(Sample.record(hat, .sold)) == .hold(line: 1))
    #expect(machine.held(tookBefore) == .lookUp(line: 1))
    // Its message is committed, or no line would be sold; and this may be but a part of that cart.
    #expect(machine.found(nil) == acceptedBefore)
  }

  @Test("goes on where an earlier attempt has held a line, and leaves that hold to a check-back where it fails")
  func takesOver() {
    var machine = holding()
    #expect(machine.held(tookBefore) == .lookUp(line: 0))
    #expect(machine.found(Sample.record(hat, .held)) == .hold(line: 1))
    var failing = machine
    #expect(machine.held(took) == .commit(half))
    #expect(machine.committed(.committed) == .confirm(line: 0))
    let outcome = CartOutcome.refused(.soldOut, shoe, remaining: 0)
    #expect(failing.held(.refused(.soldOut, remaining: 0)) == .answer(outcome, rollBack: nil))
  }

  @Test("gives nothing back that it is not sure to have taken itself: what is sold, and a hold whose reply was lost")
  func givesBackOnlyItsOwn() {
    for sold in [PurchaseState.sold, .held] {
      var machine = holding()
      #expect(machine.held(tookBefore) == .lookUp(line: 0))
      #expect(machine.found(Sample.record(hat, sold)) == .hold(line: 1))
      // The check-back gives back what is held, unless the cart is sold.
      let half = sold == .sold ? half : nil
      #expect(machine.held(.cancelled) == .answer(.cancelled(shoe), rollBack: half))
    }
  }

  @Test(
    "of a token that has bought one of its lines without the others is an error that says so",
    arguments: [true, false]
  )
  func foreignToken(isSoldOut: Bool) {
    var machine = holding()
    #expect(machine.held(tookBefore) == .lookUp(line: 0))
    #expect(machine.found(Sample.record(hat, .sold)) == .hold(line: 1))
    if isSoldOut {
      guard case .answer(.failed(let error, shoe), rollBack: half) = machine.held(.refused(.soldOut, remaining: 0))
      else {
        Issue.record("no error")
        return
      }
      #expect(error.code == .tokenMismatch)
    } else {
      #expect(machine.held(took) == .giveBack(line: 1))
      guard case .answer(.failed(let error, shoe), rollBack: half) = machine.gaveBack(.cancelled) else {
        Issue.record("no error")
        return
      }
      #expect(error.message.contains("hat") && error.message.contains("shoe"))
    }
  }

  @Test(
    "looks again at a line that it holds where a later one is sold: another attempt of the cart may have bought both"
  )
  func concurrentAttempt() {
    var machine = holdingSecond()
    #expect(machine.held(tookBefore) == .lookUp(line: 1))
    #expect(machine.found(Sample.record(shoe, .sold)) == .lookUp(line: 0))
    var other = machine
    #expect(machine.found(Sample.record(hat, .sold)) == acceptedBefore)
    #expect(other.found(Sample.record(hat, .held)) == .giveBack(line: 0))
  }

  @Test("of a token with another quantity or user names the line, and gives back what it holds")
  func mismatch() {
    var machine = holdingSecond()
    let error = StockError(.tokenMismatch, "first sent with another quantity")
    #expect(machine.holdFailed(error) == .giveBack(line: 0))
    #expect(machine.gaveBack(.cancelled) == .answer(.failed(DoorbusterError(error), shoe), rollBack: half))
  }
}
