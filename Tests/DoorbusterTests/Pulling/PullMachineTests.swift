import Stock
import Testing

@testable import Doorbuster

@Suite("A pull, step by step")
struct PullMachineTests {
  typealias Withdrawal = PullMachine.Withdrawal
  let three: Withdrawal
  let five: Withdrawal
  init() throws {
    three = Withdrawal(name: try TransferName("t/3"), source: 3, quantity: 4)
    five = Withdrawal(name: try TransferName("t/5"), source: 5, quantity: 2)
  }

  private func deposit(_ withdrawal: Withdrawal, _ quantity: Int64) -> Deposit {
    Deposit(name: withdrawal.name, source: withdrawal.source, quantity: quantity)
  }

  private let accepted = DeductOutcome.accepted(remaining: 1, sequence: 9, isRepeat: false)
  private let soldOut = DeductOutcome.refused(.soldOut, remaining: 3)

  private func result(
    _ deduction: DeductOutcome?,
    _ moved: [PullMachine.Moved],
    isSettled: Bool = true
  ) -> PullMachine.Action {
    .finish(PullMachine.Result(deduction: deduction.map { .success($0) }, moved: moved, isSettled: isSettled))
  }

  @Test("withdraws, deposits with the deduction, settles at the source, then at home")
  func straight() {
    var machine = PullMachine([three, five])
    #expect(machine.start() == .withdraw([three, five]))
    let both = [deposit(three, 4), deposit(five, 1)]
    #expect(
      machine.withdrawn([.success(.withdrawn(4, isRepeat: false)), .success(.withdrawn(1, isRepeat: false))])
        == .deduct(both)
    )
    #expect(
      machine.deducted(.success(DepositedDeduction(deduction: accepted, isDeposited: true))) == .settleAtSource(both)
    )
    #expect(machine.settledAtSource([.success(.settled), .success(.alreadySettled)]) == .settleAtHome(both))
    #expect(
      machine.settledAtHome([.success(.settled), .success(.settled)]) == result(accepted, [.units(4), .units(1)])
    )
  }

  @Test("asks a source again before a late deposit, and deposits what it says then")
  func lateDeposit() {
    var machine = PullMachine([three, five])
    _ = machine.start()
    _ = machine.withdrawn([.success(.withdrawn(4, isRepeat: false)), .success(.withdrawn(2, isRepeat: false))])
    #expect(machine.askAgain() == .withdraw([three, five]))
    // The first has lost the withdrawal, and has other units now; the second knows it.
    #expect(
      machine.withdrawn([.success(.withdrawn(1, isRepeat: false)), .success(.withdrawn(2, isRepeat: true))])
        == .deduct([deposit(three, 1), deposit(five, 2)])
    )
    #expect(machine.deducted(.failure(Sample.stockSilent)) == .deposit([deposit(three, 1), deposit(five, 2)]))
    #expect(machine.askAgain() == .withdraw([three, five]))
    // The first has lost it again, and nothing is left there: nothing is deposited of it.
    #expect(
      machine.withdrawn([.success(.soldOut), .success(.withdrawn(2, isRepeat: true))]) == .deposit([deposit(five, 2)])
    )
    #expect(
      machine.deposited([.success(.deposited(remaining: 2))]) == .settleAtSource([deposit(five, 2)])
    )
  }

  @Test("deducts nothing where no bucket gave anything")
  func empty() {
    var machine = PullMachine([three, five])
    _ = machine.start()
    #expect(
      machine.withdrawn([.success(.soldOut), .failure(Sample.stockGone)])
        == result(nil, [.units(0), .nothing(Sample.stockGone)])
    )
  }

  @Test("leaves the units at home where they do not suffice")
  func givesUp() {
    var machine = PullMachine([three])
    _ = machine.start()
    _ = machine.withdrawn([.success(.withdrawn(2, isRepeat: false))])
    #expect(
      machine.deducted(.success(DepositedDeduction(deduction: soldOut, isDeposited: true)))
        == .settleAtSource([deposit(three, 2)])
    )
    _ = machine.settledAtSource([.success(.settled)])
    #expect(machine.settledAtHome([.success(.settled)]) == result(soldOut, [.units(2)]))
  }

  @Test("deposits by itself where the deduction leaves that open, whatever ended it")
  func depositsAlone() {
    for answer: Result<DepositedDeduction, StockError> in [
      .success(DepositedDeduction(deduction: .unknown("no reply"), isDeposited: false)),
      .failure(Sample.stockGone), .failure(Sample.stockSilent), .failure(StockError(.tokenMismatch, "another's")),
    ] {
      var machine = PullMachine([three])
      _ = machine.start()
      _ = machine.withdrawn([.success(.withdrawn(4, isRepeat: false))])
      #expect(machine.deducted(answer) == .deposit([deposit(three, 4)]))
      #expect(machine.deposited([.success(.alreadyDeposited(remaining: 0))]) == .settleAtSource([deposit(three, 4)]))
      _ = machine.settledAtSource([.success(.settled)])
      let end = machine.settledAtHome([.success(.settled)])
      #expect(
        end
          == .finish(
            PullMachine.Result(deduction: answer.map(\.deduction), moved: [.units(4)], isSettled: true)
          )
      )
    }
  }

  @Test("tries a step again that fails for a while, and then leaves the transfer open")
  func leavesOpen() {
    var machine = PullMachine([three])
    _ = machine.start()
    _ = machine.withdrawn([.success(.withdrawn(4, isRepeat: false))])
    var action = machine.deducted(.success(DepositedDeduction(deduction: accepted, isDeposited: true)))
    var tries = 0
    while case .settleAtSource = action {
      tries += 1
      action = machine.settledAtSource([.failure(Sample.stockGone)])
      if case .wait = action { action = machine.woke() }
    }
    #expect(tries == PullMachine.triesMax + 1)
    #expect(action == result(accepted, [.units(4)], isSettled: false))
  }

  @Test("does not settle at home what its source does not know")
  func lostAtSource() {
    var machine = PullMachine([three])
    _ = machine.start()
    _ = machine.withdrawn([.success(.withdrawn(4, isRepeat: false))])
    _ = machine.deducted(.success(DepositedDeduction(deduction: accepted, isDeposited: true)))
    #expect(machine.settledAtSource([.success(.unknownTransfer)]) == result(accepted, [.units(4)], isSettled: false))
  }

  @Test("asks again whether units were withdrawn, after it has used those that are known")
  func withdrawsAgain() {
    var machine = PullMachine([three, five])
    _ = machine.start()
    #expect(
      machine.withdrawn([.failure(Sample.stockSilent), .success(.withdrawn(2, isRepeat: false))])
        == .deduct([deposit(five, 2)])
    )
    _ = machine.deducted(.success(DepositedDeduction(deduction: soldOut, isDeposited: true)))
    _ = machine.settledAtSource([.success(.settled)])
    let wait = machine.settledAtHome([.success(.settled)])
    guard case .wait = wait else {
      Issue.record("it does not wait but \(wait)")
      return
    }
    #expect(machine.woke() == .withdraw([three]))
    #expect(machine.withdrawn([.success(.withdrawn(4, isRepeat: true))]) == .deposit([deposit(three, 4)]))
    _ = machine.deposited([.success(.deposited(remaining: 7))])
    _ = machine.settledAtSource([.success(.settled)])
    #expect(machine.settledAtHome([.success(.settled)]) == result(soldOut, [.before, .units(2)]))
  }

  @Test("leaves what may have been withdrawn to others, once its buyer is served or time is short")
  func leavesUnknown() {
    var served = PullMachine([three, five])
    _ = served.start()
    _ = served.withdrawn([.failure(Sample.stockSilent), .success(.withdrawn(2, isRepeat: false))])
    _ = served.deducted(.success(DepositedDeduction(deduction: accepted, isDeposited: true)))
    _ = served.settledAtSource([.success(.settled)])
    #expect(
      served.settledAtHome([.success(.settled)])
        == result(accepted, [.unknown(Sample.stockSilent), .units(2)], isSettled: false)
    )
    var late = PullMachine([three])
    _ = late.start()
    late.hurry()
    #expect(
      late.withdrawn([.failure(Sample.stockSilent)]) == result(nil, [.unknown(Sample.stockSilent)], isSettled: false)
    )
  }

  @Test("is named alike wherever the same purchase tries again, within the bytes that a name may have")
  func names() throws {
    let longest = try Token(bytes: Array(repeating: 0xFF, count: 128))
    let name = try TransferName.pull(longest, attempt: 99_999, from: 16_383, to: 16_383)
    #expect(name.bytes.count <= 192)
    let token = try Token("1/2")
    #expect(try TransferName.pull(token, attempt: 1, from: 2, to: 3) == TransferName("pull/3/2/1/1/2"))
  }
}
