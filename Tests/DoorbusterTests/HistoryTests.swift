import Messaging
import Stock
import Testing

@testable import Doorbuster

/// The stories that flash sales are lost by, each told once. Every one ends with balanced books.
@Suite("Histories")
struct HistoryTests {
  @Test("A purchase becomes an order")
  func plain() throws {
    let history = try History()
    history.work()
    try history.buy("t1")
    history.settle()
    #expect(try history.answer("t1") == .accepted(remaining: 9, sequence: 2, isRepeat: false))
    #expect(try history.order("t1") == "sold")
  }

  @Test("A check-back that comes after a slow deduction, whose orchestrator died, commits it")
  func checkAfterSlowDeduction() throws {
    let history = try History()
    history.orchestratorCall(1, .late(ms: 5_000))
    history.orchestrator.dies = (2, .beforeCall)
    history.work()
    try history.buy("t1")
    history.settle()
    #expect(try history.answer("t1") == nil)
    #expect(try history.order("t1") == "sold")
  }

  @Test("A check-back that comes before a slow deduction fences it")
  func checkBeforeSlowDeduction() throws {
    let history = try History()
    history.orchestratorCall(1, .late(ms: 12_000))
    history.orchestrator.dies = (2, .beforeCall)
    history.work()
    try history.buy("t1")
    history.settle()
    #expect(try history.order("t1") == nil)
    #expect(history.bucket.available == 10)
  }

  @Test("A check-back during a deduction that is long under way leaves the live purchase alone")
  func checkDuringCommit() throws {
    let history = try History()
    history.orchestratorCall(2, .slow(ms: 14_000))
    history.work()
    try history.buy("t1")
    history.run(forMs: 13_000)
    #expect(try history.order("t1") == "sold")
    history.settle()
    #expect(try history.answer("t1") == .accepted(remaining: 9, sequence: 2, isRepeat: false))
  }

  @Test("A deduction whose reply is lost is heard of by its repetition")
  func replyLost() throws {
    let history = try History(units: 1)
    history.orchestratorCall(1, .silent)
    history.work()
    try history.buy("t1")
    history.settle()
    #expect(try history.answer("t1") == .accepted(remaining: 0, sequence: 2, isRepeat: true))
  }

  @Test("A reply is lost and the resend refused: the fence decides, and the first sending comes to nothing")
  func resendRefused() throws {
    let history = try History(units: 1)
    history.orchestratorCall(1, .late(ms: 1_500))
    history.work()
    try history.buy("t1")
    try history.buy("t2", user: "bob", afterMs: 20, elsewhere: true)
    history.settle()
    #expect(try history.answer("t1") == .refused(.soldOut, remaining: 0))
    #expect(try history.answer("t2") == .accepted(remaining: 0, sequence: 2, isRepeat: false))
    #expect(try history.order("t1") == nil)
  }

  @Test("A deduction whose outcome can't be learnt in time is unknown, and its message is left to the check-back")
  func unknownDeduction() throws {
    for seed in 1...8 as ClosedRange<UInt64> {
      let history = try History(seed: seed)
      history.world.settings.overdueMs = Int64(1) << 50
      history.orchestratorCall(1, .silent)
      history.work()
      try history.buy("t1")
      _ = history.world.run(forMs: 1_000) { _ in history.bucket.sold == 1 }
      history.world.outages[.stock] = history.world.nowMs + 5_000
      history.settle()
      guard case .unknown = try history.answer("t1") else {
        Issue.record("not unknown: \(String(describing: try history.answer("t1")))")
        return
      }
      #expect(try history.order("t1") == "sold")
    }
  }

  @Test("A commit whose acknowledgement is lost is sent again, and makes one order")
  func commitSilent() throws {
    let history = try History()
    history.orchestratorCall(2, .silent)
    history.work(afterMs: 1_000)
    try history.buy("t1")
    history.run(forMs: 900)
    #expect(history.world.broker.entries.count == 2)
    history.settle()
    #expect(try history.answer("t1") == .accepted(remaining: 9, sequence: 2, isRepeat: false))
    #expect(history.world.orders.stock[history.sku] == 9)
  }

  @Test("A commit that no answer comes for is unknown to the buyer, and an order nevertheless")
  func commitUnknown() throws {
    let history = try History()
    history.orchestratorCall(2, .refused)
    history.orchestratorCall(3, .refused)
    history.work()
    try history.buy("t1")
    history.run(forMs: 1_000)
    guard case .unknown = try history.answer("t1") else {
      Issue.record("not unknown: \(String(describing: try history.answer("t1")))")
      return
    }
    history.settle()
    #expect(try history.order("t1") == "sold")
  }

  @Test("A commit after a roll-back, of a purchase that was cancelled meanwhile, ends as a cancelled order")
  func commitAfterRollBack() throws {
    let history = try History()
    history.orchestratorCall(2, .slow(ms: 12_000))
    history.work()
    try history.buy("t1")
    try history.cancel("t1", afterMs: 5_000)
    history.run(forMs: 11_500)
    #expect(history.world.broker.halves.isEmpty)
    history.settle()
    #expect(try history.answer("t1") == .accepted(remaining: 9, sequence: 2, isRepeat: false))
    #expect(try history.order("t1") == "cancelled")
    #expect(history.bucket.available == 10)
    #expect(history.world.orders.stock[history.sku] == 10)
  }

  @Test("A cancel that comes before its purchase cancels nothing")
  func cancelFirst() throws {
    let history = try History()
    history.work()
    try history.cancel("t1", afterMs: 0)
    try history.buy("t1", afterMs: 500)
    history.settle()
    #expect(try history.order("t1") == "sold")
  }

  @Test("A cancel whose event overtakes its purchase's message stays the last word")
  func cancelOvertakes() throws {
    let history = try History()
    try history.buy("t1")
    try history.cancel("t1", afterMs: 500)
    history.run(forMs: 1_000)
    for index in history.world.broker.entries.indices {
      history.world.broker.entries[index].availableMs = history.world.nowMs + 60_000
    }
    history.work()
    history.run(forMs: 5_000)
    #expect(try history.order("t1") == "cancelled")
    history.settle()
    #expect(try history.order("t1") == "cancelled")
    #expect(history.world.orders.stock[history.sku] == 10)
  }

  @Test("Messages that come twice and out of order make each order once")
  func twiceAndOutOfOrder() throws {
    let history = try History(units: 100)
    for number in 0..<30 { try history.buy("t\(number)", user: "u\(number)", quantity: 2, afterMs: Int64(number)) }
    history.run(forMs: 2_000)
    for entry in history.world.broker.entries { history.world.broker.send(entry.message) }
    history.work()
    history.settle()
    #expect(history.world.orders.stock[history.sku] == 40)
    #expect(history.world.orders.orders.count == 30)
  }

  @Test("A database that is short rejects, and what it rejected is sold to nobody else")
  func databaseShort() throws {
    let history = try History(units: 5, databaseStock: 3)
    history.work()
    for number in 0..<5 { try history.buy("t\(number)", user: "u\(number)", afterMs: Int64(number) * 10) }
    history.settle()
    let states = history.world.orders.orders.values.map(\.state.rawValue).sorted()
    #expect(states == ["rejected", "rejected", "sold", "sold", "sold"])
    #expect(history.bucket.available == 0)
    #expect(history.bucket.added == -2)
    try history.buy("t9", user: "u9")
    history.settle()
    #expect(try history.answer("t9") == .refused(.soldOut, remaining: 0))
  }

  @Test("An outage of the database longer than all retries loses nothing and counts against no message")
  func longOutage() throws {
    let history = try History()
    history.world.outages[.orders] = history.world.nowMs + 1_800_000
    history.work()
    for number in 0..<10 { try history.buy("t\(number)", user: "u\(number)", afterMs: Int64(number)) }
    history.run(forMs: 1_799_000)
    #expect(history.world.orders.orders.isEmpty)
    #expect(history.world.broker.dead.isEmpty)
    history.settle()
    #expect(history.world.orders.orders.count == 10)
  }

  @Test("A check-back that can't reach its bucket decides nothing; parked and resumed, it commits")
  func parked() throws {
    let history = try History()
    history.orchestrator.dies = (2, .beforeCall)
    try history.buy("t1")
    history.run(forMs: 1_000)
    history.world.outages[.stock] = history.world.nowMs + 300_000
    history.work()
    history.run(forMs: 250_000)
    #expect(history.world.broker.status.parked == 1)
    #expect(history.world.broker.status.half == 0)
    history.run(forMs: 60_000)
    history.world.broker.resumeParked(nowMs: history.world.nowMs)
    history.settle()
    #expect(try history.order("t1") == "sold")
  }

  @Test("A purchase whose messages are all lost is stored from the log, once it is overdue")
  func messagesLost() throws {
    let history = try History()
    history.work()
    history.orchestrator.dies = (2, .beforeCall)
    try history.buy("t1")
    history.run(forMs: 1_000)
    history.world.broker.halves = [:]
    history.run(forMs: 13_000)
    #expect(try history.order("t1") == nil)
    history.run(forMs: 3_000)
    #expect(try history.order("t1") == "sold")
    history.settle()
  }

  @Test(
    "What the database rejects from the log leaves the sale, though its bucket is away and the worker dies meanwhile"
  )
  func rejectedFromLog() throws {
    let history = try History(units: 1, databaseStock: 0)
    try history.buy("t1")
    history.run(forMs: 1_000)
    history.world.broker.entries = []
    history.work()
    let watch = history.world.afterEvent
    history.world.afterEvent = { [auditor = history.auditor] world in
      auditor.watch(world)
      let isRejected = world.orders.orders.values.contains { $0.state == .rejected }
      if isRejected, world.outages[.stock] == nil { world.outages[.stock] = world.nowMs + 60_000 }
    }
    history.run(forMs: 40_000)
    #expect(try history.order("t1") == "rejected")
    #expect(history.bucket.sold == 1)
    history.worker.crash()
    history.world.afterEvent = watch
    history.settle()
    #expect(history.bucket.sold == 0)
    #expect(history.bucket.available == 0)
  }

  @Test("A token that another buyer has used makes no order, by the check-back neither")
  func anothersToken() throws {
    let history = try History()
    history.work()
    try history.buy("t1", user: "bob", quantity: 1, elsewhere: true)
    history.orchestrator.dies = (2, .beforeCall)
    try history.buy("t1", user: "ann", quantity: 2, afterMs: 500)
    history.settle()
    #expect(try history.order("t1") == "sold")
    #expect(history.bucket.available == 9)
    #expect(history.world.broker.dead.isEmpty)
  }
}
