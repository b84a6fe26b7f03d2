import BrokerContract
import Messaging
import RedisStreams
import TestServers
import Testing

private let topic = Topic("purchases")
private let orders = ConsumerGroup("orders")

private func message(_ text: String) -> Message { Message(topic: topic, key: [1], body: Array(text.utf8)) }

@Suite("What the broker leaves in Redis", .timeLimit(.minutes(10)))
struct KeyTests {
  @Test("On a cluster node the whole life of messages stays in one slot")
  func cluster() async throws {
    // A cluster's own port is derived from the server's, which must therefore be one.
    let fixture = try StreamsFixture(["cluster-enabled yes"], tcp: true)
    try fixture.server.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    let ready = try fixture.server.connect()
    try await fixture.until("the cluster") {
      try ready.call("CLUSTER", "INFO").text?.contains("cluster_state:ok") == true
    }
    for behaviour in BrokerContract.behaviours {
      let chosen = [
        "checked ever later", "end in a dead letter", "removes what every group", "a dead worker had taken",
      ]
      guard chosen.contains(where: behaviour.sentence.contains) else { continue }
      try ready.call("FLUSHALL")
      try await behaviour.run(fixture)
    }
  }

  @Test("A message that fails for long does not keep the others from being trimmed")
  func trimmedBesideAFailure() async throws {
    let fixture = try StreamsFixture()
    let broker = try fixture.makeBroker()
    let handler = Collector { delivery in
      delivery.message.body == Array("fails".utf8) ? .retry("no", countsAsAttempt: false) : .acknowledge
    }
    try await broker.send(message("fails"))
    try await withServices([{ try await broker.consume(topic, as: orders, batchMax: 100, handler: handler) }]) {
      for number in 0..<500 { try await broker.send(message("good \(number)")) }
      try await fixture.until("only the failing one") {
        try await broker.status(of: topic, for: orders).unacknowledged == 1
          && fixture.server.call("XLEN", "doorbuster:mq:{purchases}") == .integer(0)
      }
    }
    await broker.close()
  }

  @Test("When all is done nothing is left but empty streams and their groups")
  func nothingLeft() async throws {
    var fixture = try StreamsFixture()
    fixture.options.consumerIdleMax = .milliseconds(100)
    let broker = try fixture.makeBroker()
    // A worker that died: a consumer that nobody will ask for again.
    try await broker.subscribe(orders, to: topic)
    try fixture.server.call("XGROUP", "CREATECONSUMER", "doorbuster:mq:{purchases}", "orders", "dead")
    for number in 0..<20 { _ = try await broker.sendHalf(message("\(number)")) }
    let handler = Collector { $0.isRedelivery ? .acknowledge : .retry("once", countsAsAttempt: true) }
    let fixed = fixture
    try await withServices([
      { try await broker.consume(topic, as: orders, batchMax: 10, handler: handler) },
      { try await broker.serveChecks(of: topic, by: Undecided()) },
    ]) {
      try await fixed.until("all messages") { handler.seen.count == 20 }
      try await fixed.until("an empty topic") {
        let status = try await broker.status(of: topic, for: orders)
        return status == TopicStatus(half: 0, parked: 0, dead: 0, unacknowledged: 0, stored: 0)
      }
      try await fixed.until("the dead worker's consumer to go") {
        try !fixed.consumers().contains("dead")
      }
      try await fixed.until("no checks and nothing postponed") {
        try fixed.keys().subtracting(["doorbuster:mq:{purchases}:checker"]) == [
          "doorbuster:mq:{purchases}", "doorbuster:mq:{purchases}:half",
        ]
      }
    }
    #expect(try fixture.keys() == ["doorbuster:mq:{purchases}", "doorbuster:mq:{purchases}:half"])
    #expect(try fixture.consumers() == [])
    await broker.close()
  }

  @Test("What another worker has acknowledged is neither tried again nor dead, whatever a late one says")
  func lateVerdicts() async throws {
    let fixture = try StreamsFixture()
    let broker = try fixture.makeBroker()
    try await broker.subscribe(orders, to: topic)
    for text in ["retry", "dead", "put off"] { try await broker.send(message(text)) }
    // Within the handler another worker acknowledges, as one does that had claimed the messages meanwhile.
    let handler = Collector { delivery in
      if !delivery.isRedelivery {
        _ = try? fixture.server.call("XACK", "doorbuster:mq:{purchases}", "orders", delivery.id)
      }
      return switch String(decoding: delivery.message.body, as: UTF8.self) {
      case "retry": .retry("no", countsAsAttempt: true)
      case "put off": .retry("no", countsAsAttempt: false)
      case "dead": .deadLetter("no")
      default: .acknowledge
      }
    }
    try await withServices([{ try await broker.consume(topic, as: orders, batchMax: 10, handler: handler) }]) {
      try await fixture.until("all messages") { handler.seen.count == 3 }
      // Once this one is acknowledged, the batch before it is settled.
      try await broker.send(message("last"))
      try await fixture.until("the last message") {
        let status = try await broker.status(of: topic, for: orders)
        return handler.seen.contains("last") && status.unacknowledged == 0
      }
    }
    #expect(try fixture.keys() == ["doorbuster:mq:{purchases}"])
    await broker.close()
  }

  @Test("A consumer that still has messages is never removed, however long it is silent")
  func pendingConsumer() async throws {
    var fixture = try StreamsFixture()
    fixture.options.consumerIdleMax = .milliseconds(20)
    fixture.options.visibility = .seconds(600)
    let broker = try fixture.makeBroker()
    try await broker.subscribe(orders, to: topic)
    try await broker.send(message("taken"))
    try fixture.server.call(
      "XREADGROUP",
      "GROUP",
      "orders",
      "silent",
      "STREAMS",
      "doorbuster:mq:{purchases}",
      ">"
    )
    try fixture.server.call("XGROUP", "CREATECONSUMER", "doorbuster:mq:{purchases}", "orders", "idle")
    let fixed = fixture
    try await withServices([{ try await broker.consume(topic, as: orders, batchMax: 10, handler: Collector()) }]) {
      try await fixed.until("the idle one to go") {
        let names = try fixed.consumers()
        return names.contains("silent") && !names.contains("idle")
      }
      _ = try await broker.trim(topic)
      #expect(try await broker.status(of: topic, for: orders).unacknowledged == 1)
      #expect(try fixed.server.call("XLEN", "doorbuster:mq:{purchases}") == .integer(1))
    }
    await broker.close()
  }
}

/// Decides at the third look.
private struct Undecided: MessageChecker {
  func check(_ half: HalfMessage) async -> CheckDecision { half.checks < 2 ? .undecided("not yet") : .commit }
}

extension StreamsFixture {
  func keys() throws -> Set<String> {
    Set(try server.call("KEYS", "*").elements?.compactMap(\.text) ?? [])
  }

  func consumers() throws -> [String] {
    let consumers = try server.call("XINFO", "CONSUMERS", "doorbuster:mq:{purchases}", "orders").elements ?? []
    // The name is the second of the fields and values of each.
    return consumers.compactMap { $0.elements?.dropFirst().first?.text }
  }
}
