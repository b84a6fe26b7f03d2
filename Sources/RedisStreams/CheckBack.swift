import Logging
import Messaging
import RedisDriver
import Synchronization

/// Serves a topic's checks: finds half messages that are due, has them decided, carries the decisions out.
///
/// A half message that was never checked is found in the stream of half messages by its age, by a cursor that moves on;
/// one that was checked in vain, in the set `checks` by when it is due. So a pass costs what is due, however many wait.
/// The cursor goes back to the start with every fault and every new lease, so nothing it has passed can be missed.
///
/// The lease only saves double work: every step is decided by who finds the half message.
struct CheckBack<Checker: MessageChecker>: Sendable {
  let topic: Topic
  let keys: TopicKeys
  let server: StreamServer
  let options: RedisStreamsOptions
  let checker: Checker
  let logger: Logger

  private let name = uniqueName()
  private let faultLog = LogGate()
  private let pageMax = 128

  init(
    topic: Topic,
    keys: TopicKeys,
    server: StreamServer,
    options: RedisStreamsOptions,
    checker: Checker,
    logger: Logger
  ) {
    self.topic = topic
    self.keys = keys
    self.server = server
    self.options = options
    self.checker = checker
    self.logger = logger
  }

  /// Returns when the task is cancelled.
  func run() async throws(MessagingError) {
    var cursor: String?
    var faults = 0
    while !Task.isCancelled {
      var pause = options.checkInterval
      do throws(MessagingError) {
        if let now = try await lease() {
          // Those that never were checked first: there may always be more of the others.
          try await checkNew(atMs: now, after: &cursor)
          try await checkWaiting(atMs: now)
        } else {
          cursor = nil
        }
        faults = 0
      } catch {
        cursor = nil
        if Task.isCancelled { break }
        guard error.isTransient else { throw error }
        faults += 1
        faultLog.pass { suppressed in
          logger.warning(
            "checks wait for the broker",
            metadata: ["topic": "\(topic)", "error": "\(error)", "more": "\(suppressed)"]
          )
        }
        pause = options.backOff(afterFaults: faults)
      }
      try? await Task.sleep(for: pause, clock: .continuous)
    }
    await shielded {
      _ = try? await server.run(Scripts.release, as: Int.self, keys: [keys.checker]) { $0.argument(name) }
    }
  }

  /// The server's clock, ms since 1970; nil where another process serves.
  private func lease() async throws(MessagingError) -> Int64? {
    let durationMs = max(4 * options.checkInterval.wholeMilliseconds, 2000)
    let now = try await server.run(Scripts.lease, as: Int.self, keys: [keys.checker]) { writer in
      writer.argument(name)
      writer.argument(durationMs)
    }
    return now == 0 ? nil : Int64(now)
  }

  /// Those that were checked in vain and are due again.
  private func checkWaiting(atMs now: Int64) async throws(MessagingError) {
    while !Task.isCancelled {
      let due = try await server.call("ZRANGEBYSCORE", as: [Bytes].self) { writer in
        writer.argument(keys.checks)
        writer.argument("-inf" as StaticString)
        writer.argument(CheckScore.latestDue(atMs: now))
        writer.argument("WITHSCORES" as StaticString)
        writer.argument("LIMIT" as StaticString)
        writer.argument(0)
        writer.argument(pageMax)
      }
      guard due.count >= 2 else { return }
      try await decide(try await halves(due))
      guard due.count == 2 * pageMax, try await lease() != nil else { return }
    }
  }

  /// The half messages of a page of ids and scores. Those that are gone, their producers having answered in the end,
  /// are forgotten.
  private func halves(_ page: [Bytes]) async throws(MessagingError) -> [HalfMessage] {
    var halves: [HalfMessage] = []
    for index in stride(from: 0, to: page.count - 1, by: 2) {
      let id = String(decoding: page[index].bytes, as: UTF8.self)
      let score = CheckScore(score: Int(String(decoding: page[index + 1].bytes, as: UTF8.self)) ?? 0)
      let found = try await server.call("XRANGE", as: [StreamEntry].self) { writer in
        writer.argument(keys.half)
        writer.argument(id)
        writer.argument(id)
      }
      if let entry = found.first {
        halves.append(entry.half(in: topic, checks: score.checks))
      } else {
        try await forget(id)
      }
    }
    return halves
  }

  /// Those that are old enough and were never checked.
  private func checkNew(atMs now: Int64, after cursor: inout String?) async throws(MessagingError) {
    let newestMs = now - options.checkAfter.wholeMilliseconds
    guard newestMs >= 0 else { return }
    while !Task.isCancelled {
      let start = cursor.map { "(\($0)" } ?? "-"
      let page = try await server.call("XRANGE", as: [StreamEntry].self) { writer in
        writer.argument(keys.half)
        writer.argument(start)
        writer.argument(newestMs)
        writer.argument("COUNT" as StaticString)
        writer.argument(pageMax)
      }
      guard let last = page.last else { return }
      let scores = try await server.call("ZMSCORE", as: [Bytes?].self) { writer in
        writer.argument(keys.checks)
        for entry in page { writer.argument(entry.id) }
      }
      let unchecked = zip(page, scores).filter { $1 == nil }.map { $0.0 }
      try await decide(unchecked.map { $0.half(in: topic, checks: 0) })
      // A decision that a cancellation cut off must be found again.
      if Task.isCancelled { return }
      cursor = last.id
      guard page.count == pageMax, try await lease() != nil else { return }
    }
  }

  /// Checks several at a time. The first fault is thrown when all under way have ended.
  private func decide(_ halves: [HalfMessage]) async throws(MessagingError) {
    let fault = await withTaskGroup(of: MessagingError?.self) { group in
      var fault: MessagingError?
      for (index, half) in halves.enumerated() {
        if index >= options.checksAtOnce, let ended = await group.next() { fault = fault ?? ended }
        if fault != nil || Task.isCancelled { break }
        group.addTask { await check(half) }
      }
      for await ended in group { fault = fault ?? ended }
      return fault
    }
    if let fault { throw fault }
  }

  private func check(_ half: HalfMessage) async -> MessagingError? {
    let decision = await checker.check(half)
    do throws(MessagingError) {
      switch decision {
      case .commit: try await commit(half)
      case .rollBack: try await rollBack(half)
      case .undecided(let reason):
        // A check that was broken off says nothing about the message.
        if Task.isCancelled { return nil }
        try await putOff(half, reason)
      }
      return nil
    } catch {
      return error
    }
  }

  private func commit(_ half: HalfMessage) async throws(MessagingError) {
    _ = try await server.run(
      Scripts.commit,
      as: Int.self,
      keys: [keys.half, keys.topic, keys.checks]
    ) { writer in
      writer.argument(half.id)
      writer.argument(half.message.key)
      writer.argument(half.message.body)
    }
  }

  private func rollBack(_ half: HalfMessage) async throws(MessagingError) {
    _ = try await server.call("XDEL", as: Int.self) { writer in
      writer.argument(keys.half)
      writer.argument(half.id)
    }
    // It was in the set only if it was checked before; a fault in between is mended when it is due there.
    if half.checks > 0 { try await forget(half.id) }
  }

  private func putOff(_ half: HalfMessage, _ reason: String) async throws(MessagingError) {
    let checks = half.checks + 1
    if checks >= options.checksMax {
      let parked = try await server.run(
        Scripts.park,
        as: Int.self,
        keys: [keys.half, keys.parked, keys.checks]
      ) { writer in
        writer.argument(half.id)
        writer.argument(reason)
        writer.argument(checks)
      }
      guard parked == 1 else { return }
      logger.warning(
        "a half message is parked: its checks came to no decision",
        metadata: ["topic": "\(topic)", "id": "\(half.id)", "checks": "\(checks)", "reason": "\(reason)"]
      )
      return
    }
    _ = try await server.run(Scripts.undecided, as: Int.self, keys: [keys.checks]) { writer in
      writer.argument(checks)
      writer.argument(options.checkDelay(afterChecks: checks).wholeMilliseconds)
      writer.argument(half.id)
    }
  }

  private func forget(_ id: String) async throws(MessagingError) {
    _ = try await server.call("ZREM", as: Int.self) { writer in
      writer.argument(keys.checks)
      writer.argument(id)
    }
  }
}
