import Logging
import Synchronization

/// A client of one server. Commands of any number of tasks share its one connection, pipelined without their asking.
///
/// The connection is made with the first command and made again whenever it is lost. Call ``close()`` in the end.
///
/// Tasks that send many commands are fastest on ``taskExecutor``, where a command is written to the connection's
/// buffer without lock or change of thread. What runs there must not block: it would hold up all commands.
public final class RedisClient: Sendable {
  public struct Configuration: Sendable {
    /// From the first packet to the end of the greeting; also of each later attempt. A host's addresses share it.
    public var connectTimeout: Duration
    /// How long one sending of a command may stay without reply.
    public var timeout: Duration
    /// How long a command without a deadline may wait to be sent, and to be sent again.
    public var patience: Duration
    public var backOff: BackOff
    public var logger: Logger

    public init(
      connectTimeout: Duration = .seconds(5),
      timeout: Duration = .seconds(5),
      patience: Duration = .seconds(10),
      backOff: BackOff = BackOff(),
      logger: Logger = Logger(label: "doorbuster.redis")
    ) {
      self.connectTimeout = connectTimeout
      self.timeout = timeout
      self.patience = patience
      self.backOff = backOff
      self.logger = logger
    }
  }

  public let url: RedisURL
  public let configuration: Configuration
  private let thread: IOThread
  private let link: Link
  private let nextID = Atomic<UInt64>(0)
  private let barrier = ReplicaBarrier()

  /// Starts an I/O thread, and does not connect yet.
  /// - Throws: `RedisError` with the code `systemFailure` if the system grants no thread.
  public convenience init(_ url: RedisURL, configuration: Configuration = Configuration()) throws(RedisError) {
    let link = Link(url, configuration)
    let thread = try IOThread.start(with: link)
    self.init(url, configuration, thread, link)
  }

  private init(_ url: RedisURL, _ configuration: Configuration, _ thread: IOThread, _ link: Link) {
    self.url = url
    self.configuration = configuration
    self.thread = thread
    self.link = link
  }

  deinit { _ = thread.post(.discard(link)) }

  /// The client's I/O thread. It may be used as long as one likes: when the client is closed, tasks go on elsewhere.
  public var taskExecutor: any TaskExecutor { thread }

  /// Changes whenever the connection is lost, and is another for each client. What was learnt about the server before may
  /// not hold for the one that answers afterwards.
  public var connectionEpoch: UInt64 { link.connectionEpoch }

  /// Makes sure that there is a connection and that the server answers.
  /// - Throws: what the first attempt failed with: `cannotConnect`, or `refused` with the server's own words.
  public nonisolated(nonsending) func connect() async throws(RedisError) {
    _ = try await call("PING", as: RESPValue.self, options: CallOptions(retry: .always, whenUnreachable: .fail)) { _ in
    }
  }

  /// A client of its own connection to the same server, on the same I/O thread: for commands that block, such as
  /// `XREADGROUP … BLOCK`, which would hold up all that come after them. Cheap; to be closed like any.
  /// - Throws: `RedisError` with the code `closed`.
  public func makeDedicated() throws(RedisError) -> RedisClient { try makeSibling(url) }

  /// A client of another server on the same I/O thread. To be closed like any.
  /// - Throws: `RedisError` with the code `closed`.
  public func makeSibling(_ url: RedisURL) throws(RedisError) -> RedisClient { try makeSibling(url, role: .commands) }

  func makeSibling(_ url: RedisURL, role: LinkRole) throws(RedisError) -> RedisClient {
    try RedisClient(url, configuration, on: thread, role: role, of: nil)
  }

  /// - Parameter cluster: hears of trouble with the server, which is one of its nodes.
  convenience init(
    _ url: RedisURL,
    _ configuration: Configuration,
    on thread: IOThread,
    role: LinkRole,
    of cluster: ClusterCore?
  ) throws(RedisError) {
    let link = Link(url, configuration, role: role)
    link.thread = thread
    link.cluster = cluster
    guard thread.post(.add(link)) else { throw link.closedError }
    self.init(url, configuration, thread, link)
  }

  /// Its server has nothing to do any more: what waits for it fails soon, to be sent elsewhere.
  func retire() { _ = thread.post(.retire(link)) }

  /// Lends a client as ``makeDedicated()`` makes it, and closes it afterwards.
  public nonisolated(nonsending) func withDedicatedConnection<Result>(
    _ body: nonisolated(nonsending) (RedisClient) async throws -> Result
  ) async throws -> Result {
    let client = try makeDedicated()
    do {
      let result = try await body(client)
      await client.close()
      return result
    } catch {
      await client.close()
      throw error
    }
  }

  /// Waits until so many replicas have all that was written over a connection before this call; with a mark, all that
  /// was written to the server before it, by whomever (see ``ReplicaNeed/earlierChange``).
  ///
  /// Callers that come while others wait are answered together, by the next `WAIT`: so there is one for many commands
  /// that were sent together. While it waits the server takes no other command from this connection.
  /// - Parameters:
  ///   - connection: the reply's, of the command that matters. If it is gone, nothing can be said.
  ///   - mark: a key of this server that nothing else uses. It is set, and expires within a second.
  public nonisolated(nonsending) func replication(
    of connection: UInt64,
    to replicas: Replication,
    mark: String? = nil
  ) async -> ReplicaVerdict {
    switch await barrier.wait(replicas, mark: mark, on: self) {
    case .failure(let error): return .untold(error)
    case .success(let answer):
      if mark != nil, let error = answer.markError { return .untold(error) }
      guard answer.count.connection == connection else {
        return .untold(RedisError(.replyLost, "the connection of the command is gone", server: url.server))
      }
      return answer.count.value >= replicas.count ? .replicated : .tooFew
    }
  }

  /// Refuses further commands with `closed`, waits until those under way have their outcome, and disconnects.
  /// Each of them ends by its deadline and time-out at the latest.
  public nonisolated(nonsending) func close() async {
    await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
      if !thread.post(.close(link, continuation)) { continuation.resume() }
    }
  }
}

/// Commands.
extension RedisClient {
  /// Sends a command whose arguments `encode` writes straight to the connection's buffer, and decodes its reply
  /// without a value in between: the fastest way.
  ///
  /// `encode` is called once, at once, with a lock held: it must do nothing but write arguments. `name` must not be a
  /// command that changes the connection, such as `SELECT` or `SUBSCRIBE`.
  /// - Throws: `RedisError`; the codes say what has happened, and `outcomeIsUnknown` whether the command may have run.
  @inlinable
  public nonisolated(nonsending) func call<Value: RedisReply>(
    _ name: StaticString,
    as type: Value.Type = Value.self,
    options: CallOptions = .once,
    _ encode: (inout CommandWriter) -> Void
  ) async throws(RedisError) -> Reply<Value> {
    try await perform(replies: 1, options: options) { writer in
      name.withUTF8Buffer { writer.command(UnsafeRawBufferPointer($0), encode) }
    }
  }

  /// Sends a command and decodes its reply.
  /// - Throws: `RedisError`, with the code `invalidCommand` also for what changes the connection (`SELECT`, `MULTI`…).
  public nonisolated(nonsending) func call<Value: RedisReply>(
    _ command: RedisCommand,
    as type: Value.Type = Value.self,
    options: CallOptions = .once
  ) async throws(RedisError) -> Reply<Value> {
    if let refusal = command.refusal { throw refusal }
    return try await perform(replies: 1, options: options) { $0.command(command) }
  }

  /// Sends a command. An error reply is thrown as a `RedisError` with the code `serverError`.
  public nonisolated(nonsending) func send(
    _ command: RedisCommand,
    options: CallOptions = .once
  ) async throws(RedisError) -> RESPValue {
    try await call(command, as: RESPValue.self, options: options).value
  }

  /// Sends commands in one piece, with no others in between, and returns their replies in order; an error reply
  /// stands among them as `RESPValue.error`. They are not atomic. Sent again, if at all, all of them are.
  public nonisolated(nonsending) func pipeline(
    _ commands: [RedisCommand],
    options: CallOptions = .once
  ) async throws(RedisError) -> Reply<[RESPValue]> {
    for command in commands { if let refusal = command.refusal { throw refusal } }
    guard !commands.isEmpty else { return Reply(value: [], lostSendings: 0, connection: connectionEpoch) }
    let block: Reply<ReplyBlock> = try await perform(replies: commands.count, options: options) { writer in
      commands.reduce(0) { $0 + writer.command($1) }
    }
    return Reply(value: block.value.replies, lostSendings: block.lostSendings, connection: block.connection)
  }

  /// Runs commands as one transaction (`MULTI` … `EXEC`): all or none, with no others in between. Returns their replies;
  /// an error that came up while they ran stands among them as `RESPValue.error`, and the others have run.
  /// - Throws: `RedisError`; with the code `serverError` if the server refused one of the commands, and so ran none.
  public nonisolated(nonsending) func transaction(
    _ commands: [RedisCommand],
    options: CallOptions = .once
  ) async throws(RedisError) -> Reply<[RESPValue]> {
    try await transaction(commands, options: options, asking: false)
  }

  /// - Parameter asking: for a node of a cluster that the keys are on their way to. It holds from `MULTI` to `EXEC`.
  nonisolated(nonsending) func transaction(
    _ commands: [RedisCommand],
    options: CallOptions,
    asking: Bool
  ) async throws(RedisError) -> Reply<[RESPValue]> {
    for command in commands { if let refusal = command.refusal { throw refusal } }
    guard !commands.isEmpty else { return Reply(value: [], lostSendings: 0, connection: connectionEpoch) }
    let all = (asking ? [RedisCommand("ASKING")] : []) + [RedisCommand("MULTI")] + commands + [RedisCommand("EXEC")]
    let block: Reply<ReplyBlock> = try await perform(replies: all.count, options: options) { writer in
      all.reduce(0) { $0 + writer.command($1) }
    }
    let lostSendings = block.lostSendings
    if case .array(let replies)? = block.value.replies.last {
      return Reply(value: replies, lostSendings: lostSendings, connection: block.connection)
    }
    // Why a command was refused says more than the EXECABORT that follows from it.
    for case .error(let message) in block.value.replies {
      throw RedisError(.serverError, message, server: url.server, lostSendings: lostSendings)
    }
    throw RedisError(
      .unexpectedReply,
      "unexpected reply: EXEC answered with no array",
      server: url.server,
      lostSendings: lostSendings
    )
  }
}

/// Nodes of a cluster.
extension RedisClient {
  /// As ``call(_:as:options:_:)``, of a key that is on its way to this node.
  @inlinable
  nonisolated(nonsending) func callAsking<Value: RedisReply>(
    _ name: StaticString,
    options: CallOptions,
    _ encode: (inout CommandWriter) -> Void
  ) async throws(RedisError) -> Reply<Value> {
    let reply: Reply<AskedReply<Value>> = try await perform(replies: 2, options: options) { writer in
      let asking = writer.command(RedisCommand("ASKING"))
      return asking + name.withUTF8Buffer { writer.command(UnsafeRawBufferPointer($0), encode) }
    }
    return Reply(value: reply.value.value, lostSendings: reply.lostSendings, connection: reply.connection)
  }

  nonisolated(nonsending) func callAsking<Value: RedisReply>(
    _ command: RedisCommand,
    options: CallOptions
  ) async throws(RedisError) -> Reply<Value> {
    let reply: Reply<AskedReply<Value>> = try await perform(replies: 2, options: options) { writer in
      writer.command(RedisCommand("ASKING")) + writer.command(command)
    }
    return Reply(value: reply.value.value, lostSendings: reply.lostSendings, connection: reply.connection)
  }

  /// Asks the node for its map of the cluster. To be called on the I/O thread.
  func ask(_ inquiry: SlotsInquiry, before deadline: MonotonicTime) {
    let options = CallOptions(whenUnreachable: .fail, deadline: deadline)
    submit(newID(), 1, options, Completion(inquiry)) { $0.command(RedisCommand("CLUSTER", "SLOTS")) }
  }
}

/// The reply that follows the one to `ASKING`.
@usableFromInline
struct AskedReply<Value: RedisReply>: RedisReply {
  @usableFromInline var value: Value

  @usableFromInline
  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    try reply.skip()
    if reply.nextKind == .error { throw RedisError(.serverError, try reply.errorText()) }
    value = try Value(decoding: &reply)
  }
}

/// The generic part is inlinable, so that a caller's own reply types cost no look-up of type metadata at each call.
extension RedisClient {
  /// Gives commands, whose bytes `encode` writes and counts, to the I/O thread, and waits for their outcome.
  @inlinable
  nonisolated(nonsending) func perform<Value: RedisReply>(
    replies: Int,
    options: CallOptions,
    _ encode: (inout CommandWriter) -> Int
  ) async throws(RedisError) -> Reply<Value> {
    let outcome: Result<Reply<Value>, RedisError>
    switch options.whenCancelled {
    case .awaitReply:
      outcome = await withUnsafeContinuation { continuation in
        submit(newID(), replies, options, Completion(continuation), encode)
      }
    case .abandon:
      let id = newID()
      outcome = await withTaskCancellationHandler {
        await withUnsafeContinuation { continuation in
          submit(id, replies, options, Completion(continuation), encode)
          // A cancellation before this point has not found the command.
          if Task.isCancelled { cancel(id) }
        }
      } onCancel: {
        cancel(id)
      }
    }
    return try outcome.get()
  }

  @usableFromInline
  func newID() -> UInt64 { nextID.wrappingAdd(1, ordering: .relaxed).oldValue }

  @usableFromInline
  func cancel(_ id: UInt64) { _ = thread.post(.cancel(link, id: id)) }

  @usableFromInline
  func submit(
    _ id: UInt64,
    _ replies: Int,
    _ options: CallOptions,
    _ completion: Completion,
    _ encode: (inout CommandWriter) -> Int
  ) {
    guard !Task.isCancelled else {
      return completion.fail(RedisError(.cancelled, "the task was cancelled", server: url.server))
    }
    let here = thread.isCurrent
    let now = here ? thread.now : MonotonicTime.now
    func entry(bytes: Int) -> Link.Entry {
      Link.Entry(
        id: id,
        bytes: bytes,
        replies: replies,
        retry: options.retry,
        whenUnreachable: options.whenUnreachable,
        timeout: options.timeout?.wholeNanoseconds ?? link.timeout,
        deadline: options.deadline ?? now.advanced(by: link.patience),
        ticket: completion
      )
    }
    if here {
      link.submit(entry(bytes: encode(&link.outbox.writer)), now)
      return
    }
    let isFirst = link.inbox.withLock { batch in
      let bytes = encode(&batch.writer)
      batch.entries.append(entry(bytes: bytes))
      return batch.entries.count == 1
    }
    if isFirst, !thread.post(.commands(link)) { link.rejectInbox() }
  }
}

/// The replies to commands that were sent in one piece.
private struct ReplyBlock: RedisReply {
  var replies: [RESPValue] = []

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    while reply.nextKind != nil { replies.append(try reply.value()) }
  }
}
