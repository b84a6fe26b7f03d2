import Logging
import Messaging
import RedisDriver
import Synchronization

/// One worker of a group: reads, has handled, settles; redelivers what is due; trims.
///
/// At most one batch is in its hands. When nothing of a new batch goes through for another cause than the messages (the
/// database is away), it pauses, for longer each time, then takes one new message at a time until something goes
/// through: so an outage does not drain the topic into the set of postponed messages. What is tried again does not
/// make it pause: every postponed message has a delay of its own, and one that fails for long holds up no other.
struct Consumption<Handler: MessageHandler>: Sendable {
  let topic: Topic
  let keys: GroupKeys
  /// For all that does not block.
  let server: StreamServer
  /// For the blocking read.
  let reader: StreamServer
  let options: RedisStreamsOptions
  let batchMax: Int
  let handler: Handler
  let logger: Logger
  /// Unique for every loop of every process, so that a consumer's pending list is one loop's.
  let consumer = uniqueName()

  private let clock = ContinuousClock()
  private let faultLog = LogGate()

  /// Where the loop stands.
  private struct Progress {
    /// New batches in a row of which nothing went through.
    var outages = 0
    /// Faults of the server in a row.
    var faults = 0
    /// How many messages of the group were postponed at the last look.
    var postponed = 0
    var hasSettledSinceTrim = false
    var nextLook: ContinuousClock.Instant
    var nextTrim: ContinuousClock.Instant
    var nextReaping: ContinuousClock.Instant
  }

  init(
    topic: Topic,
    keys: GroupKeys,
    server: StreamServer,
    reader: StreamServer,
    options: RedisStreamsOptions,
    batchMax: Int,
    handler: Handler,
    logger: Logger
  ) {
    self.topic = topic
    self.keys = keys
    self.server = server
    self.reader = reader
    self.options = options
    self.batchMax = batchMax
    self.handler = handler
    self.logger = logger
  }

  /// Returns when the task is cancelled.
  func run() async throws(MessagingError) {
    let now = clock.now
    var progress = Progress(
      nextLook: now,
      nextTrim: now.advanced(by: options.trimInterval),
      nextReaping: now.advanced(by: options.consumerIdleMax)
    )
    var mustSubscribe = true
    while !Task.isCancelled {
      do throws(MessagingError) {
        if mustSubscribe {
          mustSubscribe = false
          try await subscribe()
        }
        try await round(&progress)
        progress.faults = 0
      } catch {
        if Task.isCancelled { break }
        // After any fault, since what was done before it may be undone: a server restarted empty.
        mustSubscribe = true
        guard error.isTransient || error.code == .noGroup else { throw error }
        await pause(after: error, &progress)
      }
    }
    await leave()
  }

  /// Making a group takes memory, though it be there already. A worker must begin on a full server too, since it is
  /// what empties it; where the group is missing indeed, the next command says so.
  private func subscribe() async throws(MessagingError) {
    do {
      try await server.createGroup(keys)
    } catch {
      guard error.code == .full else { throw error }
    }
  }

  /// What is due again, then what is new.
  private func round(_ progress: inout Progress) async throws(MessagingError) {
    var hasRedelivered = false
    if clock.now >= progress.nextLook {
      let due = try await takeDue(&progress)
      hasRedelivered = !due.isEmpty
      // Where something was due there may be more.
      progress.nextLook = hasRedelivered ? clock.now : clock.now.advanced(by: options.pollInterval)
      if hasRedelivered { try await process(due, areNew: false, &progress) }
    }
    try await keepHouse(&progress)
    if Task.isCancelled { return }
    if progress.postponed >= options.postponedMax {
      if !hasRedelivered { await sleep(options.pollInterval) }
      return
    }
    let fresh = try await readNew(atMost: progress.outages > 0 ? 1 : batchMax)
    if !fresh.isEmpty { try await process(fresh, areNew: true, &progress) }
  }

  private func pause(after error: MessagingError, _ progress: inout Progress) async {
    progress.faults += 1
    if error.code == .noGroup {
      logger.warning(
        "the group is not there (was the server emptied?); it is made again",
        metadata: ["topic": "\(topic)", "group": "\(keys.group)"]
      )
    } else {
      faultLog.pass { suppressed in
        logger.warning(
          "a worker waits for the broker",
          metadata: ["topic": "\(topic)", "group": "\(keys.group)", "error": "\(error)", "more": "\(suppressed)"]
        )
      }
    }
    await sleep(options.backOff(afterFaults: progress.faults))
  }

  /// Ends early when the task is cancelled; the loop sees that itself.
  private func sleep(_ duration: Duration) async { try? await Task.sleep(for: duration, clock: clock) }

  /// Nothing depends on it, and a server that is away is no reason to wait.
  private func leave() async {
    await shielded {
      _ = try? await server.run(Scripts.removeConsumers, as: Int.self, keys: [keys.keys.topic]) { writer in
        writer.argument(keys.group.name)
        writer.argument(Int64.max >> 10)
        writer.argument(consumer)
      }
    }
  }
}

// MARK: - Taking

extension Consumption {
  /// New messages, as many as there are up to the batch's size. Waits for the first one.
  private func readNew(atMost count: Int) async throws(MessagingError) -> [TakenMessage] {
    // The read may end late by what the server is busy with, but not by more than an ordinary time-out.
    let blockMs = max(options.pollInterval.wholeMilliseconds, 1)
    let timeout = options.pollInterval + reader.client.configuration.timeout
    let read = try await reader.call(
      "XREADGROUP",
      as: ReadEntries.self,
      options: CallOptions(whenUnreachable: .fail, whenCancelled: .awaitReply, timeout: timeout)
    ) { writer in
      writer.argument("GROUP" as StaticString)
      writer.argument(keys.group.name)
      writer.argument(consumer)
      writer.argument("COUNT" as StaticString)
      writer.argument(count)
      writer.argument("BLOCK" as StaticString)
      writer.argument(blockMs)
      writer.argument("STREAMS" as StaticString)
      writer.argument(keys.keys.topic)
      writer.argument(">" as StaticString)
    }
    return read.entries.map { taken($0, isRedelivery: false) }
  }

  /// What a worker without a sign of life had taken, then postponed messages that are due; a batch at most. In this
  /// order, since the former is soon done with, while there may always be more of the latter.
  private func takeDue(_ progress: inout Progress) async throws(MessagingError) -> [TakenMessage] {
    var batch: [TakenMessage] = []
    var next = "0-0"
    repeat {
      let claimed = try await claim(from: next, count: batchMax - batch.count)
      batch += claimed.entries.map { taken($0, isRedelivery: true) }
      next = claimed.next
    } while next != "0-0" && batch.count < batchMax
    let due = try await server.run(
      Scripts.takeDue,
      as: TakenPostponed.self,
      keys: [keys.due, keys.retry]
    ) { writer in
      writer.argument(options.visibility.wholeMilliseconds)
      writer.argument(batchMax - batch.count)
    }
    progress.postponed = due.postponed
    return batch + due.messages.map(taken)
  }

  private func claim(from start: String, count: Int) async throws(MessagingError) -> ClaimedEntries {
    try await server.call("XAUTOCLAIM", as: ClaimedEntries.self) { writer in
      writer.argument(keys.keys.topic)
      writer.argument(keys.group.name)
      writer.argument(consumer)
      writer.argument(options.visibility.wholeMilliseconds)
      writer.argument(start)
      writer.argument("COUNT" as StaticString)
      writer.argument(count)
    }
  }

  private func taken(_ id: String, _ message: PostponedMessage) -> TakenMessage {
    TakenMessage(
      delivery: Delivery(
        id: id,
        message: Message(topic: topic, key: message.key, body: message.body),
        failures: message.failures,
        isRedelivery: true
      ),
      source: .postponed,
      postponements: message.postponements
    )
  }

  private func taken(_ entry: StreamEntry, isRedelivery: Bool) -> TakenMessage {
    TakenMessage(
      delivery: Delivery(
        id: entry.id,
        message: entry.message(in: topic),
        failures: 0,
        isRedelivery: isRedelivery
      ),
      source: .stream,
      postponements: 0
    )
  }
}

// MARK: - Handling and settling

extension Consumption {
  /// Has a batch handled and settles it, to the end even where the task is cancelled meanwhile.
  private func process(
    _ batch: [TakenMessage],
    areNew: Bool,
    _ progress: inout Progress
  ) async throws(MessagingError) {
    let cancellation = CancellationFlag()
    let outcome = await withTaskCancellationHandler {
      await shielded {
        await whileRenewing(batch) {
          let dispositions = await handler.handle(batch.map(\.delivery))
          let settlement = Settlement(of: batch, by: dispositions, options: options)
          return (settlement, await settle(settlement, unless: cancellation))
        }
      }
    } onCancel: {
      cancellation.set()
    }
    let (settlement, result) = outcome
    try result.get()
    progress.hasSettledSinceTrim = true
    guard settlement.isOutage, let reason = settlement.outage else {
      progress.outages = 0
      return
    }
    guard areNew else { return }
    progress.outages += 1
    faultLog.pass { suppressed in
      logger.warning(
        "nothing of a batch went through; the worker pauses",
        metadata: ["topic": "\(topic)", "group": "\(keys.group)", "reason": "\(reason)", "more": "\(suppressed)"]
      )
    }
    await sleep(min(options.retryDelay(afterTries: progress.outages), options.outagePauseMax))
    progress.nextLook = clock.now
  }

  /// Tries until it is done, or until the fault is one that waiting can't mend. Once the task is cancelled, one more
  /// failure ends it: what is not settled is redelivered.
  private func settle(
    _ settlement: Settlement,
    unless cancellation: CancellationFlag
  ) async -> Result<Void, MessagingError> {
    var failures = 0
    while true {
      do throws(MessagingError) {
        try await server.settle(settlement, keys)
        return .success(())
      } catch {
        guard error.isTransient, !cancellation.isSet else { return .failure(error) }
        failures += 1
        faultLog.pass { suppressed in
          logger.warning(
            "a handled batch can't be settled yet",
            metadata: ["topic": "\(topic)", "group": "\(keys.group)", "error": "\(error)", "more": "\(suppressed)"]
          )
        }
        await sleep(options.backOff(afterFaults: failures))
      }
    }
  }

  /// Shows a sign of life for the batch every third of the time after which another worker would get it.
  private func whileRenewing<Value: Sendable>(
    _ batch: [TakenMessage],
    _ body: @Sendable @escaping () async -> Value
  ) async -> Value {
    let pending = batch.filter { $0.source == .stream }.map(\.delivery.id)
    let postponed = batch.filter { $0.source == .postponed }.map(\.delivery.id)
    return await withTaskGroup(of: Void.self) { group in
      group.addTask {
        while !Task.isCancelled {
          guard (try? await Task.sleep(for: options.visibility / 3, clock: clock)) != nil else { return }
          // A sign that does not get through is followed by the next one.
          try? await server.renew(pending: pending, postponed: postponed, by: consumer, keys, options)
        }
      }
      let value = await body()
      group.cancelAll()
      return value
    }
  }

  /// Trims now and then, and removes consumers of workers that are long gone.
  private func keepHouse(_ progress: inout Progress) async throws(MessagingError) {
    let now = clock.now
    if progress.hasSettledSinceTrim, now >= progress.nextTrim {
      progress.nextTrim = now.advanced(by: options.trimInterval)
      progress.hasSettledSinceTrim = false
      _ = try await server.trim(keys.keys)
    }
    guard now >= progress.nextReaping else { return }
    progress.nextReaping = now.advanced(by: options.consumerIdleMax)
    _ = try await server.run(Scripts.removeConsumers, as: Int.self, keys: [keys.keys.topic]) { writer in
      writer.argument(keys.group.name)
      writer.argument(options.consumerIdleMax.wholeMilliseconds)
      writer.argument("" as StaticString)
    }
  }
}

extension StreamServer {
  /// Carries out what was decided about a batch. Every step may be repeated.
  func settle(_ settlement: Settlement, _ keys: GroupKeys) async throws(MessagingError) {
    for ids in settlement.acknowledged.pieces {
      _ = try await call("XACK", as: Int.self) { writer in
        writer.argument(keys.keys.topic)
        writer.argument(keys.group.name)
        for id in ids { writer.argument(id) }
      }
    }
    for ids in settlement.acknowledgedPostponed.pieces {
      _ = try await run(Scripts.acknowledgePostponed, as: Int.self, keys: [keys.due, keys.retry]) { writer in
        for id in ids { writer.argument(id) }
      }
    }
    for messages in settlement.postponed.pieces {
      _ = try await run(Scripts.postpone, as: Int.self, keys: [keys.keys.topic, keys.due, keys.retry]) { writer in
        writer.argument(keys.group.name)
        for message in messages {
          writer.argument(message.id)
          writer.argument(message.delayMs)
          writer.argument(message.message.encoded)
        }
      }
    }
    for messages in settlement.dead.pieces {
      let all = [keys.keys.topic, keys.due, keys.retry, keys.keys.dead]
      _ = try await run(Scripts.deadLetter, as: Int.self, keys: all) { writer in
        writer.argument(keys.group.name)
        for message in messages {
          writer.argument(message.id)
          writer.argument(message.message.key)
          writer.argument(message.message.body)
          writer.argument(message.reason)
          writer.argument(message.attempts)
        }
      }
    }
  }

  func renew(
    pending: [String],
    postponed: [String],
    by consumer: String,
    _ keys: GroupKeys,
    _ options: RedisStreamsOptions
  ) async throws(MessagingError) {
    for ids in pending.pieces {
      _ = try await call("XCLAIM", as: RESPValue.self) { writer in
        writer.argument(keys.keys.topic)
        writer.argument(keys.group.name)
        writer.argument(consumer)
        writer.argument("0" as StaticString)
        for id in ids { writer.argument(id) }
        writer.argument("JUSTID" as StaticString)
      }
    }
    for ids in postponed.pieces {
      _ = try await run(Scripts.renew, as: Int.self, keys: [keys.due]) { writer in
        writer.argument(options.visibility.wholeMilliseconds)
        for id in ids { writer.argument(id) }
      }
    }
  }
}
