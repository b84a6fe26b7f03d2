import RedisDriver
import Stock

/// The shell of one ``DeductMachine``: does what it asks for and tells it what happened.
struct DeductCall {
  var redis: RedisClient
  var purchase: Purchase
  var bucket: BucketID
  /// How long the units are held, to be confirmed; nil to sell them.
  var holdMs: Int64?
  var deadline: MonotonicTime
  /// Put on sale in the same transaction.
  var deposits: [Deposit] = []
  /// Whether a transaction was answered in which all deposits were there.
  private(set) var isDeposited = false

  init(redis: RedisClient, purchase: Purchase, bucket: BucketID, holdMs: Int64?, deadline: MonotonicTime) {
    self.redis = redis
    self.purchase = purchase
    self.bucket = bucket
    self.holdMs = holdMs
    self.deadline = deadline
  }

  nonisolated(nonsending) mutating func run() async throws(StockError) -> DeductOutcome {
    var machine = DeductMachine()
    var action = machine.start
    while true {
      switch action {
      case .deduct(let attempt): action = machine.handle(await deduct(attempt))
      case .fence(let attempt): action = machine.handle(await fence(attempt))
      case .lookUp(let attempt): action = machine.handle(await lookUp(attempt))
      case .finish(let outcome): return outcome
      case .fail(let error): throw error
      }
    }
  }

  /// The driver sends again what had no reply, until the deadline, and says so with the reply. A cancelled task waits
  /// for the reply all the same: the purchase may have been made.
  private var options: CallOptions {
    CallOptions(retry: .always, whenCancelled: .awaitReply, deadline: deadline)
  }

  private nonisolated(nonsending) mutating func deduct(_ attempt: Int) async -> DeductMachine.Event {
    let request = Request(command: "STOCK.DEDUCT", key: bucket, effect: .changes)
    if attempt > 0, let stopped = await pause(attempt, request) { return stopped }
    guard deposits.isEmpty else { return await depositAndDeduct(request) }
    do {
      let reply = try await redis.call("STOCK.DEDUCT", as: StockReply.self, options: options) { writer in
        writer.key(of: bucket)
        writer.argument(purchase.user.bytes)
        writer.argument(purchase.token.bytes)
        writer.argument(purchase.quantity)
        if let holdMs { writer.option("HOLD", holdMs) }
      }
      return .answered(reply.value, afterLoss: reply.lostSendings > 0)
    } catch {
      return event(of: error, request)
    }
  }

  /// Sent again as a whole: what was deposited is not deposited twice. What `FENCE` says later concerns the purchase alone.
  private nonisolated(nonsending) mutating func depositAndDeduct(_ request: Request) async -> DeductMachine.Event {
    do throws(RedisError) {
      let commands = deposits.map { RedisCommand(depositing: $0, into: bucket) } + [deduction]
      let replies = try await redis.transaction(commands, options: options)
      let answers = replies.value.map { StockReply.reading($0, lostSendings: replies.lostSendings) }
      isDeposited = isDeposited || answers.dropLast().allSatisfy(Self.isDeposit)
      guard answers.count == commands.count, let last = answers.last else {
        throw RedisError(
          .unexpectedReply,
          "unexpected reply: EXEC answered \(answers.count) of \(commands.count) commands"
        )
      }
      let reply = try last.get()
      return .answered(reply, afterLoss: replies.lostSendings > 0)
    } catch {
      return event(of: error, request)
    }
  }

  private var deduction: RedisCommand {
    let hold: [RedisCommand.Argument] = holdMs.map { ["HOLD", .init(Int($0))] } ?? []
    return RedisCommand(
      "STOCK.DEDUCT",
      [.init(bucket.key), .init(purchase.user.bytes), .init(purchase.token.bytes), .init(Int(purchase.quantity))] + hold
    )
  }

  private static func isDeposit(_ answer: Result<StockReply, RedisError>) -> Bool {
    guard case .success(let reply) = answer else { return false }
    return reply.status == .ok || reply.status == .duplicate
  }

  private nonisolated(nonsending) func fence(_ attempt: Int) async -> DeductMachine.Event {
    let request = Request(command: "STOCK.FENCE", key: bucket, effect: .changes)
    if attempt > 0, let stopped = await pause(attempt, request) { return stopped }
    do {
      let reply = try await redis.call("STOCK.FENCE", as: StockReply.self, options: options) { writer in
        writer.key(of: bucket)
        writer.argument(purchase.token.bytes)
      }
      return .answered(reply.value, afterLoss: reply.lostSendings > 0)
    } catch {
      return event(of: error, request)
    }
  }

  private nonisolated(nonsending) func lookUp(_ attempt: Int) async -> DeductMachine.Event {
    let request = Request(command: "STOCK.GET", key: bucket, effect: .reads)
    if attempt > 0, let stopped = await pause(attempt, request) { return stopped }
    do {
      let reply = try await redis.call("STOCK.GET", as: RecordReply.self, options: options) { writer in
        writer.key(of: bucket)
        writer.argument(purchase.token.bytes)
      }
      return .found(owner(by: reply.value.record))
    } catch {
      return event(of: error, request)
    }
  }

  private func owner(by record: RecordReply.Record?) -> DeductMachine.Owner {
    guard let record else { return .unsaid }
    switch record.state {
    case .cancelled: return .nobody
    case .held, .sold:
      guard let user = record.user, let quantity = record.quantity else { return .unsaid }
      return user == purchase.user && quantity == purchase.quantity ? .thisPurchase : .another
    }
  }

  private func event(of failure: RedisError, _ request: Request) -> DeductMachine.Event {
    let error = request.plainError(failure)
    let afterLoss = failure.lostSendings > 0
    if error.code == .replyLost || error.code == .protocolViolation { return .lost(error) }
    if error.code == .cancelled || error.code == .closed || deadline <= .now {
      return .stopped(error, afterLoss: afterLoss)
    }
    return .failed(error, afterLoss: afterLoss)
  }

  /// Waits before another attempt, longer from time to time. Not nil if there can be none.
  private nonisolated(nonsending) func pause(_ attempt: Int, _ request: Request) async -> DeductMachine.Event? {
    let now = MonotonicTime.now
    let left = deadline.nanoseconds - now.nanoseconds
    let longest = Self.firstPauseNs << Int64(min(attempt - 1, Self.pauseDoublingsMax))
    let pause = Int64.random(in: (longest / 2)...longest)
    guard left > pause else {
      return .stopped(request.error(.unavailable, "not answered before the deadline"), afterLoss: false)
    }
    do {
      try await Task.sleep(nanoseconds: UInt64(pause))
      return nil
    } catch {
      return .stopped(request.error(.cancelled, "the task was cancelled"), afterLoss: false)
    }
  }

  private static let firstPauseNs: Int64 = 4_000_000
  /// Up to a quarter of a second.
  private static let pauseDoublingsMax = 6
}

extension RedisCommand {
  fileprivate init(depositing deposit: Deposit, into bucket: BucketID) {
    self.init(
      "STOCK.DEPOSIT",
      .init(bucket.key),
      .init(deposit.name.bytes),
      .init(Int(deposit.quantity)),
      "FROM",
      .init(deposit.source)
    )
  }
}
