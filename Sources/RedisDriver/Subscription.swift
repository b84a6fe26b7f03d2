/// What a connection that is subscribed to channels hears. Its methods are called on the I/O thread.
final class Subscription: @unchecked Sendable {
  typealias Handler = @Sendable (SubscriptionEvent) -> Void

  let channels: [String]
  let inquiry: RedisCommand?
  private let handler: Handler
  /// Nanoseconds from one sign of life that is asked for to the next, and until its answer must be there.
  let pingInterval: Int64
  let pingTimeout: Int64

  private(set) var pingDue = MonotonicTime.distantFuture
  private var sentAt: MonotonicTime?
  /// The server has answered something that was asked at this time: so what it says next was said later.
  private var heardSince = MonotonicTime(nanoseconds: .min)
  private var learnt: RESPValue?

  init(
    channels: [String],
    inquiry: RedisCommand?,
    pingInterval: Duration,
    pingTimeout: Duration,
    handler: @escaping Handler
  ) {
    self.channels = channels
    self.inquiry = inquiry
    self.pingInterval = pingInterval.wholeNanoseconds
    self.pingTimeout = pingTimeout.wholeNanoseconds
    self.handler = handler
  }

  /// The answer to the inquiry is on the tape.
  func learn(_ tape: ReplyTape) {
    var reply = ReplyCursor(tape)
    // What can't be read is not known.
    learnt = try? reply.value()
  }

  /// The greeting or a `PING` is being sent.
  func asked(_ now: MonotonicTime) {
    sentAt = now
    pingDue = .distantFuture
  }

  /// What was sent last is answered.
  func answered() {
    guard let sentAt else { return }
    heardSince = sentAt
    self.sentAt = nil
    pingDue = sentAt.advanced(by: pingInterval)
  }

  func up() {
    answered()
    handler(.up(learnt))
  }

  func down(_ cause: RedisError) {
    sentAt = nil
    pingDue = .distantFuture
    learnt = nil
    handler(.down(cause))
  }

  /// Takes a message from a channel; false for anything else.
  func take(_ tape: ReplyTape) -> Bool {
    var reply = ReplyCursor(tape)
    do throws(RedisError) {
      guard reply.nextKind == .array, try reply.array() == 3, try reply.string() == "message" else { return false }
      let channel = try reply.string()
      handler(.message(channel: channel, payload: try reply.bytes(), after: heardSince))
      return true
    } catch {
      return false
    }
  }
}

/// What becomes of a subscription. Handlers run on the client's I/O thread and must be short.
public enum SubscriptionEvent: Sendable {
  /// All channels are subscribed to, again after each loss. With the answer to the inquiry, an error too, if there was
  /// one.
  case up(RESPValue?)
  /// Nothing is heard; what is said meanwhile is lost.
  case down(RedisError)
  /// Said by the server after that time.
  case message(channel: String, payload: [UInt8], after: MonotonicTime)
}

/// A subscription to channels over a connection of its own, made again whenever it is lost, until it is closed or goes.
public final class RedisSubscription: Sendable {
  private let client: RedisClient

  init(_ client: RedisClient) { self.client = client }

  public nonisolated(nonsending) func close() async { await client.close() }
}

extension RedisClient {
  /// Subscribes to channels of the same server over another connection, on the same I/O thread.
  ///
  /// - Parameters:
  ///   - inquiry: a command that is sent on each new connection before the channels are subscribed to, such as
  ///     `CONFIG GET`; its answer comes with `up`.
  ///   - pingInterval: how often the server is asked for a sign of life, which must come within `pingTimeout`.
  /// - Throws: `RedisError` with the code `closed`.
  public func subscribe(
    to channels: [String],
    inquiry: RedisCommand? = nil,
    pingInterval: Duration = .milliseconds(250),
    pingTimeout: Duration = .seconds(1),
    handler: @escaping @Sendable (SubscriptionEvent) -> Void
  ) throws(RedisError) -> RedisSubscription {
    let subscription = Subscription(
      channels: channels,
      inquiry: inquiry,
      pingInterval: pingInterval,
      pingTimeout: pingTimeout,
      handler: handler
    )
    return RedisSubscription(try makeSibling(url, role: .subscription(subscription)))
  }
}

extension Link {
  var subscription: Subscription? {
    if case .subscription(let subscription) = role { subscription } else { nil }
  }

  /// Asks for a sign of life when it is time to.
  func keepAlive(_ subscription: Subscription, _ now: MonotonicTime) {
    guard machine.state == .ready, subscription.pingDue <= now else { return }
    let bytes = outbox.writer.command(RedisCommand("PING"))
    var entry = Entry(
      id: 0,
      bytes: bytes,
      replies: 1,
      retry: .ifUnsent,
      whenUnreachable: .fail,
      timeout: subscription.pingTimeout,
      deadline: .distantFuture,
      ticket: nil
    )
    entry.queuedAt = now
    outbox.append(entry)
    subscription.asked(now)
  }
}
