import BrokerContract
import Messaging
import RedisStreams
import TestServers
import Testing

private let topic = Topic("purchases")
private let orders = ConsumerGroup("orders")

private func message(_ text: String) -> Message { Message(topic: topic, key: [1], body: Array(text.utf8)) }

@Suite("Faults of the server under the broker", .timeLimit(.minutes(10)))
struct ServerFaultTests {
  @Test("No committed message is lost when the server is killed again and again under load")
  func killedUnderLoad() async throws {
    let fixture = try StreamsFixture()
    let (producer, consumer) = (try fixture.makeBroker(), try fixture.makeBroker())
    let handler = Collector()
    let checks = Checks()
    let committed = Ledger()
    try await withServices([
      { try await consumer.consume(topic, as: orders, batchMax: 50, handler: handler) },
      { try await consumer.serveChecks(of: topic, by: checks) },
    ]) {
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        for number in 0..<32 {
          tasks.addTask {
            var round = 0
            while !committed.isClosed {
              round += 1
              let text = "\(number)/\(round)"
              // Where the answer is lost the check-back decides, as it does for a producer that died.
              guard let half = try? await producer.sendHalf(message(text)) else { continue }
              if (try? await producer.commit(half)) == .committed { committed.insert(text) }
            }
          }
        }
        for _ in 0..<3 {
          let before = committed.texts.count
          try await fixture.until("some commits") { committed.texts.count > before + 200 }
          try await fixture.crashServer()
        }
        let before = committed.texts.count
        try await fixture.until("commits after the last crash") { committed.texts.count > before + 200 }
        committed.close()
        try await tasks.waitForAll()
      }
      try await fixture.until("all that was committed") {
        committed.texts.isSubset(of: handler.seen)
      }
      try await fixture.until("an answer for every half message") {
        let status = try await producer.status(of: topic, for: orders)
        return status.half == 0 && status.unacknowledged == 0
      }
    }
    await producer.close()
    await consumer.close()
  }

  @Test("A wrong password ends every call with notAuthorized, at once, and is not shown")
  func wrongPassword() async throws {
    let fixture = try StreamsFixture(["requirepass right-secret"])
    let broker = try fixture.makeBroker(password: "wrong-secret")
    let calls: [(String, @Sendable () async throws -> Void)] = [
      ("sendHalf", { _ = try await broker.sendHalf(message("x")) }),
      ("send", { try await broker.send(message("x")) }),
      ("subscribe", { try await broker.subscribe(orders, to: topic) }),
      ("consume", { try await broker.consume(topic, as: orders, batchMax: 10, handler: Collector()) }),
      ("serveChecks", { try await broker.serveChecks(of: topic, by: Checks()) }),
      ("status", { _ = try await broker.status(of: topic, for: orders) }),
    ]
    for (name, call) in calls {
      let error = await #expect(throws: MessagingError.self, "\(name)") { try await call() }
      #expect(error?.code == .notAuthorized, "\(name): \(String(describing: error))")
      #expect(error.map { "\($0)".contains("secret") } == false, "\(name)")
    }
    await broker.close()
  }

  @Test("A user who may not write is told so, and nothing is done")
  func noPermission() async throws {
    let fixture = try StreamsFixture(["user reader on >secret ~doorbuster:mq:* +@read +@connection"])
    let broker = try fixture.makeBroker(user: "reader", password: "secret")
    for call in [{ _ = try await broker.sendHalf(message("x")) }, { try await broker.send(message("x")) }]
      as [@Sendable () async throws -> Void]
    {
      let error = await #expect(throws: MessagingError.self) { try await call() }
      #expect(error?.code == .notAuthorized)
    }
    let error = await #expect(throws: MessagingError.self) {
      try await broker.consume(topic, as: orders, batchMax: 10, handler: Collector())
    }
    #expect(error?.code == .notAuthorized)
    await broker.close()
  }

  @Test("While the server is away calls end as unavailable, and services go on when it is back")
  func away() async throws {
    let fixture = try StreamsFixture()
    let broker = try fixture.makeBroker(patience: .milliseconds(200))
    let handler = Collector()
    try await withServices([
      { try await broker.consume(topic, as: orders, batchMax: 10, handler: handler) },
      { try await broker.serveChecks(of: topic, by: Checks()) },
    ]) {
      try await broker.send(message("before"))
      try await fixture.until("the first message") { handler.seen.contains("before") }
      try fixture.server.stop()
      let error = await #expect(throws: MessagingError.self) { _ = try await broker.sendHalf(message("lost")) }
      #expect(error?.code == .unavailable)
      #expect(error?.isTransient == true)
      try fixture.server.restart()
      try await broker.send(message("after"))
      let half = try await broker.sendHalf(message("half"))
      _ = half
      try await fixture.until("the other messages") { handler.seen == ["before", "after", "half"] }
    }
    await broker.close()
  }

  @Test("A call whose answer is lost says so")
  func replyLost() async throws {
    let fixture = try StreamsFixture()
    let brokers = [try fixture.makeBroker(), try fixture.makeBroker()]
    let half = try await brokers[0].sendHalf(message("half"))
    let connection = try fixture.server.connect()
    // The server reads the requests and holds them back.
    try connection.call("CLIENT", "PAUSE", 60_000, "WRITE")
    let answers = try await withThrowingTaskGroup(of: Result<String, any Error>.self) { tasks in
      tasks.addTask { await Result { "\(try await brokers[0].commit(half))" } }
      tasks.addTask { await Result { "\(try await brokers[1].sendHalf(message("another")))" } }
      try await fixture.until("both requests") {
        try connection.call("INFO", "clients").text?.contains("blocked_clients:2") == true
      }
      try fixture.server.kill9()
      return try await tasks.reduce(into: []) { $0.append($1) }
    }
    #expect(answers.count == 2)
    for answer in answers {
      let error = #expect(throws: MessagingError.self) { try answer.get() }
      #expect(error?.code == .replyLost)
    }
    for broker in brokers { await broker.close() }
  }

  @Test("After the server was emptied workers make their group again")
  func emptied() async throws {
    let fixture = try StreamsFixture()
    let broker = try fixture.makeBroker()
    let handler = Collector()
    try await withServices([{ try await broker.consume(topic, as: orders, batchMax: 10, handler: handler) }]) {
      try await broker.send(message("before"))
      try await fixture.until("the first message") { handler.seen.contains("before") }
      try fixture.server.call("FLUSHALL")
      try await broker.send(message("after"))
      try await fixture.until("the second message") { handler.seen.contains("after") }
    }
    await broker.close()
  }

  @Test("A full server refuses new messages as full, and still commits, delivers and trims")
  func full() async throws {
    let fixture = try StreamsFixture()
    let broker = try fixture.makeBroker()
    let half = try await broker.sendHalf(message("half"))
    let unanswered = try await broker.sendHalf(message("unanswered"))
    for number in 0..<20 { try await broker.send(message("plain \(number)")) }
    try fixture.server.call("CONFIG", "SET", "maxmemory", "1")
    for call in [{ _ = try await broker.sendHalf(message("x")) }, { try await broker.send(message("x")) }]
      as [@Sendable () async throws -> Void]
    {
      let error = await #expect(throws: MessagingError.self) { try await call() }
      #expect(error?.code == .full)
      #expect(error?.isTransient == true)
    }
    #expect(try await broker.commit(half) == .committed)
    // One is dead and one is tried again: both move without memory to spare.
    let handler = Collector { delivery in
      switch String(decoding: delivery.message.body, as: UTF8.self) {
      case "plain 3": .deadLetter("no")
      case "plain 4" where !delivery.isRedelivery: .retry("later", countsAsAttempt: true)
      default: .acknowledge
      }
    }
    try fixture.server.call("CONFIG", "SET", "maxmemory", "0")
    try await broker.subscribe(orders, to: topic)
    try fixture.server.call("CONFIG", "SET", "maxmemory", "1")
    try await withServices([
      { try await broker.consume(topic, as: orders, batchMax: 10, handler: handler) },
      { try await broker.serveChecks(of: topic, by: Checks()) },
    ]) {
      try await fixture.until("an emptied topic") {
        let status = try await broker.status(of: topic, for: orders)
        return status.unacknowledged == 0 && status.half == 0 && status.stored == 0 && status.dead == 1
      }
    }
    #expect(handler.seen.contains(String(decoding: unanswered.message.body, as: UTF8.self)))
    #expect(handler.seen.count == 22)
    await broker.close()
  }

  @Test("A topic's key of another type refuses the commit and keeps the half message")
  func wrongType() async throws {
    let fixture = try StreamsFixture()
    let broker = try fixture.makeBroker()
    let half = try await broker.sendHalf(message("half"))
    try fixture.server.call("SET", "doorbuster:mq:{purchases}", "a stranger's")
    let error = await #expect(throws: MessagingError.self) { _ = try await broker.commit(half) }
    #expect(error?.code == .refused)
    #expect(error?.isTransient == false)
    try fixture.server.call("DEL", "doorbuster:mq:{purchases}")
    let handler = Collector()
    try await withServices([
      { try await broker.consume(topic, as: orders, batchMax: 10, handler: handler) },
      { try await broker.serveChecks(of: topic, by: Checks()) },
    ]) {
      try await fixture.until("the message") { handler.seen == ["half"] }
    }
    await broker.close()
  }
}
