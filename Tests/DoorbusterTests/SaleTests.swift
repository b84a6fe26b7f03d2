import Orders
import Stock
import Testing

@testable import Doorbuster

@Suite("Sales, set up and changed by hand")
struct SaleTests {
  let servers = ModelServers()
  let doorbuster: Doorbuster
  let sku: SKU
  init() throws {
    doorbuster = try servers.orchestrator()
    sku = try Sample.sku()
  }

  private func code(_ body: () async throws -> Void) async throws -> DoorbusterError.Code? {
    do {
      try await body()
      return nil
    } catch let error as DoorbusterError {
      return error.code
    }
  }

  private func create(_ units: Int64 = 10, buckets: Int = 3, limit: Int64 = 0) async throws -> Sale {
    try await doorbuster.createSale(
      sku,
      stock: units,
      terms: SaleTerms(buckets: buckets, limit: limit),
      path: .combined
    )
  }

  private var available: [Int64] {
    servers.with { state in
      state.stock.buckets.sorted { $0.key.index < $1.key.index }.map(\.value.available)
    }
  }

  private var databaseStock: Int64? { servers.with { [sku] in $0.orders.stock[sku] } }

  @Test("A sale's stock is shared out by bucket, and the topic's messages are kept from then on")
  func creates() async throws {
    _ = try await create()
    #expect(available == [4, 3, 3])
    #expect(databaseStock == 10)
    #expect(servers.with { $0.isSubscribed })
    #expect(try await doorbuster.existingSale(sku)?.stock == 10)
  }

  @Test("Creating a sale survives a crash between any two of its steps", arguments: [false, true])
  func createCrashes(carriesOut: Bool) async throws {
    var number = 0
    while true {
      let servers = ModelServers()
      let doorbuster = try servers.orchestrator()
      let terms = SaleTerms(buckets: 3)
      servers.cutOff(at: number, carriesOut: carriesOut)
      let wasCut = (try? await doorbuster.createSale(sku, stock: 10, terms: terms, path: .combined)) == nil
      servers.cutOff(at: nil)
      _ = try await servers.orchestrator().createSale(sku, stock: 10, terms: terms, path: .combined)
      let books = try await doorbuster.books(sku)
      #expect(books.isBalanced && books.unitsOnSale == 10, "crash at call \(number)")
      guard wasCut else { break }
      number += 1
    }
    #expect(number > 10)
  }

  @Test("A sale is created once; with other numbers it is an error, and nothing changes")
  func createsOnce() async throws {
    _ = try await create()
    _ = try await create()
    #expect(try await code { _ = try await create(11) } == .saleDiffers)
    #expect(try await code { _ = try await create(buckets: 2) } == .saleDiffers)
    #expect(try await code { _ = try await create(limit: 1) } == .saleDiffers)
    #expect(available == [4, 3, 3])
  }

  @Test("A bucket that is there with other numbers is an error")
  func foreignBucket() async throws {
    let id = try Sample.bucket(1)
    try await servers.create(id, quantity: 99, terms: SaleTerms(buckets: 3))
    #expect(try await code { _ = try await create() } == .saleDiffers)
  }

  @Test("A bucket that the database knows and that is gone is never made anew")
  func lostBucket() async throws {
    _ = try await create()
    servers.with { $0.stock.buckets[BucketID(sku: sku, index: 2)] = nil }
    #expect(try await code { _ = try await create() } == .bucketLost)
    #expect(try await code { _ = try await doorbuster.existingSale(sku) } == .bucketLost)
    #expect(available == [4, 3])
  }

  @Test("A bucket that is another one than the database followed is lost, too")
  func replacedBucket() async throws {
    _ = try await create()
    let id = try Sample.bucket(2)
    servers.with { $0.stock.buckets[id] = nil }
    try await servers.create(id, quantity: 3, terms: SaleTerms(buckets: 3))
    #expect(try await code { _ = try await doorbuster.existingSale(sku) } == .bucketLost)
  }

  @Test("A bucket that came up frozen is there, whatever it lacks, and stays frozen", arguments: FrozenReason.allCases)
  func frozenBucket(reason: FrozenReason) async throws {
    _ = try await create()
    let id = try Sample.bucket(2)
    servers.with { $0.stock.comeUp(id, reason) }
    try await servers.schedule(id, limit: 7, opensMs: nil, closesMs: nil)
    #expect(try await create().stock == 10)
    #expect(try await doorbuster.existingSale(sku)?.stock == 10)
    #expect(try await servers.info(id).frozen == reason)
    servers.with { $0.stock.buckets[id] = nil }
    try await servers.create(id, quantity: 99, terms: SaleTerms(buckets: 3))
    try await servers.freeze(id)
    #expect(try await code { _ = try await create() } == .saleDiffers)
  }

  @Test("A sale that no one knows is an error, and a purchase of it fails with nothing taken")
  func unknownSale() async throws {
    #expect(try await doorbuster.existingSale(sku) == nil)
    #expect(try await code { _ = try await doorbuster.status(sku) } == .unknownSale)
    #expect(try await code { try await doorbuster.closeSale(sku) } == .unknownSale)
    let outcome = await doorbuster.purchase(try Sample.purchase())
    #expect(outcome == .failed(.unknownSale(sku)))
    #expect(servers.with { $0.broker.halves.isEmpty })
  }

  @Test("Sales outside their bounds are refused by name")
  func outOfBounds() async throws {
    for (stock, terms, path) in [
      (-1, SaleTerms(), SalePath.redisMQ), (StockLimits.quantityMax + 1, SaleTerms(), .redisMQ),
      (1, SaleTerms(buckets: 0), .combined), (1, SaleTerms(buckets: 16385), .combined),
      (1, SaleTerms(buckets: 2), .redisMQ), (1, SaleTerms(limit: -1), .redisMQ),
      (1, SaleTerms(opensMs: -1), .redisMQ), (1, SaleTerms(buckets: 2), .database),
      (1, SaleTerms(closesMs: -1), .buckets),
    ] {
      #expect(
        try await code { _ = try await doorbuster.createSale(sku, stock: stock, terms: terms, path: path) } == .invalid
      )
    }
    #expect(servers.calls == 0)
  }

  @Test("A closed sale sells nothing more, in any bucket; closing it again keeps its time")
  func closes() async throws {
    _ = try await create()
    try await doorbuster.closeSale(sku)
    let closesMs = try await servers.sale(sku)?.terms.closesMs
    try await doorbuster.closeSale(sku)
    #expect(try await servers.sale(sku)?.terms.closesMs == closesMs)
    for user in ["a", "b", "c", "d", "e", "f"] {
      let outcome = await doorbuster.purchase(try Sample.purchase("t-\(user)", user: user))
      guard case .refused(.closed, _) = outcome else {
        Issue.record("\(outcome)")
        continue
      }
    }
  }

  @Test("Closing a sale of which a bucket is gone closes all others, says so, and is completed by closing it again")
  func closesPartly() async throws {
    _ = try await create()
    let gone = try Sample.bucket(1)
    let bucket = servers.with { $0.stock.buckets.removeValue(forKey: gone) }
    await #expect { try await doorbuster.closeSale(sku) } throws: { error in
      guard let error = error as? DoorbusterError else { return false }
      return error.code == .stock && error.hasStockCode(.noBucket)
        && error.message.contains("in 2 of its 3 buckets, and may go on selling in bucket 1 until it is closed again")
    }
    servers.with { $0.stock.buckets[gone] = bucket }
    let closesMs = try await servers.sale(sku)?.terms.closesMs
    let infos = try await [servers.info(Sample.bucket(0)), servers.info(gone), servers.info(Sample.bucket(2))]
    #expect(infos.map(\.closesMs) == [closesMs, 0, closesMs])
    try await doorbuster.closeSale(sku)
    #expect(try await servers.info(gone).closesMs == closesMs)
  }

  @Test("A cancelled purchase's units go back on sale, wherever it was bought", arguments: [1, 4])
  func cancels(buckets: Int) async throws {
    _ = try await create(40, buckets: buckets)
    for user in ["a", "b", "c", "d"] { _ = await doorbuster.purchase(try Sample.purchase("t-\(user)", user: user)) }
    #expect(try await doorbuster.cancel(sku, token: Token("t-c")) == .cancelled)
    #expect(try await doorbuster.cancel(sku, token: Token("t-c")) == .alreadyCancelled)
    #expect(try await doorbuster.cancel(sku, token: Token("t-z")) == .unknownToken)
    #expect(available.reduce(0, +) == 34)
  }

  @Test("A token that no bucket knows is not denied while one of them is frozen", arguments: FrozenReason.allCases)
  func frozenToken(reason: FrozenReason) async throws {
    _ = try await create(40, buckets: 3)
    _ = await doorbuster.purchase(try Sample.purchase("t", user: "a"))
    let id = try Sample.bucket(2)
    servers.with { $0.stock.comeUp(id, reason) }
    await #expect { _ = try await doorbuster.confirm(sku, token: Token("z")) } throws: {
      ($0 as? DoorbusterError)?.hasStockCode(.frozen) == true
    }
    await #expect { _ = try await doorbuster.cancel(sku, token: Token("z")) } throws: {
      ($0 as? DoorbusterError)?.hasStockCode(.frozen) == true
    }
    #expect(try await doorbuster.cancel(sku, token: Token("t")) == .cancelled)
    #expect(try await doorbuster.cancel(sku, token: Token("t")) == .alreadyCancelled)
    try await servers.thaw(id, epoch: nil)
    #expect(try await doorbuster.confirm(sku, token: Token("z")) == .unknownToken)
  }

  @Test("A token that is live in several buckets is not cancelled at a guess")
  func ambiguousCancel() async throws {
    _ = try await create(40, buckets: 2)
    let users = try (0..<20).map { try UserID("u\($0)") }
    for bucket in 0..<2 {
      let user = try #require(users.first { $0.homeBucket(among: 2) == bucket })
      let purchase = try Purchase(sku: sku, user: user, token: Token("t"), quantity: 1)
      guard case .accepted = await doorbuster.purchase(purchase) else {
        Issue.record("not accepted")
        return
      }
    }
    #expect(try await code { _ = try await doorbuster.cancel(sku, token: Token("t")) } == .ambiguousToken)
  }
}

@Suite("Restocks")
struct RestockTests {
  let sku: SKU
  let token: Token
  init() throws {
    sku = try Sample.sku()
    token = try Token("r1")
  }

  /// A sale of 4, 3 and 3 units.
  private func sale() async throws -> (ModelServers, Doorbuster) {
    let servers = ModelServers()
    let doorbuster = try servers.orchestrator()
    _ = try await doorbuster.createSale(sku, stock: 10, terms: SaleTerms(buckets: 3), path: .combined)
    return (servers, doorbuster)
  }

  private func code(_ body: () async throws -> Void) async throws -> DoorbusterError.Code? {
    do {
      try await body()
      return nil
    } catch let error as DoorbusterError {
      return error.code
    }
  }

  private func available(_ servers: ModelServers) -> [Int64] {
    servers.with { state in
      state.stock.buckets.sorted { $0.key.index < $1.key.index }.map(\.value.available)
    }
  }

  /// Buys all that one bucket has.
  private func sellOut(_ index: Int, _ servers: ModelServers) async throws {
    let left = available(servers)[index]
    let user = try #require((0..<100).compactMap { try? UserID("u\($0)") }.first { $0.homeBucket(among: 3) == index })
    let purchase = try Purchase(sku: sku, user: user, token: Token("all-\(index)"), quantity: left)
    servers.with { state in
      _ = try? state.stock.with(BucketID(sku: purchase.sku, index: index)) { bucket throws(StockError) in
        try bucket.deduct(purchase, nowMs: 1)
      }
      let order = Order(purchase: purchase, bucket: index, createdAtMs: 1)
      _ = try? state.orders.record([order])
    }
  }

  @Test("go up and down by each bucket's share, once per token")
  func upAndDown() async throws {
    let (servers, doorbuster) = try await sale()
    for _ in 0..<2 { try await doorbuster.restock(sku, token: token, quantity: 5) }
    #expect(available(servers) == [6, 5, 4])
    for _ in 0..<2 { try await doorbuster.restock(sku, token: Token("r2"), quantity: -7) }
    #expect(available(servers) == [3, 3, 2])
    #expect(try await doorbuster.books(sku).isBalanced)
    #expect(try await code { try await doorbuster.restock(sku, token: token, quantity: 6) } == .restockMismatch)
    #expect(try await code { try await doorbuster.restock(sku, token: token, quantity: -5) } == .restockMismatch)
    #expect(try await code { try await doorbuster.restock(sku, token: Token("r2"), quantity: -8) } == .restockMismatch)
    #expect(try await code { try await doorbuster.restock(sku, token: Token("r3"), quantity: 0) } == .invalid)
    #expect(available(servers) == [3, 3, 2])
    #expect(try await doorbuster.books(sku).isBalanced)
  }

  @Test("survive a crash between any two of their steps", arguments: [5, -5, -9] as [Int64], [false, true])
  func crashes(quantity: Int64, carriesOut: Bool) async throws {
    var number = 0
    while true {
      let (servers, doorbuster) = try await sale()
      servers.cutOff(at: number, carriesOut: carriesOut)
      let wasCut = (try? await doorbuster.restock(sku, token: token, quantity: quantity)) == nil
      servers.cutOff(at: nil)
      try await doorbuster.restock(sku, token: token, quantity: quantity)
      let books = try await doorbuster.books(sku)
      #expect(books.isBalanced && books.unitsOnSale == 10 + quantity, "crash at call \(number)")
      guard wasCut else { break }
      number += 1
    }
    #expect(number >= 5)
  }

  @Test("that all buckets together are short for take nothing at all")
  func short() async throws {
    for index in 0..<3 {
      let (servers, doorbuster) = try await sale()
      try await sellOut(index, servers)
      let before = available(servers)
      #expect(try await code { try await doorbuster.restock(sku, token: token, quantity: -9) } == .restockShort)
      #expect(available(servers) == before)
      #expect(try await doorbuster.books(sku).isBalanced)
    }
  }

  @Test(
    "that all buckets are short for give all back through a crash at any step, even if there are units again by then",
    arguments: [false, true],
    [false, true]
  )
  func shortCrashes(carriesOut: Bool, refills: Bool) async throws {
    var number = 0
    while true {
      let (servers, doorbuster) = try await sale()
      try await sellOut(2, servers)
      servers.cutOff(at: number, carriesOut: carriesOut)
      let first = try await code { try await doorbuster.restock(sku, token: token, quantity: -9) }
      servers.cutOff(at: nil)
      if refills {
        let all = try Token("all-2")
        let id = BucketID(sku: sku, index: 2)
        _ = try await servers.cancel(all, in: id, fence: false, offSale: false)
        let position = try #require(servers.with { $0.orders.positions[id] })
        let events = try await servers.log(id, after: position, count: 100)
        let rules = LogReading.Rules(courier: .log, overdueMs: 0, cartHoldMs: 120_000)
        let reading = try LogReading(bucket: id, from: position, events: events, rules: rules)
        _ = try await servers.follow(reading.batch(events.count))
      }
      let second = try await code { try await doorbuster.restock(sku, token: token, quantity: -9) }
      let books = try await doorbuster.books(sku)
      #expect(books.isBalanced, "crash at call \(number), then \(String(describing: second)): \(books)")
      #expect(books.unitsOnSale == (second == nil ? 1 : 10), "crash at call \(number)")
      guard first != .restockShort else { break }
      number += 1
    }
    #expect(number >= 5)
  }

  @Test("that no bucket can take leave nothing in the database")
  func undone() async throws {
    let (servers, doorbuster) = try await sale()
    servers.with { $0.stock.buckets[BucketID(sku: sku, index: 0)] = nil }
    #expect(try await code { try await doorbuster.restock(sku, token: token, quantity: 5) } == .stock)
    #expect(try await servers.totals(of: sku)?.stock == 10)
  }

  @Test("that a bucket's server refuses stay noted while buckets may have them, and the same call completes them")
  func refusedByServers() async throws {
    let codes: [StockError.Code] = [.outOfMemory, .readOnly, .notAuthorized, .noModule, .refused, .protocolViolation]
    for isRepeat in [false, true] {
      for code in codes + (isRepeat ? [.noBucket] : []) {
        let (servers, doorbuster) = try await sale()
        func refuse(_ index: Int?, _ code: StockError.Code) {
          servers.with { state in
            state.refusedRestocks = [:]
            if let index { state.refusedRestocks[BucketID(sku: sku, index: index)] = StockError(code, "\(code)") }
          }
        }
        if isRepeat {
          refuse(1, .unavailable)
          #expect(try await self.code { try await doorbuster.restock(sku, token: token, quantity: 12) } == .stock)
        }
        refuse(0, code)
        #expect(try await self.code { try await doorbuster.restock(sku, token: token, quantity: 12) } == .stock)
        #expect(try await servers.totals(of: sku)?.stock == 22, "\(code), \(isRepeat)")
        refuse(nil, code)
        try await doorbuster.restock(sku, token: token, quantity: 12)
        #expect(available(servers) == [8, 7, 7])
        #expect(try await doorbuster.books(sku).isBalanced)
      }
    }
  }

  @Test("of a token too long to be told from others are refused")
  func longToken() async throws {
    let (servers, doorbuster) = try await sale()
    let long = try Token(bytes: Array(repeating: 65, count: 106))
    #expect(try await code { try await doorbuster.restock(sku, token: long, quantity: -1) } == .invalid)
    try await doorbuster.restock(sku, token: Token(bytes: Array(long.bytes.dropLast())), quantity: -1)
    #expect(available(servers) == [3, 3, 3])
  }
}
