import Stock
import Synchronization
import Testing

@testable import StockClient

/// Freezing, thawing, trimming, and writing in what was lost.
@Suite struct RecoveryTests {
  @Test("FREEZE, THAW, TRIM, RECORD and a frozen CREATE go out as the contract has them")
  func writes() async throws {
    let heard = Mutex<[[String]]>([])
    let peer = try ScriptedPeer { command in
      heard.withLock { $0.append(command) }
      switch command[0] {
      case "STOCK.RECORD": return .status("OK", 5, 2)
      case "STOCK.TRIM": return .reply(":7\r\n")
      default: return .ok
      }
    }
    try await Dialogue.run(peer) { dialogue in
      let (client, bucket) = (dialogue.client, Sample.bucket)
      try await client.create(bucket, quantity: 10, terms: SaleTerms(), frozen: true)
      try await client.freeze(bucket)
      try await client.thaw(bucket, epoch: nil)
      try await client.thaw(bucket, epoch: 77)
      expect(try await client.trim(bucket, upTo: LogPosition(epoch: 77, sequence: 9)), is: 7)
      for state in LostEntry.State.allCases {
        _ = try await client.record(.purchase(Sample.purchase, state), in: bucket)
      }
      for direction in Transfer.Direction.allCases {
        let transfer = Transfer(name: Sample.transfer, direction: direction, peer: 3, quantity: 5)
        _ = try await client.record(.transfer(transfer), in: bucket)
      }
      _ = try await client.record(.restock(Sample.token, quantity: -4), in: bucket)
    }
    let key = "doorbuster:{X/0}"
    let expected = [
      ["STOCK.CREATE", key, "10", "BUCKETS", "1", "FROZEN"],
      ["STOCK.FREEZE", key],
      ["STOCK.THAW", key],
      ["STOCK.THAW", key, "EPOCH", "77"],
      ["STOCK.TRIM", key, "9", "EPOCH", "77"],
      ["STOCK.RECORD", key, "user-1", "token-1", "2", "held"],
      ["STOCK.RECORD", key, "user-1", "token-1", "2", "sold"],
      ["STOCK.RECORD", key, "user-1", "token-1", "2", "cancelled"],
      ["STOCK.RECORD", key, "user-1", "token-1", "2", "rejected"],
      ["STOCK.RECORD", key, "TRANSFER", "transfer-1", "OUT", "3", "5"],
      ["STOCK.RECORD", key, "TRANSFER", "transfer-1", "IN", "3", "5"],
      ["STOCK.RECORD", key, "RESTOCK", "token-1", "-4"],
    ]
    #expect(heard.withLock { $0 } == expected)
  }

  @Test("THAW without an epoch is sent once: a second one would also end what the operator's freeze had hidden")
  func thawsOnce() async throws {
    try await Dialogue.run([.hangUp]) { dialogue in
      let error = await dialogue.error { client throws(StockError) in try await client.thaw(Sample.bucket, epoch: nil) }
      #expect(error?.code == .replyLost)
      #expect(dialogue.peer.commands == ["STOCK.THAW"])
    }
    try await Dialogue.run([.hangUp, .ok]) { dialogue in
      try await dialogue.client.thaw(Sample.bucket, epoch: 77)
    }
  }

  @Test("RECORD gives each status its outcome; a shortage after a lost reply may be the first sending's doing")
  func outcomes() async throws {
    let script: [ScriptedPeer.Reaction] = [
      .status("OK", 5, 2), .status("DUPLICATE", 5, 2), .status("SOLDOUT", 1), .hangUp, .status("DUPLICATE", 5, 2),
      .hangUp, .status("SOLDOUT", 1),
    ]
    try await Dialogue.run(script) { dialogue in
      let entry = LostEntry.purchase(Sample.purchase, .sold)
      for outcome in [LostEntryOutcome.recorded, .alreadyThere, .short(remaining: 1), .alreadyThere] {
        expect(try await dialogue.client.record(entry, in: Sample.bucket), is: outcome)
      }
      let error = await dialogue.error { client throws(StockError) in
        try await client.record(entry, in: Sample.bucket)
      }
      #expect(error?.code == .replyLost)
    }
  }

  @Test("THAW's faults: another epoch, and an operator's freeze")
  func thawFaults() async throws {
    let script: [ScriptedPeer.Reaction] = [
      .error("EPOCHMISMATCH the bucket is in another epoch"), .error("FROZENBYOPERATOR an operator froze the bucket"),
    ]
    try await Dialogue.run(script) { dialogue in
      var codes: [StockError.Code?] = []
      for _ in 0..<2 {
        let error = await dialogue.error { client throws(StockError) in
          try await client.thaw(Sample.bucket, epoch: 77)
        }
        codes.append(error?.code)
      }
      #expect(codes == [.epochMismatch, .frozenByOperator])
    }
  }

  @Test("INFO's word for why a bucket is frozen", arguments: ["no"] + FrozenReason.allCases.map(\.rawValue))
  func frozenReasons(word: String) async throws {
    try await Dialogue.run([.info(frozen: word)]) { dialogue in
      expect(try await dialogue.client.info(Sample.bucket).frozen, is: FrozenReason(rawValue: word))
    }
  }

  @Test("A frozen CREATE whose reply was lost is not carried out by a bucket that sells")
  func createFrozenLost() async throws {
    let exists = ScriptedPeer.Reaction.error("BUCKETEXISTS there is a bucket at this key")
    try await Dialogue.run([.hangUp, exists, .info(frozen: "create"), .hangUp, exists, .info()]) { dialogue in
      try await dialogue.client.create(Sample.bucket, quantity: 10, terms: SaleTerms(), frozen: true)
      let error = await dialogue.error { client throws(StockError) in
        try await client.create(Sample.bucket, quantity: 10, terms: SaleTerms(), frozen: true)
      }
      #expect(error?.code == .bucketExists)
    }
  }

  @Test(
    "A word that is no reason is a violation, as a bucket that may be frozen is not to be taken for one that is not"
  )
  func unknownReason() async throws {
    try await Dialogue.run([.info(frozen: "solid")]) { dialogue in
      let error = await dialogue.error { client throws(StockError) in try await client.info(Sample.bucket) }
      #expect(error?.code == .protocolViolation)
      #expect(error?.message.contains(#""frozen""#) == true)
    }
  }

  @Test("A purchase of another product is not written in")
  func otherProduct() async throws {
    try await Dialogue.run([]) { dialogue in
      let other = BucketID(sku: try SKU("Y"), index: 0)
      let error = await dialogue.error { client throws(StockError) in
        try await client.record(.purchase(Sample.purchase, .sold), in: other)
      }
      #expect(error?.code == .refused)
    }
  }

  @Test("A sale that was recorded with another list of servers is refused, and both lists are named")
  func otherServers() async throws {
    try await Dialogue.run([]) { dialogue in
      try dialogue.client.verify(servers: dialogue.client.serversText)
      let error = await dialogue.error { client throws(StockError) in try client.verify(servers: "redis://a, redis://b")
      }
      #expect(error?.code == .serversMismatch)
      #expect(error?.message.contains("redis://a, redis://b") == true)
      #expect(error?.message.contains(dialogue.client.serversText) == true)
    }
  }
}
