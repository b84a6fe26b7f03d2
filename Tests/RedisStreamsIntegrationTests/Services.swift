import Messaging
import Synchronization

/// Acknowledges everything unless told otherwise, and remembers what it saw.
final class Collector: MessageHandler {
  private let bodies = Mutex<Set<String>>([])
  private let decide: @Sendable (Delivery) -> Disposition

  init(_ decide: @escaping @Sendable (Delivery) -> Disposition = { _ in .acknowledge }) { self.decide = decide }

  var seen: Set<String> { bodies.withLock { $0 } }

  func handle(_ deliveries: [Delivery]) async -> [Disposition] {
    bodies.withLock { bodies in
      for delivery in deliveries { bodies.insert(String(decoding: delivery.message.body, as: UTF8.self)) }
    }
    return deliveries.map(decide)
  }
}

/// What was committed, until the load is over.
final class Ledger: Sendable {
  private let state = Mutex<(texts: Set<String>, isClosed: Bool)>(([], false))

  var texts: Set<String> { state.withLock { $0.texts } }
  var isClosed: Bool { state.withLock { $0.isClosed } }
  func insert(_ text: String) { state.withLock { _ = $0.texts.insert(text) } }
  func close() { state.withLock { $0.isClosed = true } }
}

/// Commits every half message that got no answer.
struct Checks: MessageChecker {
  func check(_ half: HalfMessage) async -> CheckDecision { .commit }
}

/// Runs services while `body` runs. A service that ends before fails the test with its error.
func withServices(
  _ services: [@Sendable () async throws -> Void],
  body: @Sendable @escaping () async throws -> Void
) async throws {
  try await withThrowingTaskGroup(of: Void.self) { tasks in
    for service in services {
      tasks.addTask {
        try await service()
        if !Task.isCancelled { throw EndedEarly() }
      }
    }
    tasks.addTask {
      try await body()
      throw BodyEnded()
    }
    do {
      while try await tasks.next() != nil {}
    } catch is BodyEnded {
      tasks.cancelAll()
      try await tasks.waitForAll()
    }
  }
}

private struct BodyEnded: Error {}
private struct EndedEarly: Error {}

extension Result where Failure == any Error {
  init(_ body: () async throws -> Success) async {
    do { self = .success(try await body()) } catch { self = .failure(error) }
  }
}
