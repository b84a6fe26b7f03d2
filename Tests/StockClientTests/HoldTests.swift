import Stock
import Synchronization
import Testing

@testable import StockClient

/// Holds, and deductions that come with deposits.
@Suite struct HoldTests {
  private let deposits = [
    Deposit(name: Sample.transfer, source: 3, quantity: 5), Deposit(name: Sample.transfer, source: 4, quantity: 1),
  ]

  private func deduct(_ dialogue: Dialogue) async throws(StockError) -> DepositedDeduction {
    try await dialogue.client.deduct(
      Sample.purchase,
      from: Sample.bucket,
      holdMs: 900,
      depositing: deposits,
      before: .now + .seconds(20)
    )
  }

  /// What a server says to `MULTI` and three commands; `EXEC` is the test's.
  private func peer(_ execs: [ScriptedPeer.Reaction], _ heard: @escaping @Sendable ([String]) -> Void = { _ in })
    throws -> ScriptedPeer
  {
    let left = Mutex(execs[...])
    let queued = Mutex(false)
    return try ScriptedPeer { command in
      heard(command)
      switch command[0] {
      case "MULTI":
        queued.withLock { $0 = true }
        return .ok
      case "EXEC":
        queued.withLock { $0 = false }
        return left.withLock { $0.popFirst() } ?? .hangUp
      default:
        return queued.withLock { $0 } ? .reply("+QUEUED\r\n") : left.withLock { $0.popFirst() } ?? .hangUp
      }
    }
  }

  private static let ok = "*3\r\n+OK\r\n:5\r\n:2\r\n"
  private static let duplicate = "*3\r\n+DUPLICATE\r\n:5\r\n:2\r\n"
  private static let soldOut = "*3\r\n+SOLDOUT\r\n:0\r\n:0\r\n"

  private static func exec(_ replies: String...) -> ScriptedPeer.Reaction {
    .reply("*\(replies.count)\r\n" + replies.joined())
  }

  @Test("A hold names its time, and CONFIRM gives each status its outcome")
  func holdAndConfirm() async throws {
    let peer = try ScriptedPeer { command in
      #expect(command == ["STOCK.DEDUCT", "doorbuster:{X/0}", "user-1", "token-1", "2", "HOLD", "900"])
      return .status("OK", 8, 3)
    }
    try await Dialogue.run(peer) { dialogue in
      let outcome = try await dialogue.client.deduct(
        Sample.purchase,
        from: Sample.bucket,
        holdMs: 900,
        before: .now + .seconds(20)
      )
      expect(outcome, is: .accepted(remaining: 8, sequence: 3, isRepeat: false))
    }
    let script: [ScriptedPeer.Reaction] = [
      .status("OK", 1, 4), .status("DUPLICATE", 1, 3), .status("CANCELLED", 1), .status("UNKNOWN"), .hangUp,
      .status("DUPLICATE", 1, 3), .hangUp, .status("UNKNOWN"), .status("FROZEN"),
    ]
    try await Dialogue.run(script) { dialogue in
      for outcome in [ConfirmOutcome.confirmed, .alreadyConfirmed, .cancelled, .unknownToken, .alreadyConfirmed] {
        expect(try await dialogue.client.confirm(Sample.token, in: Sample.bucket), is: outcome)
      }
      var codes: [StockError.Code?] = []
      for _ in 0..<2 {
        let error = await dialogue.error { client throws(StockError) in
          try await client.confirm(Sample.token, in: Sample.bucket)
        }
        codes.append(error?.code)
      }
      #expect(codes == [.replyLost, .frozen])
    }
  }

  @Test("Deposits and the deduction go out in one transaction")
  func oneTransaction() async throws {
    let heard = Mutex<[[String]]>([])
    let peer = try peer([Self.exec(Self.ok, Self.ok, Self.ok)]) { command in heard.withLock { $0.append(command) } }
    try await Dialogue.run(peer) { dialogue in
      let accepted = DeductOutcome.accepted(remaining: 5, sequence: 2, isRepeat: false)
      expect(try await deduct(dialogue), is: DepositedDeduction(deduction: accepted, isDeposited: true))
    }
    let key = "doorbuster:{X/0}"
    let expected = [
      ["MULTI"],
      ["STOCK.DEPOSIT", key, "transfer-1", "5", "FROM", "3"],
      ["STOCK.DEPOSIT", key, "transfer-1", "1", "FROM", "4"],
      ["STOCK.DEDUCT", key, "user-1", "token-1", "2", "HOLD", "900"],
      ["EXEC"],
    ]
    #expect(heard.withLock { $0 } == expected)
  }

  @Test("A transaction whose reply was lost is sent again whole; FENCE decides a refusal, and the deposits are there")
  func lostTransaction() async throws {
    let again = Self.exec(Self.duplicate, Self.duplicate, Self.soldOut)
    try await Dialogue.run(peer([.hangUp, again, .status("OK", 5, 9)])) { dialogue in
      let refused = DepositedDeduction(deduction: .refused(.soldOut, remaining: 0), isDeposited: true)
      expect(try await deduct(dialogue), is: refused)
      #expect(dialogue.peer.commands.last == "STOCK.FENCE")
      #expect(dialogue.peer.commands.count { $0 == "MULTI" } == 2)
    }
  }

  @Test("A deposit that was refused is said, whatever became of the deduction")
  func refusedDeposit() async throws {
    let mismatch = "-TRANSFERMISMATCH the transfer is known with another quantity\r\n"
    try await Dialogue.run(peer([Self.exec(mismatch, Self.ok, Self.ok)])) { dialogue in
      let accepted = DeductOutcome.accepted(remaining: 5, sequence: 2, isRepeat: false)
      expect(try await deduct(dialogue), is: DepositedDeduction(deduction: accepted, isDeposited: false))
    }
  }

  @Test("The deduction's own error is thrown, after a lost reply only when FENCE has decided")
  func deductionFails() async throws {
    let noBucket = "-NOBUCKET no bucket at this key\r\n"
    let execs: [ScriptedPeer.Reaction] = [
      Self.exec(noBucket, noBucket, noBucket), .hangUp, Self.exec(Self.ok, Self.ok, "-OVERFLOW the log is full\r\n"),
      .status("OK", 5, 9),
    ]
    try await Dialogue.run(peer(execs)) { dialogue in
      let missing = await dialogue.error { _ throws(StockError) in try await deduct(dialogue) }
      #expect(missing?.code == .noBucket)
      let overflow = await dialogue.error { _ throws(StockError) in try await deduct(dialogue) }
      #expect(overflow?.code == .overflow)
      #expect(dialogue.peer.commands.last == "STOCK.FENCE")
    }
  }

  @Test("A transaction that the server refuses has done nothing: the command's own error")
  func refusedTransaction() async throws {
    let script: [ScriptedPeer.Reaction] = [
      .ok, .reply("+QUEUED\r\n"), .reply("+QUEUED\r\n"), .error("OOM command not allowed"),
      .error("EXECABORT Transaction discarded because of previous errors."),
    ]
    try await Dialogue.run(script) { dialogue in
      let error = await dialogue.error { _ throws(StockError) in try await deduct(dialogue) }
      #expect(error?.code == .outOfMemory)
    }
  }

  @Test("A transaction answered in part, or with nonsense, leaves the outcome unknown")
  func nonsense() async throws {
    for exec in [Self.exec(Self.ok, Self.ok), Self.exec(Self.ok, Self.ok, ":1\r\n"), .reply("*-1\r\n")] {
      try await Dialogue.run(peer([exec])) { dialogue in
        let outcome = try await deduct(dialogue).deduction
        guard case .unknown = outcome else { throw Unexpected(outcome) }
      }
    }
  }
}
