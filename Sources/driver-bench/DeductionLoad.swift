import Glibc
import Stock
import StockClient

/// Many tasks that each make one deduction after the other.
struct DeductionLoad: Sendable {
  struct Report: Codable, Sendable {
    var commands: Int
    var tasks: Int
    var accepted: Int
    var refused: Int
    var seconds: Double
    var commandsPerSecond: Double
    /// Processor time of this whole process over the run, the making of tokens included.
    var clientMicrosecondsPerCommand: Double
  }

  var client: StockClient
  var sku: SKU
  /// Each deduction goes to its buyer's home among so many.
  var buckets = 1
  /// Part of the tokens, so that runs don't share them.
  var run: UInt64
  var tasks: Int
  var commands: Int

  func measure(on executor: (any TaskExecutor)?) async throws -> Report {
    let cpuBefore = Self.cpuSeconds()
    let start = ContinuousClock.now
    let accepted = try await withThrowingTaskGroup(of: Int.self) { group in
      for task in 0..<tasks {
        group.addTask(executorPreference: executor) { try await deductions(of: task) }
      }
      return try await group.reduce(0, +)
    }
    let seconds = start.duration(to: .now) / .seconds(1)
    let cpu = Self.cpuSeconds() - cpuBefore
    return Report(
      commands: commands,
      tasks: tasks,
      accepted: accepted,
      refused: commands - accepted,
      seconds: seconds,
      commandsPerSecond: Double(commands) / seconds,
      clientMicrosecondsPerCommand: cpu * 1_000_000 / Double(commands)
    )
  }

  /// Returns how many were accepted.
  private nonisolated(nonsending) func deductions(of task: Int) async throws -> Int {
    let deadline = ContinuousClock.now + .seconds(600)
    var accepted = 0
    for number in stride(from: task, to: commands, by: tasks) {
      let purchase = try Purchase(sku: sku, user: user(number), token: token(number))
      let bucket = BucketID(sku: sku, index: purchase.user.homeBucket(among: buckets))
      switch try await client.deduct(purchase, from: bucket, before: deadline) {
      case .accepted(_, _, isRepeat: false): accepted += 1
      case .refused(.soldOut, _): break
      case .accepted(_, _, isRepeat: true), .refused, .cancelled, .unknown: throw UnexpectedOutcome()
      }
    }
    return accepted
  }

  struct UnexpectedOutcome: Error {}

  /// `u` and 12 digits, as `u__rand_int__` makes them for `redis-benchmark`.
  private func user(_ number: Int) throws -> UserID {
    let bytes = [UInt8](unsafeUninitializedCapacity: 13) { bytes, count in
      bytes.initialize(repeating: UInt8(ascii: "u"))
      Self.write(UInt64(number), radix: 10, into: bytes[1..<13])
      count = 13
    }
    return try UserID(bytes: bytes)
  }

  /// 36 characters, the length of a UUID.
  private func token(_ number: Int) throws -> Token {
    let bytes = [UInt8](unsafeUninitializedCapacity: 36) { bytes, count in
      bytes.initialize(repeating: UInt8(ascii: "-"))
      Self.write(run, radix: 16, into: bytes[0..<16])
      Self.write(UInt64(number), radix: 16, into: bytes[17..<36])
      count = 36
    }
    return try Token(bytes: bytes)
  }

  @inline(__always)
  private static func write(_ number: UInt64, radix: UInt64, into slice: Slice<UnsafeMutableBufferPointer<UInt8>>) {
    let bytes = UnsafeMutableBufferPointer(rebasing: slice)
    var rest = number
    for index in bytes.indices.reversed() {
      let digit = UInt8(truncatingIfNeeded: rest % radix)
      bytes[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
      rest /= radix
    }
  }

  private static func cpuSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1_000_000_000
  }
}
