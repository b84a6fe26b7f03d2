import Stock
import Synchronization
import Testing

@testable import StockClient

/// The commands other than `DEDUCT`, and what a lost reply does to each.
@Suite struct CommandTests {
  private let terms = SaleTerms(buckets: 4, limit: 2, opensMs: 1000, closesMs: 2000)

  @Test("CREATE and SCHEDULE write what is set, and leave out what is not")
  func writesOptions() async throws {
    let heard = Mutex<[[String]]>([])
    let peer = try ScriptedPeer { command in
      heard.withLock { $0.append(command) }
      return .ok
    }
    try await Dialogue.run(peer) { dialogue in
      let (client, bucket) = (dialogue.client, BucketID(sku: Sample.bucket.sku, index: 12))
      try await client.create(bucket, quantity: 10, terms: SaleTerms())
      try await client.create(bucket, quantity: 1 << 53, terms: terms)
      try await client.schedule(bucket, limit: 0, opensMs: nil, closesMs: 5)
      let key = "doorbuster:{X/12}"
      let expected = [
        ["STOCK.CREATE", key, "10", "BUCKETS", "1"],
        [
          "STOCK.CREATE", key, "9007199254740992", "BUCKETS", "4", "LIMIT", "2", "OPENS", "1000", "CLOSES", "2000",
        ],
        ["STOCK.SCHEDULE", key, "LIMIT", "0", "CLOSES", "5"],
      ]
      #expect(heard.withLock { $0 } == expected)
    }
  }

  @Test("CREATE whose reply was lost is carried out if the bucket is as it was wanted")
  func createLost() async throws {
    let exists = ScriptedPeer.Reaction.error("BUCKETEXISTS there is a bucket at this key")
    let asWanted = ScriptedPeer.Reaction.info(created: 10, buckets: 4, limit: 2, opens: 1000, closes: 2000)
    try await Dialogue.run([.hangUp, exists, asWanted]) { dialogue in
      try await dialogue.client.create(Sample.bucket, quantity: 10, terms: terms)
    }
    for other in [
      ScriptedPeer.Reaction.info(created: 11, buckets: 4, limit: 2, opens: 1000, closes: 2000),
      .info(created: 10, buckets: 3, limit: 2, opens: 1000, closes: 2000),
      .info(created: 10, buckets: 4, limit: 1, opens: 1000, closes: 2000),
      .info(created: 10, buckets: 4, limit: 2, opens: 0, closes: 2000),
      .info(created: 10, buckets: 4, limit: 2, opens: 1000, closes: 0),
    ] {
      try await Dialogue.run([.hangUp, exists, other]) { dialogue in
        let error = await dialogue.error { client throws(StockError) in
          try await client.create(Sample.bucket, quantity: 10, terms: terms)
        }
        #expect(error?.code == .bucketExists)
      }
    }
  }

  @Test("CREATE of a bucket that is there already is an error, whatever it looks like")
  func createExists() async throws {
    try await Dialogue.run([.error("BUCKETEXISTS there is a bucket at this key")]) { dialogue in
      let error = await dialogue.error { client throws(StockError) in
        try await client.create(Sample.bucket, quantity: 10, terms: terms)
      }
      #expect(error?.code == .bucketExists)
    }
  }

  @Test("CANCEL, FENCE and ADD give each status its outcome")
  func outcomes() async throws {
    try await Dialogue.run([.status("OK"), .status("DUPLICATE"), .status("UNKNOWN")]) { dialogue in
      for outcome in [CancelOutcome.cancelled, .alreadyCancelled, .unknownToken] {
        expect(
          try await dialogue.client.cancel(Sample.token, in: Sample.bucket, fence: false, offSale: false),
          is: outcome
        )
      }
    }
    try await Dialogue.run([.status("OK"), .status("DUPLICATE"), .status("LIVE", 1, 5)]) { dialogue in
      for outcome in [FenceOutcome.fenced, .alreadyCancelled, .live] {
        expect(try await dialogue.client.fence(Sample.token, in: Sample.bucket), is: outcome)
      }
    }
    try await Dialogue.run([.status("OK", 7, 2), .status("DUPLICATE", 7, 2), .status("SOLDOUT", 3)]) { dialogue in
      for outcome in [AddOutcome.added(remaining: 7), .alreadyAdded, .short(remaining: 3)] {
        expect(try await dialogue.client.add(Sample.token, quantity: -4, to: Sample.bucket), is: outcome)
      }
    }
  }

  @Test("CANCEL and ADD write their options")
  func writesCancelAndAdd() async throws {
    let heard = Mutex<[[String]]>([])
    let peer = try ScriptedPeer { command in
      heard.withLock { $0.append(Array(command.dropFirst(2))) }
      return .status("OK")
    }
    try await Dialogue.run(peer) { dialogue in
      for (fence, offSale) in [(false, false), (true, false), (false, true), (true, true)] {
        _ = try await dialogue.client.cancel(Sample.token, in: Sample.bucket, fence: fence, offSale: offSale)
      }
      _ = try await dialogue.client.add(Sample.token, quantity: .min, to: Sample.bucket)
      let expected = [
        ["token-1"], ["token-1", "FENCE"], ["token-1", "OFFSALE"], ["token-1", "FENCE", "OFFSALE"],
        ["token-1", "-9223372036854775808"],
      ]
      #expect(heard.withLock { $0 } == expected)
    }
  }

  @Test("After a lost reply what proves the end is an outcome, and what does not is replyLost")
  func lostReplies() async throws {
    try await Dialogue.run([.hangUp, .status("DUPLICATE"), .hangUp, .status("UNKNOWN")]) { dialogue in
      let client = dialogue.client
      expect(
        try await client.cancel(Sample.token, in: Sample.bucket, fence: false, offSale: false),
        is: .alreadyCancelled
      )
      let error = await dialogue.error { client throws(StockError) in
        try await client.cancel(Sample.token, in: Sample.bucket, fence: false, offSale: false)
      }
      #expect(error?.code == .replyLost)
    }
    try await Dialogue.run([.hangUp, .status("DUPLICATE"), .hangUp, .status("LIVE")]) { dialogue in
      expect(try await dialogue.client.fence(Sample.token, in: Sample.bucket), is: .alreadyCancelled)
      expect(try await dialogue.client.fence(Sample.token, in: Sample.bucket), is: .live)
    }
    try await Dialogue.run([.hangUp, .status("SOLDOUT"), .hangUp, .error("OOM used memory")]) { dialogue in
      for quantity in [-1, 1] as [Int64] {
        let error = await dialogue.error { client throws(StockError) in
          try await client.add(Sample.token, quantity: quantity, to: Sample.bucket)
        }
        #expect(error?.code == .replyLost)
      }
    }
  }

  @Test("A frozen bucket is an error of CANCEL, FENCE and ADD")
  func frozen() async throws {
    try await Dialogue.run([.status("FROZEN"), .status("FROZEN"), .status("FROZEN")]) { dialogue in
      let cancel = await dialogue.error { client throws(StockError) in
        try await client.cancel(Sample.token, in: Sample.bucket, fence: true, offSale: false)
      }
      let fence = await dialogue.error { client throws(StockError) in
        try await client.fence(Sample.token, in: Sample.bucket)
      }
      let add = await dialogue.error { client throws(StockError) in
        try await client.add(Sample.token, quantity: -1, to: Sample.bucket)
      }
      #expect([cancel?.code, fence?.code, add?.code] == [.frozen, .frozen, .frozen])
    }
  }

  @Test("A read whose reply never comes changed nothing: unavailable")
  func readLost() async throws {
    let peer = try ScriptedPeer { _ in .hangUp }
    try await Dialogue.run(peer, patience: .milliseconds(200)) { dialogue in
      let error = await dialogue.error { client throws(StockError) in try await client.info(Sample.bucket) }
      #expect(error?.code == .unavailable)
    }
  }

  @Test("A change whose reply never comes is replyLost")
  func changeLost() async throws {
    let peer = try ScriptedPeer { _ in .hangUp }
    try await Dialogue.run(peer, patience: .milliseconds(200)) { dialogue in
      let error = await dialogue.error { client throws(StockError) in
        try await client.fence(Sample.token, in: Sample.bucket)
      }
      #expect(error?.code == .replyLost)
      #expect(error?.isTransient == true)
    }
  }

  @Test("GET reads what the bucket kept, and null")
  func purchaseRecord() async throws {
    let whole =
      "*18\r\n$5\r\ntoken\r\n$7\r\ntoken-1\r\n$4\r\nuser\r\n$6\r\nuser-1\r\n$8\r\nquantity\r\n:2\r\n$5\r\nstate\r\n"
      + "$4\r\nsold\r\n$4\r\nfrom\r\n:10\r\n$2\r\nto\r\n:8\r\n$8\r\nsequence\r\n:3\r\n$9\r\ntimestamp\r\n:1700\r\n"
      + "$7\r\nexpires\r\n$-1\r\n"
    let compact = "*6\r\n$5\r\ntoken\r\n$7\r\ntoken-1\r\n$5\r\nstate\r\n$9\r\ncancelled\r\n$4\r\nuser\r\n$-1\r\n"
    try await Dialogue.run([.reply("$-1\r\n"), .reply(whole), .reply(compact)]) { dialogue in
      let client = dialogue.client
      expect(try await client.purchase(Sample.token, in: Sample.bucket), is: nil)
      let kept = PurchaseRecord(
        token: Sample.token,
        user: Sample.purchase.user,
        quantity: 2,
        state: .sold,
        sequence: 3,
        timestampMs: 1700
      )
      expect(try await client.purchase(Sample.token, in: Sample.bucket), is: kept)
      let rest = PurchaseRecord(
        token: Sample.token,
        user: nil,
        quantity: nil,
        state: .cancelled,
        sequence: nil,
        timestampMs: nil
      )
      expect(try await client.purchase(Sample.token, in: Sample.bucket), is: rest)
    }
  }

  @Test("LOG reads events, with and without a token and a user")
  func log() async throws {
    let create = "*8\r\n:1\r\n$6\r\ncreate\r\n$-1\r\n$-1\r\n:10\r\n:0\r\n:10\r\n:1700\r\n"
    let deduct = "*8\r\n:2\r\n$6\r\ndeduct\r\n$1\r\nt\r\n$1\r\nu\r\n:-2\r\n:10\r\n:8\r\n:1701\r\n"
    let peer = try ScriptedPeer { command in
      #expect(command == ["STOCK.LOG", "doorbuster:{X/0}", "0", "COUNT", "10", "EPOCH", "77"])
      return .reply("*2\r\n" + create + deduct)
    }
    try await Dialogue.run(peer) { dialogue in
      let events = try await dialogue.client.log(
        Sample.bucket,
        after: LogPosition(epoch: 77, sequence: 0),
        count: 10
      )
      let created = StockEvent(
        sequence: 1,
        action: .create,
        token: nil,
        user: nil,
        change: 10,
        from: 0,
        to: 10,
        timestampMs: 1700
      )
      let deducted = StockEvent(
        sequence: 2,
        action: .deduct,
        token: [0x74],
        user: [0x75],
        change: -2,
        from: 10,
        to: 8,
        timestampMs: 1701
      )
      #expect(events == [created, deducted])
    }
  }

  @Test("INFO names the field that is missing")
  func infoWithoutAField() async throws {
    try await Dialogue.run([.reply("*2\r\n$7\r\ncreated\r\n:1\r\n")]) { dialogue in
      let error = await dialogue.error { client throws(StockError) in try await client.info(Sample.bucket) }
      #expect(error?.code == .protocolViolation)
      #expect(error?.message.contains(#""added""#) == true)
    }
  }
}
