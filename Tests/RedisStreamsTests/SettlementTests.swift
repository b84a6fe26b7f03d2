import Messaging
import Testing

@testable import RedisStreams

@Suite("What becomes of a batch")
struct SettlementTests {
  let options = RedisStreamsOptions(retryDelay: .milliseconds(10), retryDelayMax: .milliseconds(70), failuresMax: 3)

  func taken(
    _ id: String,
    _ source: TakenMessage.Source = .stream,
    failures: Int = 0,
    postponements: Int = 0
  ) -> TakenMessage {
    let message = Message(topic: Topic("t"), key: [1], body: [2])
    return TakenMessage(
      delivery: Delivery(id: id, message: message, failures: failures, isRedelivery: source == .postponed),
      source: source,
      postponements: postponements
    )
  }

  @Test("Each acknowledgement goes where the message is kept")
  func acknowledged() {
    let batch = [taken("1-0"), taken("2-0", .postponed), taken("3-0")]
    let settlement = Settlement(of: batch, by: [.acknowledge, .acknowledge, .acknowledge], options: options)
    #expect(settlement.acknowledged == ["1-0", "3-0"])
    #expect(settlement.acknowledgedPostponed == ["2-0"])
    #expect(!settlement.isOutage)
  }

  @Test("The last failure that counts is death, and failures that don't count never are")
  func failures() {
    let batch = [taken("1-0", failures: 1), taken("2-0", failures: 2), taken("3-0", failures: 2, postponements: 900)]
    let dispositions: [Disposition] = [
      .retry("a", countsAsAttempt: true), .retry("b", countsAsAttempt: true), .retry("c", countsAsAttempt: false),
    ]
    let settlement = Settlement(of: batch, by: dispositions, options: options)
    #expect(settlement.postponed.map(\.id) == ["1-0", "3-0"])
    #expect(settlement.postponed.map(\.message.failures) == [2, 2])
    #expect(settlement.postponed.map(\.message.postponements) == [0, 901])
    #expect(settlement.postponed.map(\.delayMs) == [20, 70])
    #expect(settlement.dead.map(\.id) == ["2-0"])
    #expect(settlement.dead.map(\.attempts) == [3])
    #expect(settlement.dead.map(\.reason) == ["b"])
  }

  @Test("It is an outage if something was put off for another cause and nothing went through")
  func outage() {
    let later = Disposition.retry("away", countsAsAttempt: false)
    let batch = [taken("1-0"), taken("2-0")]
    #expect(Settlement(of: batch, by: [later, later], options: options).isOutage)
    #expect(Settlement(of: batch, by: [.retry("bad", countsAsAttempt: true), later], options: options).isOutage)
    #expect(!Settlement(of: batch, by: [.acknowledge, later], options: options).isOutage)
    let bad = Disposition.retry("bad", countsAsAttempt: true)
    #expect(!Settlement(of: batch, by: [bad, bad], options: options).isOutage)
  }

  @Test("Too few dispositions retry the rest without counting, and too many do nothing")
  func otherCounts() {
    let few = Settlement(of: [taken("1-0"), taken("2-0")], by: [.acknowledge], options: options)
    #expect(few.acknowledged == ["1-0"])
    #expect(few.postponed.map(\.id) == ["2-0"])
    #expect(few.postponed.map(\.message.failures) == [0])
    let many = Settlement(of: [taken("1-0")], by: [.acknowledge, .deadLetter("x")], options: options)
    #expect(many.acknowledged == ["1-0"] && many.dead.isEmpty)
  }

  @Test("A delay doubles up to its bound, however many tries there were")
  func delays() {
    let delay = GrowingDelay(first: .milliseconds(10), longest: .milliseconds(70))
    #expect([0, 1, 2, 3, 4, 5].map(delay.delay) == [10, 10, 20, 40, 70, 70].map { .milliseconds($0) })
    #expect(delay.delay(.max) == .milliseconds(70))
    #expect(GrowingDelay(first: .zero, longest: .seconds(1)).delay(1_000_000) == .zero)
  }

  @Test("Milliseconds are rounded up and never overflow")
  func milliseconds() {
    #expect(Duration.microseconds(1).wholeMilliseconds == 1)
    #expect(Duration.milliseconds(1500).wholeMilliseconds == 1500)
    #expect(Duration.seconds(-1).wholeMilliseconds == 0)
    #expect(Duration.seconds(Int64.max).wholeMilliseconds == 1 << 53)
  }
}
