import Stock
import Testing

/// The model of a bucket that the simulations run on, against the contract.
@Suite struct ModelBucketTests {
  private let sku: SKU
  private let name: TransferName
  private var stock = ModelStock()

  init() throws {
    sku = try SKU("X")
    name = try TransferName("m")
    for index in 0..<2 {
      let id = BucketID(sku: sku, index: index)
      try stock.create(id, quantity: 10, terms: SaleTerms(buckets: 2), nowMs: 0)
    }
  }

  private var a: BucketID { BucketID(sku: sku, index: 0) }
  private var b: BucketID { BucketID(sku: sku, index: 1) }

  private func purchase(_ token: String, _ quantity: Int64 = 1) throws -> Purchase {
    try Purchase(sku: sku, user: UserID("u"), token: Token(token), quantity: quantity)
  }

  private mutating func with<R>(_ id: BucketID, _ body: (inout ModelBucket) throws(StockError) -> R) throws -> R {
    let result = try stock.with(id, body)
    for bucket in stock.buckets.values { #expect(bucket.isConserved) }
    return result
  }

  private mutating func code<R>(_ id: BucketID, _ body: (inout ModelBucket) throws(StockError) -> R) -> StockError.Code?
  {
    do throws(StockError) {
      _ = try stock.with(id, body)
      return nil
    } catch {
      return error.code
    }
  }

  @Test("A hold is confirmed, or expires when it is due, and then its units are on sale again")
  mutating func holds() throws {
    let (kept, lapsed) = (try purchase("t1", 4), try purchase("t2", 6))
    for purchase in [kept, lapsed] {
      _ = try with(a) { bucket throws(StockError) in try bucket.deduct(purchase, holdMs: 100, nowMs: 0) }
    }
    #expect(try with(a) { bucket throws(StockError) in try bucket.confirm(kept.token, nowMs: 99) } == .confirmed)
    #expect(try with(a) { bucket throws(StockError) in try bucket.confirm(kept.token, nowMs: 99) } == .alreadyConfirmed)
    // What is due would do, so the bucket is not sold out.
    let other = try purchase("t3", 6)
    let outcome = try with(a) { bucket throws(StockError) in try bucket.deduct(other, nowMs: 100) }
    #expect(outcome == .accepted(remaining: 0, sequence: 6, isRepeat: false))
    #expect(try with(a) { bucket throws(StockError) in try bucket.confirm(lapsed.token, nowMs: 101) } == .cancelled)
    #expect(stock.buckets[a]?.log.map(\.action) == [.create, .hold, .hold, .confirm, .expire, .deduct])
  }

  @Test("A transfer moves its units once, under its name and no other terms")
  mutating func transfers() throws {
    let name = name
    let deposit = Deposit(name: name, source: 0, quantity: 10)
    for isRepeat in [false, true] {
      let out = try with(a) { bucket throws(StockError) in try bucket.withdraw(name, quantity: 99, to: 1, nowMs: 0) }
      #expect(out == .withdrawn(10, isRepeat: isRepeat))
    }
    #expect(
      code(a) { bucket throws(StockError) in try bucket.withdraw(name, quantity: 1, to: 0, nowMs: 0) }
        == .transferMismatch
    )
    let empty = try TransferName("n")
    let nothing = try with(a) { bucket throws(StockError) in try bucket.withdraw(empty, quantity: 1, to: 1, nowMs: 0) }
    #expect(nothing == .soldOut)
    #expect(
      try with(b) { bucket throws(StockError) in try bucket.deposit(deposit, nowMs: 0) } == .deposited(remaining: 20)
    )
    #expect(
      try with(b) { bucket throws(StockError) in try bucket.deposit(deposit, nowMs: 0) }
        == .alreadyDeposited(remaining: 20)
    )
    let other = Deposit(name: name, source: 0, quantity: 9)
    #expect(code(b) { bucket throws(StockError) in try bucket.deposit(other, nowMs: 0) } == .transferMismatch)
    for id in [a, b] {
      #expect(try with(id) { bucket throws(StockError) in bucket.settle(name) } == .settled)
      #expect(try with(id) { bucket throws(StockError) in bucket.settle(name) } == .alreadySettled)
      let open = try with(id) { bucket throws(StockError) in
        try bucket.transfers(settled: false, after: nil, count: 9)
      }
      let all = try with(id) { bucket throws(StockError) in try bucket.transfers(settled: true, after: nil, count: 9) }
      #expect(open.isEmpty && all.count == 1)
    }
  }

  @Test("A frozen bucket answers for what it knows, takes nothing new, and expires nothing")
  mutating func frozen() throws {
    let (known, unknown, name) = (try purchase("t1"), try purchase("t2"), name)
    _ = try with(a) { bucket throws(StockError) in try bucket.deduct(known, holdMs: 10, nowMs: 0) }
    stock.comeUp(a, .promotion)
    _ = try with(a) { bucket throws(StockError) in bucket.freeze(nowMs: 0) }
    let repeated = try with(a) { bucket throws(StockError) in try bucket.deduct(known, nowMs: 99) }
    #expect(repeated == .accepted(remaining: 9, sequence: 2, isRepeat: true))
    let refused = try with(a) { bucket throws(StockError) in try bucket.deduct(unknown, nowMs: 99) }
    #expect(refused == .refused(.frozen, remaining: 9))
    let restock = try Token("r")
    let codes = [
      code(a) { bucket throws(StockError) in try bucket.fence(unknown.token, nowMs: 99) },
      code(a) { bucket throws(StockError) in try bucket.confirm(unknown.token, nowMs: 99) },
      code(a) { bucket throws(StockError) in
        try bucket.cancel(unknown.token, fence: false, offSale: false, nowMs: 99)
      },
      code(a) { bucket throws(StockError) in try bucket.withdraw(name, quantity: 1, to: 1, nowMs: 99) },
      code(a) { bucket throws(StockError) in try bucket.add(restock, quantity: -1, nowMs: 99) },
    ]
    #expect(codes == [.frozen, .frozen, .frozen, .frozen, .frozen])
    #expect(throws: StockError.self) { try stock.rebalance(sku, [0, 1], weights: nil, nowMs: 99) }
    let epoch = try #require(stock.buckets[a]?.epoch)
    #expect(code(a) { bucket throws(StockError) in try bucket.thaw(epoch: epoch - 1, nowMs: 99) } == .epochMismatch)
    #expect(code(a) { bucket throws(StockError) in try bucket.thaw(epoch: epoch, nowMs: 99) } == .frozenByOperator)
    try with(a) { bucket throws(StockError) in try bucket.thaw(epoch: nil, nowMs: 99) }
    #expect(stock.buckets[a]?.frozen == .promotion)
    try with(a) { bucket throws(StockError) in try bucket.thaw(epoch: epoch, nowMs: 99) }
    #expect(stock.buckets[a]?.frozen == nil)
    #expect(try with(a) { bucket throws(StockError) in try bucket.confirm(known.token, nowMs: 99) } == .cancelled)
  }

  @Test("What is written in is there once, moves only forward, and takes only units that are there")
  mutating func records() throws {
    let (first, large, name) = (try purchase("t1", 4), try purchase("t2", 7), name)
    stock.comeUp(a, .load)
    func entry(_ state: LostEntry.State) -> LostEntry { .purchase(first, state) }
    for (state, outcome, available, sold) in [
      (.held, .recorded, 6, 0), (.held, .alreadyThere, 6, 0), (.sold, .recorded, 6, 4), (.held, .alreadyThere, 6, 4),
      (.rejected, .recorded, 6, 0), (.sold, .alreadyThere, 6, 0),
    ] as [(LostEntry.State, LostEntryOutcome, Int64, Int64)] {
      #expect(try with(a) { bucket throws(StockError) in try bucket.record(entry(state), nowMs: 0) } == outcome)
      #expect(stock.buckets[a]?.available == available && stock.buckets[a]?.sold == sold)
    }
    let short = try with(a) { bucket throws(StockError) in try bucket.record(.purchase(large, .sold), nowMs: 0) }
    #expect(short == .short(remaining: 6))
    let half = LostEntry.transfer(Transfer(name: name, direction: .in, peer: 1, quantity: 3))
    for outcome in [LostEntryOutcome.recorded, .alreadyThere] {
      #expect(try with(a) { bucket throws(StockError) in try bucket.record(half, nowMs: 0) } == outcome)
    }
    #expect(
      try with(a) { bucket throws(StockError) in try bucket.record(.purchase(large, .sold), nowMs: 0) } == .recorded
    )
  }

  @Test("A rebalance shares evenly or by weight, and is no change of the whole")
  mutating func rebalances() throws {
    let name = name
    _ = try with(a) { bucket throws(StockError) in try bucket.withdraw(name, quantity: 3, to: 1, nowMs: 0) }
    #expect(try stock.rebalance(sku, [0, 1], weights: nil, nowMs: 0) == [9, 8])
    #expect(try stock.rebalance(sku, [0, 1], weights: [0, 5], nowMs: 0) == [0, 17])
    for bucket in stock.buckets.values { #expect(bucket.isConserved) }
  }

  @Test("A trimmed log says so, and keeps counting")
  mutating func trims() throws {
    let purchase = try purchase("t1")
    _ = try with(a) { bucket throws(StockError) in try bucket.deduct(purchase, nowMs: 0) }
    let epoch = try #require(stock.buckets[a]?.epoch)
    func at(_ sequence: Int64) -> LogPosition { LogPosition(epoch: epoch, sequence: sequence) }
    #expect(try with(a) { bucket throws(StockError) in try bucket.trim(upTo: at(1)) } == 1)
    #expect(try with(a) { bucket throws(StockError) in try bucket.trim(upTo: at(1)) } == 0)
    #expect(code(a) { bucket throws(StockError) in try bucket.trim(upTo: at(3)) } == .logAhead)
    #expect(code(a) { bucket throws(StockError) in try bucket.events(after: at(0), count: 9) } == .logTrimmed)
    let left = try with(a) { bucket throws(StockError) in try bucket.events(after: at(1), count: 9) }
    #expect(left.map(\.sequence) == [2])
    #expect(stock.buckets[a]?.info.logFirst == 2)
  }
}
