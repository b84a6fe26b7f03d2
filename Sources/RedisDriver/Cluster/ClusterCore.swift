import Synchronization

/// A cluster's map and the clients of its nodes: the shell of a ``TopologyMachine``.
///
/// Callers on any thread look nodes up here and report what they heard; the I/O thread asks for new maps.
@usableFromInline
final class ClusterCore: Sendable {
  typealias Masters = [NodeAddress: RedisClient]

  private struct State {
    var machine: TopologyMachine
    /// In step with the map's shards.
    var masters: [RedisClient?] = []
    var clients: Masters = [:]
    /// Clients of replicas, for reads that may be out of date.
    var readers: [NodeAddress: RedisClient] = [:]
    /// Replicas that failed a read, and are left alone until then.
    var spared: [NodeAddress: MonotonicTime] = [:]
    var turn = 0
    var lastFailure: RedisError?
    var isClosed = false
    var generator = SystemRandomNumberGenerator()
    var listener: (@Sendable (Masters) -> Void)?
  }

  private let state: Mutex<State>
  private let configuration: RedisClient.Configuration
  /// User and password are the same for all nodes.
  private let credentials: RedisURL
  private let thread: IOThread

  /// - Precondition: there is a seed, and each has a host and a port.
  init(seeds: [RedisURL], configuration: RedisClient.Configuration, thread: IOThread) {
    self.configuration = configuration
    credentials = seeds[0]
    self.thread = thread
    let settings = TopologyMachine.Settings(backOff: configuration.backOff)
    state = Mutex(State(machine: TopologyMachine(seeds: seeds.compactMap(\.endpoint.node), settings: settings)))
  }

  // MARK: Looking up

  /// The node that has the slot; nil where none is known.
  @usableFromInline
  func master(of slot: HashSlot) -> RedisClient? {
    state.withLock { state in
      guard !state.isClosed, let index = state.machine.map.index(of: slot) else { return nil }
      if let client = state.masters[index] { return client }
      let client = client(of: state.machine.map.shards[index].master, &state)
      state.masters[index] = client
      return client
    }
  }

  /// A node that another one named.
  func client(of node: NodeAddress) -> RedisClient? { state.withLock { client(of: node, &$0) } }

  /// A replica of the slot's node, each in turn; nil where none is known to be well.
  func reader(of slot: HashSlot, now: MonotonicTime) -> (node: NodeAddress, client: RedisClient)? {
    state.withLock { state in
      guard let replicas = state.machine.map.shard(of: slot)?.replicas, !replicas.isEmpty, !state.isClosed
      else { return nil }
      state.turn &+= 1
      for offset in 0..<replicas.count {
        let node = replicas[(state.turn &+ offset) % replicas.count]
        if let until = state.spared[node], until > now { continue }
        if let client = state.readers[node] { return (node, client) }
        guard let client = newClient(of: node, role: .replicaReads) else { return nil }
        state.readers[node] = client
        return (node, client)
      }
      return nil
    }
  }

  /// Leaves a replica alone for a while.
  func spare(_ replica: NodeAddress, now: MonotonicTime) {
    state.withLock { $0.spared[replica] = now.advanced(by: 1_000_000_000) }
  }

  var map: SlotMap { state.withLock { $0.machine.map } }
  var lastFailure: RedisError? { state.withLock { $0.lastFailure } }
  var masters: Masters { state.withLock { all(&$0) } }

  private func client(of node: NodeAddress, _ state: inout State) -> RedisClient? {
    if let client = state.clients[node] { return client }
    guard !state.isClosed, let client = newClient(of: node, role: .commands) else { return nil }
    state.clients[node] = client
    return client
  }

  private func newClient(of node: NodeAddress, role: LinkRole) -> RedisClient? {
    var url = credentials
    url.endpoint = .tcp(host: node.host, port: node.port)
    // It fails only where the thread has ended, and then so has everything else.
    return try? RedisClient(url, configuration, on: thread, role: role, of: role.isForCommands ? self : nil)
  }

  // MARK: Reports

  func want() {
    state.withLock { $0.machine.want(now: .now) }
    _ = thread.post(.look(self))
  }

  func moved(_ slot: HashSlot, to node: NodeAddress) {
    state.withLock { state in
      state.machine.moved(slot, to: node, now: .now)
      arrange(&state)
    }
    _ = thread.post(.look(self))
  }

  /// A node can't be reached or keeps silent. Called on the I/O thread, which looks here next anyway.
  func trouble(_ endpoint: RedisURL.Endpoint, _ now: MonotonicTime) {
    guard let node = endpoint.node else { return }
    state.withLock { $0.machine.trouble(node, now: now) }
  }

  /// Is told, on the I/O thread, of the masters' clients whenever the map has changed; and now, of those that are known.
  func listen(_ listener: (@Sendable (Masters) -> Void)?) {
    let known = state.withLock { state in
      state.listener = listener
      return all(&state)
    }
    listener?(known)
  }

  // MARK: On the I/O thread

  /// One round of the I/O thread.
  func work(_ now: MonotonicTime) {
    let question: (client: RedisClient, node: NodeAddress, number: Int)? = state.withLock { state in
      guard !state.isClosed else { return nil }
      guard case .ask(let node, let number) = state.machine.tick(now: now, using: &state.generator),
        let client = client(of: node, &state)
      else { return nil }
      return (client, node, number)
    }
    guard let question else { return }
    let inquiry = SlotsInquiry { [weak self] result in self?.heard(result, number: question.number) }
    question.client.ask(inquiry, before: now.advanced(by: Self.askingTime))
  }

  var wakeUp: MonotonicTime? { state.withLock { $0.isClosed ? nil : $0.machine.wakeUp } }

  /// How long a question may wait for a connection; the machine asks another node meanwhile.
  private static let askingTime: Int64 = 1_000_000_000

  private func heard(_ result: Result<SlotsReply, RedisError>, number: Int) {
    let news = state.withLock { state -> (listener: @Sendable (Masters) -> Void, masters: Masters)? in
      switch result {
      case .failure(let error):
        state.lastFailure = error
        state.machine.failed(number: number, now: .now, using: &state.generator)
        return nil
      case .success(let reply):
        state.lastFailure = nil
        guard state.machine.answered(reply, number: number, now: .now, using: &state.generator) else { return nil }
        arrange(&state)
        retireStrangers(&state)
        guard let listener = state.listener else { return nil }
        return (listener, all(&state))
      }
    }
    news?.listener(news?.masters ?? [:])
  }

  /// Brings the list that look-ups use in step with the map.
  private func arrange(_ state: inout State) {
    state.masters = state.machine.map.shards.map { state.clients[$0.master] }
  }

  /// Lets go of those that are no masters any more. Calls that are under way there hold on to them until they end.
  private func retireStrangers(_ state: inout State) {
    let nodes = Set(state.machine.map.shards.map(\.master))
    for (node, client) in state.clients where !nodes.contains(node) {
      client.retire()
      state.clients[node] = nil
    }
    let replicas = Set(state.machine.map.shards.flatMap(\.replicas))
    state.readers = state.readers.filter { replicas.contains($0.key) }
    state.spared = state.spared.filter { replicas.contains($0.key) }
  }

  /// The clients of all masters, made where there were none.
  private func all(_ state: inout State) -> Masters {
    for shard in state.machine.map.shards { _ = client(of: shard.master, &state) }
    arrange(&state)
    let nodes = state.machine.map.shards.map(\.master)
    return state.clients.filter { nodes.contains($0.key) }
  }

  // MARK: Closing

  /// Takes no more commands; the clients are the caller's to close.
  func close() -> [RedisClient] {
    let clients = state.withLock { state in
      state.isClosed = true
      defer {
        state.clients = [:]
        state.readers = [:]
        state.masters = []
        state.listener = nil
      }
      return Array(state.clients.values) + Array(state.readers.values)
    }
    return clients
  }

  var isClosed: Bool { state.withLock { $0.isClosed } }
}

extension LinkRole {
  fileprivate var isForCommands: Bool {
    switch self {
    case .commands: true
    case .replicaReads, .subscription: false
    }
  }
}

extension RedisURL.Endpoint {
  /// Nil for a unix socket.
  var node: NodeAddress? {
    switch self {
    case .tcp(let host, let port): NodeAddress(host: host, port: port)
    case .unix: nil
    }
  }
}
