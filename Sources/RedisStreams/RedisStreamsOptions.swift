/// The broker's bounds and delays. Every process that serves a topic should have the same ones.
public struct RedisStreamsOptions: Sendable, Hashable {
  /// Age at which a half message without an answer is checked back. Longer than a purchase may take.
  public var checkAfter: Duration
  /// Pause between two looks for half messages that are due. Also the start of the pause after a fault.
  public var checkInterval: Duration
  /// The delay after the first check without a decision; it doubles with each up to ``checkDelayMax``.
  public var checkDelay: Duration
  public var checkDelayMax: Duration
  /// Checks without a decision after which a half message is parked, 1 to 1023.
  public var checksMax: Int
  /// How many checks of one process run at a time.
  public var checksAtOnce: Int

  /// The delay before the first redelivery of a message that was not acknowledged; it doubles with each, up to
  /// ``retryDelayMax``.
  public var retryDelay: Duration
  public var retryDelayMax: Duration
  /// Failures of a message's own after which it is dead, at least 1.
  public var failuresMax: Int
  /// The longest pause of a worker after a new batch of which nothing went through, its messages not being the cause.
  public var outagePauseMax: Duration
  /// How many messages of a group may be postponed before its workers take no new ones.
  public var postponedMax: Int
  /// How long a worker may keep a message without a sign of life. Then another one gets it.
  public var visibility: Duration
  /// The longest that a worker waits for new messages before it looks for what is due again, and the longest that it
  /// takes to hear that it is cancelled while it waits.
  public var pollInterval: Duration
  /// Pause between two trimmings by a worker.
  public var trimInterval: Duration
  /// Consumers that have nothing pending and were silent for that long are removed from the group.
  public var consumerIdleMax: Duration
  /// The longest pause of a worker or checker after faults of the server.
  public var backOffMax: Duration

  public init(
    checkAfter: Duration = .seconds(6),
    checkInterval: Duration = .milliseconds(500),
    checkDelay: Duration = .seconds(6),
    checkDelayMax: Duration = .seconds(60),
    checksMax: Int = 15,
    checksAtOnce: Int = 32,
    retryDelay: Duration = .seconds(1),
    retryDelayMax: Duration = .seconds(60),
    failuresMax: Int = 16,
    outagePauseMax: Duration = .seconds(2),
    postponedMax: Int = 100_000,
    visibility: Duration = .seconds(15),
    pollInterval: Duration = .milliseconds(250),
    trimInterval: Duration = .seconds(1),
    consumerIdleMax: Duration = .seconds(600),
    backOffMax: Duration = .seconds(1)
  ) {
    self.checkAfter = checkAfter
    self.checkInterval = checkInterval
    self.checkDelay = checkDelay
    self.checkDelayMax = checkDelayMax
    self.checksMax = min(max(checksMax, 1), CheckScore.checksMax)
    self.checksAtOnce = max(checksAtOnce, 1)
    self.retryDelay = retryDelay
    self.retryDelayMax = retryDelayMax
    self.failuresMax = max(failuresMax, 1)
    self.outagePauseMax = outagePauseMax
    self.postponedMax = max(postponedMax, 1)
    self.visibility = max(visibility, .milliseconds(10))
    self.pollInterval = max(pollInterval, .milliseconds(1))
    self.trimInterval = trimInterval
    self.consumerIdleMax = consumerIdleMax
    self.backOffMax = backOffMax
  }

  /// The delay before the next check of a half message that was checked so often without a decision.
  func checkDelay(afterChecks checks: Int) -> Duration {
    GrowingDelay(first: checkDelay, longest: checkDelayMax).delay(checks)
  }

  /// The delay before the next delivery of a message that was tried so often in vain.
  func retryDelay(afterTries tries: Int) -> Duration {
    GrowingDelay(first: retryDelay, longest: retryDelayMax).delay(tries)
  }

  /// The pause after so many faults of the server in a row.
  func backOff(afterFaults faults: Int) -> Duration {
    GrowingDelay(first: .milliseconds(10), longest: backOffMax).delay(faults)
  }
}

/// A delay that doubles with every try, up to a bound.
struct GrowingDelay: Sendable, Hashable {
  var first: Duration
  var longest: Duration

  /// `first * 2^(tries - 1)`, at most `longest`.
  func delay(_ tries: Int) -> Duration {
    var delay = min(first, longest)
    for _ in 1..<max(tries, 1) {
      if delay >= longest { break }
      delay = min(delay * 2, longest)
    }
    return delay
  }
}

extension Duration {
  /// Whole milliseconds, rounded up, so that a delay is never shorter than asked for. 0 to 2^53.
  var wholeMilliseconds: Int64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    guard seconds < 1 << 43 else { return 1 << 53 }
    return seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
  }
}
