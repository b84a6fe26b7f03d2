import Orders
import Stock
import Testing

@testable import Doorbuster

/// An undecided cart's hold is not an order yet, to whoever reads the log.
@Suite("A cart's hold in the log")
struct CartHoldTests {
  let bucket: BucketID
  let purchase: Purchase
  let order: Order
  let from = LogPosition(epoch: 7, sequence: 1)

  init() throws {
    bucket = try Sample.bucket()
    purchase = try Sample.purchase()
    order = Sample.order(purchase, sequence: 2)
  }

  private let cartHoldMs: Int64 = 120_000

  private func record(_ state: PurchaseState, lastingMs: Int64) -> PurchaseRecord {
    PurchaseRecord(
      token: purchase.token,
      user: purchase.user,
      quantity: purchase.quantity,
      state: state,
      sequence: 2,
      timestampMs: 1000,
      expiresMs: state == .held ? 1000 + lastingMs : nil
    )
  }

  /// What the machine makes of a hold that was made at 1,000 ms.
  private func entry(
    nowMs: Int64 = 20_000,
    after hold: StockEvent...,
    found record: PurchaseRecord? = nil,
    asks: Bool = true
  ) throws -> LogBatch.Entry? {
    var machine = FollowMachine(
      bucket,
      settings: .init(
        courier: .messages,
        batchMax: 100,
        intervalMs: 200,
        idleIntervalMs: 1000,
        overdueMs: 15_000,
        cartHoldMs: cartHoldMs
      )
    )
    _ = machine.start()
    _ = machine.positioned(from)
    let event = Sample.event(2, .hold, "t1", user: "ann", change: -2)
    var action = machine.read([event] + hold, nowMs: nowMs)
    if asks {
      #expect(action == .lookUp([purchase.token]))
      action = machine.found(record.map { [purchase.token: $0] } ?? [:], nowMs: nowMs)
    }
    guard case .follow(let batch) = action else {
      Issue.record("nothing followed: \(action)")
      return nil
    }
    return batch.steps.first?.entry
  }

  @Test("is waited for while it is undecided, however old; a buyer's own is stored when its message is overdue")
  func undecided() throws {
    let waiting = LogBatch.Entry.purchased(order, state: .held, storeIfMissing: false)
    #expect(try entry(found: record(.held, lastingMs: cartHoldMs)) == waiting)
    for lastingMs in [cartHoldMs - 1, cartHoldMs + 1] {
      let stored = LogBatch.Entry.purchased(order, state: .held, storeIfMissing: true)
      #expect(try entry(found: record(.held, lastingMs: lastingMs)) == stored)
    }
    #expect(try entry(nowMs: 15_999, asks: false) == waiting)
  }

  @Test("that was confirmed is an order, and one that was given back a cancelled one, within the run or beyond")
  func decided() throws {
    let sold = LogBatch.Entry.purchased(order, state: .sold, storeIfMissing: true)
    let cancelled = LogBatch.Entry.purchased(order, state: .cancelled, storeIfMissing: true)
    #expect(try entry(found: record(.sold, lastingMs: 0)) == sold)
    #expect(try entry(found: record(.cancelled, lastingMs: 0)) == cancelled)
    #expect(try entry(after: Sample.event(3, .confirm, "t1", user: "ann"), asks: false) == sold)
    let end = Sample.event(3, .cancel, "t1", user: "ann", change: 2)
    #expect(try entry(nowMs: 1000, after: end, asks: false) == cancelled)
  }

  @Test("that its bucket has lost is stored as its event tells")
  func lost() throws {
    #expect(try entry(found: nil) == .purchased(order, state: .held, storeIfMissing: true))
  }

  @Test("is no finding of a reconciliation; a buyer's own without its order is one")
  func reconciling() async throws {
    for (holdMs, findings) in [(cartHoldMs, 0), (cartHoldMs + 1, 1)] as [(Int64, Int64)] {
      let books = try BooksWorld()
      let home = books.home(purchase)
      try books.change(home) { _ = try $0.deduct(purchase, holdMs: holdMs, nowMs: books.world.nowMs) }
      books.skipEvents()
      _ = books.world.run(forMs: 30_000)
      #expect(try await books.reconcile().found == findings)
      let repaired = try await books.reconcile(repair: true)
      #expect(repaired.found == findings && repaired.remaining == 0)
      #expect(try books.row("t1")?.state == (findings == 0 ? nil : .held))
      #expect(books.bucket(home)?.held == purchase.quantity)
    }
  }

  @Test("never lasts as long as a buyer's own")
  func lengths() {
    var configuration = DoorbusterConfiguration()
    #expect(configuration.toldFromCarts(nil) == nil)
    #expect(configuration.toldFromCarts(119_999) == 119_999)
    #expect(configuration.toldFromCarts(120_000) == 120_001)
    configuration.cartHold = configuration.firstCheck * 4 - .milliseconds(1)
    #expect(throws: InvalidInput.self) { try configuration.validate() }
    configuration.cartHold = configuration.firstCheck * 4 + .microseconds(1)
    #expect(throws: InvalidInput.self) { try configuration.validate() }
  }
}
