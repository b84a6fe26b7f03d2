import Messaging

extension BrokerContract {
  static let deliveries: [BrokerBehaviour] = [
    BrokerBehaviour("Messages arrive in the order of the topic, in batches within the bound") { fixture in
      let process = try await fixture.startProcess()
      let texts = (0..<250).map { "message \($0)" }
      try await process.broker.send(texts)
      let recorder = BatchRecorder()
      try await fixture.withWorker(at: process, batchMax: 40, recorder) {
        try await fixture.until("all messages") { recorder.inner.entries.count >= texts.count }
      }
      try expectEqual(recorder.inner.texts, texts, "what was delivered")
      try expect(recorder.sizes.allSatisfy { (1...40).contains($0) }, "the batches had sizes \(recorder.sizes)")
      try expect(recorder.inner.entries.allSatisfy { !$0.delivery.isRedelivery }, "a first delivery counts as another")
      await process.end()
    },

    BrokerBehaviour("Keys and bodies are bytes, of any value and up to the bound") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let every = Array(UInt8.min...UInt8.max)
      let bodies: [[UInt8]] = [[], [0], every, Array("\r\n$3\r\n".utf8), Array(repeating: 0xFF, count: 65_536)]
      for body in bodies {
        let message = Message(topic: .purchases, key: every, body: body)
        try await broker.send(message)
        try expectEqual(try await broker.commit(try await broker.sendHalf(message)), .committed, "the answer")
      }
      let recorder = Recorder()
      try await fixture.withWorker(at: process, recorder) {
        try await fixture.until("all messages") { recorder.entries.count == 2 * bodies.count }
      }
      try expectEqual(recorder.entries.map(\.delivery.message.body), bodies.flatMap { [$0, $0] }, "the bodies")
      try expect(recorder.entries.allSatisfy { $0.delivery.message.key == every }, "a key has changed")
      await process.end()
    },

    BrokerBehaviour("A body beyond 64 KiB is refused as too large, and nothing is stored") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let message = Message(topic: .purchases, key: [], body: Array(repeating: 1, count: 65_537))
      for attempt in ["sendHalf", "send"] {
        do {
          if attempt == "send" { try await broker.send(message) } else { _ = try await broker.sendHalf(message) }
          throw BrokerContractViolation(description: "\(attempt) took it")
        } catch let error as MessagingError {
          try expectEqual(error.code, .tooLarge, "the code of \(attempt)")
          try expect(!error.isTransient, "too large is not transient")
        }
      }
      let status = try await broker.status(of: .purchases, for: .orders)
      try expect(status.half == 0 && status.stored == 0, "stored: \(status)")
      await process.end()
    },

    BrokerBehaviour("Names outside their bounds are refused") { fixture in
      let process = try await fixture.startProcess()
      for name in ["", "a b", "a{b}", "é", String(repeating: "a", count: 65)] {
        do {
          try await process.broker.send(Message(topic: Topic(name), key: [], body: [1]))
          throw BrokerContractViolation(description: "the topic \(name) was taken")
        } catch let error as MessagingError {
          try expectEqual(error.code, .refused, "the code for the topic \(name)")
        }
        do {
          try await process.broker.subscribe(ConsumerGroup(name), to: .purchases)
          throw BrokerContractViolation(description: "the group \(name) was taken")
        } catch let error as MessagingError {
          try expectEqual(error.code, .refused, "the code for the group \(name)")
        }
      }
      await process.end()
    },

    BrokerBehaviour("Many producers at once lose nothing and duplicate nothing") { fixture in
      let (process, consumer) = (try await fixture.startProcess(), try await fixture.startProcess())
      let broker = process.broker
      let recorder = Recorder()
      let count = 256 * 12
      try await fixture.withWorker(at: consumer, batchMax: 500, recorder) {
        try await withThrowingDiscardingTaskGroup { tasks in
          for producer in 0..<256 {
            tasks.addTask {
              for number in 0..<12 {
                let half = try await broker.sendHalf(Message("\(producer)/\(number)"))
                let answer = try await broker.commit(half)
                try expectEqual(answer, .committed, "the answer to a commit")
              }
            }
          }
        }
        try await fixture.until("all messages") { recorder.entries.count >= count }
      }
      try expectEqual(recorder.entries.count, count, "the deliveries")
      try expectEqual(Set(recorder.texts).count, count, "the different messages")
      let status = try await consumer.broker.status(of: .purchases, for: .orders)
      try expectEqual(status.unacknowledged, 0, "what is not acknowledged")
      await process.end()
      await consumer.end()
    },

    BrokerBehaviour("A group that subscribes later gets all that is sent from then on") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      let orders = Recorder()
      try await fixture.withWorker(at: process, orders) {
        try await broker.send(["before"])
        try await fixture.until("the first message") { orders.count("before") == 1 }
        try await broker.subscribe(.audit, to: .purchases)
        try await broker.subscribe(.audit, to: .purchases)
        try await broker.send(["after", "and after"])
        try await fixture.until("the others") { orders.entries.count == 3 }
      }
      _ = try await broker.trim(.purchases)
      let audit = Recorder()
      try await fixture.withWorker(of: .audit, at: process, audit) {
        try await fixture.until("the later group's messages") { audit.count("and after") == 1 }
      }
      // What was sent before may come too, if it was still there.
      try expectEqual(audit.texts.filter { $0 != "before" }, ["after", "and after"], "what the later group got")
      await process.end()
    },

    BrokerBehaviour("A status counts what is half, unacknowledged and stored") { fixture in
      let process = try await fixture.startProcess()
      let broker = process.broker
      try await broker.subscribe(.orders, to: .purchases)
      let empty = try await broker.status(of: .purchases, for: .orders)
      try expectEqual(empty, TopicStatus(half: 0, parked: 0, dead: 0, unacknowledged: 0, stored: 0), "an empty topic")
      _ = try await broker.sendHalf(Message("half"))
      try await broker.send(["one", "two", "three"])
      let before = try await broker.status(of: .purchases, for: .orders)
      try expectEqual(before, TopicStatus(half: 1, parked: 0, dead: 0, unacknowledged: 3, stored: 3), "before")
      let gate = Gate()
      let recorder = Recorder { _ in
        await gate.pass()
        return .acknowledge
      }
      try await fixture.withWorker(at: process, batchMax: 2, recorder) {
        try await fixture.until("a batch") { recorder.entries.count == 2 }
        let during = try await broker.status(of: .purchases, for: .orders)
        try expectEqual(during.unacknowledged, 3, "what is not acknowledged while it is handled")
        gate.open()
        try await fixture.until("the end") {
          try await broker.status(of: .purchases, for: .orders).unacknowledged == 0
        }
      }
      await process.end()
    },
  ]
}

/// Remembers the sizes of batches too.
private final class BatchRecorder: MessageHandler {
  let inner = Recorder()
  private let batches = Box<[Int]>([])
  var sizes: [Int] { batches.value }

  func handle(_ deliveries: [Delivery]) async -> [Disposition] {
    batches.update { $0.append(deliveries.count) }
    return await inner.handle(deliveries)
  }
}
