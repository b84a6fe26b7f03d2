import Messaging

extension BrokerContract {
  static let checkBacks: [BrokerBehaviour] = [
    BrokerBehaviour("A check-back decides a half message that got no answer") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      _ = try await broker.sendHalf(Message("to commit"))
      _ = try await broker.sendHalf(Message("to roll back"))
      let recorder = Recorder()
      let checker = CheckRecorder { $0.message.text == "to commit" ? .commit : .rollBack }
      try await fixture.withChecks(at: process, by: checker) {
        try await fixture.withWorker(at: process, recorder) {
          try await fixture.until("both decisions") {
            try await broker.status(of: .purchases, for: .orders).half == 0 && recorder.entries.count == 1
          }
          try await broker.send(["last"])
          try await fixture.until("the last message") { recorder.count("last") == 1 }
        }
      }
      try expectEqual(recorder.texts, ["to commit", "last"], "what was delivered")
      try expectEqual(checker.entries.map(\.half.message).count, 2, "the checks")
      await process.end()
    },

    BrokerBehaviour("A half message is checked when it is old enough, and never after its answer") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let checker = CheckRecorder { _ in .rollBack }
      let sentAt = ContinuousClock.now
      try await fixture.withChecks(at: process, by: checker) {
        _ = try await broker.sendHalf(Message("no answer"))
        for number in 0..<20 {
          let half = try await broker.sendHalf(Message("answered \(number)"))
          if number.isMultiple(of: 2) { _ = try await broker.commit(half) } else { try await broker.rollBack(half) }
        }
        _ = try await broker.sendHalf(Message("no answer either"))
        try await fixture.until("the checks") { checker.entries.count >= 2 }
      }
      try expectEqual(checker.entries.map(\.text).sorted(), ["no answer", "no answer either"], "what was checked")
      for check in checker.entries {
        // A server's clock counts in whole milliseconds.
        let age = sentAt.duration(to: check.at) + .milliseconds(1)
        try expect(age >= fixture.timing.checkAfter, "\(check.text) was checked after \(age)")
        try expectEqual(check.half.checks, 0, "the checks of \(check.text) before")
      }
      await process.end()
    },

    BrokerBehaviour("What stays undecided is checked ever later, then parked, listed and resumed") { fixture in
      try await undecidedToTheEnd(fixture)
    },

    BrokerBehaviour("Many undecided half messages keep no other one waiting") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      try await withThrowingDiscardingTaskGroup { tasks in
        for number in 0..<300 { tasks.addTask { _ = try await broker.sendHalf(Message("undecided \(number)")) } }
      }
      let gate = Gate()
      let checker = CheckRecorder { half in
        half.message.text.hasPrefix("undecided") && !gate.isOpen ? .undecided("not known") : .commit
      }
      let recorder = Recorder()
      try await fixture.withChecks(at: process, by: checker) {
        try await fixture.withWorker(at: process, recorder) {
          _ = try await broker.sendHalf(Message("decided"))
          try await fixture.until("the decided one") { recorder.count("decided") == 1 }
          gate.open()
          try await fixture.until("all others") {
            let status = try await broker.status(of: .purchases, for: .orders)
            return recorder.entries.count + status.parked == 301 && status.half == 0
          }
        }
      }
      await process.end()
    },

    BrokerBehaviour("A producer's late answer counts, though checks came to no decision") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let half = try await broker.sendHalf(Message("late"))
      let checker = CheckRecorder { _ in .undecided("not known") }
      let recorder = Recorder()
      try await fixture.withChecks(at: process, by: checker) {
        try await fixture.until("a check") { !checker.entries.isEmpty }
        try expectEqual(try await broker.commit(half), .committed, "the answer to the commit")
        try await fixture.withWorker(at: process, recorder) {
          try await fixture.until("the message") { recorder.count("late") == 1 }
          try await fixture.until("no half messages") {
            try await broker.status(of: .purchases, for: .orders).half == 0
          }
        }
      }
      await process.end()
    },

    BrokerBehaviour("Two processes may serve the checks of one topic") { fixture in
      let (first, second) = (try await fixture.startProcess(), try await fixture.startProcess())
      let checker = CheckRecorder { _ in .commit }
      let recorder = Recorder()
      let texts = (0..<100).map { "half \($0)" }
      try await fixture.withChecks(at: first, by: checker) {
        try await fixture.withChecks(at: second, by: checker) {
          try await fixture.withWorker(at: first, recorder) {
            for text in texts { _ = try await first.broker.sendHalf(Message(text)) }
            try await fixture.until("all messages") { Set(recorder.texts).count == texts.count }
          }
        }
      }
      try expectEqual(recorder.texts.sorted(), texts.sorted(), "what was delivered")
      await first.end()
      await second.end()
    },
  ]

  private static func undecidedToTheEnd(_ fixture: any BrokerFixture) async throws {
    let process = try await fixture.startProcess()
    let broker = process.broker
    let half = try await broker.sendHalf(Message("half"))
    let checksMax = fixture.timing.checksMax
    let gate = Gate()
    let checker = CheckRecorder { half in
      gate.isOpen ? .commit : .undecided("reason \(half.checks + 1)")
    }
    let recorder = Recorder()
    try await fixture.withChecks(at: process, by: checker) {
      try await fixture.until("the parked message") {
        try await broker.status(of: .purchases, for: .orders).parked == 1
      }
      try expectEqual(checker.entries.map(\.half.checks), Array(0..<checksMax), "the checks before each check")
      let gaps = zip(checker.entries, checker.entries.dropFirst()).map { $0.at.duration(to: $1.at) }
      for (index, gap) in gaps.enumerated() {
        let least = fixture.timing.checkDelay * (1 << min(index, 2)) - .milliseconds(1)
        try expect(gap >= least, "check \(index + 2) came after \(gap); expected at least \(least)")
      }
      try expectEqual(try await broker.commit(half), .gone, "the answer to a commit of the parked message")

      let parked = try await broker.setAside(.parked, in: .purchases, after: nil, count: 10)
      try expectEqual(parked.map(\.message), [Message("half")], "the parked messages")
      guard let message = parked.first else { return }
      try expectEqual(message.reason, "reason \(checksMax)", "the reason")
      try expectEqual(message.attempts, checksMax, "the attempts")
      try expect(message.setAsideAtMs >= half.sentAtMs, "it was parked before it was sent")
      let after = try await broker.setAside(.parked, in: .purchases, after: message.id, count: 10)
      try expectEqual(after, [], "the parked messages after the last")

      gate.open()
      try expect(try await broker.resume(.parked, id: message.id, in: .purchases), "it can't be resumed")
      try expect(try await !broker.resume(.parked, id: message.id, in: .purchases), "it was resumed twice")
      try await fixture.withWorker(at: process, recorder) {
        try await fixture.until("the message") { recorder.count("half") == 1 }
      }
      try expectEqual(checker.entries.last?.half.checks, 0, "the checks after it was resumed")
      let status = try await broker.status(of: .purchases, for: .orders)
      try expect(status.parked == 0 && status.half == 0, "left over: \(status)")
    }
    await process.end()
  }
}
