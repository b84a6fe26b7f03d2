import Messaging

extension BrokerContract {
  static let retries: [BrokerBehaviour] = [
    BrokerBehaviour("Failures that don't count go on beyond the bound until the message is acknowledged") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      try await broker.send(["message"])
      let tries = fixture.timing.failuresMax + 2
      let left = Box(tries)
      let recorder = Recorder { _ in
        left.update { $0 -= 1 }
        return left.value > 0 ? .retry("the database is away", countsAsAttempt: false) : .acknowledge
      }
      try await fixture.withWorker(at: process, recorder) {
        try await fixture.until("the last try") { recorder.entries.count == tries }
        try await fixture.until("the acknowledgement") {
          try await broker.status(of: .purchases, for: .orders).unacknowledged == 0
        }
      }
      try expect(recorder.entries.allSatisfy { $0.delivery.failures == 0 }, "a failure was counted")
      try expect(recorder.entries.dropFirst().allSatisfy(\.delivery.isRedelivery), "a redelivery counts as a first one")
      try expectEqual(Set(recorder.entries.map(\.delivery.id)).count, 1, "the ids of one message")
      try expectEqual(try await broker.status(of: .purchases, for: .orders).dead, 0, "the dead messages")
      await process.end()
    },

    BrokerBehaviour("Failures that count end in a dead letter with its reason, which can be replayed") { fixture in
      try await deadAndReplayed(fixture)
    },

    BrokerBehaviour("A message that can never succeed is dead at once, and its neighbours are not") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      try await broker.send(["good", "bad", "good too"])
      let recorder = Recorder { $0.message.text == "bad" ? .deadLetter("it is bad") : .acknowledge }
      try await fixture.withWorker(at: process, recorder) {
        try await fixture.until("the end") {
          let status = try await broker.status(of: .purchases, for: .orders)
          return status.dead == 1 && status.unacknowledged == 0 && recorder.entries.count == 3
        }
      }
      let dead = try await broker.setAside(.dead, in: .purchases, after: nil, count: 10)
      try expectEqual(dead.map(\.reason), ["it is bad"], "the reasons")
      try expectEqual(dead.map(\.attempts), [1], "the attempts")
      try expectEqual(dead.map(\.message), [Message("bad")], "the dead messages")
      await process.end()
    },

    BrokerBehaviour("The delay between deliveries grows") { fixture in
      let process = try await fixture.startProcess()
      try await process.broker.send(["fails", "is put off"])
      let recorder = Recorder { .retry("no", countsAsAttempt: $0.message.text == "fails") }
      try await fixture.withWorker(at: process, recorder) {
        try await fixture.until("four deliveries of each") {
          recorder.count("fails") >= 4 && recorder.count("is put off") >= 4
        }
      }
      for text in ["fails", "is put off"] {
        let times = recorder.entries(of: text).prefix(4).map(\.at)
        for (index, (earlier, later)) in zip(times, times.dropFirst()).enumerated() {
          let (delay, least) = (earlier.duration(to: later), fixture.timing.retryDelay * (1 << index))
          // A server's clock counts in whole milliseconds.
          try expect(
            delay >= least - .milliseconds(1),
            "\(text): delivery \(index + 2) came after \(delay); expected at least \(least)"
          )
        }
      }
      await process.end()
    },

    BrokerBehaviour("A message that fails does not hold up those after it") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let recorder = Recorder {
        $0.message.text == "fails" ? .retry("no", countsAsAttempt: false) : .acknowledge
      }
      try await broker.send(["fails"] + (0..<200).map { "good \($0)" })
      try await fixture.withWorker(at: process, batchMax: 10, recorder) {
        try await fixture.until("all good ones") { recorder.entries.count { $0.text != "fails" } == 200 }
        try await fixture.until("only one left") {
          try await broker.status(of: .purchases, for: .orders).unacknowledged == 1
        }
        let seen = recorder.count("fails")
        try await fixture.until("another try") { recorder.count("fails") > seen }
      }
      await process.end()
    },

    BrokerBehaviour("A message without a disposition is retried without counting") { fixture in
      let process = try await fixture.startProcess()
      try await process.broker.send(["first", "second"])
      let handler = ShortHandler()
      try await fixture.withWorker(at: process, handler) {
        try await fixture.until("the end") {
          try await process.broker.status(of: .purchases, for: .orders).unacknowledged == 0
        }
      }
      let entries = handler.inner.entries
      try expectEqual(Set(entries.map(\.text)), ["first", "second"], "what was delivered")
      try expect(entries.allSatisfy { $0.delivery.failures == 0 }, "a failure was counted")
      await process.end()
    },

    BrokerBehaviour("An outage of what the messages are written to does not drain the topic") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let texts = (0..<400).map { "message \($0)" }
      try await broker.send(texts)
      let isBack = Gate()
      let recorder = Recorder { _ in
        isBack.isOpen ? .acknowledge : .retry("the database is away", countsAsAttempt: false)
      }
      try await fixture.withWorker(at: process, batchMax: 20, recorder) {
        try await fixture.until("six tries of the first message") { recorder.count("message 0") >= 6 }
        let touched = Set(recorder.texts).count
        try expect(touched <= 100, "\(touched) of 400 messages were tried during the outage")
        isBack.open()
        try await fixture.until("the end") {
          try await broker.status(of: .purchases, for: .orders).unacknowledged == 0
        }
      }
      try expectEqual(Set(recorder.texts).count, texts.count, "the different messages")
      try expectEqual(try await broker.status(of: .purchases, for: .orders).dead, 0, "the dead messages")
      await process.end()
    },
  ]

  private static func deadAndReplayed(_ fixture: any BrokerFixture) async throws {
    let process = try await fixture.startProcess()
    let broker = process.broker
    let failuresMax = fixture.timing.failuresMax
    try await broker.send(["fails", "is well"])
    let isMended = Gate()
    let recorder = Recorder { delivery in
      isMended.isOpen || delivery.message.text == "is well"
        ? .acknowledge : .retry("failure \(delivery.failures + 1)", countsAsAttempt: true)
    }
    try await fixture.withWorker(at: process, recorder) {
      try await fixture.until("the dead message") {
        try await broker.status(of: .purchases, for: .orders).dead == 1
      }
      let failures = recorder.entries(of: "fails").map(\.delivery.failures)
      try expectEqual(failures, Array(0..<failuresMax), "the failures before each delivery")
      try expectEqual(try await broker.status(of: .purchases, for: .orders).unacknowledged, 0, "what is left")
      let dead = try await broker.setAside(.dead, in: .purchases, after: nil, count: 10)
      try expectEqual(dead.map(\.message), [Message("fails")], "the dead messages")
      guard let message = dead.first else { return }
      try expectEqual(message.reason, "failure \(failuresMax)", "the reason")
      try expectEqual(message.attempts, failuresMax, "the attempts")
      try expectEqual(message.kind, .dead, "the kind")

      isMended.open()
      try expect(try await broker.resume(.dead, id: message.id, in: .purchases), "it can't be replayed")
      try expect(try await !broker.resume(.dead, id: message.id, in: .purchases), "it was replayed twice")
      try expect(try await !broker.resume(.parked, id: "none", in: .purchases), "what is not there was resumed")
      try await fixture.until("the replayed message") { recorder.count("fails") == failuresMax + 1 }
      try expectEqual(recorder.entries(of: "fails").last?.delivery.failures, 0, "the failures after the replay")
    }
    let status = try await broker.status(of: .purchases, for: .orders)
    try expect(status.dead == 0 && status.unacknowledged == 0, "left over: \(status)")
    await process.end()
  }
}

/// Decides about the first message of a batch only.
private final class ShortHandler: MessageHandler {
  let inner = Recorder()

  func handle(_ deliveries: [Delivery]) async -> [Disposition] { Array(await inner.handle(deliveries).prefix(1)) }
}
