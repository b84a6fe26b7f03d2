import Messaging

extension BrokerContract {
  static let storage: [BrokerBehaviour] = [
    BrokerBehaviour("Trimming removes what every group has acknowledged, and nothing else") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      try await broker.subscribe(.orders, to: .purchases)
      try await broker.subscribe(.audit, to: .purchases)
      let texts = (0..<300).map { "message \($0)" }
      try await broker.send(texts)
      let orders = Recorder()
      try await fixture.withWorker(of: .orders, at: process, orders) {
        try await acknowledged(by: .orders, fixture, broker)
      }
      try expectEqual(try await broker.trim(.purchases), 0, "what was trimmed while a group had read nothing")

      // The second group acknowledges all but one, which it has in its hands when the topic is trimmed.
      let gate = Gate()
      let audit = Recorder { delivery in
        if delivery.message.text == "message 200", !delivery.isRedelivery { await gate.pass() }
        return .acknowledge
      }
      try await fixture.withWorker(of: .audit, at: process, batchMax: 1, audit) {
        try await fixture.until("message 200") { audit.count("message 200") == 1 }
        _ = try await broker.trim(.purchases)
        let status = try await broker.status(of: .purchases, for: .audit)
        try expectEqual(status.stored, 100, "what is stored while message 200 is handled")
        try expectEqual(status.unacknowledged, 100, "what is not acknowledged")
        gate.open()
        try await acknowledged(by: .audit, fixture, broker)
      }
      _ = try await broker.trim(.purchases)
      try expectEqual(try await broker.status(of: .purchases, for: .audit).stored, 0, "what is stored in the end")
      try expectEqual(audit.texts, texts, "what the second group got")
      await process.end()
    },

    BrokerBehaviour("A message that waits to be tried again survives trimming and a crash") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      try await broker.send(["fails"])
      try await broker.send((0..<50).map { "good \($0)" })
      let isMended = Gate()
      let recorder = Recorder {
        $0.message.text == "fails" && !isMended.isOpen ? .retry("no", countsAsAttempt: false) : .acknowledge
      }
      try await fixture.withWorker(at: process, recorder) {
        try await fixture.until("one left") {
          try await broker.status(of: .purchases, for: .orders).unacknowledged == 1
        }
      }
      _ = try await broker.trim(.purchases)
      try await fixture.crashServer()
      isMended.open()
      let tries = recorder.count("fails")
      try await fixture.withWorker(at: process, recorder) {
        try await acknowledged(by: .orders, fixture, broker)
      }
      try expect(recorder.count("fails") > tries, "the message was lost")
      await process.end()
    },

    BrokerBehaviour("Workers trim as they go, so that a long run keeps little") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let recorder = Recorder()
      try await fixture.withWorker(at: process, batchMax: 200, recorder) {
        for round in 0..<10 {
          try await withThrowingDiscardingTaskGroup { tasks in
            for number in 0..<300 { tasks.addTask { try await broker.send(Message("\(round)/\(number)")) } }
          }
          try await fixture.until("little is stored") {
            try await broker.status(of: .purchases, for: .orders).stored < 300
          }
        }
        try await acknowledged(by: .orders, fixture, broker)
      }
      try expectEqual(Set(recorder.texts).count, 3000, "the different messages")
      await process.end()
    },

    BrokerBehaviour("Messages set aside are listed in pages, oldest first") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let texts = (0..<25).map { "message \($0)" }
      try await broker.send(texts)
      try await fixture.withWorker(at: process, batchMax: 5, Recorder { _ in .deadLetter("no") }) {
        try await fixture.until("all are dead") {
          try await broker.status(of: .purchases, for: .orders).dead == texts.count
        }
      }
      var listed: [SetAsideMessage] = []
      while true {
        let page = try await broker.setAside(.dead, in: .purchases, after: listed.last?.id, count: 10)
        try expect(page.count <= 10, "a page of 10 has \(page.count)")
        listed += page
        if page.isEmpty { break }
      }
      try expectEqual(listed.map(\.message.text), texts, "the dead messages")
      await process.end()
    },
  ]

  private static func acknowledged(
    by group: ConsumerGroup,
    _ fixture: any BrokerFixture,
    _ broker: any MessageBroker
  ) async throws {
    try await fixture.until("all are acknowledged by \(group)") {
      try await broker.status(of: .purchases, for: group).unacknowledged == 0
    }
  }
}
