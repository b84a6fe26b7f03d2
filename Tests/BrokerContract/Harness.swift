import Messaging
import Synchronization

func expect(_ condition: Bool, _ message: @autoclosure () -> String) throws(BrokerContractViolation) {
  if !condition { throw BrokerContractViolation(description: message()) }
}

func expectEqual<Value: Equatable>(_ value: Value, _ expected: Value, _ what: String) throws(BrokerContractViolation) {
  try expect(value == expected, "\(what) is \(value); expected \(expected)")
}

extension BrokerFixture {
  /// Waits until a condition holds, looking every other millisecond, for as long as the fixture's patience lasts.
  public func until(_ what: String, _ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + timing.patience
    while try await !condition() {
      try expect(ContinuousClock.now < deadline, "not in time: \(what)")
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  /// Lets time pass, for behaviours that are about time.
  public func elapse(_ duration: Duration) async throws {
    let end = ContinuousClock.now + duration
    try await until("\(duration) to pass") { ContinuousClock.now >= end }
  }

  /// Runs a worker while `body` runs. Its fault is the behaviour's.
  func withWorker<Value: Sendable>(
    of group: ConsumerGroup = .orders,
    on topic: Topic = .purchases,
    at process: BrokerProcess,
    batchMax: Int = 100,
    _ handler: some MessageHandler,
    _ body: @Sendable @escaping () async throws -> Value
  ) async throws -> Value {
    try await beside(body) {
      try await process.broker.consume(topic, as: group, batchMax: batchMax, handler: handler)
    }
  }

  func withChecks<Value: Sendable>(
    of topic: Topic = .purchases,
    at process: BrokerProcess,
    by checker: some MessageChecker,
    _ body: @Sendable @escaping () async throws -> Value
  ) async throws -> Value {
    try await beside(body) { try await process.broker.serveChecks(of: topic, by: checker) }
  }

  /// Runs a service until `body` is over. A service that ends before, ends the body.
  private func beside<Value: Sendable>(
    _ body: @Sendable @escaping () async throws -> Value,
    _ service: @Sendable @escaping () async throws -> Void
  ) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { tasks in
      tasks.addTask {
        try await service()
        try expect(Task.isCancelled, "a service ended though nobody cancelled it")
        return nil
      }
      tasks.addTask { try await body() }
      var value: Value?
      while let ended = try await tasks.next() {
        if let ended { value = ended }
        tasks.cancelAll()
      }
      guard let value else { throw BrokerContractViolation(description: "a service ended before its time") }
      return value
    }
  }
}

extension Topic { static let purchases = Topic("purchases") }

extension ConsumerGroup {
  static let orders = ConsumerGroup("orders")
  static let audit = ConsumerGroup("audit")
}

extension Message {
  init(_ text: String) { self.init(topic: .purchases, key: Array("key of \(text)".utf8), body: Array(text.utf8)) }

  var text: String { String(decoding: body, as: UTF8.self) }
}

extension TransactionalProducer {
  func send(_ texts: [String]) async throws {
    for text in texts { try await send(Message(text)) }
  }
}

/// Handles messages as told and remembers every delivery.
final class Recorder: MessageHandler {
  struct Entry: Sendable {
    var delivery: Delivery
    var at: ContinuousClock.Instant
    var text: String { delivery.message.text }
  }

  private let log = Mutex<[Entry]>([])
  private let decide: @Sendable (Delivery) async -> Disposition

  init(_ decide: @escaping @Sendable (Delivery) async -> Disposition = { _ in .acknowledge }) { self.decide = decide }

  var entries: [Entry] { log.withLock { $0 } }
  var texts: [String] { entries.map(\.text) }

  func count(_ text: String) -> Int { log.withLock { $0.count { $0.text == text } } }
  func entries(of text: String) -> [Entry] { log.withLock { $0.filter { $0.text == text } } }

  func handle(_ deliveries: [Delivery]) async -> [Disposition] {
    log.withLock { log in log += deliveries.map { Entry(delivery: $0, at: .now) } }
    var dispositions: [Disposition] = []
    for delivery in deliveries { dispositions.append(await decide(delivery)) }
    return dispositions
  }
}

/// Checks half messages as told and remembers every check.
final class CheckRecorder: MessageChecker {
  struct Entry: Sendable {
    var half: HalfMessage
    var at: ContinuousClock.Instant
    var text: String { half.message.text }
  }

  private let log = Mutex<[Entry]>([])
  private let decide: @Sendable (HalfMessage) async -> CheckDecision

  init(_ decide: @escaping @Sendable (HalfMessage) async -> CheckDecision) { self.decide = decide }

  var entries: [Entry] { log.withLock { $0 } }
  func entries(of text: String) -> [Entry] { log.withLock { $0.filter { $0.text == text } } }

  func check(_ half: HalfMessage) async -> CheckDecision {
    log.withLock { $0.append(Entry(half: half, at: .now)) }
    return await decide(half)
  }
}

/// A switch that tests turn on, for handlers to wait at or to look at.
final class Gate: Sendable {
  private struct State {
    var isOpen = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())

  var isOpen: Bool { state.withLock { $0.isOpen } }

  func open() {
    let waiting = state.withLock { state in
      state.isOpen = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Returns when the gate is open, whether or not the task is cancelled.
  func pass() async {
    await withCheckedContinuation { continuation in
      let isOpen = state.withLock { state in
        if !state.isOpen { state.waiting.append(continuation) }
        return state.isOpen
      }
      if isOpen { continuation.resume() }
    }
  }
}

/// A value that several tasks change.
final class Box<Value: Sendable>: Sendable {
  private let state: Mutex<Value>

  init(_ value: Value) { state = Mutex(value) }

  var value: Value { state.withLock { $0 } }

  func update(_ change: (inout Value) -> Void) { state.withLock { change(&$0) } }
}
