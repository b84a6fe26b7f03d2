import Glibc
import RedisDriver

/// Measures the driver against a running server: many tasks, each of which sends one command after the other.
///
/// Usage: `driver-bench URL [ping|set|get] [TASKS] [COMMANDS] [executor|pool] [abandon|await]`. Prints commands per second, and the
/// processor time of this process for each, so that it can be set beside `redis-benchmark -c 50 -P 64` on one server.
@main
struct DriverBench {
  static func main() async throws {
    let words = CommandLine.arguments
    guard words.count > 1 else {
      print("usage: driver-bench URL [ping|set|get] [TASKS] [COMMANDS] [executor|pool] [abandon|await]")
      return
    }
    let command = words.count > 2 ? words[2] : "ping"
    let tasks = words.count > 3 ? Int(words[3]) ?? 512 : 512
    let total = words.count > 4 ? Int(words[4]) ?? 1_000_000 : 1_000_000
    let onExecutor = words.count > 5 ? words[5] == "executor" : true
    let options = CallOptions(retry: .always, whenCancelled: words.last == "await" ? .awaitReply : .abandon)

    let client = try RedisClient(RedisURL(words[1]))
    try await client.connect()
    _ = try await client.send(["SET", "driver-bench", "value"])
    let each = max(total / max(tasks, 1), 1)
    let processorBefore = processorNanoseconds()
    let before = MonotonicTime.now
    let executor: (any TaskExecutor)? = onExecutor ? client.taskExecutor : nil
    try await withThrowingTaskGroup(of: Void.self) { group in
      for task in 0..<tasks {
        group.addTask(executorPreference: executor) {
          switch command {
          case "set": try await set(client, each, task, options)
          case "get": try await get(client, each, options)
          default: try await ping(client, each, options)
          }
        }
      }
      try await group.waitForAll()
    }
    let seconds = Double(MonotonicTime.now.nanoseconds - before.nanoseconds) / 1e9
    let processor = Double(processorNanoseconds() - processorBefore) / Double(each * tasks)
    await client.close()
    let rate = Int(Double(each * tasks) / seconds)
    print(
      "\(command) tasks=\(tasks) \(onExecutor ? "executor" : "pool") \(options.whenCancelled) rate=\(rate)/s clientCPU=\(Int(processor))ns"
    )
  }

  static func ping(_ client: RedisClient, _ count: Int, _ options: CallOptions) async throws {
    for _ in 0..<count { _ = try await client.call("PING", as: String.self, options: options) { _ in } }
  }

  static func get(_ client: RedisClient, _ count: Int, _ options: CallOptions) async throws {
    for _ in 0..<count {
      _ = try await client.call("GET", as: Bytes.self, options: options) { $0.argument("driver-bench") }
    }
  }

  static func set(_ client: RedisClient, _ count: Int, _ task: Int, _ options: CallOptions) async throws {
    for index in 0..<count {
      _ = try await client.call("SET", as: OK.self, options: options) { command in
        command.argument("driver-bench:key")
        command.argument(task &* 1_000_003 &+ index)
      }
    }
  }

  static func processorNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}
