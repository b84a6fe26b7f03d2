import Messaging
import Stock
import Testing

@testable import Doorbuster

/// A process dies before or after each of its calls, one run for each.
@Suite("Crashes between every two steps")
struct CrashTests {
  /// Calls of one purchase at most: half message, deduction, commit, plain message, and roll-back.
  private static let purchaseCalls = 0..<5

  @Test("of a purchase: its buyer may come back or not", arguments: purchaseCalls, Process.Moment.allCases)
  func orchestrator(number: Int, moment: Process.Moment) throws {
    for commitFate in [nil, World.Fate.silent] {
      for returnsAfterMs in [nil, 100, 9_900, 20_000] as [Int64?] {
        for units in [0, 1] as [Int64] {
          let history = try History(units: units)
          history.orchestrator.dies = (number, moment)
          if let commitFate { history.orchestratorCall(2, commitFate) }
          history.work()
          try history.buy("t1")
          if let returnsAfterMs { try history.buy("t1", afterMs: returnsAfterMs, elsewhere: true) }
          history.settle()
          if units == 0 { #expect(try history.order("t1") == nil) }
        }
      }
    }
  }

  enum Story: CaseIterable { case plain, short, messageLost, messageLostAndShort, cancelled, twice }

  @Test("of a worker", arguments: Story.allCases, Process.Moment.allCases)
  func worker(story: Story, moment: Process.Moment) throws {
    var calls = 0
    // Enough calls for all that happens within a run, check-backs and overdue purchases included.
    while calls < 400 {
      let history = try History(units: 3, databaseStock: [.short, .messageLostAndShort].contains(story) ? 1 : nil)
      for number in 0..<3 { try history.buy("t\(number)", user: "u\(number)", afterMs: Int64(number)) }
      if story == .cancelled { try history.cancel("t1", afterMs: 300) }
      history.run(forMs: 1_000)
      switch story {
      case .plain, .short, .cancelled: break
      case .messageLost, .messageLostAndShort: history.world.broker.entries = []
      case .twice: for entry in history.world.broker.entries { history.world.broker.send(entry.message) }
      }
      history.worker.dies = (calls, moment)
      history.work()
      history.run(forMs: 20_000)
      let died = !history.worker.isUp
      history.settle()
      guard died, history.auditor.findings.isEmpty else { break }
      // Every call of the first busy second, then every 13th of those that mostly wait.
      calls += calls < 60 ? 1 : 13
    }
    #expect(calls > 60)
  }
}
