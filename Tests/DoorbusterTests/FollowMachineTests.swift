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

  private func machine(batchMax: Int = 100, recordMax: Int = 2) -> FollowMachine {
    FollowMachine(
      bucket,
      settings: .init(
        batchMax: batchMax,
        recordMax: recordMax,
        intervalMs: 200,
        idleIntervalMs: 1000,
        overdueMs: 10_000
      )
    )
  }

  /// A machine that has asked for the events after `start`.
  private func reading(batchMax: Int = 100) -> FollowMachine {
    var machine = machine(batchMax: batchMax)
    #expect(machine.start() == .loadPosition)
    #expect(machine.positioned(start) == .read(after: start))
    return machine
  }

  private func position(_ sequence: Int64) -> LogPosition { LogPosition(epoch: 7, sequence: sequence) }

  private func applied(
    _ sequence: Int64,
    waitingFor: Int64? = nil,
    _ findings: [LogBatchOutcome.Finding] = []
  ) -> LogBatchOutcome {
    LogBatchOutcome(position: position(sequence), applied: true, waitingFor: waitingFor, findings: findings)
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
    for ms in [400, 800, 1000, 1000] as [Int64] {
      #expect(machine.read([], nowMs: 0) == .wait(ms: ms))
      #expect(machine.woke() == .read(after: start))
    }
  }

  @Test("brings young purchases' events in and waits for the one whose message is on its way")
  func waits() throws {
    var machine = reading()
    let order = Sample.order(try Sample.purchase(), sequence: 2)
    let other = Sample.order(try Sample.purchase("t2"), sequence: 3)
    let events = [
      Sample.event(2, .deduct, "t1", user: "ann", change: -2), Sample.event(3, .deduct, "t2", user: "ann", change: -2),
    ]
    let batch = LogBatch(
      bucket: bucket,
      from: start,
      steps: [
        .init(sequence: 2, entry: .purchased(order, state: .sold, storeIfMissing: false)),
        .init(sequence: 3, entry: .purchased(other, state: .sold, storeIfMissing: false)),
      ]
    )
    #expect(machine.read(events, nowMs: 10_999) == .follow(batch))
    #expect(machine.followed(applied(2, waitingFor: 3)) == .wait(ms: 200))
    #expect(machine.woke() == .read(after: position(2)))
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

  @Test("records overdue purchases before the position may pass them")
  func recordsOverdue() throws {
    var machine = reading()
    let orders = try (1...3).map { Sample.order(try Sample.purchase("t\($0)"), sequence: Int64($0) + 1) }
    let events = (1...3).map { Sample.event(Int64($0) + 1, .deduct, "t\($0)", user: "ann", change: -2) }
    #expect(machine.read(events, nowMs: 11_000) == .record(Array(orders[0..<2])))
    #expect(machine.recorded([.recorded, .alreadyRecorded(.sold)]) == .record([orders[2]]))
    let settlement = SettlementMachine(order: orders[2], outcome: .rejected)
    #expect(machine.recorded([.rejected]) == .settle([settlement]))
    guard case .follow(let batch) = machine.settled([.acknowledge]) else {
      Issue.record("nothing followed")
      return
    }
    #expect(batch.steps.map(\.sequence) == [2, 3, 4])
  }

  @Test("does not move past a rejected purchase whose units are not off sale, after a crash neither")
  func holdsPosition() throws {
    var machine = reading()
    let order = Sample.order(try Sample.purchase(), sequence: 2)
    let event = Sample.event(2, .deduct, "t1", user: "ann", change: -2)
    #expect(machine.read([event], nowMs: 11_000) == .record([order]))
    #expect(machine.recorded([.rejected]) == .settle([SettlementMachine(order: order, outcome: .rejected)]))
    #expect(machine.settled([.retry("no reply", countsAsAttempt: false)]) == .wait(ms: 100))
    #expect(machine.woke() == .record([order]))
    let again = SettlementMachine(order: order, outcome: .alreadyRecorded(.rejected))
    #expect(machine.recorded([.alreadyRecorded(.rejected)]) == .settle([again]))

    var successor = reading()
    #expect(successor.read([event], nowMs: 11_500) == .record([order]))
    #expect(successor.recorded([.alreadyRecorded(.rejected)]) == .settle([again]))
    guard case .follow = successor.settled([.acknowledge]) else {
      Issue.record("nothing followed")
      return
    }
  }

  @Test("reports and passes a purchase that the database can't write for its own sake")
  func passesUnwritable() throws {
    var machine = reading()
    let orders = try (1...2).map { Sample.order(try Sample.purchase("t\($0)"), sequence: Int64($0) + 1) }
    let events = (1...2).map { Sample.event(Int64($0) + 1, .deduct, "t\($0)", user: "ann", change: -2) }
    #expect(machine.read(events, nowMs: 11_000) == .record(orders))
    let settlement = SettlementMachine(order: orders[0], outcome: .refused("a trigger"))
    #expect(machine.recorded([.refused("a trigger"), .recorded]) == .settle([settlement]))
    #expect(settlement.start() == .done(.retry("a trigger", countsAsAttempt: true)))
    let batch = LogBatch(
      bucket: bucket,
      from: start,
      steps: [
        .init(sequence: 2, entry: nil),
        .init(sequence: 3, entry: .purchased(orders[1], state: .sold, storeIfMissing: false)),
      ]
    )
    #expect(machine.settled([.retry("a trigger", countsAsAttempt: true)]) == .follow(batch))
  }

  @Test("stores a purchase that is cancelled in the same reading as cancelled, waiting for no message")
  func storesCancelled() throws {
    var machine = reading()
    let order = Sample.order(try Sample.purchase(), sequence: 2)
    let events = [
      Sample.event(2, .deduct, "t1", user: "ann", change: -2), Sample.event(3, .cancel, "t1", user: "ann", change: 2),
    ]
    let batch = LogBatch(
      bucket: bucket,
      from: start,
      steps: [
        .init(sequence: 2, entry: .purchased(order, state: .cancelled, storeIfMissing: true)),
        .init(sequence: 3, entry: .moved(order.purchase.token, user: order.purchase.user, to: .cancelled)),
      ]
    )
    #expect(machine.read(events, nowMs: 1_000_000) == .follow(batch))
  }

  @Test("moves orders on by confirms and expiries, and past what concerns none")
  func moves() throws {
    let events = [
      Sample.event(2, .add, "r", change: 5), Sample.event(3, .fence, "f"),
      Sample.event(4, .confirm, "t1", user: "ann"), Sample.event(5, .expire, "t2", user: "bob", change: 1),
    ]
    let reading = try LogReading(bucket: bucket, from: start, events: events)
    #expect(
      reading.steps == [
        .init(sequence: 2, entry: nil),
        .init(sequence: 3, entry: nil),
        .init(sequence: 4, entry: .moved(try Token("t1"), user: try UserID("ann"), to: .sold)),
        .init(sequence: 5, entry: .moved(try Token("t2"), user: try UserID("bob"), to: .cancelled)),
      ]
    )
  }

  @Test("settles a conflict that the database found")
  func settlesConflict() throws {
    var machine = reading()
    let order = Sample.order(try Sample.purchase(), sequence: 2)
    let row = StoredOrder(order: Sample.order(try Sample.purchase(user: "bob"), bucket: 1), state: .sold)
    _ = machine.read([Sample.event(2, .deduct, "t1", user: "ann", change: -2)], nowMs: 0)
    let settlement = SettlementMachine(order: order, outcome: .conflict(row))
    #expect(machine.followed(applied(2, [.conflict(order, with: row)])) == .settle([settlement]))
    #expect(machine.settled([.retry("no reply", countsAsAttempt: false)]) == .wait(ms: 100))
    #expect(machine.woke() == .settle([settlement]))
    #expect(machine.settled([.deadLetter("conflict")]) == .wait(ms: 200))
    #expect(machine.woke() == .read(after: position(2)))
  }

  @Test("goes on where another worker has brought the position")
  func adopts() {
    var machine = reading()
    _ = machine.read([Sample.event(2, .schedule)], nowMs: 0)
    let moved = LogBatchOutcome(position: position(40), applied: false, waitingFor: nil, findings: [])
    #expect(machine.followed(moved) == .read(after: position(40)))
  }

  @Test(
    "halts where the log is not the one that the database followed",
    arguments: [
      StockError(.epochMismatch, "the bucket is in epoch 8"), StockError(.logAhead, "1 is beyond the last"),
      StockError(.logTrimmed, "events after 1 are gone"), StockError(.noBucket, "no bucket"),
    ]
  )
  func halts(error: StockError) {
    var machine = reading()
    #expect(machine.stockFailed(error) == .halt(error.message))
    #expect(machine.start() == .loadPosition)
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
