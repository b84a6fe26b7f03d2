import Orders
import Stock
import Testing

@testable import Doorbuster

@Suite("Following a log, step by step")
struct FollowMachineTests {
  let bucket: BucketID
  let start: LogPosition
  init() throws {
    bucket = try Sample.bucket()
    start = LogPosition(epoch: 7, sequence: 1)
  }

  private func machine(_ courier: Courier = .messages, batchMax: Int = 100) -> FollowMachine {
    FollowMachine(
      bucket,
      settings: .init(
        courier: courier,
        batchMax: batchMax,
        intervalMs: 200,
        idleIntervalMs: 1000,
        overdueMs: 10_000,
        cartHoldMs: 120_000
      )
    )
  }

  /// A machine that has asked for the events after `start`.
  private func reading(_ courier: Courier = .messages, batchMax: Int = 100) -> FollowMachine {
    var machine = machine(courier, batchMax: batchMax)
    #expect(machine.start() == .loadPosition)
    #expect(machine.positioned(start) == .read(after: start))
    return machine
  }

  private func position(_ sequence: Int64) -> LogPosition { LogPosition(epoch: 7, sequence: sequence) }

  private func applied(_ sequence: Int64, _ stop: LogBatchOutcome.Stop? = nil) -> LogBatchOutcome {
    LogBatchOutcome(position: position(sequence), applied: true, stop: stop)
  }

  private func stop(_ sequence: Int64, _ reason: LogBatchOutcome.Stop.Reason) -> LogBatchOutcome {
    applied(sequence - 1, .init(sequence: sequence, reason: reason))
  }

  private func batch(from sequence: Int64 = 1, _ entries: LogBatch.Entry?...) -> LogBatch {
    LogBatch(
      bucket: bucket,
      from: position(sequence),
      steps: entries.enumerated().map { .init(sequence: sequence + 1 + Int64($0), entry: $1) }
    )
  }

  private func deduction(_ sequence: Int64, _ token: String) -> StockEvent {
    Sample.event(sequence, .deduct, token, user: "ann", change: -2)
  }

  private func order(_ token: String, _ sequence: Int64) throws -> Order {
    Sample.order(try Sample.purchase(token), sequence: sequence)
  }

  @Test("begins at the bucket's epoch where the database has no position")
  func begins() {
    var machine = machine()
    #expect(machine.start() == .loadPosition)
    #expect(machine.positioned(nil) == .readEpoch)
    #expect(machine.epoch(9) == .read(after: LogPosition(epoch: 9, sequence: 0)))
  }

  @Test("looks more and more seldom while nothing happens")
  func idles() {
    var machine = reading()
    for ms in [200, 400, 800, 1000, 1000] as [Int64] {
      #expect(machine.read([], nowMs: 0) == .wait(ms: ms))
      #expect(machine.woke() == .read(after: start))
    }
  }

  @Test("brings young purchases' events in and waits for the one whose message is on its way")
  func waits() throws {
    var machine = reading()
    let expected = batch(
      .purchased(try order("t1", 2), state: .sold, storeIfMissing: false),
      .purchased(try order("t2", 3), state: .sold, storeIfMissing: false)
    )
    #expect(machine.read([deduction(2, "t1"), deduction(3, "t2")], nowMs: 10_999) == .follow(expected))
    #expect(machine.followed(stop(3, .missing)) == .wait(ms: 200))
    #expect(machine.woke() == .read(after: position(2)))
  }

  @Test("stores overdue purchases from the log; where the log delivers, all of them")
  func stores() throws {
    let expected = batch(.purchased(try order("t1", 2), state: .sold, storeIfMissing: true))
    for (courier, nowMs) in [(Courier.messages, 11_000), (.log, 0)] as [(Courier, Int64)] {
      var machine = reading(courier)
      #expect(machine.read([deduction(2, "t1")], nowMs: nowMs) == .follow(expected))
      #expect(machine.followed(applied(2)) == .wait(ms: 200))
    }
  }

  @Test("reads on at once after a full reading")
  func readsOn() {
    var machine = reading(batchMax: 1)
    guard case .follow = machine.read([Sample.event(2, .schedule)], nowMs: 0) else {
      Issue.record("nothing followed")
      return
    }
    #expect(machine.followed(applied(2)) == .read(after: position(2)))
  }

  @Test("finds out whether purchases are to wait for which the stock is short, and takes the rejected ones off sale")
  func relieves() throws {
    var machine = reading(.log)
    let orders = try (1...3).map { try order("t\($0)", Int64($0) + 1) }
    _ = machine.read((1...3).map { deduction(Int64($0) + 1, "t\($0)") }, nowMs: 0)
    let shortage = ShortageMachine(bucket.sku, Array(orders[1...]), as: .sold, readMax: Reliever.readMax)
    #expect(machine.followed(stop(3, .short(stock: 1))) == .relieve(shortage))
    let settlement = SettlementMachine(order: orders[1], outcome: .rejected)
    #expect(machine.relieved([.rejected, .recorded]) == .settle([settlement]))
    let rest = batch(from: 2, nil, .purchased(orders[2], state: .sold, storeIfMissing: true))
    #expect(machine.settled([.acknowledge]) == .follow(rest))
  }

  @Test("waits before a purchase whose units are on their way to the database")
  func waitsForUnits() throws {
    var machine = reading(.log)
    _ = machine.read([deduction(2, "t1")], nowMs: 0)
    guard case .relieve = machine.followed(stop(2, .short(stock: 1))) else {
      Issue.record("nothing relieved")
      return
    }
    #expect(machine.relieved([.short(stock: 1)]) == .wait(ms: 100))
    #expect(machine.woke() == .read(after: start))
  }

  @Test("does not move past a rejected purchase whose units are not off sale, after a crash neither")
  func holdsPosition() throws {
    let settlement = SettlementMachine(order: try order("t1", 2), outcome: .alreadyRecorded(.rejected))
    for courier in [Courier.messages, .log] {
      var machine = reading(courier)
      _ = machine.read([deduction(2, "t1")], nowMs: 0)
      #expect(machine.followed(stop(2, .rejected)) == .settle([settlement]))
      #expect(machine.settled([.retry("no reply", countsAsAttempt: false)]) == .wait(ms: 100))
      #expect(machine.woke() == .read(after: start))
      _ = machine.read([deduction(2, "t1")], nowMs: 0)
      #expect(machine.followed(stop(2, .rejected)) == .settle([settlement]))
      #expect(machine.settled([.acknowledge]) == .follow(batch(nil)))
    }
  }

  @Test("settles a purchase whose token is another's before the position passes it")
  func settlesConflict() throws {
    var machine = reading()
    let row = StoredOrder(order: Sample.order(try Sample.purchase(user: "bob"), bucket: 1), state: .sold)
    _ = machine.read([deduction(2, "t1")], nowMs: 0)
    let settlement = SettlementMachine(order: try order("t1", 2), outcome: .conflict(row))
    #expect(machine.followed(stop(2, .conflict(row))) == .settle([settlement]))
    #expect(settlement.reason.hasPrefix("\(row.order.purchase.sku) token t1: the order is of "))
    #expect(settlement.reason.contains(" for user bob in bucket 1 and this purchase of "), "\(settlement.reason)")
    #expect(machine.settled([.deadLetter("conflict")]) == .follow(batch(nil)))
    #expect(machine.followed(applied(2)) == .wait(ms: 200))
  }

  @Test("reports and passes a purchase that the database can't write for its own sake")
  func passesUnwritable() throws {
    var machine = reading(.log)
    let orders = try (1...2).map { try order("t\($0)", Int64($0) + 1) }
    let entries = orders.map { LogBatch.Entry.purchased($0, state: .sold, storeIfMissing: true) }
    let refused = OrderStoreError(.refused, "a trigger")
    _ = machine.read([deduction(2, "t1"), deduction(3, "t2")], nowMs: 0)
    #expect(machine.ordersFailed(refused) == .follow(batch(entries[0])))
    #expect(machine.ordersFailed(refused) == .record([orders[0]], as: .sold))
    #expect(machine.recorded([.refused("a trigger")]) == .report("event 2 of shoe/0 is passed over: a trigger"))
    #expect(machine.passed() == .follow(batch(nil, entries[1])))
    #expect(machine.followed(applied(3)) == .wait(ms: 200))
  }

  @Test("goes on with an order that the database takes alone, and not a second time that way")
  func takesAlone() throws {
    var machine = reading(.log)
    let order = try order("t1", 2)
    let entry = LogBatch.Entry.purchased(order, state: .sold, storeIfMissing: true)
    let refused = OrderStoreError(.refused, "a trigger")
    _ = machine.read([deduction(2, "t1")], nowMs: 0)
    #expect(machine.ordersFailed(refused) == .record([order], as: .sold))
    #expect(machine.recorded([.recorded]) == .follow(batch(entry)))
    #expect(machine.ordersFailed(refused) == .report("event 2 of shoe/0 is passed over: a trigger"))
  }

  @Test("stores a purchase that is cancelled or confirmed in the same reading as it ends, waiting for no message")
  func storesEnds() throws {
    let token = try Token("t3")
    var machine = reading()
    let events = [
      deduction(2, "t1"), Sample.event(3, .cancel, "t1", user: "ann", change: 2),
      Sample.event(4, .hold, "t2", user: "ann", change: -2), Sample.event(5, .confirm, "t2", user: "ann"),
      Sample.event(6, .confirm, "t3", user: "ann"), Sample.event(7, .hold, "t4", user: "ann", change: -2),
    ]
    let expected = batch(
      .purchased(try order("t1", 2), state: .cancelled, storeIfMissing: true),
      nil,
      .purchased(try order("t2", 4), state: .sold, storeIfMissing: false),
      nil,
      .moved(token, user: try UserID("ann"), to: .sold),
      .purchased(try order("t4", 7), state: .held, storeIfMissing: false)
    )
    #expect(machine.read(events, nowMs: 0) == .follow(expected))
  }

  @Test("asks the bucket how a purchase stands that was written in")
  func looksUp() throws {
    var machine = reading()
    let events = [
      Sample.event(2, .record, "t1", user: "ann", change: -2), Sample.event(3, .record, "restock", change: 4),
      Sample.event(4, .record, "t2", user: "ann"), Sample.event(5, .record, "t3", user: "ann", change: -2),
    ]
    let tokens = try ["t1", "t2", "t3"].map { try Token($0) }
    #expect(machine.read(events, nowMs: 0) == .lookUp(tokens))
    func record(_ token: Token, _ state: PurchaseState) throws -> PurchaseRecord {
      PurchaseRecord(
        token: token,
        user: try UserID("ann"),
        quantity: 2,
        state: state,
        sequence: nil,
        timestampMs: nil
      )
    }
    let found = [tokens[0]: try record(tokens[0], .held), tokens[1]: try record(tokens[1], .cancelled)]
    let expected = batch(
      .purchased(try order("t1", 2), state: .held, storeIfMissing: false),
      nil,
      .purchased(try order("t2", 4), state: .cancelled, storeIfMissing: true),
      nil
    )
    #expect(machine.found(found, nowMs: 0) == .follow(expected))
  }

  @Test("moves orders on by confirms and expiries, and past what concerns none")
  func moves() throws {
    var machine = reading()
    let actions: [StockAction] = [.add, .fence, .withdraw, .deposit, .rebalance, .schedule, .freeze, .thaw, .create]
    let idle = actions.enumerated().map { Sample.event(Int64($0) + 4, $1, "x") }
    let events =
      [
        Sample.event(2, .confirm, "t1", user: "ann"), Sample.event(3, .expire, "t2", user: "bob", change: 1),
      ] + idle
    guard case .follow(let batch) = machine.read(events, nowMs: 0) else {
      Issue.record("nothing followed")
      return
    }
    #expect(
      batch.steps.compactMap(\.entry) == [
        .moved(try Token("t1"), user: try UserID("ann"), to: .sold),
        .moved(try Token("t2"), user: try UserID("bob"), to: .cancelled),
      ]
    )
    #expect(batch.steps.count == events.count)
  }

  @Test("goes on where another worker has brought the position")
  func adopts() {
    var machine = reading()
    _ = machine.read([Sample.event(2, .schedule)], nowMs: 0)
    let moved = LogBatchOutcome(position: position(40), applied: false)
    #expect(machine.followed(moved) == .read(after: position(40)))
  }

  @Test(
    "halts where the log is not the one that the database followed",
    arguments: [
      StockError(.epochMismatch, "the bucket is in epoch 8"), StockError(.logAhead, "1 is beyond the last"),
      StockError(.noBucket, "no bucket"),
    ]
  )
  func halts(error: StockError) {
    var machine = reading()
    #expect(machine.stockFailed(error) == .halt(error.message))
    #expect(machine.start() == .loadPosition)
  }

  @Test("looks for the position again where the log was trimmed, as another worker may have moved it, and then halts")
  func trimmed() {
    let error = StockError(.logTrimmed, "events after 1 are gone")
    var machine = reading()
    for _ in 0..<3 {
      #expect(machine.stockFailed(error) == .loadPosition)
      #expect(machine.positioned(start) == .read(after: start))
    }
    #expect(machine.stockFailed(error) == .halt(error.message))
  }

  @Test("waits for a bucket that is still to be set up")
  func waitsForSetUp() {
    var machine = machine()
    _ = machine.start()
    #expect(machine.positioned(nil) == .readEpoch)
    #expect(machine.stockFailed(StockError(.noBucket, "no bucket")) == .wait(ms: 100))
    #expect(machine.woke() == .loadPosition)
  }

  @Test(
    "halts at a gap in the log and at an event that makes no sense",
    arguments: [
      Sample.event(3, .deduct, "t1", user: "ann", change: -2), Sample.event(2, .deduct, "t1", change: -2),
      Sample.event(2, .deduct, "t1", user: "ann", change: 2), Sample.event(2, .deduct, "t1", user: "ann", change: .min),
      Sample.event(2, .cancel), Sample.event(2, .cancel, ""),
    ]
  )
  func haltsAtNonsense(event: StockEvent) {
    var machine = reading()
    guard case .halt = machine.read([event], nowMs: 0) else {
      Issue.record("it goes on")
      return
    }
  }

  @Test("backs off while a server is out of reach, and starts again from where it was")
  func backsOff() throws {
    var machine = reading()
    #expect(machine.stockFailed(Sample.stockGone) == .wait(ms: 100))
    #expect(machine.woke() == .loadPosition)
    #expect(machine.ordersFailed(Sample.databaseGone) == .wait(ms: 200))
    #expect(machine.woke() == .loadPosition)
    #expect(machine.positioned(start) == .read(after: start))
    _ = machine.read([Sample.event(2, .schedule)], nowMs: 0)
    #expect(machine.ordersFailed(Sample.databaseGone) == .wait(ms: 100))
    #expect(machine.woke() == .read(after: start))
  }
}
