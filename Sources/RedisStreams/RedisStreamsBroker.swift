import Logging
import Messaging
import RedisDriver
import Synchronization

/// The broker seam on Redis streams: durable as the server's append-only file is, shared by any number of processes.
///
/// What it asks of the server: Redis 7.0 or Valkey; `appendfsync always` where an acknowledged message must survive a
/// crash of the machine; `maxmemory-policy noeviction`; and, with ACL, the keys `doorbuster:mq:*`, `@stream`,
/// `@sortedset`, `@hash`, `@string` and `@scripting`.
///
/// How it is made, and why:
/// - A half message is an entry of a stream of its own. Deleting it is the commit's test, so that exactly one of
///   commit, roll-back and parking finds it; the entry of the topic is added in the same script. The caller passes
///   the message again: reading it in the script would cost more than the rest of the commit.
/// - An entry is pending in its group only while a worker has it. What is to be tried again moves, in one script, to a
///   set of postponed messages of its group, ordered by when they are due. So one message that fails for an hour does
///   not keep all later ones from being trimmed, delays are exact, and failures are counted where no redelivery after
///   a worker's death can count along. `trim` then needs nothing but the pending lists.
/// - Workers give signs of life for what they hold, so that `visibility` may be short and batches long.
/// - Ages and delays are measured by the server's clock alone.
/// - A dead message remembers its group, but a stream has one reader order for all: replayed, it reaches every group of
///   the topic.
public final class RedisStreamsBroker: Sendable {
  /// A message's body may have so many bytes, and its key.
  public static let bytesMax = 65_536

  public let options: RedisStreamsOptions
  let server: StreamServer
  let logger: Logger
  private let topics = Mutex<[Topic: TopicKeys]>([:])
  private let ownsClient: Bool

  /// A broker on a client that others use too: on one server, one connection for all is the fastest. The client stays
  /// the caller's, to be closed after the broker's last call.
  public init(
    _ client: RedisClient,
    options: RedisStreamsOptions = RedisStreamsOptions(),
    logger: Logger = Logger(label: "doorbuster.broker")
  ) {
    server = StreamServer(client: client)
    ownsClient = false
    self.options = options
    self.logger = logger
  }

  /// A broker with a client of its own. Does not connect yet; the first call does.
  /// - Throws: ``MessagingError`` `unavailable` if the system grants no thread.
  public init(
    _ url: RedisURL,
    options: RedisStreamsOptions = RedisStreamsOptions(),
    configuration: RedisClient.Configuration = RedisClient.Configuration(),
    logger: Logger = Logger(label: "doorbuster.broker")
  ) throws(MessagingError) {
    do {
      server = StreamServer(client: try RedisClient(url, configuration: configuration))
    } catch {
      throw MessagingError(error)
    }
    ownsClient = true
    self.options = options
    self.logger = logger
  }

  /// The I/O thread, on which producers are fastest (``RedisClient/taskExecutor``). What runs there must not block.
  public var taskExecutor: any TaskExecutor { server.client.taskExecutor }

  /// Ends the broker's own connection, if it has one: calls under way end by their time-outs, and later ones throw
  /// `unavailable`. Loops must have been cancelled before.
  public func close() async {
    if ownsClient { await server.client.close() }
  }

  /// - Throws: ``MessagingError`` `refused` for a name outside its bounds.
  func keys(_ topic: Topic) throws(MessagingError) -> TopicKeys {
    if let known = topics.withLock({ $0[topic] }) { return known }
    let keys = try TopicKeys(topic)
    topics.withLock { $0[topic] = keys }
    return keys
  }

  func requireSize(_ message: Message) throws(MessagingError) {
    for (name, bytes) in [("body", message.body.count), ("key", message.key.count)] where bytes > Self.bytesMax {
      throw MessagingError(.tooLarge, "the message's \(name) has \(bytes) bytes; it must have \(Self.bytesMax) at most")
    }
  }
}

extension RedisStreamsBroker: MessageBroker {
  public nonisolated(nonsending) func sendHalf(_ message: Message) async throws(MessagingError) -> HalfMessage {
    let id = try await append(message, to: keys(message.topic).half)
    return HalfMessage(id: id, message: message, sentAtMs: Int64(clamping: StreamID(id)?.milliseconds ?? 0))
  }

  public nonisolated(nonsending) func commit(_ half: HalfMessage) async throws(MessagingError) -> CommitAnswer {
    let keys = try keys(half.message.topic)
    try requireSize(half.message)
    let committed = try await server.run(
      Scripts.commit,
      as: Int.self,
      keys: [keys.half, keys.topic],
      options: StreamServer.producing
    ) { writer in
      writer.argument(half.id)
      writer.argument(half.message.key)
      writer.argument(half.message.body)
    }
    return committed == 1 ? .committed : .gone
  }

  public nonisolated(nonsending) func rollBack(_ half: HalfMessage) async throws(MessagingError) {
    let key = try keys(half.message.topic).half
    // Without harm when it runs twice, so it may be sent again.
    let options = CallOptions(retry: .always, whenUnreachable: .wait, whenCancelled: .awaitReply)
    _ = try await server.call("XDEL", as: Int.self, options: options) { writer in
      writer.argument(key)
      writer.argument(half.id)
    }
  }

  public nonisolated(nonsending) func send(_ message: Message) async throws(MessagingError) {
    _ = try await append(message, to: keys(message.topic).topic)
  }

  private nonisolated(nonsending) func append(_ message: Message, to key: [UInt8]) async throws(MessagingError)
    -> String
  {
    try requireSize(message)
    return try await server.call("XADD", as: String.self, options: StreamServer.producing) { writer in
      writer.argument(key)
      writer.argument("*" as StaticString)
      writer.argument("k" as StaticString)
      writer.argument(message.key)
      writer.argument("b" as StaticString)
      writer.argument(message.body)
    }
  }

  public func subscribe(_ group: ConsumerGroup, to topic: Topic) async throws(MessagingError) {
    let keys = try GroupKeys(keys(topic), group)
    try await server.createGroup(keys, options: StreamServer.producing)
  }

  public func serveChecks(of topic: Topic, by checker: some MessageChecker) async throws(MessagingError) {
    let service = CheckBack(
      topic: topic,
      keys: try keys(topic),
      server: server,
      options: options,
      checker: checker,
      logger: logger
    )
    try await service.run()
  }

  public func consume(
    _ topic: Topic,
    as group: ConsumerGroup,
    batchMax: Int,
    handler: some MessageHandler
  ) async throws(MessagingError) {
    let keys = try GroupKeys(keys(topic), group)
    let reader: RedisClient
    do {
      // A blocking read holds up whatever comes after it, so it has a connection of its own.
      reader = try server.client.makeDedicated()
    } catch {
      throw MessagingError(error)
    }
    let consumption = Consumption(
      topic: topic,
      keys: keys,
      server: server,
      reader: StreamServer(client: reader),
      options: options,
      batchMax: min(max(batchMax, 1), 10_000),
      handler: handler,
      logger: logger
    )
    do {
      try await consumption.run()
    } catch {
      await reader.close()
      throw error
    }
    await reader.close()
  }

  public func trim(_ topic: Topic) async throws(MessagingError) -> Int {
    try await server.trim(keys(topic))
  }
}

extension StreamServer {
  /// Makes a group that has everything still stored before it. Nothing happens where it is known.
  func createGroup(_ keys: GroupKeys, options: CallOptions = serving) async throws(MessagingError) {
    do {
      _ = try await client.call("XGROUP", as: OK.self, options: options) { writer in
        writer.argument("CREATE" as StaticString)
        writer.argument(keys.keys.topic)
        writer.argument(keys.group.name)
        writer.argument("0" as StaticString)
        writer.argument("MKSTREAM" as StaticString)
      }
    } catch {
      guard error.serverErrorPrefix == "BUSYGROUP" else { throw MessagingError(error) }
    }
  }

  func trim(_ keys: TopicKeys) async throws(MessagingError) -> Int {
    try await run(Scripts.trim, as: Int.self, keys: [keys.topic]) { _ in }
  }
}
