import RedisDriver
import Stock

/// The shell of one ``DeductMachine``: does what it asks for and tells it what happened.
struct DeductCall {
  let router: RedisRouter
  let replication: Replication?
  let purchase: Purchase
  let bucket: BucketID
  /// How long the units are held, to be confirmed; nil to sell them.
  let holdMs: Int64?
  let deadline: MonotonicTime

  /// The first sending to the only server, with no replicas to wait for, is the way that has to be the fastest. Its frame
  /// is small, as those of all purchases that wait at a time share the processor's cache; what seldom follows has frames of
  /// its own.
  nonisolated(nonsending) func run() async throws(StockError) -> DeductOutcome {
    guard replication == nil, let client = router.client else { return try await goOn(after: nil) }
    let reply: Reply<StockReply>
    do throws(RedisError) {
      reply = try await client.call("STOCK.DEDUCT", as: StockReply.self, options: options) { write(&$0) }
    } catch {
      return try await goOn(after: event(of: error, Request(command: "STOCK.DEDUCT", key: bucket, effect: .changes)))
    }
    if reply.lostSendings == 0, let outcome = DeductMachine.outcome(of: reply.value) { return outcome }
    return try await goOn(after: .answered(reply.value, afterLoss: reply.lostSendings > 0))
  }

  /// From the beginning, or after what happened to the first sending.
  @inline(never)
  private nonisolated(nonsending) func goOn(
    after first: DeductMachine.Event?
  ) async throws(StockError) -> DeductOutcome {
    var machine = DeductMachine()
    var action = first.map { machine.handle($0) } ?? machine.start
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

  /// As ``run()``, with deposits that are put on sale in the deduction's own transaction.
  nonisolated(nonsending) func run(depositing deposits: [Deposit]) async throws(StockError) -> DepositedDeduction {
    guard !deposits.isEmpty else { return DepositedDeduction(deduction: try await run(), isDeposited: true) }
    var machine = DeductMachine()
    var action = machine.start
    var isDeposited = false
    while true {
      switch action {
      case .deduct(let attempt): action = machine.handle(await deduct(attempt, deposits, &isDeposited))
      case .fence(let attempt): action = machine.handle(await fence(attempt))
      case .lookUp(let attempt): action = machine.handle(await lookUp(attempt))
      case .finish(let outcome): return DepositedDeduction(deduction: outcome, isDeposited: isDeposited)
      case .fail(let error): throw error
      }
    }
  }

  /// The driver sends again what had no reply, until the deadline, and says so with the reply. A cancelled task waits
  /// for the reply all the same: the purchase may have been made.
  private var options: CallOptions {
    CallOptions(retry: .always, whenCancelled: .awaitReply, deadline: deadline)
  }

  private nonisolated(nonsending) func deduct(_ attempt: Int) async -> DeductMachine.Event {
    let request = Request(command: "STOCK.DEDUCT", key: bucket, effect: .changes)
    if attempt > 0, let stopped = await pause(attempt, request) { return stopped }
    return await ask("STOCK.DEDUCT", request) { write(&$0) }
  }

  @inline(__always)
  private func write(_ writer: inout CommandWriter) {
    writer.key(of: bucket)
    writer.argument(purchase.user.bytes)
    writer.argument(purchase.token.bytes)
    writer.argument(purchase.quantity)
    if let holdMs { writer.option("HOLD", holdMs) }
  }

  /// Sends a command that is answered with a status, wherever the bucket is, and waits for the replicas if it is to.
  private nonisolated(nonsending) func ask(
    _ command: StaticString,
    _ request: Request,
    _ encode: (inout CommandWriter) -> Void
  ) async -> DeductMachine.Event {
    let place = BucketPlace(bucket)
    do throws(RedisError) {
      guard let replication else {
        let reply = try await router.call(command, at: place, as: StockReply.self, options: options, encode)
        return .answered(reply.value, afterLoss: reply.lostSendings > 0)
      }
      let (reply, verdict) = try await router.call(
        command,
        at: place,
        as: StockReply.self,
        options: options,
        replicated: replication,
        need: \.replicaNeed,
        encode
      )
      if let shortfall = replication.shortfall(verdict) {
        return .unreplicated(request.error(.replyLost, shortfall))
      }
      return .answered(reply.value, afterLoss: reply.lostSendings > 0)
    } catch {
      return event(of: error, request)
    }
  }

  /// Sent again as a whole: what was deposited is not deposited twice. What `FENCE` says later concerns the purchase alone.
  private nonisolated(nonsending) func deduct(
    _ attempt: Int,
    _ deposits: [Deposit],
    _ isDeposited: inout Bool
  ) async -> DeductMachine.Event {
    let request = Request(command: "STOCK.DEDUCT", key: bucket, effect: .changes)
    if attempt > 0, let stopped = await pause(attempt, request) { return stopped }
    let commands = deposits.map { RedisCommand(depositing: $0, into: bucket) } + [deduction]
    do throws(RedisError) {
      let (replies, verdict) = try await transaction(commands)
      let answers = replies.value.map { StockReply.reading($0, lostSendings: replies.lostSendings) }
      guard answers.count == commands.count, let last = answers.last else {
        throw RedisError(
          .unexpectedReply,
          "unexpected reply: EXEC answered \(answers.count) of \(commands.count) commands"
        )
      }
      isDeposited = isDeposited || (verdict.isReplicated && answers.dropLast().allSatisfy(Self.isDeposit))
      let reply = try last.get()
      if let shortfall = replication?.shortfall(verdict), reply.replicaNeed != .nothing {
        return .unreplicated(request.error(.replyLost, shortfall))
      }
      return .answered(reply, afterLoss: replies.lostSendings > 0)
    } catch {
      return event(of: error, request)
    }
  }

  private nonisolated(nonsending) func transaction(
    _ commands: [RedisCommand]
  ) async throws(RedisError) -> (Reply<[RESPValue]>, ReplicaVerdict) {
    let place = BucketPlace(bucket)
    guard let replication else {
      return (try await router.transaction(commands, at: place, options: options), .replicated)
    }
    return try await router.transaction(
      commands,
      at: place,
      options: options,
      replicated: replication,
      need: StockReply.replicaNeed
    )
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
    return await ask("STOCK.FENCE", request) { writer in
      writer.key(of: bucket)
      writer.argument(purchase.token.bytes)
    }
  }

  private nonisolated(nonsending) func lookUp(_ attempt: Int) async -> DeductMachine.Event {
    let request = Request(command: "STOCK.GET", key: bucket, effect: .reads)
    if attempt > 0, let stopped = await pause(attempt, request) { return stopped }
    do {
      let reply = try await router.call("STOCK.GET", at: BucketPlace(bucket), as: RecordReply.self, options: options) {
        writer in
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
