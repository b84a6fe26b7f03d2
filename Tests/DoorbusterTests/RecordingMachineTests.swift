import Messaging
import Orders
import Stock
import Testing

@testable import Doorbuster

@Suite("A batch of deliveries, step by step")
struct RecordingMachineTests {
  @Test("is acknowledged once the database has it, whatever state it finds")
  func acknowledges() throws {
    let purchases = try (1...4).map { try Sample.purchase("t\($0)") }
    var machine = RecordingMachine(purchases.enumerated().map { Sample.delivery($1, id: "m\($0)") })
    #expect(machine.start() == .record(purchases.map { Sample.order($0) }, as: .sold))
    #expect(
      machine.recorded([
        .recorded, .alreadyRecorded(.held), .alreadyRecorded(.sold), .alreadyRecorded(.cancelled),
      ]) == .finish(Array(repeating: .acknowledge, count: 4))
    )
  }

  @Test("puts what it can't read aside and records the rest")
  func deadLettersUnreadable() throws {
    let good = try Sample.purchase()
    let bad = Delivery(
      id: "m1",
      message: Message(topic: Sample.topic, key: [], body: []),
      failures: 0,
      isRedelivery: false
    )
    var machine = RecordingMachine([bad, Sample.delivery(good, id: "m2")])
    #expect(machine.start() == .record([Sample.order(good)], as: .sold))
    #expect(
      machine.recorded([.recorded])
        == .finish([.deadLetter("malformed purchase message: it ends before its version"), .acknowledge])
    )
    machine = RecordingMachine([bad])
    #expect(machine.start() == .finish([.deadLetter("malformed purchase message: it ends before its version")]))
  }

  @Test("acknowledges a rejected order only after its deduction is settled, seen again too")
  func settlesRejected() throws {
    let purchases = try (1...3).map { try Sample.purchase("t\($0)") }
    var machine = RecordingMachine(purchases.enumerated().map { Sample.delivery($1, id: "m\($0)") })
    _ = machine.start()
    let first = SettlementMachine(order: Sample.order(purchases[0]), outcome: .rejected)
    let last = SettlementMachine(order: Sample.order(purchases[2]), outcome: .alreadyRecorded(.rejected))
    #expect(machine.recorded([.rejected, .recorded, .alreadyRecorded(.rejected)]) == .settle([first, last]))
    let retry = Disposition.retry("no reply", countsAsAttempt: false)
    #expect(machine.settled([.acknowledge, retry]) == .finish([.acknowledge, .acknowledge, retry]))
  }

  @Test("is retried without counting where the database fails")
  func retriesFaults() throws {
    let purchases = try (1...2).map { try Sample.purchase("t\($0)") }
    var machine = RecordingMachine(purchases.enumerated().map { Sample.delivery($1, id: "m\($0)") })
    _ = machine.start()
    let retry = Disposition.retry(Sample.databaseGone.message, countsAsAttempt: false)
    #expect(machine.recordFailed(Sample.databaseGone) == .finish([retry, retry]))
  }

  @Test("counts an attempt where the database knows no such product")
  func countsUnknownProduct() throws {
    var machine = RecordingMachine([Sample.delivery(try Sample.purchase(), id: "m1")])
    _ = machine.start()
    let retry = Disposition.retry("the database knows no product shoe", countsAsAttempt: true)
    #expect(machine.recorded([.unknownProduct]) == .finish([retry]))
  }

  @Test("is halved until an order that the database refuses stands alone")
  func halvesRefused() throws {
    let orders = try (1...5).map { Sample.order(try Sample.purchase("t\($0)")) }
    var machine = RecordingMachine(orders.enumerated().map { Sample.delivery($1.purchase, id: "m\($0)") })
    let refused = OrderStoreError(.refused, "t2 can't be written")
    #expect(machine.start() == .record(orders, as: .sold))
    #expect(machine.recordFailed(refused) == .record(Array(orders[0..<2]), as: .sold))
    #expect(machine.recordFailed(refused) == .record([orders[0]], as: .sold))
    #expect(machine.recorded([.recorded]) == .record([orders[1]], as: .sold))
    #expect(machine.recordFailed(refused) == .record(Array(orders[2..<5]), as: .sold))
    var expected = Array(repeating: Disposition.acknowledge, count: 5)
    expected[1] = .retry(refused.message, countsAsAttempt: true)
    #expect(machine.recorded([.recorded, .recorded, .recorded]) == .finish(expected))
  }

  @Test("keeps what was recorded before the database failed")
  func keepsFirstHalf() throws {
    let orders = try (1...2).map { Sample.order(try Sample.purchase("t\($0)")) }
    var machine = RecordingMachine(orders.enumerated().map { Sample.delivery($1.purchase, id: "m\($0)") })
    _ = machine.start()
    #expect(machine.recordFailed(OrderStoreError(.refused, "one of them")) == .record([orders[0]], as: .sold))
    #expect(machine.recorded([.recorded]) == .record([orders[1]], as: .sold))
    let retry = Disposition.retry(Sample.databaseGone.message, countsAsAttempt: false)
    #expect(machine.recordFailed(Sample.databaseGone) == .finish([.acknowledge, retry]))
  }

  @Test("records what is held as held, apart from what is sold")
  func held() throws {
    let purchases = try (1...3).map { try Sample.purchase("t\($0)") }
    let orders = purchases.map { Sample.order($0) }
    var deliveries = purchases.enumerated().map { Sample.delivery($1, id: "m\($0)") }
    let body = PurchaseMessage(purchase: purchases[1], bucket: 0, createdAtMs: 1000, isHeld: true)
    deliveries[1].message = body.message(topic: Sample.topic)
    var machine = RecordingMachine(deliveries)
    #expect(machine.start() == .record([orders[1]], as: .held))
    #expect(machine.recorded([.recorded]) == .record([orders[0], orders[2]], as: .sold))
    #expect(machine.recorded([.recorded, .recorded]) == .finish(Array(repeating: .acknowledge, count: 3)))
  }

  @Test("rejects nothing by itself: what to do about a short stock is decided product by product")
  func relievesShort() throws {
    let purchases = try [("t1", "shoe"), ("t2", "boot"), ("t3", "shoe")].map { try Sample.purchase($0, sku: $1) }
    let orders = purchases.map { Sample.order($0) }
    var machine = RecordingMachine(purchases.enumerated().map { Sample.delivery($1, id: "m\($0)") })
    _ = machine.start()
    let boots = ShortageMachine(try Sample.sku("boot"), [orders[1]], as: .sold, readMax: Reliever.readMax)
    let shoes = ShortageMachine(try Sample.sku(), [orders[0], orders[2]], as: .sold, readMax: Reliever.readMax)
    let short = RecordOutcome.short(stock: 1)
    #expect(machine.recorded([short, short, short]) == .relieve([boots, shoes]))
    let settlement = SettlementMachine(order: orders[0], outcome: .rejected)
    #expect(machine.relieved([boots, shoes], [[.recorded], [.rejected, short]]) == .settle([settlement]))
    guard case .finish(let dispositions) = machine.settled([.acknowledge]) else {
      Issue.record("it does not end")
      return
    }
    #expect(dispositions[0] == .acknowledge && dispositions[1] == .acknowledge)
    guard case .retry(_, countsAsAttempt: false) = dispositions[2] else {
      Issue.record("what is short yet is not tried again: \(dispositions[2])")
      return
    }
  }
}

@Suite("What remains of an order, step by step")
struct SettlementMachineTests {
  let purchase: Purchase
  let order: Order
  init() throws {
    purchase = try Sample.purchase()
    order = Sample.order(purchase, bucket: 1)
  }

  private func record(
    user: UserID? = nil,
    quantity: Int64? = nil,
    _ state: PurchaseState = .sold
  ) -> PurchaseRecord {
    PurchaseRecord(
      token: purchase.token,
      user: user ?? purchase.user,
      quantity: quantity ?? purchase.quantity,
      state: state,
      sequence: 4,
      timestampMs: 1000
    )
  }

  @Test(
    "takes a rejected order's units off sale, and then it is done",
    arguments: [
      RecordOutcome.rejected, .alreadyRecorded(.rejected),
    ],
    [CancelOutcome.cancelled, .alreadyCancelled, .unknownToken]
  )
  func rejected(outcome: RecordOutcome, cancel: CancelOutcome) throws {
    let machine = SettlementMachine(order: order, outcome: outcome)
    #expect(machine.start() == .cancelOffSale(purchase.token, try Sample.bucket(1)))
    #expect(machine.cancelled(cancel) == .done(.acknowledge))
  }

  @Test("is tried again, uncounted, while the bucket does not answer")
  func stockFails() {
    let machine = SettlementMachine(order: order, outcome: .rejected)
    #expect(
      machine.stockFailed(Sample.stockSilent)
        == .done(.retry(Sample.stockSilent.message, countsAsAttempt: false))
    )
  }

  private func conflict(bucket: Int = 0, user: String = "bob", quantity: Int64 = 2) throws -> SettlementMachine {
    let row = StoredOrder(
      order: Sample.order(try Sample.purchase(user: user, quantity: quantity), bucket: bucket),
      state: .sold
    )
    return SettlementMachine(order: order, outcome: .conflict(row))
  }

  @Test("gives a conflicting purchase's units back, and puts its message aside")
  func givesBack() throws {
    let machine = try conflict()
    #expect(machine.start() == .lookUp(purchase.token, try Sample.bucket(1)))
    #expect(machine.found(record()) == .giveBack(purchase.token, try Sample.bucket(1)))
    let reason = """
      shoe token t1: the order is of 2 for user bob in bucket 0 and this purchase of 2 for user ann in bucket 1; \
      its deduction is cancelled
      """
    #expect(machine.cancelled(.cancelled) == .done(.deadLetter(reason)))
  }

  @Test("cancels nothing where the bucket's purchase is not surely the message's")
  func sparesOthers() throws {
    let machine = try conflict()
    let reason =
      "shoe token t1: the order is of 2 for user bob in bucket 0 and this purchase of 2 for user ann in bucket 1"
    var forgotten = record()
    forgotten.user = nil
    for found in [nil, record(user: try UserID("eve")), record(quantity: 3), record(.cancelled), forgotten] {
      #expect(machine.found(found) == .done(.deadLetter(reason)))
    }
  }

  @Test("never cancels what may be the row's own purchase: the same buyer's in the same bucket")
  func sparesTheRows() throws {
    guard case .done(.deadLetter) = try conflict(bucket: 1, user: "ann", quantity: 3).found(record()) else {
      Issue.record("the row's purchase would be cancelled")
      return
    }
  }
}
