import Stock
import Synchronization
import Testing

@testable import StockClient

/// Movements of units between buckets.
@Suite struct TransferTests {
  private let name = Sample.transfer
  private let deposit = Deposit(name: Sample.transfer, source: 3, quantity: 5)

  @Test("Transfers go out as the contract has them")
  func writes() async throws {
    let heard = Mutex<[[String]]>([])
    let peer = try ScriptedPeer { command in
      heard.withLock { $0.append(command) }
      switch command[0] {
      case "STOCK.TRANSFERS": return .reply("*0\r\n")
      case "STOCK.REBALANCE": return .reply("*2\r\n:4\r\n:3\r\n")
      default: return .status("OK", 5, 2)
      }
    }
    try await Dialogue.run(peer) { dialogue in
      let (client, bucket) = (dialogue.client, Sample.bucket)
      _ = try await client.withdraw(name, quantity: 5, from: bucket, to: 11)
      _ = try await client.deposit(deposit, into: bucket)
      _ = try await client.settle(name, in: bucket)
      _ = try await client.transfers(bucket, settled: false, after: nil, count: 100)
      _ = try await client.transfers(bucket, settled: true, after: name, count: 2)
      expect(try await client.rebalance(bucket.sku, buckets: [0, 2], weights: nil), is: [4, 3])
      _ = try await client.rebalance(bucket.sku, buckets: [0, 2], weights: [2, 1])
    }
    let key = "doorbuster:{X/0}"
    let expected = [
      ["STOCK.WITHDRAW", key, "transfer-1", "5", "TO", "11"],
      ["STOCK.DEPOSIT", key, "transfer-1", "5", "FROM", "3"],
      ["STOCK.SETTLE", key, "transfer-1"],
      ["STOCK.TRANSFERS", key, "COUNT", "100"],
      ["STOCK.TRANSFERS", key, "ALL", "AFTER", "transfer-1", "COUNT", "2"],
      ["STOCK.REBALANCE", key, "doorbuster:{X/2}"],
      ["STOCK.REBALANCE", key, "doorbuster:{X/2}", "WEIGHTS", "2", "1"],
    ]
    #expect(heard.withLock { $0 } == expected)
  }

  @Test("Each status has its outcome")
  func outcomes() async throws {
    try await Dialogue.run([.status("OK", 5, 2), .status("DUPLICATE", 5, 2), .status("SOLDOUT")]) { dialogue in
      for outcome in [WithdrawOutcome.withdrawn(5, isRepeat: false), .withdrawn(5, isRepeat: true), .soldOut] {
        expect(try await dialogue.client.withdraw(name, quantity: 9, from: Sample.bucket, to: 1), is: outcome)
      }
    }
    try await Dialogue.run([.status("OK", 7, 2), .status("DUPLICATE", 6, 2)]) { dialogue in
      for outcome in [DepositOutcome.deposited(remaining: 7), .alreadyDeposited(remaining: 6)] {
        expect(try await dialogue.client.deposit(deposit, into: Sample.bucket), is: outcome)
      }
    }
    try await Dialogue.run([.status("OK", 7), .status("DUPLICATE", 7), .status("UNKNOWN", 7)]) { dialogue in
      for outcome in [SettleOutcome.settled, .alreadySettled, .unknownTransfer] {
        expect(try await dialogue.client.settle(name, in: Sample.bucket), is: outcome)
      }
    }
  }

  @Test("After a lost reply what a late sending could still make false is replyLost, and the rest is an outcome")
  func lostReplies() async throws {
    let script: [ScriptedPeer.Reaction] = [
      .hangUp, .status("DUPLICATE", 5, 2), .hangUp, .status("SOLDOUT"), .hangUp, .status("UNKNOWN"),
    ]
    try await Dialogue.run(script) { dialogue in
      let client = dialogue.client
      // The first sending moved the units, most likely; certain is only that this name has them.
      expect(
        try await client.withdraw(name, quantity: 5, from: Sample.bucket, to: 1),
        is: .withdrawn(5, isRepeat: false)
      )
      let withdraw = await dialogue.error { client throws(StockError) in
        try await client.withdraw(name, quantity: 5, from: Sample.bucket, to: 1)
      }
      let settle = await dialogue.error { client throws(StockError) in
        try await client.settle(name, in: Sample.bucket)
      }
      #expect([withdraw?.code, settle?.code] == [.replyLost, .replyLost])
    }
  }

  @Test("A frozen bucket takes no withdrawal; another peer or quantity is a mismatch; two servers share nothing")
  func faults() async throws {
    let script: [ScriptedPeer.Reaction] = [
      .status("FROZEN", 5), .error("TRANSFERMISMATCH the transfer is known with another quantity"),
      .error("CROSSSLOT Keys in request don't hash to the same slot"), .error("FROZEN the bucket is frozen"),
    ]
    try await Dialogue.run(script) { dialogue in
      let frozen = await dialogue.error { client throws(StockError) in
        try await client.withdraw(name, quantity: 5, from: Sample.bucket, to: 1)
      }
      let mismatch = await dialogue.error { client throws(StockError) in
        try await client.deposit(deposit, into: Sample.bucket)
      }
      var codes = [frozen?.code, mismatch?.code]
      for _ in 0..<2 {
        let error = await dialogue.error { client throws(StockError) in
          try await client.rebalance(Sample.bucket.sku, buckets: [0, 1], weights: nil)
        }
        codes.append(error?.code)
      }
      #expect(codes == [.frozen, .transferMismatch, .bucketsApart, .frozen])
    }
  }

  @Test("REBALANCE of one bucket, or with too few weights, is not sent")
  func senseless() async throws {
    try await Dialogue.run([]) { dialogue in
      for (buckets, weights) in [([0], nil), ([0, 1], [1]), ([], nil)] as [([Int], [Int64]?)] {
        let error = await dialogue.error { client throws(StockError) in
          try await client.rebalance(Sample.bucket.sku, buckets: buckets, weights: weights)
        }
        #expect(error?.code == .refused)
      }
    }
  }

  @Test("TRANSFERS reads both directions, in any case, and nothing else")
  func transfers() async throws {
    let entry =
      "*5\r\n$2\r\nt1\r\n$3\r\nOUT\r\n:3\r\n:5\r\n:1700\r\n*5\r\n$2\r\nt2\r\n$2\r\nin\r\n:4\r\n:6\r\n:1701\r\n"
    let nonsense = "*1\r\n*5\r\n$2\r\nt1\r\n$2\r\nUP\r\n:3\r\n:5\r\n:1700\r\n"
    try await Dialogue.run([.reply("*2\r\n" + entry), .reply(nonsense)]) { dialogue in
      let listed = try await dialogue.client.transfers(Sample.bucket, settled: false, after: nil, count: 10)
      let expected = [
        ListedTransfer(
          transfer: Transfer(name: try TransferName("t1"), direction: .out, peer: 3, quantity: 5),
          timestampMs: 1700
        ),
        ListedTransfer(
          transfer: Transfer(name: try TransferName("t2"), direction: .in, peer: 4, quantity: 6),
          timestampMs: 1701
        ),
      ]
      #expect(listed == expected)
      let error = await dialogue.error { client throws(StockError) in
        try await client.transfers(Sample.bucket, settled: false, after: nil, count: 10)
      }
      #expect(error?.code == .protocolViolation)
    }
  }
}
