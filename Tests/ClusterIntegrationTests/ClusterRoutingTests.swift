import Glibc
import RedisDriver
import TestServers
import Testing

/// Against a real cluster of three masters.
@Suite(.timeLimit(.minutes(5)), .serialized) struct ClusterRoutingTests {
  @Test("From one seed every key reaches its node, from tasks anywhere", arguments: [true, false])
  func everyNode(_ onExecutor: Bool) async throws {
    let cluster = try TestCluster(withReplicas: false, options: .init(module: .none))
    try await withCluster(cluster) { client in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<50 {
          group.addTask(executorPreference: onExecutor ? client.taskExecutor : nil) {
            for index in 0..<40 {
              let key = "key:\(task).\(index)"
              let reply = try await client.call("SET", slot: .of(key), as: String.self) { command in
                command.argument(key)
                command.argument(index)
              }
              #expect(reply.value == "OK" && reply.lostSendings == 0)
              let got = try await client.call(["GET", .init(key)], slot: .of(key), as: String.self)
              #expect(got.value == String(index))
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(client.masters.count == 3)
      for master in cluster.masters {
        let keys = try #require(master.call("DBSIZE").integer)
        #expect(keys > 400)
        #expect(try master.errors("MOVED") == 0)
        #expect(try master.connections() == 1)
      }
    }
  }

  @Test("A slot that moves while commands run: none fails, each counts once, and the old node is soon left alone")
  func migration() async throws {
    let cluster = try TestCluster(withReplicas: false, options: .init(module: .none))
    let (source, target) = (cluster.masters[0], cluster.masters[1])
    // 200 keys of one slot, and counters of others that nothing must disturb.
    let tag = try cluster.tag(on: source)
    let slot = try cluster.slot(ofKey: tag)
    try await withCluster(cluster) { client in
      let isOver = Flag()
      let counts = try await withThrowingTaskGroup(of: (String, Int).self) { group in
        for task in 0..<20 {
          group.addTask(executorPreference: task % 2 == 0 ? client.taskExecutor : nil) {
            let key = "{\(tag)}:\(task)"
            var count = 0
            while !isOver.isSet || count < 100 {
              let value = try await client.call(["INCR", .init(key)], slot: .of(key), as: Int.self).value
              count += 1
              #expect(value == count, "\(key)")
            }
            return (key, count)
          }
        }
        group.addTask {
          for (from, to) in [(source, target), (target, source), (source, target)] {
            try cluster.beginMove(slot, from: from, to: to)
            // Key by key, so that some are here and some there for a while.
            while try cluster.moveKeys(slot, from: from, to: to, count: 1) > 0 { try await client.connect() }
            try cluster.finishMove(slot, from: from, to: to)
          }
          isOver.set()
          return ("", 0)
        }
        return try await group.reduce(into: [(String, Int)]()) { if !$1.0.isEmpty { $0.append($1) } }
      }
      for (key, count) in counts {
        let value = try await client.call(["GET", .init(key)], slot: .of(key), as: String.self).value
        #expect(value == String(count))
      }
      #expect(client.node(of: .of(tag))?.port == target.port)
      let moved = try source.errors("MOVED") + target.errors("MOVED")
      // One for each command that was under way when a move ended, and not one for each command after it.
      #expect(moved > 0 && moved <= 3 * 20 + 3, "\(moved) redirections")
      #expect(try source.errors("ASK") + target.errors("ASK") > 0)
    }
  }

  @Test("A transaction follows its slot while that moves, as a whole")
  func transactionsWhileMoving() async throws {
    let cluster = try TestCluster(withReplicas: false, options: .init(module: .none))
    let (source, target) = (cluster.masters[0], cluster.masters[1])
    let tag = try cluster.tag(on: source)
    let slot = try cluster.slot(ofKey: tag)
    let commands: [RedisCommand] = [["INCR", .init(tag)], ["INCRBY", .init(tag), 10], ["GET", .init(tag)]]
    try await withCluster(cluster) { client in
      func run(_ expected: Int) async throws {
        let replies = try await client.transaction(commands, slot: .of(tag)).value
        #expect(replies.map(\.integer) == [expected - 10, expected, expected])
      }
      try await run(11)
      try cluster.beginMove(slot, from: source, to: target)
      try await run(22)
      try cluster.moveKeys(slot, from: source, to: target)
      // The source sends it on for this once, and `ASKING` holds up to `EXEC`.
      try await run(33)
      try await run(44)
      #expect(try source.errors("ASK") > 0)
      try cluster.finishMove(slot, from: source, to: target)
      try await run(55)
      try await run(66)
      #expect(client.node(of: .of(tag))?.port == target.port)
    }
  }

  @Test("Commands over several keys of a slot that moves are tried again until they are together")
  func tryAgain() async throws {
    let cluster = try TestCluster(withReplicas: false, options: .init(module: .none))
    let (source, target) = (cluster.masters[0], cluster.masters[1])
    let tag = try cluster.tag(on: source)
    let slot = try cluster.slot(ofKey: tag)
    try await withCluster(cluster) { client in
      for index in 0..<2 {
        _ = try await client.call(["SET", "{\(tag)}:\(index)", "v"], slot: .of(tag), as: OK.self)
      }
      try cluster.beginMove(slot, from: source, to: target)
      try cluster.moveKeys(slot, from: source, to: target, count: 1)
      async let both = client.call(["MGET", "{\(tag)}:0", "{\(tag)}:1"], slot: .of(tag), as: [String].self)
      try waitUntil("TRYAGAIN") { try target.errors("TRYAGAIN") + source.errors("TRYAGAIN") > 0 }
      try cluster.finishMove(slot, from: source, to: target)
      let values = try await both.value
      #expect(values == ["v", "v"])
    }
  }

  @Test("Slots without a node: their commands wait, and end by their deadline; others go on")
  func clusterDown() async throws {
    let options = RedisServerOptions(module: .none, configLines: ["cluster-require-full-coverage no"])
    let cluster = try TestCluster(withReplicas: false, options: options)
    let lost = cluster.masters[0]
    let (tag, other) = (try cluster.tag(on: lost), try cluster.tag(on: cluster.masters[1]))
    let slot = try cluster.slot(ofKey: tag)
    try await withCluster(cluster) { client in
      for master in cluster.masters { #expect(try master.call("CLUSTER", "DELSLOTS", slot) == .ok) }
      let deadline = MonotonicTime.now + .milliseconds(300)
      let error = await failure {
        try await client.call(
          ["GET", .init(tag)],
          slot: .of(tag),
          as: String?.self,
          options: .init(deadline: deadline)
        )
      }
      #expect(error?.outcomeIsUnknown == false)
      #expect(
        error?.serverErrorPrefix == "CLUSTERDOWN" || error?.code == .cannotConnect,
        "\(String(describing: error))"
      )
      let fine = try await client.call(["GET", .init(other)], slot: .of(other), as: String?.self).value
      #expect(fine == nil)

      async let waiting = client.call(["GET", .init(tag)], slot: .of(tag), as: String?.self)
      #expect(try lost.call("CLUSTER", "ADDSLOTS", slot) == .ok)
      let value = try await waiting.value
      #expect(value == nil)
    }
  }

  @Test("A password guards all nodes; a wrong one, a server in no cluster, and nobody there are told at once")
  func faults() async throws {
    let options = RedisServerOptions(module: .none, configLines: ["masterauth secret"])
    let cluster = try TestCluster(masters: 1, withReplicas: false, options: options)
    #expect(try cluster.masters[0].call("CONFIG", "SET", "requirepass", "secret") == .ok)
    var url = cluster.seeds[0]
    url.password = "wrong"
    #expect(await connectError([url])?.code == .refused)
    url.password = "secret"
    #expect(await connectError([url]) == nil)

    let alone = try RedisServer(.init(module: .none, tcp: true))
    let error = await connectError([alone.tcpURL])
    #expect(error?.code == .serverError && error?.message.contains("cluster support disabled") == true)

    let nobody = RedisURL(endpoint: .tcp(host: "127.0.0.1", port: 1))
    let unreachable = await connectError([nobody], within: .milliseconds(300))
    #expect(unreachable?.code == .cannotConnect && unreachable?.server == "127.0.0.1:1")
    #expect(throws: RedisError.self) { try RedisCluster(seeds: []) }
    #expect(throws: RedisError.self) { try RedisCluster(seeds: [alone.unixURL]) }
  }

  @Test("Seeds that are not there are passed over")
  func deadSeeds() async throws {
    let cluster = try TestCluster(withReplicas: false, options: .init(module: .none))
    let nobody = RedisURL(endpoint: .tcp(host: "127.0.0.1", port: 1))
    #expect(await connectError([nobody, nobody, cluster.seeds[2]]) == nil)
  }

  @Test("A closed client refuses, after what was under way has its reply")
  func closing() async throws {
    let cluster = try TestCluster(withReplicas: false, options: .init(module: .none))
    let client = try RedisCluster(seeds: cluster.seeds, configuration: .patient)
    try await client.connect()
    let tags = try cluster.masters.map { try cluster.tag(on: $0) }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for tag in tags {
        group.addTask { _ = try await client.call(["SET", .init(tag), "v"], slot: .of(tag), as: OK.self) }
      }
      try await group.waitForAll()
    }
    await client.close()
    let error = await failure { try await client.call(["GET", "x"], slot: .of("x"), as: String?.self) }
    #expect(error?.code == .closed)
  }

  private func connectError(_ seeds: [RedisURL], within time: Duration = .seconds(20)) async -> RedisError? {
    var configuration = RedisClient.Configuration.patient
    configuration.connectTimeout = time
    do {
      let client = try RedisCluster(seeds: seeds, configuration: configuration)
      let error = await failure { try await client.connect() }
      await client.close()
      return error
    } catch {
      return error
    }
  }
}
