import Messaging

extension BrokerContract {
  static let halfMessages: [BrokerBehaviour] = [
    BrokerBehaviour("A half message reaches nobody until it is committed") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let half = try await broker.sendHalf(Message("half"))
      try await broker.send(Message("plain"))
      let recorder = Recorder()
      try await fixture.withWorker(at: process, recorder) {
        try await fixture.until("the plain message") { recorder.count("plain") == 1 }
        try expectEqual(recorder.texts, ["plain"], "what was delivered before the commit")
        try expectEqual(try await broker.commit(half), .committed, "the answer to the commit")
        try await fixture.until("the committed message") { recorder.count("half") == 1 }
      }
      let keys = recorder.entries.map(\.delivery.message.key)
      try expectEqual(keys, [Message("plain").key, Message("half").key], "the keys")
      await process.end()
    },

    BrokerBehaviour("A half message tells when the broker took it") { fixture in
      let process = try await fixture.startProcess()
      let first = try await process.broker.sendHalf(Message("first"))
      let second = try await process.broker.sendHalf(Message("second"))
      try expect(first.id != second.id, "both half messages have the id \(first.id)")
      try expect(first.sentAtMs > 1_500_000_000_000, "sentAtMs is \(first.sentAtMs)")
      try expect(first.sentAtMs <= second.sentAtMs, "the second came before the first")
      try expectEqual(first.message, Message("first"), "the half message's message")
      await process.end()
    },

    BrokerBehaviour("A committed message reaches each group once") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      try await broker.subscribe(.orders, to: .purchases)
      try await broker.subscribe(.audit, to: .purchases)
      let texts = (0..<50).map { "message \($0)" }
      for text in texts { _ = try await broker.commit(try await broker.sendHalf(Message(text))) }
      let (orders, audit) = (Recorder(), Recorder())
      try await fixture.withWorker(of: .orders, at: process, orders) {
        try await fixture.withWorker(of: .audit, at: process, audit) {
          try await fixture.until("all messages") { orders.entries.count >= 50 && audit.entries.count >= 50 }
          try await broker.send(["last"])
          try await fixture.until("the last message") { orders.count("last") == 1 && audit.count("last") == 1 }
        }
      }
      try expectEqual(orders.texts, texts + ["last"], "what the first group got")
      try expectEqual(audit.texts, texts + ["last"], "what the second group got")
      await process.end()
    },

    BrokerBehaviour("What was acknowledged to a producer survives a crash of the server") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let undecided = try await broker.sendHalf(Message("half before the crash"))
      _ = try await broker.commit(try await broker.sendHalf(Message("committed before the crash")))
      try await broker.send(["plain before the crash"])
      try await fixture.crashServer()
      try expectEqual(try await broker.commit(undecided), .committed, "the answer to the commit after the crash")
      let recorder = Recorder()
      try await fixture.withWorker(at: process, recorder) {
        try await fixture.until("all three") { recorder.entries.count == 3 }
      }
      try expectEqual(
        recorder.texts,
        ["committed before the crash", "plain before the crash", "half before the crash"],
        "what was delivered after the crash"
      )
      await process.end()
    },

    BrokerBehaviour("A second commit finds the half message gone and delivers nothing") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let half = try await broker.sendHalf(Message("half"))
      try expectEqual(try await broker.commit(half), .committed, "the answer to the first commit")
      try expectEqual(try await broker.commit(half), .gone, "the answer to the second commit")
      try await onlyDelivered(["half"], fixture, process)
    },

    BrokerBehaviour("A commit after a roll-back finds the half message gone and delivers nothing") { fixture in
      let process = try await fixture.startProcess()
      let half = try await process.broker.sendHalf(Message("half"))
      try await process.broker.rollBack(half)
      try expectEqual(try await process.broker.commit(half), .gone, "the answer to the commit")
      try await onlyDelivered([], fixture, process)
    },

    BrokerBehaviour("Rolling back again, or after the commit, changes nothing") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let dropped = try await broker.sendHalf(Message("dropped"))
      for _ in 0..<3 { try await broker.rollBack(dropped) }
      let kept = try await broker.sendHalf(Message("kept"))
      _ = try await broker.commit(kept)
      try await broker.rollBack(kept)
      try await onlyDelivered(["kept"], fixture, process)
    },

    BrokerBehaviour("Of a commit and a roll-back at the same time one wins, for all") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      var committed: [String] = []
      for number in 0..<50 {
        let half = try await broker.sendHalf(Message("half \(number)"))
        async let rollBack: Void = broker.rollBack(half)
        async let answer = broker.commit(half)
        try await rollBack
        if try await answer == .committed { committed.append("half \(number)") }
      }
      try await onlyDelivered(committed, fixture, process)
    },
  ]

  /// Delivers all there is, and a last message after it; ends the process.
  private static func onlyDelivered(
    _ texts: [String],
    _ fixture: any BrokerFixture,
    _ process: BrokerProcess
  ) async throws {
    let recorder = Recorder()
    try await process.broker.send(Message("last"))
    try await fixture.withWorker(at: process, recorder) {
      try await fixture.until("the last message") { recorder.count("last") == 1 }
    }
    try expectEqual(recorder.texts, texts + ["last"], "what was delivered")
    try expectEqual(try await process.broker.status(of: .purchases, for: .orders).half, 0, "the half messages left")
    await process.end()
  }
}
