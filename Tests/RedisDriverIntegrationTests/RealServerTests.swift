import Glibc
import RedisDriver
import Synchronization
import TestServers
import Testing

/// Against a real redis-server.
@Suite(.timeLimit(.minutes(10))) struct RealServerTests {
  @Test("Many tasks on one connection have their own replies, in their own order", arguments: [true, false])
  func pipelining(_ onExecutor: Bool) async throws {
    let server = try RedisServer.plain()
    try await withClient(server.unixURL) { client in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<200 {
          group.addTask(executorPreference: onExecutor ? client.taskExecutor : nil) {
            for index in 0..<100 {
              let reply = try await client.call("RPUSH", as: Int.self) { command in
                command.argument("list:\(task)")
                command.argument(index)
              }
              #expect(reply.value == index + 1)
            }
            let list = try await client.send(["LRANGE", .init("list:\(task)"), 0, -1])
            #expect(list.array?.compactMap(\.integer) == Array(0..<100))
          }
        }
        try await group.waitForAll()
      }
      let info = try await client.send(["INFO", "clients"])
      #expect(info.string?.contains("connected_clients:1\r") == true)
    }
  }

  @Test("Values of any size come back as they were", arguments: [0, 1, 4095, 4096, 65_536, 1 << 20, 40_000_000])
  func bigValues(_ size: Int) async throws {
    let server = try RedisServer.plain()
    try await withClient(server.unixURL) { client in
      var generator = SplitMix64(seed: UInt64(size))
      let word = generator.next()
      let value = (0..<size).map { UInt8(truncatingIfNeeded: (word &+ UInt64($0)) &* 0x9E37_79B9 >> 11) }
      async let small = client.send(["SET", "small", "s"])
      let reply1 = try await client.send(["SET", "big", .init(value)])
      #expect(reply1 == .simple("OK"))
      let got = try await client.call(["GET", "big"], as: Bytes.self)
      #expect(got.value.bytes == value)
      let reply2 = try await small
      #expect(reply2 == .simple("OK"))
      let reply3 = try await client.send(["GET", "small"]).string
      #expect(reply3 == "s")
    }
  }

  @Test("Name, address and socket lead to the same server, and a database index to its database")
  func endpoints() async throws {
    let server = try RedisServer.plain(tcp: true)
    for (index, endpoint) in [
      RedisURL.Endpoint.tcp(host: "localhost", port: server.port), .tcp(host: "127.0.0.1", port: server.port),
      .unix(path: server.socketPath),
    ].enumerated() {
      try await withClient(RedisURL(endpoint: endpoint, database: index + 1)) { client in
        try await client.connect()
        _ = try await client.send(["SET", "where", .init(index)])
      }
      #expect(try server.connect().pipeline([["SELECT", index + 1], ["GET", "where"]]).last?.text == "\(index)")
    }
    try await withClient(RedisURL(endpoint: .unix(path: server.socketPath), database: 99)) { client in
      let error = await failure { try await client.connect() }
      #expect(error?.code == .refused)
      #expect(error?.message.contains("DB index") == true)
    }
  }

  @Test("Database and user are those of the URL after a reconnection too")
  func greetedAgain() async throws {
    let server = try RedisServer.plain("user shop on >s3cret ~* +@all")
    let url = RedisURL(endpoint: .unix(path: server.socketPath), user: "shop", password: "s3cret", database: 3)
    try await withClient(url) { client in
      let reply4 = try await client.send(["ACL", "WHOAMI"]).string
      #expect(reply4 == "shop")
      _ = try await client.send(["SET", "k", "three"])
      try server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      try await eventually("the loss") { client.connectionEpoch > 0 }
      let reply5 = try await client.send(["GET", "k"]).string
      #expect(reply5 == "three")
      let reply6 = try await client.send(["ACL", "WHOAMI"]).string
      #expect(reply6 == "shop")
    }
  }

  @Test("A wrong password is refused at once, for every command that waits, and is in no error")
  func wrongPassword() async throws {
    let server = try RedisServer.plain("requirepass right")
    // A command that waited out its patience would run into the suite's time limit.
    var configuration = RedisClient.Configuration.patient
    configuration.patience = .seconds(3600)
    for (user, password, prefix) in [
      (nil, "wr0ng", "WRONGPASS"), ("nobody", "wr0ng", "WRONGPASS"), (nil, nil, "NOAUTH"),
    ] as [(String?, String?, String)] {
      let url = RedisURL(endpoint: .unix(path: server.socketPath), user: user, password: password)
      try await withClient(url, configuration) { client in
        async let other = failure { try await client.send(["SET", "k", "v"], options: .retrying) }
        let error = await failure { try await client.send(["GET", "k"], options: .retrying) }
        for error in [error, await other] {
          #expect(error?.code == .refused)
          #expect(error?.serverErrorPrefix == prefix)
          #expect(error?.server == server.socketPath)
          #expect(error?.outcomeIsUnknown == false)
          #expect(error.map { "\($0)".contains("wr0ng") } == false)
        }
      }
    }
    try await withClient(RedisURL(endpoint: .unix(path: server.socketPath), password: "right")) { client in
      let reply7 = try await client.send(["PING"])
      #expect(reply7 == .simple("PONG"))
    }
  }

  @Test("A user without the right to PING may do what it came for, and is told what it may not")
  func narrowUser() async throws {
    let server = try RedisServer.plain("user narrow on >pw ~k +get")
    let url = RedisURL(endpoint: .unix(path: server.socketPath), user: "narrow", password: "pw")
    try await withClient(url) { client in
      let reply8 = try await client.send(["GET", "k"])
      #expect(reply8 == .null)
      let error = await failure { try await client.send(["SET", "k", "v"]) }
      #expect(error?.serverErrorPrefix == "NOPERM")
    }
  }

  @Test("A read-only replica says so, and the error names it")
  func readOnlyReplica() async throws {
    let master = try RedisServer.plain(tcp: true)
    let replica = try RedisServer(.init(module: .none, tcp: true, replicaOf: master))
    try await withClient(replica.tcpURL) { client in
      let error = await failure { try await client.send(["SET", "k", "v"], options: .retrying) }
      #expect(error?.code == .serverError)
      #expect(error?.serverErrorPrefix == "READONLY")
      #expect(error?.description.contains("127.0.0.1:\(replica.port)") == true)
      #expect(error?.outcomeIsUnknown == false)
    }
  }

  @Test("An unreachable server fails a client that asks for it at once, and a command at its deadline")
  func unreachable() async throws {
    let directory = try TemporaryDirectory()
    let rows: [(RedisURL.Endpoint, String)] = [
      (.unix(path: directory.file("none")), "No such file"), (.tcp(host: "127.0.0.1", port: 1), "Connection refused"),
      (.tcp(host: "no-such-host.invalid", port: 1), "resolve"),
    ]
    for (endpoint, reason) in rows {
      let url = RedisURL(endpoint: endpoint)
      try await withClient(url) { client in
        let error = await failure { try await client.connect() }
        #expect(error?.code == .cannotConnect)
        #expect(error?.description.contains(url.server) == true)
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
        let late = await failure {
          try await client.send(["GET", "k"], options: CallOptions(deadline: .now + .milliseconds(50)))
        }
        #expect(late?.code == .notSent)
        #expect(late?.message.contains(reason) == true, "\(late?.message ?? "")")
      }
    }
  }

  @Test("A pipeline that is larger than all buffers is answered, though its first replies come before its end is sent")
  func largePipeline() async throws {
    let server = try RedisServer.plain()
    try await withClient(server.unixURL) { client in
      let text = RedisCommand.Argument(String(repeating: "x", count: 10_000))
      let replies = try await client.pipeline((0..<2_000).map { _ in ["ECHO", text] }).value
      let lengths = Set(replies.map { $0.bytes?.count })
      #expect(replies.count == 2_000 && lengths == [10_000])
    }
  }

  @Test("A transaction is all or nothing; what its commands say is told")
  func transactions() async throws {
    let server = try RedisServer.plain()
    try await withClient(server.unixURL) { client in
      _ = try await client.send(["SET", "text", "x"])
      let replies = try await client.transaction([["INCR", "n"], ["INCR", "text"], ["INCR", "n"]]).value
      #expect(replies[0] == .integer(1) && replies[2] == .integer(2))
      guard case .error = replies[1] else { return #expect(Bool(false), "\(replies[1])") }
      let error = await failure { try await client.transaction([["INCR", "n"], ["NOSUCH"], ["INCR", "n"]]) }
      #expect(error?.code == .serverError)
      #expect(error?.message.contains("unknown command") == true)
      let reply9 = try await client.send(["GET", "n"]).integer
      #expect(reply9 == 2)
      let piped = try await client.pipeline([["INCR", "n"], ["INCR", "text"], ["GET", "n"]]).value
      #expect(piped.count == 3 && piped[0] == .integer(3) && piped[2].integer == 3)
      #expect(await failure { try await client.send(["MULTI"]) }?.code == .invalidCommand)
    }
  }

  @Test("Transactions of many tasks are not mixed with one another or with other commands")
  func concurrentTransactions() async throws {
    let server = try RedisServer.plain()
    try await withClient(server.unixURL) { client in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<50 {
          group.addTask(executorPreference: task % 2 == 0 ? client.taskExecutor : nil) {
            for _ in 0..<50 {
              let replies = try await client.transaction([["INCR", "a"], ["INCR", "b"]]).value
              #expect(replies[0] == replies[1])
              let reply10 = try await client.send(["ECHO", .init("\(task)")]).string
              #expect(reply10 == "\(task)")
            }
          }
        }
        try await group.waitForAll()
      }
      let reply11 = try await client.send(["GET", "a"]).integer
      #expect(reply11 == 2500)
    }
  }

  @Test("A blocking command on a connection of its own holds up no other")
  func dedicated() async throws {
    let server = try RedisServer.plain()
    try await withClient(server.unixURL) { client in
      try await client.withDedicatedConnection { blocking in
        async let popped = blocking.send(["BLPOP", "queue", 0], options: CallOptions(timeout: .seconds(60)))
        try await eventually("a blocked client") {
          try await client.send(["INFO", "clients"]).string?.contains("blocked_clients:1\r") == true
        }
        for index in 0..<100 {
          let number = try await client.send(["INCR", "n"])
          #expect(number == .integer(index + 1))
        }
        _ = try await client.send(["RPUSH", "queue", "job"])
        let reply12 = try await popped.array?.last?.string
        #expect(reply12 == "job")
      }
      try await eventually("the connection's end") {
        try await client.send(["INFO", "clients"]).string?.contains("connected_clients:1\r") == true
      }
    }
  }

  @Test("A client whose only command blocks can be cancelled and closed")
  func closeWhileBlocked() async throws {
    let server = try RedisServer.plain()
    let blocking = try RedisClient(server.unixURL)
    let watcher = try server.connect()
    await withTaskGroup(of: RedisError?.self) { group in
      group.addTask {
        await failure { try await blocking.send(["BLPOP", "queue", 0], options: CallOptions(timeout: .seconds(60))) }
      }
      try? await eventually("a blocked client") {
        try watcher.call("INFO", "clients").text?.contains("blocked_clients:1\r") == true
      }
      group.cancelAll()
      #expect(await group.next()??.code == .cancelled)
    }
    await blocking.close()
    #expect(await failure { try await blocking.send(["PING"]) }?.code == .closed)
    await blocking.close()
  }

  @Test("A script runs by its hash, and by its text where the server has forgotten it")
  func scripts() async throws {
    let server = try RedisServer.plain()
    let script = RedisScript("return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}")
    try await withClient(server.unixURL) { client in
      for round in 1...4 {
        if round == 3 { _ = try await client.send(["SCRIPT", "FLUSH"]) }
        let reply = try await client.evaluate(script, keys: ["k"], arguments: ["v"], as: RESPValue.self)
        #expect(reply.value.array?.map(\.string) == ["k", "v", nil])
        #expect(reply.value.array?.last == .integer(round))
      }
      let calls = try await client.send(["INFO", "commandstats"]).string ?? ""
      #expect(calls.contains("cmdstat_eval:calls=2,"))
      let error = await failure {
        try await client.evaluate(RedisScript("return nonsense("), keys: [], as: RESPValue.self)
      }
      #expect(error?.code == .serverError)
    }
  }

  @Test("Closing waits for what is under way, refuses what comes later, and ends the client's thread")
  func close() async throws {
    let server = try RedisServer.plain()
    let client = try RedisClient(server.unixURL)
    let executor = client.taskExecutor
    try await withThrowingTaskGroup(of: Int.self) { group in
      for task in 0..<100 {
        group.addTask(executorPreference: task % 2 == 0 ? executor : nil) {
          var done = 0
          do throws(RedisError) {
            while true {
              _ = try await client.send(["INCR", "n"])
              done += 1
            }
          } catch {
            #expect(error.code == .closed)
            #expect(!error.outcomeIsUnknown)
          }
          return done
        }
      }
      try await eventually("a thousand") { (try server.call("GET", "n").text.flatMap { Int($0) } ?? 0) > 1000 }
      await client.close()
      let done = try await group.reduce(0, +)
      #expect(try server.call("GET", "n").text == "\(done)")
    }
    // The executor of a closed client still runs what prefers it.
    #expect(await Task(executorPreference: executor) { 7 }.value == 7)
    #expect(await failure { try client.makeDedicated() }?.code == .closed)
  }

  @Test("kill -9 in the middle of a stream: what was answered is there, once, and only the rest is unknown")
  func crash() async throws {
    let server = try RedisServer.plain(appendOnly: true)
    let counts = Counts()
    try await withClient(server.unixURL) { client in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<32 {
          group.addTask(executorPreference: client.taskExecutor) {
            for index in 0..<200 {
              do throws(RedisError) {
                _ = try await client.send(["INCR", "n"])
                counts.answered.wrappingAdd(1, ordering: .relaxed)
              } catch {
                // Nothing but a lost reply may come of it, as everything unsent has time enough.
                #expect(error.code == .replyLost)
                counts.unknown.wrappingAdd(1, ordering: .relaxed)
              }
              let value = "\(task).\(index)"
              _ = try await client.send(["SET", .init("key:\(task)"), .init(value)], options: .retrying)
            }
          }
        }
        for goal in [800, 2500] {
          try await eventually("\(goal) commands") { counts.answered.load(ordering: .relaxed) > goal }
          try server.kill9()
          try server.restart()
        }
        try await group.waitForAll()
      }
    }
    let number = try server.call("GET", "n").text.flatMap { Int($0) } ?? 0
    let answered = counts.answered.load(ordering: .relaxed)
    let unknown = counts.unknown.load(ordering: .relaxed)
    #expect(answered + unknown == 32 * 200)
    #expect(number >= answered && number <= answered + unknown, "\(answered) \(unknown) \(number)")
    for task in 0..<32 { #expect(try server.call("GET", "key:\(task)").text == "\(task).199") }
  }

  @Test("A server that hangs is given up after the time-out, and used again when it comes back")
  func hang() async throws {
    let server = try RedisServer.plain()
    try await withClient(server.unixURL, .init(connectTimeout: .milliseconds(100), timeout: .milliseconds(100))) {
      client in
      try await client.connect()
      server.pause()
      let error = await failure { try await client.send(["INCR", "n"]) }
      #expect(error?.code == .timedOut)
      let unsent = await failure {
        try await client.send(["INCR", "n"], options: CallOptions(deadline: .now + .milliseconds(300)))
      }
      #expect(unsent?.code == .notSent)
      server.resume()
      let n = try await client.send(["INCR", "n"]).integer ?? 0
      #expect(n == 1 || n == 2)
    }
  }

  @Test("A command too large for a hanging server's socket times out unsent")
  func stalledUpload() async throws {
    let server = try RedisServer.plain()
    try await withClient(server.unixURL, .init(connectTimeout: .milliseconds(100), timeout: .milliseconds(200))) {
      client in
      try await client.connect()
      server.pause()
      let value = [UInt8](repeating: 1, count: 10_000_000)
      let options = CallOptions(deadline: .now + .milliseconds(100))
      let error = await failure { try await client.send(["SET", "big", .init(value)], options: options) }
      server.resume()
      #expect(error?.code == .notSent)
      #expect(error?.outcomeIsUnknown == false)
      let reply13 = try await client.send(["EXISTS", "big"])
      #expect(reply13 == .integer(0))
    }
  }
}

/// What has become of commands.
private final class Counts: Sendable {
  let answered = Atomic(0)
  let unknown = Atomic(0)
}
