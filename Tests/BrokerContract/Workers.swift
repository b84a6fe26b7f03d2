import Messaging

extension BrokerContract {
  static let workers: [BrokerBehaviour] = [
    BrokerBehaviour("Workers of one group share its messages, each handled by one of them") { fixture in
      let (first, second) = (try await fixture.startProcess(), try await fixture.startProcess())
      let texts = (0..<500).map { "message \($0)" }
      try await first.broker.send(texts)
      // Neither goes on before the other has got something, so that one can't be done before the other begins.
      let arrived = [Gate(), Gate()]
      let recorders = [0, 1].map { number in
        Recorder { _ in
          arrived[number].open()
          await arrived[1 - number].pass()
          return .acknowledge
        }
      }
      try await fixture.withWorker(at: first, batchMax: 10, recorders[0]) {
        try await fixture.withWorker(at: second, batchMax: 10, recorders[1]) {
          try await fixture.until("all messages") {
            recorders[0].entries.count + recorders[1].entries.count >= texts.count
          }
        }
      }
      try expect(recorders.allSatisfy { !$0.entries.isEmpty }, "one worker got nothing")
      try expectEqual((recorders[0].texts + recorders[1].texts).sorted(), texts.sorted(), "what both got")
      await first.end()
      await second.end()
    },

    BrokerBehaviour("What a dead worker had taken goes to another one, and counts as no failure") { fixture in
      let (first, second) = (try await fixture.startProcess(), try await fixture.startProcess())
      let texts = (0..<30).map { "message \($0)" }
      try await first.broker.send(texts)
      let afterDeath = Gate()
      let dying = Recorder { _ in
        await afterDeath.pass()
        return .acknowledge
      }
      let heir = Recorder()
      try await fixture.withWorker(at: first, batchMax: 10, dying) {
        try await fixture.until("a batch") { dying.entries.count == 10 }
        await first.end()
        try await fixture.withWorker(at: second, heir) {
          try await fixture.until("all messages") { heir.entries.count >= texts.count }
        }
        afterDeath.open()
      }
      try expectEqual(heir.texts.sorted(), texts.sorted(), "what the other worker got")
      for entry in heir.entries {
        try expectEqual(entry.delivery.failures, 0, "the failures of \(entry.text)")
        let hadDied = dying.texts.contains(entry.text)
        try expectEqual(entry.delivery.isRedelivery, hadDied, "isRedelivery of \(entry.text)")
      }
      try expectEqual(
        try await second.broker.status(of: .purchases, for: .orders).unacknowledged,
        0,
        "what is not acknowledged"
      )
      await second.end()
    },

    BrokerBehaviour("What a dead worker was trying again goes to another one, with its failures") { fixture in
      let (first, second) = (try await fixture.startProcess(), try await fixture.startProcess())
      try await first.broker.send(["message"])
      let afterDeath = Gate()
      let dying = Recorder { delivery in
        if delivery.failures == 0 { return .retry("no", countsAsAttempt: true) }
        await afterDeath.pass()
        return .acknowledge
      }
      let heir = Recorder()
      try await fixture.withWorker(at: first, dying) {
        try await fixture.until("the second try") { dying.entries.count == 2 }
        await first.end()
        try await fixture.withWorker(at: second, heir) {
          try await fixture.until("the message") { heir.entries.count == 1 }
        }
        afterDeath.open()
      }
      try expectEqual(heir.entries.map(\.delivery.failures), [1], "the failures")
      await second.end()
    },

    BrokerBehaviour("A worker that is slow but alive keeps its messages") { fixture in
      let (first, second) = (try await fixture.startProcess(), try await fixture.startProcess())
      try await first.broker.send(["slow"])
      let gate = Gate()
      let slow = Recorder { _ in
        await gate.pass()
        return .acknowledge
      }
      let quick = Recorder()
      try await fixture.withWorker(at: first, slow) {
        try await fixture.until("the message") { slow.entries.count == 1 }
        try await fixture.withWorker(at: second, quick) {
          try await fixture.elapse(fixture.timing.visibility * 5 / 2)
          try await second.broker.send(["last"])
          try await fixture.until("the last message") { quick.count("last") == 1 }
          gate.open()
          try await fixture.until("the end") {
            try await second.broker.status(of: .purchases, for: .orders).unacknowledged == 0
          }
        }
      }
      try expectEqual(slow.texts + quick.texts, ["slow", "last"], "what both got")
      await first.end()
      await second.end()
    },

    BrokerBehaviour("A message is acknowledged after its handler has returned, not before") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      try await broker.send(["message"])
      let gate = Gate()
      let recorder = Recorder { _ in
        await gate.pass()
        return .acknowledge
      }
      try await fixture.withWorker(at: process, recorder) {
        try await fixture.until("the message") { recorder.entries.count == 1 }
        try await fixture.crashServer()
        let during = try await broker.status(of: .purchases, for: .orders)
        try expectEqual(during.unacknowledged, 1, "what is not acknowledged while it is handled")
        gate.open()
        try await fixture.until("the acknowledgement") {
          try await broker.status(of: .purchases, for: .orders).unacknowledged == 0
        }
      }
      await process.end()
    },

    BrokerBehaviour("On cancellation the batch under way is handled to its end and settled") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      try await broker.send(["one", "two", "three", "four"])
      let (started, gate) = (Gate(), Gate())
      let sawCancellation = Box(false)
      let recorder = Recorder { delivery in
        started.open()
        await gate.pass()
        if Task.isCancelled { sawCancellation.update { $0 = true } }
        return delivery.message.text == "two" ? .deadLetter("no") : .acknowledge
      }
      try await withThrowingTaskGroup { tasks in
        tasks.addTask {
          try await broker.consume(.purchases, as: .orders, batchMax: 3, handler: recorder)
        }
        await started.pass()
        tasks.cancelAll()
        // The cancelled worker still waits for its handler.
        try expectEqual(try await broker.status(of: .purchases, for: .orders).unacknowledged, 4, "before the end")
        gate.open()
        try await tasks.waitForAll()
      }
      let status = try await broker.status(of: .purchases, for: .orders)
      try expectEqual(status.unacknowledged, 1, "what is not acknowledged")
      try expectEqual(status.dead, 1, "the dead messages")
      try expectEqual(recorder.texts, ["one", "two", "three"], "what was handled")
      try expect(!sawCancellation.value, "the handler's own calls would have been cancelled")
      await process.end()
    },

    BrokerBehaviour("Services end soon when they are cancelled, whatever they wait for") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let checker = CheckRecorder { _ in .commit }
      for _ in 0..<3 {
        let asked = try await fixture.withWorker(at: process, Recorder()) {
          try await fixture.withChecks(at: process, by: checker) {
            _ = try await broker.status(of: .purchases, for: .orders)
            return ContinuousClock.now
          }
        }
        let duration = asked.duration(to: .now)
        try expect(duration < .seconds(5), "they took \(duration) to end")
      }
      await process.end()
    },
  ]
}
