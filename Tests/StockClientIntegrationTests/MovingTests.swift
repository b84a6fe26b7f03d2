import Stock
import StockClient
import TestServers
import Testing

/// Transfers, rebalancing and leases of the client against the real module.
@Suite struct MovingTests {
  private func selling(
    _ quantities: [Int64],
    _ body: (LiveServer, [BucketID]) async throws -> Void
  ) async throws {
    try await LiveServer.run { live in
      let buckets = try quantities.indices.map { try live.bucket($0) }
      for (bucket, quantity) in zip(buckets, quantities) {
        try await live.client.create(bucket, quantity: quantity, terms: SaleTerms(buckets: quantities.count))
      }
      try await body(live, buckets)
    }
  }

  @Test("Units move from bucket to bucket, once, whoever repeats which step")
  func transfer() async throws {
    try await selling([10, 0]) { live, buckets in
      let (client, source, target) = (live.client, buckets[0], buckets[1])
      let name = try TransferName("t")
      expect(try await client.settle(name, in: source), is: .unknownTransfer)
      expect(try await client.withdraw(name, quantity: 4, from: source, to: 1), is: .withdrawn(4, isRepeat: false))
      expect(try await client.withdraw(name, quantity: 9, from: source, to: 1), is: .withdrawn(4, isRepeat: true))
      let deposit = Deposit(name: name, source: 0, quantity: 4)
      expect(try await client.deposit(deposit, into: target), is: .deposited(remaining: 4))
      expect(try await client.deposit(deposit, into: target), is: .alreadyDeposited(remaining: 4))
      for bucket in [source, target] {
        expect(try await client.settle(name, in: bucket), is: .settled)
        expect(try await client.settle(name, in: bucket), is: .alreadySettled)
      }
      expect(try await client.withdraw(name, quantity: 1, from: source, to: 1), is: .withdrawn(4, isRepeat: true))
      // Of more than there is, all goes; of nothing, nothing, and that is not remembered.
      let rest = try TransferName("rest")
      expect(try await client.withdraw(rest, quantity: 100, from: source, to: 1), is: .withdrawn(6, isRepeat: false))
      let none = try TransferName("none")
      expect(try await client.withdraw(none, quantity: 1, from: source, to: 1), is: .soldOut)
      expect(try await client.settle(none, in: source), is: .unknownTransfer)
      let infos = [try await client.info(source), try await client.info(target)]
      expect(infos.map(\.available), is: [0, 4])
      expect(infos.map(\.transferredOut), is: [10, 0])
      expect(infos.map(\.transferredIn), is: [0, 4])
      expect(infos.map(\.transfers), is: [1, 0])
    }
  }

  @Test("A name that is known with another peer, direction or quantity is an error, and moves nothing")
  func mismatch() async throws {
    try await selling([10, 10, 10]) { live, buckets in
      let client = live.client
      let name = try TransferName("t")
      _ = try await client.withdraw(name, quantity: 4, from: buckets[0], to: 1)
      _ = try await client.deposit(Deposit(name: name, source: 0, quantity: 4), into: buckets[1])
      for body: () async throws -> Void in [
        { _ = try await client.withdraw(name, quantity: 4, from: buckets[0], to: 2) },
        { _ = try await client.withdraw(name, quantity: 4, from: buckets[1], to: 0) },
        { _ = try await client.deposit(Deposit(name: name, source: 2, quantity: 4), into: buckets[1]) },
        { _ = try await client.deposit(Deposit(name: name, source: 0, quantity: 5), into: buckets[1]) },
      ] {
        let error = try await stockError { try await body() }
        expect(error.code, is: .transferMismatch)
      }
      expect(try await client.info(buckets[0]).available, is: 6)
      expect(try await client.info(buckets[1]).available, is: 14)
    }
  }

  @Test(
    "Transfers are listed in the order of their making, page by page, open ones or all, whatever their names' bytes"
  )
  func listing() async throws {
    try await selling([100, 0]) { live, buckets in
      let client = live.client
      let names = try (0..<7).map { try TransferName(bytes: [0xFF, 0x00, 0x0D, 0x0A, UInt8($0)]) }
      for name in names { _ = try await client.withdraw(name, quantity: 2, from: buckets[0], to: 1) }
      expect(try await client.settle(names[2], in: buckets[0]), is: .settled)
      func list(settled: Bool, after: TransferName?, count: Int) async throws -> [TransferName] {
        let listed = try await client.transfers(buckets[0], settled: settled, after: after, count: count)
        for transfer in listed.map(\.transfer) {
          expect([transfer.quantity, Int64(transfer.peer)], is: [2, 1])
          expect(transfer.direction, is: .out)
        }
        return listed.map(\.transfer.name)
      }
      expect(try await list(settled: true, after: nil, count: 100), is: names)
      expect(try await list(settled: false, after: nil, count: 3), is: [names[0], names[1], names[3]])
      expect(try await list(settled: false, after: names[3], count: 10_000), is: Array(names[4...]))
      expect(try await list(settled: true, after: names[6], count: 10), is: [])
    }
  }

  @Test("A deduction takes the units that are deposited with it, in one step; refused, it leaves them on sale")
  func depositing() async throws {
    try await selling([10, 1]) { live, buckets in
      let client = live.client
      func deposit(_ text: String, _ quantity: Int64) async throws -> Deposit {
        let name = try TransferName(text)
        _ = try await client.withdraw(name, quantity: quantity, from: buckets[0], to: 1)
        return Deposit(name: name, source: 0, quantity: quantity)
      }
      func deduct(_ token: String, _ quantity: Int64, _ deposits: [Deposit], holdMs: Int64? = nil) async throws
        -> DepositedDeduction
      {
        let purchase = try Purchase(
          sku: buckets[1].sku,
          user: UserID("ann"),
          token: Token(token),
          quantity: quantity
        )
        return try await client.deduct(
          purchase,
          from: buckets[1],
          holdMs: holdMs,
          depositing: deposits,
          before: .now + .seconds(30)
        )
      }
      let both = [try await deposit("a", 2), try await deposit("b", 3)]
      let bought = try await deduct("t1", 6, both)
      expect(bought.isDeposited, is: true)
      expect(bought.deduction, is: .accepted(remaining: 0, sequence: 4, isRepeat: false))
      // The same again deposits nothing twice.
      let again = try await deduct("t1", 6, both)
      expect(again.deduction, is: .accepted(remaining: 0, sequence: 4, isRepeat: true))
      let refused = try await deduct("t2", 4, [try await deposit("c", 3)])
      expect(refused, is: DepositedDeduction(deduction: .refused(.soldOut, remaining: 3), isDeposited: true))
      let held = try await deduct("t3", 3, [], holdMs: 60_000)
      expect(held.deduction, is: .accepted(remaining: 0, sequence: 6, isRepeat: false))
      let info = try await client.info(buckets[1])
      expect([info.available, info.held, info.sold, info.transferredIn], is: [0, 3, 6, 8])
    }
  }

  @Test("Buckets of one server share their stock in one step, evenly or by weight; a frozen one is an error")
  func rebalance() async throws {
    try await selling([10, 0, 1]) { live, buckets in
      let (client, sku) = (live.client, buckets[0].sku)
      expect(try await client.rebalance(sku, buckets: [0, 1, 2], weights: nil).sorted(), is: [3, 4, 4])
      expect(try await client.rebalance(sku, buckets: [2, 0, 1], weights: [1, 0, 10]), is: [1, 0, 10])
      expect(try await client.info(buckets[1]).available, is: 10)
      try await client.freeze(buckets[1])
      let error = try await stockError { try await client.rebalance(sku, buckets: [0, 1], weights: nil) }
      expect(error.code, is: .frozen)
    }
  }

  @Test("A lease is one holder's until it ends; its holder renews it, and it is apart from other work and sales")
  func lease() async throws {
    try await selling([1]) { live, buckets in
      let (client, sku) = (live.client, buckets[0].sku)
      func lease(_ holder: String, work: String = "rebalance", of sku: SKU, ms: Int64 = 600_000) async throws -> Bool {
        try await client.lease(work, of: sku, for: holder, ms: ms)
      }
      expect(try await lease("a", of: sku), is: true)
      expect(try await lease("b", of: sku), is: false)
      expect(try await lease("a", of: sku), is: true)
      expect(try await lease("b", work: "other", of: sku), is: true)
      expect(try await lease("b", of: SKU("Y")), is: true)
      // It lies beside the sale's first bucket, on whatever server has that, and ends by that server's clock.
      let key = "doorbuster:{X/0}:rebalance"
      expect(try live.server.call("GET", key), is: "a")
      expect(try await lease("a", of: sku, ms: 50), is: true)
      try waitUntil("the lease to end") { try live.server.call("EXISTS", key) == 0 }
      expect(try await lease("b", of: sku), is: true)
      expect(try await lease("a", of: sku), is: false)
    }
  }
}
