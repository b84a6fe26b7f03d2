/// How a command is to be treated when things go wrong.
public struct CallOptions: Sendable, Hashable {
  /// What happens to a command whose connection was lost before its reply.
  public enum Retry: Sendable, Hashable {
    /// It is sent again only if its last byte never left this process; else it fails with `replyLost`.
    case ifUnsent
    /// It is sent again until its deadline: for commands that do no harm when they run twice.
    case always
  }

  /// What happens to a command while no connection can be made.
  public enum WhenUnreachable: Sendable, Hashable {
    /// It waits for a connection until its deadline.
    case wait
    /// It fails with `cannotConnect` when an attempt to connect fails.
    case fail
  }

  /// What happens to a command, already sent, of a task that is cancelled.
  public enum WhenCancelled: Sendable, Hashable {
    /// The call fails at once with `cancelled`. The reply is dropped when it comes.
    case abandon
    /// The call waits for its reply, at most until its time-out, so that its outcome becomes known.
    case awaitReply
  }

  public var retry: Retry
  public var whenUnreachable: WhenUnreachable
  public var whenCancelled: WhenCancelled
  /// How long a sending may stay without reply. Then the connection is given up, with all that waits on it. Nil:
  /// the configuration's ``RedisClient/Configuration/timeout``. A command behind a slower one has the slower one's.
  public var timeout: Duration?
  /// From then on the command is not sent, nor sent again. Nil: the configuration's patience, from the call on.
  public var deadline: MonotonicTime?

  public init(
    retry: Retry = .ifUnsent,
    whenUnreachable: WhenUnreachable = .wait,
    whenCancelled: WhenCancelled = .abandon,
    timeout: Duration? = nil,
    deadline: MonotonicTime? = nil
  ) {
    self.retry = retry
    self.whenUnreachable = whenUnreachable
    self.whenCancelled = whenCancelled
    self.timeout = timeout
    self.deadline = deadline
  }

  /// Nothing is sent twice, and the rest is the configuration's.
  public static let once = CallOptions()
  /// For idempotent commands.
  public static let retrying = CallOptions(retry: .always)
}
