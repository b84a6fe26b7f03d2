import Stock
import StockClient
import TestServers
import Testing

/// Every command of the client against the real module.
@Suite struct SellingTests {
  @Test("A bucket lives through its whole life, and its books balance at each step")
  func wholeLife() async throws {
    try await LiveServer.run { live in
      let (client, bucket) = (live.client, try live.bucket())
      try await client.create(bucket, quantity: 5, terms: SaleTerms(buckets: 1, limit: 3))
      expect(try await live.deduct("t1", quantity: 3), is: .accepted(remaining: 2, sequence: 2, isRepeat: false))
      expect(try await live.deduct("t1", quantity: 3), is: .accepted(remaining: 2, sequence: 2, isRepeat: true))
      expect(try await live.deduct("t2"), is: .refused(.limit, remaining: 2))
      expect(try await live.deduct("t2", user: "other", quantity: 3), is: .refused(.soldOut, remaining: 2))
      expect(try await client.fence(Token("t3"), in: bucket), is: .fenced)
      expect(try await client.fence(Token("t3"), in: bucket), is: .alreadyCancelled)
      expect(try await client.fence(Token("t1"), in: bucket), is: .live)
      expect(try await live.deduct("t3"), is: .cancelled)
      expect(try await client.cancel(Token("t9"), in: bucket, fence: false, offSale: false), is: .unknownToken)
      expect(try await client.cancel(Token("t9"), in: bucket, fence: true, offSale: false), is: .cancelled)
      expect(try await client.cancel(Token("t1"), in: bucket, fence: false, offSale: false), is: .cancelled)
      expect(try await client.cancel(Token("t1"), in: bucket, fence: false, offSale: false), is: .alreadyCancelled)
      expect(try await client.add(Token("r1"), quantity: 4, to: bucket), is: .added(remaining: 9))
      expect(try await client.add(Token("r1"), quantity: 4, to: bucket), is: .alreadyAdded)
      expect(try await client.add(Token("r2"), quantity: -10, to: bucket), is: .short(remaining: 9))
      expect(try await client.add(Token("r3"), quantity: -8, to: bucket), is: .added(remaining: 1))

      let info = try await client.info(bucket)
      expect(info.available, is: 1)
      expect(
        info.created + info.added + info.transferredIn,
        is: info.available + info.held + info.sold + info.transferredOut
      )
      expect([info.created, info.added, info.sold, info.cancelled, info.limit], is: [5, -4, 0, 3, 3])
      expect(info.buckets, is: 1)
      expect(info.frozen, is: nil)
      expect((1...StockLimits.quantityMax).contains(info.epoch), is: true)
    }
  }

  @Test("SCHEDULE opens, closes and limits, and leaves alone what it does not name")
  func schedule() async throws {
    try await LiveServer.run { live in
      let (client, bucket) = (live.client, try live.bucket())
      let farAway: Int64 = 4_000_000_000_000
      try await client.create(bucket, quantity: 5, terms: SaleTerms(opensMs: farAway))
      expect(try await live.deduct("t1"), is: .refused(.early, remaining: 5))
      try await client.schedule(bucket, limit: 7, opensMs: 0, closesMs: nil)
      expect(try await live.deduct("t1"), is: .accepted(remaining: 4, sequence: 3, isRepeat: false))
      try await client.schedule(bucket, limit: nil, opensMs: nil, closesMs: 1)
      expect(try await live.deduct("t2"), is: .refused(.closed, remaining: 4))
      let info = try await client.info(bucket)
      expect([info.limit, info.opensMs, info.closesMs], is: [7, 0, 1])
    }
  }

  @Test("GET gives back what was bought, and nothing for a token that nobody sent")
  func purchaseRecord() async throws {
    try await LiveServer.run { live in
      let bucket = try live.bucket()
      try await live.client.create(bucket, quantity: 5, terms: SaleTerms())
      let strange = try Token(bytes: [0, 10, 13, 0xFF, 0x24])
      let purchase = try Purchase(sku: bucket.sku, user: UserID(bytes: [0xFE]), token: strange, quantity: 2)
      _ = try await live.client.deduct(purchase, from: bucket, before: .now + .seconds(30))
      let found = try await live.client.purchase(strange, in: bucket)
      expect(found?.user, is: purchase.user)
      expect(found?.quantity, is: 2)
      expect(found?.state, is: .sold)
      expect(found?.sequence, is: 2)
      expect(found?.expiresMs, is: nil)
      expect(try await live.client.purchase(Token("nobody's"), in: bucket), is: nil)
    }
  }

  @Test("LOG gives every event in order, and its positions are checked")
  func log() async throws {
    try await LiveServer.run { live in
      let (client, bucket) = (live.client, try live.bucket())
      try await client.create(bucket, quantity: 5, terms: SaleTerms())
      _ = try await live.deduct("t1", quantity: 2)
      _ = try await client.cancel(Token("t1"), in: bucket, fence: false, offSale: false)
      _ = try await client.fence(Token("t2"), in: bucket)
      _ = try await client.add(Token("r1"), quantity: 1, to: bucket)
      try await client.schedule(bucket, limit: 1, opensMs: nil, closesMs: nil)
      let epoch = try await client.info(bucket).epoch
      let events = try await client.log(bucket, after: LogPosition(epoch: epoch, sequence: 0), count: 100)
      expect(events.map(\.sequence), is: [1, 2, 3, 4, 5, 6])
      expect(events.map(\.action), is: [.create, .deduct, .cancel, .fence, .add, .schedule])
      expect(events.map(\.to), is: [5, 3, 5, 5, 6, 6])
      expect(events.map { $0.to - $0.from == $0.change }, is: Array(repeating: true, count: 6))
      expect(events[1].token, is: Array("t1".utf8))
      expect(events[1].user, is: Array("user".utf8))
      expect(events[0].token, is: nil)
      let rest = try await client.log(bucket, after: LogPosition(epoch: epoch, sequence: 4), count: 1)
      expect(rest.map(\.sequence), is: [5])

      let ahead = try await stockError {
        try await client.log(bucket, after: LogPosition(epoch: epoch, sequence: 7), count: 1)
      }
      expect(ahead.code, is: .logAhead)
      let otherEpoch = try await stockError {
        try await client.log(bucket, after: LogPosition(epoch: epoch == 1 ? 2 : epoch - 1, sequence: 0), count: 1)
      }
      expect(otherEpoch.code, is: .epochMismatch)
    }
  }

  @Test("Many tasks with many double clicks sell exactly the stock, and every token hears one outcome")
  func crowd() async throws {
    try await LiveServer.run { live in
      let bucket = try live.bucket()
      try await live.client.create(bucket, quantity: 300, terms: SaleTerms())
      let accepted = try await withThrowingTaskGroup(of: (Int, DeductOutcome).self) { group in
        for click in 0..<2000 {
          group.addTask { (click % 500, try await live.deduct("token-\(click % 500)", user: "user-\(click % 500)")) }
        }
        return try await group.reduce(into: [Int: [DeductOutcome]]()) { $0[$1.0, default: []].append($1.1) }
      }
      var firsts = 0
      for (token, outcomes) in accepted {
        let taken = outcomes.filter { if case .accepted(_, _, isRepeat: false) = $0 { true } else { false } }
        let sequences = Set(
          outcomes.compactMap { if case .accepted(_, let sequence, _) = $0 { sequence } else { nil } }
        )
        #expect(taken.count <= 1, "token \(token) was taken \(taken.count) times")
        #expect(sequences.count <= 1, "token \(token) has sequences \(sequences)")
        firsts += taken.count
      }
      expect(firsts, is: 300)
      expect(try await live.client.info(bucket).sold, is: 300)
    }
  }

  @Test("The client's keys are the contract's, and spread over the slots by product and bucket")
  func keys() async throws {
    try await LiveServer.run { live in
      for index in [0, 9, 10, 16_383] {
        let bucket = try live.bucket(index, of: "a.B_c:d-9")
        try await live.client.create(bucket, quantity: 1, terms: SaleTerms(buckets: 16_384))
        expect(try live.server.call("EXISTS", "doorbuster:{a.B_c:d-9/\(index)}"), is: 1)
        try await live.client.verify(bucket, buckets: 16_384)
        let error = try await stockError { try await live.client.verify(bucket, buckets: 16_383) }
        expect(error.code, is: .bucketsMismatch)
      }
    }
  }
}
