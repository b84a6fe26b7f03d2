/// A client of a Redis Cluster: each command goes to the node that has its key's slot, over one connection a node.
///
/// It follows the cluster's redirections, asks for a new map when one is out of date, and sends what a node in trouble did
/// not answer to the node that has the slot by then, where the caller's options allow it. One node's trouble holds up
/// the commands for its own slots and no others. All nodes share one I/O thread and one user.
public final class RedisCluster: Sendable {
  public let configuration: RedisClient.Configuration
  @usableFromInline let core: ClusterCore
  private let thread: IOThread

  /// Starts an I/O thread, and does not connect yet.
  /// - Parameter seeds: some of the nodes, at least one; user and password of the first are used for all.
  /// - Throws: `RedisError` with the code `invalidURL` for a unix socket or a database other than 0, which clusters don't
  ///   have, or without a seed; `systemFailure` if the system grants no thread.
  public init(
    seeds: [RedisURL],
    configuration: RedisClient.Configuration = RedisClient.Configuration()
  ) throws(RedisError) {
    guard !seeds.isEmpty else { throw RedisError(.invalidURL, "a cluster needs the address of at least one node") }
    for seed in seeds {
      guard seed.endpoint.node != nil else {
        throw RedisError(.invalidURL, "URL: a node of a cluster has a host and a port, not a socket's path")
      }
      guard seed.database == 0 else {
        throw RedisError(.invalidURL, "URL: database \(seed.database); a cluster has database 0 only")
      }
    }
    self.configuration = configuration
    (thread, core) = try IOThread.start { thread in
      ClusterCore(seeds: seeds, configuration: configuration, thread: thread)
    }
  }

  deinit {
    _ = core.close()
    _ = thread.post(.dismiss(core))
  }

  /// The I/O thread of all nodes' connections, to be used as ``RedisClient/taskExecutor`` is.
  public var taskExecutor: any TaskExecutor { thread }

  /// Makes sure that the cluster's map is known and that one of its masters answers, at least. Each is given the
  /// configuration's `connectTimeout`.
  /// - Returns: the masters that answer.
  /// - Throws: what the last attempt failed with when the configuration's `connectTimeout` has passed; at once with
  ///   `refused`, and with `serverError` by a server that is in no cluster.
  @discardableResult
  public nonisolated(nonsending) func connect() async throws(RedisError) -> Set<NodeAddress> {
    try await learn(before: MonotonicTime.now + configuration.connectTimeout)
    var answering: Set<NodeAddress> = []
    var silence: RedisError?
    for (node, client) in core.masters {
      let deadline = MonotonicTime.now + configuration.connectTimeout
      let options = CallOptions(retry: .always, whenUnreachable: .fail, deadline: deadline)
      do throws(RedisError) {
        _ = try await client.call("PING", as: RESPValue.self, options: options) { _ in }
        answering.insert(node)
      } catch {
        if error.serverErrorPrefix == "NOPERM" {
          // A user who may not `PING` may still do what it came for, and has had an answer.
          answering.insert(node)
        } else {
          guard error.isSilence else { throw error }
          silence = error
        }
      }
    }
    if answering.isEmpty, let silence { throw silence }
    return answering
  }

  private nonisolated(nonsending) func learn(before deadline: MonotonicTime) async throws(RedisError) {
    let backOff = BackOff(first: .milliseconds(1), longest: .milliseconds(50))
    var generator = SystemRandomNumberGenerator()
    var waits = 0
    while core.map.isEmpty {
      guard !core.isClosed else { throw RedisError(.closed, "the client is closed") }
      core.want()
      if let failure = core.lastFailure {
        let isHopeless =
          failure.code == .refused || (failure.code == .serverError && failure.serverErrorPrefix == "ERR")
        if isHopeless || MonotonicTime.now >= deadline { throw failure }
      } else if MonotonicTime.now >= deadline {
        throw RedisError(.cannotConnect, "no node has told the cluster's map within \(configuration.connectTimeout)")
      }
      waits += 1
      do {
        try await Task.sleep(nanoseconds: UInt64(backOff.delay(failures: waits, using: &generator)))
      } catch {
        throw RedisError(.cancelled, "the task was cancelled")
      }
    }
  }

  /// The clients of all masters that are known, by their addresses. They stay the cluster's.
  public var masters: [NodeAddress: RedisClient] { core.masters }

  /// The node that has the slot, by the map of the moment; nil where none is known.
  public func node(of slot: HashSlot) -> NodeAddress? { core.map.shard(of: slot)?.master }

  /// A slot that the node has; nil if it is no master.
  public func slot(of node: NodeAddress) -> HashSlot? { core.map.slot(of: node) }

  /// What ``RedisClient/connectionEpoch`` is of the node that has the slot at the moment; 0 where none is known.
  public func connectionEpoch(of slot: HashSlot) -> UInt64 { core.master(of: slot)?.connectionEpoch ?? 0 }

  /// Has the cluster's map asked for, in the background. It is asked for by itself when nodes contradict it.
  public func refresh() { core.want() }

  /// Is told, on the I/O thread, of the clients of all masters whenever they have changed, and of the present ones now.
  public func onMasters(_ listener: (@Sendable ([NodeAddress: RedisClient]) -> Void)?) { core.listen(listener) }

  /// Refuses further commands with `closed`, waits until those under way have their outcome, and disconnects.
  public nonisolated(nonsending) func close() async {
    for client in core.close() { await client.close() }
    _ = thread.post(.dismiss(core))
  }
}

/// Commands.
extension RedisCluster {
  /// As ``RedisClient/call(_:as:options:_:)``, at the node that has the slot of the command's keys. `encode` may be called
  /// several times.
  /// - Throws: `RedisError`, also with the code `redirectedTooOften`; `lostSendings` counts those to all nodes.
  @inlinable
  public nonisolated(nonsending) func call<Value: RedisReply>(
    _ name: StaticString,
    slot: HashSlot,
    as type: Value.Type = Value.self,
    options: CallOptions = .once,
    _ encode: (inout CommandWriter) -> Void
  ) async throws(RedisError) -> Reply<Value> {
    var call = RoutedCall(core, slot, options, configuration.patience)
    // Nearly every command ends here: the rest is for clusters that are changing.
    if let client = core.master(of: slot) {
      do throws(RedisError) {
        return try await client.call(name, options: call.options, encode)
      } catch {
        try call.failed(error, RoutedCall.Attempt(client: client, isAsking: false))
      }
    }
    return try await answered(&call) { client, options, isAsking throws(RedisError) in
      isAsking
        ? try await client.callAsking(name, options: options, encode)
        : try await client.call(name, options: options, encode)
    }.reply
  }

  /// As ``RedisClient/call(_:as:options:)``, at the node that has the slot of the command's keys.
  public nonisolated(nonsending) func call<Value: RedisReply>(
    _ command: RedisCommand,
    slot: HashSlot,
    as type: Value.Type = Value.self,
    options: CallOptions = .once
  ) async throws(RedisError) -> Reply<Value> {
    if let refusal = command.refusal { throw refusal }
    return try await answered(slot: slot, options) { client, options, isAsking throws(RedisError) in
      isAsking
        ? try await client.callAsking(command, options: options)
        : try await client.call(command, as: Value.self, options: options)
    }.reply
  }

  /// As ``call(_:slot:as:options:_:)``, of a command that only reads: it goes to a replica, whose data may be older, and
  /// to the slot's master where no replica can answer.
  @inlinable
  public nonisolated(nonsending) func read<Value: RedisReply>(
    _ name: StaticString,
    slot: HashSlot,
    as type: Value.Type = Value.self,
    options: CallOptions = .once,
    _ encode: (inout CommandWriter) -> Void
  ) async throws(RedisError) -> Reply<Value> {
    if let attempt = replicaAttempt(slot, options) {
      do throws(RedisError) {
        return try await attempt.client.call(name, options: attempt.options, encode)
      } catch {
        try attempt.failed(error)
      }
    }
    return try await call(name, slot: slot, options: options, encode)
  }

  /// As ``RedisClient/transaction(_:options:)``, at the node that has the slot of all keys.
  public nonisolated(nonsending) func transaction(
    _ commands: [RedisCommand],
    slot: HashSlot,
    options: CallOptions = .once
  ) async throws(RedisError) -> Reply<[RESPValue]> {
    try await answered(slot: slot, options) { client, options, isAsking throws(RedisError) in
      try await client.transaction(commands, options: options, asking: isAsking)
    }.reply
  }

  /// Sends until a node has answered, and says which.
  @inlinable
  nonisolated(nonsending) func answered<Value>(
    slot: HashSlot,
    _ options: CallOptions,
    _ send:
      nonisolated(nonsending) (RedisClient, CallOptions, _ isAsking: Bool) async throws(RedisError) -> Reply<Value>
  ) async throws(RedisError) -> (reply: Reply<Value>, client: RedisClient) {
    var call = RoutedCall(core, slot, options, configuration.patience)
    return try await answered(&call, send)
  }

  @inlinable
  nonisolated(nonsending) func answered<Value>(
    _ call: inout RoutedCall,
    _ send:
      nonisolated(nonsending) (RedisClient, CallOptions, _ isAsking: Bool) async throws(RedisError) -> Reply<Value>
  ) async throws(RedisError) -> (reply: Reply<Value>, client: RedisClient) {
    while true {
      let attempt = try await call.next()
      do throws(RedisError) {
        var reply = try await send(attempt.client, call.options, attempt.isAsking)
        reply.lostSendings += call.lostSendings
        return (reply, attempt.client)
      } catch {
        try call.failed(error, attempt)
      }
    }
  }

  @usableFromInline
  func replicaAttempt(_ slot: HashSlot, _ options: CallOptions) -> ReplicaAttempt? {
    ReplicaAttempt(core, slot, options)
  }
}
