import Synchronization

/// A Redis Cluster of private servers on ports of 127.0.0.1: masters that share the slots evenly, each with its replica.
///
/// Methods block; all of them may be called from any thread.
public final class TestCluster: Sendable {
  /// As they were at the start. After a failover a master's place may be taken by its replica.
  public let masters: [RedisServer]
  /// In the order of their masters; empty where there are none.
  public let replicas: [RedisServer]

  public var servers: [RedisServer] { masters + replicas }

  /// Starts the servers, makes them a cluster, and waits until all agree and all replicas are in step.
  ///
  /// - Parameters:
  ///   - nodeTimeoutMs: when a silent node is taken for failed. Below a second or two a busy machine makes nodes fail.
  ///   - options: of each server; it listens on a port, whatever they say.
  public init(
    masters count: Int = 3,
    withReplicas: Bool = true,
    nodeTimeoutMs: Int = 2_000,
    options: RedisServerOptions = RedisServerOptions()
  ) throws {
    let servers = try (0..<(withReplicas ? 2 * count : count)).map { _ in try Self.start(options, nodeTimeoutMs) }
    masters = Array(servers.prefix(count))
    replicas = Array(servers.dropFirst(count))
    try form()
  }

  private static func start(_ options: RedisServerOptions, _ nodeTimeoutMs: Int) throws -> RedisServer {
    var attempts = 0
    while true {
      attempts += 1
      var options = options
      options.tcp = true
      options.configLines += [
        "cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout \(nodeTimeoutMs)",
        "cluster-port \(FreePort.find())", "cluster-replica-validity-factor 0", "repl-diskless-sync yes",
        "repl-diskless-sync-delay 0", "repl-ping-replica-period 1",
      ]
      do {
        return try RedisServer(options)
      } catch let error as TestServerError {
        // Somebody took the bus' port between our looking and the server's binding.
        guard attempts < 5, "\(error)".contains("listening") || "\(error)".contains("in use") else { throw error }
      }
    }
  }

  private func form() throws {
    for (index, master) in masters.enumerated() {
      let (first, next) = (index * 16_384 / masters.count, (index + 1) * 16_384 / masters.count)
      try expectOK(master, "CLUSTER", "ADDSLOTSRANGE", first, next - 1)
      try expectOK(master, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
    }
    for server in servers.dropFirst() {
      try expectOK(masters[0], "CLUSTER", "MEET", "127.0.0.1", server.port, try server.busPort())
    }
    for server in servers { try waitUntil("nodes to meet") { try server.nodes().count == servers.count } }
    for (master, replica) in zip(masters, replicas) {
      let id = try master.nodeID()
      try waitUntil("a replica to know its master") {
        try replica.call("CLUSTER", "REPLICATE", id) == .ok
      }
    }
    try waitUntilWell()
  }

  /// Waits until every server that runs says that the cluster is well, knows the same masters, and its replicas follow.
  public func waitUntilWell(timeout: Duration = .seconds(60)) throws {
    try waitUntil("the cluster to be well", timeout: timeout) {
      // A server that is still coming up makes one of these throw.
      (try? isWell()) ?? false
    }
  }

  private func isWell() throws -> Bool {
    let running = servers.filter { $0.pid != nil }
    let views = try Set(running.map { try $0.slotOwners() })
    // A master that has not heard of its replica would not give it its place.
    let known = Set(views.joined().flatMap { $0.dropFirst(2) })
    guard views.count == 1, known.count == running.count else { return false }
    return try running.allSatisfy { try $0.clusterInfo("cluster_state") == "ok" && $0.isInStep() }
  }

  /// The running server that has a key's slot, by what a majority of the running servers say.
  public func owner(ofKey key: String) throws -> RedisServer {
    let slot = try slot(ofKey: key)
    return try waitUntil("an owner of slot \(slot)") { try owner(of: slot) }
  }

  public func slot(ofKey key: String) throws -> Int {
    guard let slot = try servers.first(where: { $0.pid != nil })?.call("CLUSTER", "KEYSLOT", key).integer else {
      throw TestServerError.launch("no server tells the slot of \(key)")
    }
    return Int(slot)
  }

  private func owner(of slot: Int) throws -> RedisServer? {
    var votes: [String: Int] = [:]
    let running = servers.filter { $0.pid != nil }
    for server in running {
      // One that is paused or going does not vote.
      if let owner = try? server.owner(of: slot) { votes[owner, default: 0] += 1 }
    }
    guard let winner = votes.max(by: { $0.value < $1.value }), winner.value * 2 > votes.values.reduce(0, +) else {
      return nil
    }
    return running.first { (try? $0.quick("CLUSTER", "MYID").text) == winner.key }
  }

  /// The replica of a master's slots that would take its place, or has.
  public func replica(of master: RedisServer) throws -> RedisServer {
    guard let index = masters.firstIndex(where: { $0 === master }), index < replicas.count else {
      throw TestServerError.launch("the server is no master with a replica")
    }
    return replicas[index]
  }

  // MARK: Moving slots

  /// Begins to move a slot: keys may be on either side until ``finishMove(_:from:to:)``.
  public func beginMove(_ slot: Int, from source: RedisServer, to target: RedisServer) throws {
    try expectOK(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", try source.nodeID())
    try expectOK(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", try target.nodeID())
  }

  /// Moves up to `count` of the slot's keys. Returns how many went.
  @discardableResult
  public func moveKeys(_ slot: Int, from source: RedisServer, to target: RedisServer, count: Int = 100) throws -> Int {
    let keys = try source.call("CLUSTER", "GETKEYSINSLOT", slot, count).elements ?? []
    guard !keys.isEmpty else { return 0 }
    let names: [any RedisArgument] = keys.map { $0.bytes ?? [] }
    let command: [any RedisArgument] = ["MIGRATE", "127.0.0.1", target.port, "", 0, 10_000, "KEYS"] + names
    let reply = try source.connect().call(command)
    guard reply == .ok else { throw TestServerError.launch("MIGRATE answered \(reply)") }
    return keys.count
  }

  public func finishMove(_ slot: Int, from source: RedisServer, to target: RedisServer) throws {
    while try moveKeys(slot, from: source, to: target) > 0 {}
    let id = try target.nodeID()
    for server in [target, source] { try expectOK(server, "CLUSTER", "SETSLOT", slot, "NODE", id) }
  }

  private func expectOK(_ server: RedisServer, _ arguments: any RedisArgument...) throws {
    let reply = try server.connect().call(arguments)
    guard reply == .ok else { throw TestServerError.launch("\(arguments.prefix(3)) answered \(reply)") }
  }
}

extension RedisServer {
  /// What the nodes of a cluster call this one.
  public func nodeID() throws -> String {
    guard let id = try call("CLUSTER", "MYID").text else { throw TestServerError.launch("the node tells no id") }
    return id
  }

  /// One number of `CLUSTER INFO` as text.
  public func clusterInfo(_ field: String) throws -> String? {
    let lines = try call("CLUSTER", "INFO").text?.split(whereSeparator: \.isNewline) ?? []
    return lines.first { $0.hasPrefix(field + ":") }.map { String($0.dropFirst(field.count + 1)) }
  }

  /// The lines of `CLUSTER NODES`, in words, without nodes that are only being met.
  fileprivate func nodes() throws -> [[Substring]] {
    let lines = try call("CLUSTER", "NODES").text?.split(whereSeparator: \.isNewline) ?? []
    return lines.map { $0.split(separator: " ") }.filter { !$0[2].contains("handshake") }
  }

  fileprivate func busPort() throws -> Int {
    guard let myself = try nodes().first(where: { $0[2].contains("myself") }),
      let text = myself[1].split(separator: "@").last?.prefix(while: \.isNumber), let port = Int(text)
    else { throw TestServerError.launch("the node tells no port of its bus") }
    return port
  }

  /// Each range of slots with its master and, in order of their names, its replicas, as this node sees it.
  fileprivate func slotOwners() throws -> Set<[RESP]> {
    Set(
      try (call("CLUSTER", "SLOTS").elements ?? []).map { range in
        let parts = range.elements ?? []
        let nodes = parts.dropFirst(2).map { $0[2] ?? .null }
        return parts.prefix(2) + nodes.prefix(1) + nodes.dropFirst().sorted { $0.text ?? "" < $1.text ?? "" }
      }
    )
  }

  /// A call that a paused server does not hold up for long.
  fileprivate func quick(_ arguments: any RedisArgument...) throws -> RESP {
    let link = try connect()
    link.timeout = .milliseconds(500)
    return try link.call(arguments)
  }

  fileprivate func owner(of slot: Int) throws -> String? {
    let ranges = try quick("CLUSTER", "SLOTS").elements ?? []
    let range = ranges.first { range in
      guard let first = range[0]?.integer, let last = range[1]?.integer else { return false }
      return first <= slot && slot <= last
    }
    return range?[2]?[2]?.text
  }

  /// A replica whose link is up, or a master.
  fileprivate func isInStep() throws -> Bool {
    let role = try call("ROLE")
    return role[0] == "master" || role[3] == "connected"
  }
}
