import Messaging

/// A message that a worker has taken.
struct TakenMessage: Sendable, Hashable {
  enum Source: Sendable, Hashable {
    /// It is in the group's pending list.
    case stream
    /// It is in the set of postponed messages.
    case postponed
  }

  var delivery: Delivery
  var source: Source
  /// How often it was put off for another cause than itself.
  var postponements: Int
}

/// What becomes of a batch: decided here, carried out by ``Consumption``.
struct Settlement: Sendable, Hashable {
  struct Postponed: Sendable, Hashable {
    var id: String
    var delayMs: Int64
    var message: PostponedMessage
  }

  struct Dead: Sendable, Hashable {
    var id: String
    var message: Message
    var reason: String
    var attempts: Int
  }

  /// Acknowledged, from the pending list.
  var acknowledged: [String] = []
  /// Acknowledged, from the postponed ones.
  var acknowledgedPostponed: [String] = []
  var postponed: [Postponed] = []
  var dead: [Dead] = []
  /// Why the first message was put off for another cause than itself, if one was.
  var outage: String?

  /// Whether nothing went through and the cause is not the messages: then the worker should wait, not read on.
  var isOutage: Bool { outage != nil && acknowledged.isEmpty && acknowledgedPostponed.isEmpty && dead.isEmpty }

  /// A message without a disposition is retried without counting; dispositions beyond the messages are ignored.
  init(of taken: [TakenMessage], by dispositions: [Disposition], options: RedisStreamsOptions) {
    for (index, message) in taken.enumerated() {
      let disposition =
        index < dispositions.count
        ? dispositions[index] : .retry("the handler decided nothing about it", countsAsAttempt: false)
      settle(message, disposition, options)
    }
  }

  private mutating func settle(_ taken: TakenMessage, _ disposition: Disposition, _ options: RedisStreamsOptions) {
    let delivery = taken.delivery
    switch disposition {
    case .acknowledge:
      switch taken.source {
      case .stream: acknowledged.append(delivery.id)
      case .postponed: acknowledgedPostponed.append(delivery.id)
      }
    case .retry(let reason, countsAsAttempt: true) where delivery.failures + 1 >= options.failuresMax:
      kill(delivery, reason)
    case .retry(let reason, let counts):
      if !counts, outage == nil { outage = reason }
      postpone(taken, counts: counts, options)
    case .deadLetter(let reason):
      kill(delivery, reason)
    }
  }

  private mutating func kill(_ delivery: Delivery, _ reason: String) {
    dead.append(
      Dead(id: delivery.id, message: delivery.message, reason: reason, attempts: delivery.failures + 1)
    )
  }

  private mutating func postpone(_ taken: TakenMessage, counts: Bool, _ options: RedisStreamsOptions) {
    let failures = taken.delivery.failures + (counts ? 1 : 0)
    let postponements = taken.postponements + (counts ? 0 : 1)
    let message = taken.delivery.message
    postponed.append(
      Postponed(
        id: taken.delivery.id,
        delayMs: options.retryDelay(afterTries: failures + postponements).wholeMilliseconds,
        message: PostponedMessage(
          failures: failures,
          postponements: postponements,
          key: message.key,
          body: message.body
        )
      )
    )
  }
}
