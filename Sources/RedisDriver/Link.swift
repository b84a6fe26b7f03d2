import Logging
import Synchronization

/// One connection to one server, made again whenever it is lost, with the commands that go over it.
///
/// All but the inbox and the count of losses is touched by the link's I/O thread alone, and nothing that is called while
/// a property is being changed comes back to it. So the properties of every command go without the run-time check for
/// overlapping accesses, which took a tenth of a command's time.
final class Link: @unchecked Sendable {
  typealias Entry = Outbox<Completion>.Entry

  /// Commands of callers on other threads.
  struct Batch: ~Copyable {
    var writer = CommandWriter()
    var entries: [Entry] = []
  }

  let inbox = Mutex(Batch())
  /// How many connections were lost; read by any thread.
  let losses = Atomic<UInt64>(0)

  /// Set once, before the link's first operation. The thread keeps the link, and outlives it.
  weak var thread: IOThread?
  let url: RedisURL
  /// What errors call the server.
  let server: String
  let logger: Logger
  let role: LinkRole
  /// Tells this link from those before it to the same server.
  let serial: UInt64
  @exclusivity(unchecked) var outbox = Outbox<Completion>()
  @exclusivity(unchecked) var machine: LinkMachine
  let greeting: Greeting
  let connectTimeout: Duration
  /// Nanoseconds, for commands that don't say.
  let timeout: Int64
  let patience: Int64

  /// The socket, and what is read from it; nil while there is no connection.
  @exclusivity(unchecked) var connection: Connection?
  /// Counts attempts to connect, so that a name that was resolved too late is known as such.
  var attempt = 0
  var candidates: ArraySlice<SocketAddress> = []
  var generator = SystemRandomNumberGenerator()
  /// Why there is no connection, as far as known.
  var lastFailure: RedisError?
  /// Noticed while commands are being written, and acted upon afterwards.
  @exclusivity(unchecked) var sendFailure: RedisError?

  /// The cluster that wants to hear of trouble with this node.
  weak var cluster: ClusterCore?
  private var troubleAfter = MonotonicTime(nanoseconds: .min)
  /// Nothing should wait for this server any more.
  private var isRetired = false

  private var closers: [UnsafeContinuation<Void, Never>] = []
  @exclusivity(unchecked) private var closing = false
  private(set) var isFinished = false
  @exclusivity(unchecked) private var unflushed = 0
  private var spare = Batch()

  final class Connection {
    let socket: Socket
    let parser: ReplyParser
    /// Replies to the greeting, or to the block of commands that is oldest in flight.
    @exclusivity(unchecked) var repliesSeen = 0
    @exclusivity(unchecked) var wantsToWrite = false
    /// True once all that the socket had was read: only then may silence be held against the server.
    var isDrained = true

    init(_ socket: consuming Socket, _ parser: ReplyParser) {
      self.socket = socket
      self.parser = parser
    }
  }

  private static let serials = Atomic<UInt64>(0)

  var connectionEpoch: UInt64 { serial << 32 | losses.load(ordering: .acquiring) }

  init(_ url: RedisURL, _ configuration: RedisClient.Configuration, role: LinkRole = .commands) {
    self.url = url
    self.role = role
    serial = Self.serials.wrappingAdd(1, ordering: .relaxed).newValue
    server = url.server
    logger = configuration.logger
    connectTimeout = configuration.connectTimeout
    timeout = configuration.timeout.wholeNanoseconds
    patience = configuration.patience.wholeNanoseconds
    greeting = Greeting(url, role)
    machine = LinkMachine(backOff: configuration.backOff, connectTimeout: connectTimeout.wholeNanoseconds)
  }

  /// A command whose bytes the caller, on this thread, has just written to the outbox.
  @inline(__always)
  func submit(_ entry: consuming Entry, _ now: MonotonicTime) {
    guard !closing else {
      outbox.writer.buffer.dropLast(entry.bytes)
      entry.ticket?.fail(closedError)
      return
    }
    entry.queuedAt = now
    outbox.append(entry)
    unflushed += 1
    // The server gets to work while more commands are being written; smaller portions cost it more than they gain.
    if unflushed >= max(16, outbox.inFlight), machine.state == .ready { flush() }
  }

  /// Moves the commands of other threads to the outbox.
  func takeInbox(_ now: MonotonicTime) {
    inbox.withLock { swap(&$0, &spare) }
    if !closing { outbox.writer.buffer.append(spare.writer.buffer.bytes) }
    for var entry in spare.entries {
      if closing {
        entry.ticket?.fail(closedError)
      } else {
        entry.queuedAt = now
        outbox.append(entry)
      }
    }
    spare.writer.buffer.removeAll()
    spare.entries.removeAll(keepingCapacity: true)
  }

  /// The thread has ended: nobody will take these commands.
  func rejectInbox() {
    let entries = inbox.withLock { batch in
      batch.writer.buffer.removeAll()
      defer { batch.entries.removeAll() }
      return batch.entries
    }
    for entry in entries { entry.ticket?.fail(closedError) }
  }

  func cancel(_ id: UInt64, _ now: MonotonicTime) {
    // The command may have come to the inbox without its announcement having come here.
    takeInbox(now)
    guard let (ticket, lostSendings) = outbox.abandon(id) else { return }
    ticket.fail(RedisError(.cancelled, "the task was cancelled", server: server, lostSendings: lostSendings))
  }

  /// Takes no more commands, and ends when those that are here have their outcome.
  func close(_ continuation: UnsafeContinuation<Void, Never>, _ now: MonotonicTime) {
    guard !isFinished else { return continuation.resume() }
    takeInbox(now)
    closing = true
    closers.append(continuation)
  }

  /// The client is gone, and with it all callers.
  func discard() { closing = true }

  var closedError: RedisError { RedisError(.closed, "the client is closed", server: server) }
}

extension Link {
  /// One round of the I/O thread: does what time and new commands ask for.
  func work(_ now: MonotonicTime) {
    if let failure = sendFailure {
      sendFailure = nil
      lose(.disconnected, failure, now)
    }
    if let due = replyDue, due <= now, connection?.isDrained == true { loseSilent(now) }
    if isRetired { endRetired(now) }
    if let cluster, let due = troubleDue, due <= now {
      troubleAfter = now.advanced(by: Self.silence)
      cluster.trouble(url.endpoint, now)
    }
    fail(outbox.expire(now: now), cause: lastFailure)
    if let subscription { keepAlive(subscription, now) }
    if machine.state == .ready { flush() }
    switch machine.tick(commandsWait: isWanted, now: now) {
    case .none: break
    case .connect: connect(now)
    case .tryNextAddress:
      connectToNextCandidate(RedisError(.cannotConnect, "cannot connect: no answer"), now)
    case .giveUp:
      attemptFailed(RedisError(.cannotConnect, "cannot connect: no answer within \(connectTimeout)"), now)
    }
    if closing, !outbox.hasListeners { finish() }
  }

  private var replyDue: MonotonicTime? { machine.state == .ready ? outbox.replyDue : nil }

  /// Whether there should be a connection.
  private var isWanted: Bool { !outbox.isEmpty || (subscription != nil && !closing) }

  /// When ``work(_:)`` has to be called at the latest.
  var wakeUp: MonotonicTime? {
    var earliest = replyDue
    func consider(_ time: MonotonicTime?) {
      if let time { earliest = earliest.map { min($0, time) } ?? time }
    }
    consider(outbox.waitingDue)
    consider(machine.wakeUp(commandsWait: isWanted))
    if cluster != nil { consider(troubleDue) }
    if isRetired { consider(retirementDue) }
    if let subscription, machine.state == .ready { consider(subscription.pingDue) }
    return earliest
  }

  private func finish() {
    connection = nil
    isFinished = true
    _ = outbox.failAll(.unreachable)
    for closer in closers { closer.resume() }
    closers = []
  }

  /// Gives the socket what it takes.
  func flush() {
    unflushed = 0
    guard let connection, outbox.hasUnsent, !connection.wantsToWrite, sendFailure == nil else { return }
    // The clock is read here, as a task on this thread may have kept everything waiting since the cycle began.
    let now = MonotonicTime.now
    fail(outbox.expire(now: now), cause: lastFailure)
    while outbox.hasUnsent {
      switch connection.socket.send(outbox.unsent) {
      case .bytes(let count): outbox.markSent(count, now: now)
      case .wouldBlock:
        connection.wantsToWrite = true
        return
      case .ended: return
      case .failed(let number):
        sendFailure = RedisError(.replyLost, "connection lost: \(systemError(number))")
        return
      }
    }
  }

  /// Tells callers of their commands' failure.
  func fail(_ failed: [Outbox<Completion>.Failed], cause: RedisError?) {
    for item in failed {
      let because = cause.map { ": \($0.message)" } ?? ""
      let (code, message): (RedisError.Code, String) =
        switch item.failure {
        case .notSent: (.notSent, "not sent before the command's deadline\(because)")
        case .replyLost: (.replyLost, "no reply to the command\(because)")
        case .timedOut: (.timedOut, "time-out\(because)")
        case .protocolViolation: (.protocolViolation, cause?.message ?? "protocol violation")
        case .unreachable: (cause?.code ?? .cannotConnect, cause?.message ?? "no connection")
        }
      item.ticket.fail(RedisError(code, message, server: server, lostSendings: item.lostSendings))
    }
  }

  // MARK: Nodes of a cluster

  /// Nanoseconds of silence after which the cluster looks whether a node is still what it was; and those that a node
  /// without slots gets for its last replies.
  private static let silence: Int64 = 500_000_000
  private static let lastReplies: Int64 = 250_000_000

  private var troubleDue: MonotonicTime? {
    outbox.oldestQueuedAt.map { max($0.advanced(by: Self.silence), troubleAfter) }
  }

  private var retirementDue: MonotonicTime? { outbox.oldestQueuedAt.map { $0.advanced(by: Self.lastReplies) } }

  /// Others have the node's slots now. What waits for it is given back, to be sent there.
  func retire(_ now: MonotonicTime) {
    cluster = nil
    isRetired = true
  }

  private func endRetired(_ now: MonotonicTime) {
    let cause = RedisError(.replyLost, "the node has left the cluster or has no slots any more")
    if machine.state != .ready {
      fail(outbox.failImpatient(), cause: RedisError(.cannotConnect, cause.message))
    } else if let due = retirementDue, due <= now {
      lose(.disconnected, cause, now)
    }
  }

  /// The server has kept the oldest command waiting for too long.
  private func loseSilent(_ now: MonotonicTime) {
    let patience = Duration.nanoseconds(outbox.oldest?.timeout ?? 0)
    lose(.timedOut, RedisError(.timedOut, "no reply within \(patience)"), now)
  }
}
