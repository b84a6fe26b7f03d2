import Stock
import StockClient
import TestServers
import Testing

/// Holds, freezes and what is written in after a loss, of the client against the real module.
@Suite struct RecoveringTests {
  private func hold(
    _ live: LiveServer,
    _ token: String,
    quantity: Int64 = 1,
    ms: Int64
  ) async throws -> DeductOutcome {
    let bucket = try live.bucket()
    let purchase = try Purchase(sku: bucket.sku, user: UserID("ann"), token: Token(token), quantity: quantity)
    return try await live.client.deduct(purchase, from: bucket, holdMs: ms, before: .now + .seconds(30))
  }

  @Test("A hold is confirmed, cancelled, or over, and each says so to whoever comes too late")
  func holds() async throws {
    try await LiveServer.run { live in
      let (client, bucket) = (live.client, try live.bucket())
      try await client.create(bucket, quantity: 10, terms: SaleTerms())
      expect(try await hold(live, "t1", quantity: 3, ms: 600_000).isAccepted, is: true)
      let record = try #require(try await client.purchase(Token("t1"), in: bucket))
      expect(record.state, is: .held)
      expect(try #require(record.expiresMs) > #require(record.timestampMs), is: true)
      expect(try await client.confirm(Token("t1"), in: bucket), is: .confirmed)
      expect(try await client.confirm(Token("t1"), in: bucket), is: .alreadyConfirmed)
      expect(try await client.confirm(Token("none"), in: bucket), is: .unknownToken)

      expect(try await hold(live, "t2", quantity: 2, ms: 600_000).isAccepted, is: true)
      expect(try await client.cancel(Token("t2"), in: bucket, fence: false, offSale: false), is: .cancelled)
      expect(try await client.confirm(Token("t2"), in: bucket), is: .cancelled)

      expect(try await hold(live, "t3", ms: 1).isAccepted, is: true)
      try waitUntil("the hold to be over") { try live.server.call("STOCK.INFO", "doorbuster:{X/0}")["held"] == 0 }
      expect(try await client.confirm(Token("t3"), in: bucket), is: .cancelled)
      let info = try await client.info(bucket)
      expect([info.available, info.held, info.sold, info.cancelled], is: [7, 0, 3, 3])
    }
  }

  @Test("A frozen bucket answers frozen to what is new and serves what it knows; only its own epoch thaws it")
  func freezing() async throws {
    try await LiveServer.run { live in
      let (client, bucket) = (live.client, try live.bucket())
      try await client.create(bucket, quantity: 10, terms: SaleTerms(buckets: 2), frozen: true)
      let epoch = try await client.info(bucket).epoch
      expect(try await client.info(bucket).frozen, is: .create)
      expect(try await live.deduct("t1"), is: .refused(.frozen, remaining: 10))
      for body: () async throws -> Void in [
        { _ = try await client.withdraw(TransferName("t"), quantity: 1, from: bucket, to: 1) },
        { _ = try await client.add(Token("r"), quantity: -1, to: bucket) },
        { _ = try await client.fence(Token("t"), in: bucket) },
        { _ = try await client.confirm(Token("t"), in: bucket) },
        { _ = try await client.cancel(Token("t"), in: bucket, fence: true, offSale: false) },
      ] {
        let error = try await stockError { try await body() }
        expect(error.code, is: .frozen)
      }
      expect(try await client.add(Token("r"), quantity: 2, to: bucket), is: .added(remaining: 12))
      let deposit = Deposit(name: try TransferName("t"), source: 1, quantity: 3)
      expect(try await client.deposit(deposit, into: bucket), is: .deposited(remaining: 15))

      let wrong = try await stockError { try await client.thaw(bucket, epoch: epoch + 1) }
      expect(wrong.code, is: .epochMismatch)
      try await client.freeze(bucket)
      expect(try await client.info(bucket).frozen, is: .operator)
      let operators = try await stockError { try await client.thaw(bucket, epoch: epoch) }
      expect(operators.code, is: .frozenByOperator)
      try await client.thaw(bucket, epoch: nil)
      expect(try await client.info(bucket).frozen, is: .create)
      try await client.thaw(bucket, epoch: epoch)
      expect(try await live.deduct("t1", quantity: 15).isAccepted, is: true)
    }
  }

  @Test("What a bucket has lost is written in, once, in its state, and what has no units says so")
  func recording() async throws {
    try await LiveServer.run { live in
      let (client, bucket) = (live.client, try live.bucket())
      try await client.create(bucket, quantity: 10, terms: SaleTerms(buckets: 2, limit: 1), frozen: true)
      func purchase(_ token: String, _ quantity: Int64) throws -> Purchase {
        try Purchase(sku: bucket.sku, user: UserID("ann"), token: Token(token), quantity: quantity)
      }
      func record(_ entry: LostEntry) async throws -> LostEntryOutcome { try await client.record(entry, in: bucket) }
      // Frozen, and beyond the limit: both don't matter to what is known elsewhere.
      expect(try await record(.purchase(purchase("sold", 4), .sold)), is: .recorded)
      expect(try await record(.purchase(purchase("sold", 4), .sold)), is: .alreadyThere)
      expect(try await record(.purchase(purchase("held", 2), .held)), is: .recorded)
      expect(try await record(.purchase(purchase("held", 2), .sold)), is: .recorded)
      expect(try await record(.purchase(purchase("cancelled", 9), .cancelled)), is: .recorded)
      expect(try await record(.purchase(purchase("rejected", 1), .rejected)), is: .recorded)
      expect(try await record(.purchase(purchase("large", 5), .sold)), is: .short(remaining: 3))
      let mismatch = try await stockError { try await record(.purchase(purchase("sold", 5), .sold)) }
      expect(mismatch.code, is: .tokenMismatch)
      expect(try await record(.restock(Token("r"), quantity: 5)), is: .recorded)
      expect(try await record(.restock(Token("r"), quantity: 5)), is: .alreadyThere)
      expect(try await client.add(Token("r"), quantity: 5, to: bucket), is: .alreadyAdded)
      let name = try TransferName("t")
      func half(_ direction: Transfer.Direction, _ quantity: Int64) -> LostEntry {
        .transfer(Transfer(name: name, direction: direction, peer: 1, quantity: quantity))
      }
      expect(try await record(half(.out, 9)), is: .short(remaining: 8))
      expect(try await record(half(.out, 3)), is: .recorded)
      expect(try await record(half(.out, 3)), is: .alreadyThere)
      let other = try await stockError { try await record(half(.in, 3)) }
      expect(other.code, is: .transferMismatch)
      expect(try await client.purchase(Token("held"), in: bucket)?.state, is: .sold)
      expect(try await client.purchase(Token("rejected"), in: bucket)?.state, is: .cancelled)
      let info = try await client.info(bucket)
      expect([info.available, info.held, info.sold, info.added, info.transferredOut], is: [5, 0, 6, 4, 3])
    }
  }
}

extension DeductOutcome {
  fileprivate var isAccepted: Bool {
    switch self {
    case .accepted: true
    case .refused, .cancelled, .unknown: false
    }
  }
}
