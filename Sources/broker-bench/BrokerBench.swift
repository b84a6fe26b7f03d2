import Glibc
import Messaging
import RedisDriver
import RedisStreams
import Synchronization

/// Measures the broker on a running server that has nothing else to do: many producers, each of which sends a half
/// message, commits it and begins again, and one worker that acknowledges all at once.
///
/// Usage: `broker-bench URL [PRODUCERS] [MESSAGES] [BODYBYTES] [executor|pool]`. Prints messages per second through the
/// whole path, the server's processor time for each by `INFO commandstats`, and this process' own.
@main
struct BrokerBench {
  static func main() async throws {
    let words = CommandLine.arguments
    guard words.count > 1 else {
      print("usage: broker-bench URL [PRODUCERS] [MESSAGES] [BODYBYTES] [executor|pool]")
      return
    }
    let producers = max(number(words, 2, 256), 1)
    let each = max(number(words, 3, 200_000) / producers, 1)
    let body = [UInt8](repeating: 7, count: number(words, 4, 100))
    let total = each * producers

    let client = try RedisClient(RedisURL(words[1]))
    let broker = RedisStreamsBroker(client)
    let topic = Topic("broker-bench-\(getpid())")
    let group = ConsumerGroup("bench")
    try await broker.subscribe(group, to: topic)
    let executor: (any TaskExecutor)? = words.last == "pool" ? nil : client.taskExecutor

    let statisticsBefore = try await statistics(client)
    let serverBefore = try await serverSeconds(client)
    let processorBefore = processorNanoseconds()
    let start = ContinuousClock.now
    let handler = Counter(until: total)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask(executorPreference: executor) {
        try await broker.consume(topic, as: group, batchMax: 500, handler: handler)
      }
      for producer in 0..<producers {
        tasks.addTask(executorPreference: executor) {
          for number in 0..<each {
            let key = Array("token-\(producer)-\(number)".utf8)
            let half = try await broker.sendHalf(Message(topic: topic, key: key, body: body))
            _ = try await broker.commit(half)
          }
        }
      }
      for _ in 0..<producers { try await tasks.next() }
      await handler.end()
      tasks.cancelAll()
    }
    let seconds = start.duration(to: .now) / .seconds(1)
    let processor = Double(processorNanoseconds() - processorBefore) / Double(total) / 1000
    let server = (try await serverSeconds(client) - serverBefore) / Double(total) * 1_000_000
    let after = try await statistics(client)
    print("messages=\(total) producers=\(producers) rate=\(Int(Double(total) / seconds))/s")
    print("  processor time a message: client \(round(processor))us, server \(round(server))us with its I/O")
    report(after, statisticsBefore, total)
    print("status: \(try await broker.status(of: topic, for: group))")
    await client.close()
  }

  private static func number(_ words: [String], _ index: Int, _ otherwise: Int) -> Int {
    words.count > index ? Int(words[index]) ?? otherwise : otherwise
  }

  /// The server's processor time since its start, user and system.
  private static func serverSeconds(_ client: RedisClient) async throws -> Double {
    let text = try await client.send(["INFO", "cpu"]).string ?? ""
    return text.split(whereSeparator: \.isNewline).reduce(0) { sum, line in
      let parts = line.split(separator: ":")
      guard parts.count == 2, parts[0] == "used_cpu_sys" || parts[0] == "used_cpu_user" else { return sum }
      return sum + (Double(parts[1]) ?? 0)
    }
  }

  /// Microseconds that each command has taken since the server's start, by the clock on the wall: on a busy machine
  /// they count what others did meanwhile.
  private static func statistics(_ client: RedisClient) async throws -> [String: Int] {
    let text = try await client.send(["INFO", "commandstats"]).string ?? ""
    var statistics: [String: Int] = [:]
    for line in text.split(whereSeparator: \.isNewline) where line.hasPrefix("cmdstat_") {
      let parts = line.dropFirst("cmdstat_".count).split(separator: ":", maxSplits: 1)
      let usec = parts.last?.split(separator: ",").first { $0.hasPrefix("usec=") }
      guard let name = parts.first, let usec else { continue }
      statistics[String(name)] = Int(usec.dropFirst("usec=".count))
    }
    return statistics
  }

  /// The commands that clients send; what scripts call is part of `evalsha`.
  private static func report(_ after: [String: Int], _ before: [String: Int], _ total: Int) {
    var sum = 0.0
    for name in ["evalsha", "xreadgroup", "xack"] {
      let usec = Double((after[name] ?? 0) - (before[name] ?? 0)) / Double(total)
      sum += usec
      print("  \(name): \(round(usec))us a message")
    }
    // XADD is called by clients for half messages and by scripts for commits, so half of its time is the former's.
    let append = Double((after["xadd"] ?? 0) - (before["xadd"] ?? 0)) / Double(total) / 2
    print("  xadd of the half message: \(round(append))us a message")
    print("  all of them: \(round(sum + append))us a message")
  }

  private static func round(_ value: Double) -> Double { (value * 100).rounded() / 100 }

  private static func processorNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}

/// Acknowledges everything and tells when it has seen so many.
private final class Counter: MessageHandler {
  private let left: Atomic<Int>
  private let ended: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation

  init(until count: Int) {
    left = Atomic(count)
    (ended, continuation) = AsyncStream.makeStream()
  }

  func end() async {
    for await _ in ended { return }
  }

  func handle(_ deliveries: [Delivery]) async -> [Disposition] {
    if left.subtract(deliveries.count, ordering: .relaxed).newValue <= 0 { continuation.finish() }
    return Array(repeating: .acknowledge, count: deliveries.count)
  }
}
