import Glibc
import RedisDriver
import Synchronization
import TestServers
import Testing

/// Nodes that die, hang, or change their roles, in a real cluster of three masters with replicas.
@Suite(.timeLimit(.minutes(5)), .serialized) struct ClusterFailoverTests {
  /// Counts for each key how often it was set, and the longest that one call took.
  private final class Journal: Sendable {
    struct Entry {
      var calls = 0
      var longest = Duration.zero
      var lostSendings = 0
    }

    private let entries = Mutex<[String: Entry]>([:])

    func note(_ key: String, _ took: Duration, _ lostSendings: Int) {
      entries.withLock { entries in
        entries[key, default: Entry()].calls += 1
        entries[key, default: Entry()].longest = max(entries[key]?.longest ?? .zero, took)
        entries[key, default: Entry()].lostSendings += lostSendings
      }
    }

    func calls(_ key: String) -> Int { entries.withLock { $0[key]?.calls ?? 0 } }
    func longest(_ key: String) -> Duration { entries.withLock { $0[key]?.longest ?? .zero } }
    func lostSendings(_ key: String) -> Int { entries.withLock { $0[key]?.lostSendings ?? 0 } }
  }

  /// Sets each key over and over by a task of its own while `body` runs, and afterwards until each was set once more.
  private func underLoad(
    _ client: RedisCluster,
    _ keys: [String],
    _ body: @Sendable @escaping (Journal) async throws -> Void
  ) async throws -> Journal {
    let journal = Journal()
    let isOver = Flag()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for key in keys {
        group.addTask(executorPreference: client.taskExecutor) {
          repeat {
            let start = ContinuousClock.now
            let reply = try await client.call(
              ["SET", .init(key), "v"],
              slot: .of(key),
              as: OK.self,
              options: .retrying
            )
            journal.note(key, start.duration(to: .now), reply.lostSendings)
          } while !isOver.isSet
          _ = try await client.call(["SET", .init(key), "last"], slot: .of(key), as: OK.self, options: .retrying)
        }
      }
      group.addTask {
        try await body(journal)
        isOver.set()
      }
      // The first that fails ends the others.
      for try await _ in group {}
    }
    return journal
  }

  /// Waits until each key was set so many times more.
  private func waitForCalls(_ journal: Journal, _ keys: [String], more: Int = 50) throws {
    let before = keys.map(journal.calls)
    try waitUntil("calls") { zip(keys, before).allSatisfy { journal.calls($0) >= $1 + more } }
  }

  private func keys(_ cluster: TestCluster) throws -> [String] { try cluster.masters.map { try cluster.tag(on: $0) } }

  @Test("A master that is killed: its replica's promotion is found, and the other nodes' commands are not held up")
  func killed() async throws {
    let cluster = try TestCluster(options: .init(module: .none))
    let keys = try keys(cluster)
    try await withCluster(cluster) { client in
      let journal = try await underLoad(client, keys) { journal in
        try waitForCalls(journal, keys)
        try cluster.masters[0].kill9()
        try waitForCalls(journal, Array(keys.dropFirst()), more: 200)
        try waitForCalls(journal, keys)
        #expect(client.node(of: .of(keys[0]))?.port == cluster.replicas[0].port)
        // The old master comes back as a replica and answers MOVED to whoever believes the old map; nobody does.
        try cluster.masters[0].restart()
        try cluster.waitUntilWell()
        try waitForCalls(journal, keys)
      }
      #expect(journal.lostSendings(keys[0]) <= 1)
      for key in keys.dropFirst() { #expect(journal.lostSendings(key) == 0) }
      let values = try await client.call(["GET", .init(keys[0])], slot: .of(keys[0]), as: String.self).value
      #expect(values == "last")
    }
  }

  @Test(
    "A master that hangs: what waits for it goes to its replica as soon as that is promoted, the others are not held up"
  )
  func paused() async throws {
    let cluster = try TestCluster(options: .init(module: .none))
    let keys = try keys(cluster)
    // The driver's own time-outs, 40 s, are not what ends the wait.
    try await withCluster(cluster) { client in
      let journal = try await underLoad(client, keys) { journal in
        try waitForCalls(journal, keys)
        cluster.masters[0].pause()
        try waitForCalls(journal, Array(keys.dropFirst()), more: 500)
        try waitForCalls(journal, keys)
        cluster.masters[0].resume()
        try cluster.waitUntilWell()
        try waitForCalls(journal, keys)
      }
      #expect(client.node(of: .of(keys[0]))?.port == cluster.replicas[0].port)
      #expect(journal.longest(keys[0]) < .seconds(30))
      #expect(journal.lostSendings(keys[0]) >= 1)
      for key in keys.dropFirst() {
        #expect(journal.longest(key) < journal.longest(keys[0]), "\(key)")
        #expect(journal.lostSendings(key) == 0)
      }
    }
  }

  @Test("A master that gives its place to its replica in good order: no reply is lost")
  func handedOver() async throws {
    let cluster = try TestCluster(options: .init(module: .none))
    let keys = try keys(cluster)
    try await withCluster(cluster) { client in
      let journal = try await underLoad(client, keys) { journal in
        try waitForCalls(journal, keys)
        #expect(try cluster.replicas[0].call("CLUSTER", "FAILOVER") == .ok)
        try waitUntil("the replica's promotion") { try cluster.replicas[0].call("ROLE")[0] == "master" }
        try waitForCalls(journal, keys)
      }
      #expect(client.node(of: .of(keys[0]))?.port == cluster.replicas[0].port)
      for key in keys { #expect(journal.lostSendings(key) == 0) }
    }
  }

  @Test("A command that must not run twice is not sent again after a lost reply, wherever its slot goes")
  func notTwice() async throws {
    let cluster = try TestCluster(options: .init(module: .none))
    let keys = try keys(cluster)
    try await withCluster(cluster) { client in
      cluster.masters[0].pause()
      async let increment = failure {
        try await client.call(["INCR", .init(keys[0])], slot: .of(keys[0]), as: Int.self)
      }
      let error = await increment
      #expect(error?.code == .replyLost && error?.lostSendings == 1)
      cluster.masters[0].resume()
      try cluster.waitUntilWell()
      let value = try await client.call(["GET", .init(keys[0])], slot: .of(keys[0]), as: String?.self).value
      // The old master ran it, if at all, when it was none any more.
      #expect(value == nil || value == "1")
    }
  }

  @Test("Reads that may be out of date go to replicas, and to the master where a replica is in trouble")
  func replicaReads() async throws {
    let cluster = try TestCluster(options: .init(module: .none))
    let keys = try keys(cluster)
    func read(_ client: RedisCluster, _ key: String) async throws -> String? {
      try await client.read("GET", slot: .of(key), as: String?.self, options: .retrying) { $0.argument(key) }.value
    }
    try await withCluster(cluster) { client in
      let (key, replica) = (keys[0], cluster.replicas[0])
      _ = try await client.call(["SET", .init(key), "v"], slot: .of(key), as: OK.self)
      try replica.waitForSync(with: cluster.masters[0])
      // Masters tell of their replicas when they have heard of them.
      let deadline = ContinuousClock.now + .seconds(20)
      while try replica.calls("get") == 0, ContinuousClock.now < deadline {
        let value = try await read(client, key)
        #expect(value == "v")
        client.refresh()
      }
      let before = try cluster.masters[0].calls("get")
      for _ in 0..<20 {
        let value = try await read(client, key)
        #expect(value == "v")
      }
      #expect(try cluster.masters[0].calls("get") == before)
      #expect(try replica.errors("MOVED") == 0)

      replica.pause()
      let start = ContinuousClock.now
      for _ in 0..<20 {
        let value = try await read(client, key)
        #expect(value == "v")
      }
      #expect(start.duration(to: .now) < .seconds(30))
      #expect(try cluster.masters[0].calls("get") >= before + 15)
      replica.resume()
    }
  }
}
