/// Sends each command to the server that has its key, whatever the servers are: one, a list, or a cluster.
///
/// All their connections share one I/O thread.
public final class RedisRouter: Sendable {
  @usableFromInline
  enum Kind: Sendable {
    case one(RedisClient)
    case list([RedisClient])
    case cluster(RedisCluster)
  }

  @usableFromInline let kind: Kind
  public let servers: RedisServers

  /// Starts an I/O thread, and does not connect yet.
  /// - Throws: `RedisError` with the code `systemFailure` if the system grants no thread; `invalidURL` for a cluster as
  ///   ``RedisCluster/init(seeds:configuration:)`` has it.
  public init(
    _ servers: RedisServers,
    configuration: RedisClient.Configuration = RedisClient.Configuration()
  ) throws(RedisError) {
    self.servers = servers
    switch servers {
    case .one(let url): kind = .one(try RedisClient(url, configuration: configuration))
    case .cluster(let seeds): kind = .cluster(try RedisCluster(seeds: seeds, configuration: configuration))
    case .list(let urls):
      guard let first = urls.first else { throw RedisError(.invalidURL, "a list of servers names none") }
      let client = try RedisClient(first, configuration: configuration)
      var clients = [client]
      for url in urls.dropFirst() { clients.append(try client.makeSibling(url)) }
      kind = .list(clients)
    }
  }

  /// Over a client that is there already.
  public init(_ client: RedisClient) {
    servers = .one(client.url)
    kind = .one(client)
  }

  /// The one server's client; nil where there are several.
  @inlinable
  public var client: RedisClient? {
    switch kind {
    case .one(let client): client
    case .list, .cluster: nil
    }
  }

  /// The clients of a list or of one server; none of a cluster.
  public var clients: [RedisClient] {
    switch kind {
    case .one(let client): [client]
    case .list(let clients): clients
    case .cluster: []
    }
  }

  public var cluster: RedisCluster? {
    switch kind {
    case .one, .list: nil
    case .cluster(let cluster): cluster
    }
  }

  /// The I/O thread of all connections, to be used as ``RedisClient/taskExecutor`` is.
  public var taskExecutor: any TaskExecutor {
    switch kind {
    case .one(let client): client.taskExecutor
    case .list(let clients): clients[0].taskExecutor
    case .cluster(let cluster): cluster.taskExecutor
    }
  }

  /// What the server that has the key is called; nil where that is not known at the moment.
  public func server(of place: some KeyPlace) -> String? {
    switch kind {
    case .one(let client): client.url.server
    case .list(let clients): clients[place.position % clients.count].url.server
    case .cluster(let cluster): cluster.node(of: place.slot)?.description
    }
  }

  /// What ``RedisClient/connectionEpoch`` is of the server that has the key.
  public func connectionEpoch(of place: some KeyPlace) -> UInt64 {
    switch kind {
    case .one(let client): client.connectionEpoch
    case .list(let clients): clients[place.position % clients.count].connectionEpoch
    case .cluster(let cluster): cluster.connectionEpoch(of: place.slot)
    }
  }

  /// Whether a command can name both keys: on one server, and in a cluster in one slot.
  public func areTogether(_ one: some KeyPlace, _ other: some KeyPlace) -> Bool {
    switch kind {
    case .one: true
    case .list(let clients): one.position % clients.count == other.position % clients.count
    case .cluster: one.slot == other.slot
    }
  }

  public nonisolated(nonsending) func close() async {
    switch kind {
    case .one(let client): await client.close()
    case .list(let clients): for client in clients { await client.close() }
    case .cluster(let cluster): await cluster.close()
    }
  }
}

/// Where a key belongs, by each kind of servers.
public protocol KeyPlace: Sendable {
  /// In a list of n servers the key is on number `position` modulo n; not negative.
  var position: Int { get }
  /// In a cluster.
  var slot: HashSlot { get }
  /// A key of the same slot that nothing else uses: see ``ReplicaNeed/earlierChange``.
  var replicationMark: String { get }
}

extension RedisRouter {
  /// As ``RedisClient/call(_:as:options:_:)``, at the server that has the key. `encode` may be called several times.
  @inlinable
  public nonisolated(nonsending) func call<Value: RedisReply>(
    _ name: StaticString,
    at place: some KeyPlace,
    as type: Value.Type = Value.self,
    options: CallOptions = .once,
    _ encode: (inout CommandWriter) -> Void
  ) async throws(RedisError) -> Reply<Value> {
    switch kind {
    case .one(let client): return try await client.call(name, options: options, encode)
    case .list(let clients):
      return try await clients[place.position % clients.count].call(name, options: options, encode)
    case .cluster(let cluster): return try await cluster.call(name, slot: place.slot, options: options, encode)
    }
  }

  /// As ``call(_:at:as:options:_:)``, and then, where the reply wants it, ``RedisClient/replication(of:to:mark:)`` at the
  /// server that gave it. That of a slot on its way to another node may be untold.
  public nonisolated(nonsending) func call<Value: RedisReply>(
    _ name: StaticString,
    at place: some KeyPlace,
    as type: Value.Type = Value.self,
    options: CallOptions = .once,
    replicated replicas: Replication,
    need: (Value) -> ReplicaNeed,
    _ encode: (inout CommandWriter) -> Void
  ) async throws(RedisError) -> (reply: Reply<Value>, verdict: ReplicaVerdict) {
    let (reply, client): (Reply<Value>, RedisClient) = try await answered(at: place, options) {
      client,
      options,
      isAsking throws(RedisError) in
      isAsking
        ? try await client.callAsking(name, options: options, encode)
        : try await client.call(name, options: options, encode)
    }
    return (reply, await Self.verdict(need(reply.value), reply.connection, at: place, replicas, client))
  }

  private static nonisolated(nonsending) func verdict(
    _ need: ReplicaNeed,
    _ connection: UInt64,
    at place: some KeyPlace,
    _ replicas: Replication,
    _ client: RedisClient
  ) async -> ReplicaVerdict {
    switch need {
    case .nothing: .replicated
    case .ownChange: await client.replication(of: connection, to: replicas)
    case .earlierChange: await client.replication(of: connection, to: replicas, mark: place.replicationMark)
    }
  }

  /// As ``call(_:at:as:options:_:)``, of a command that only reads and whose answer may be out of date: in a cluster it
  /// goes to a replica.
  @inlinable
  public nonisolated(nonsending) func read<Value: RedisReply>(
    _ name: StaticString,
    at place: some KeyPlace,
    as type: Value.Type = Value.self,
    options: CallOptions = .once,
    _ encode: (inout CommandWriter) -> Void
  ) async throws(RedisError) -> Reply<Value> {
    guard case .cluster(let cluster) = kind else {
      return try await call(name, at: place, options: options, encode)
    }
    return try await cluster.read(name, slot: place.slot, options: options, encode)
  }

  /// As ``RedisClient/transaction(_:options:)``, at the server that has all keys.
  public nonisolated(nonsending) func transaction(
    _ commands: [RedisCommand],
    at place: some KeyPlace,
    options: CallOptions = .once
  ) async throws(RedisError) -> Reply<[RESPValue]> {
    try await answered(at: place, options) { client, options, isAsking throws(RedisError) in
      try await client.transaction(commands, options: options, asking: isAsking)
    }.reply
  }

  /// As ``transaction(_:at:options:)``, and then ``RedisClient/replication(of:to:mark:)`` at the same server.
  public nonisolated(nonsending) func transaction(
    _ commands: [RedisCommand],
    at place: some KeyPlace,
    options: CallOptions = .once,
    replicated replicas: Replication,
    need: ([RESPValue]) -> ReplicaNeed
  ) async throws(RedisError) -> (reply: Reply<[RESPValue]>, verdict: ReplicaVerdict) {
    let (reply, client) = try await answered(at: place, options) { client, options, isAsking throws(RedisError) in
      try await client.transaction(commands, options: options, asking: isAsking)
    }
    return (reply, await Self.verdict(need(reply.value), reply.connection, at: place, replicas, client))
  }

  private nonisolated(nonsending) func answered<Value>(
    at place: some KeyPlace,
    _ options: CallOptions,
    _ send:
      nonisolated(nonsending) (RedisClient, CallOptions, _ isAsking: Bool) async throws(RedisError) -> Reply<Value>
  ) async throws(RedisError) -> (reply: Reply<Value>, client: RedisClient) {
    switch kind {
    case .one(let client): return (try await send(client, options, false), client)
    case .list(let clients):
      let client = clients[place.position % clients.count]
      return (try await send(client, options, false), client)
    case .cluster(let cluster): return try await cluster.answered(slot: place.slot, options, send)
    }
  }
}
