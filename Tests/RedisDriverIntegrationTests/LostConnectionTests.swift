import RedisDriver
import TestServers
import Testing

/// What a scripted server does to the driver: replies lost, halved, late or out of place.
@Suite(.timeLimit(.minutes(10))) struct LostConnectionTests {
  @Test("A lost reply is told as such to a command that must not run twice")
  func replyLost() async throws {
    let peer = try ScriptedPeer {
      try $0.greet()
      try $0.expect("INCR k")
    }
    try await withClient(peer.url) { client in
      let error = await failure { try await client.send(["INCR", "k"]) }
      #expect(error?.code == .replyLost)
      #expect(error?.outcomeIsUnknown == true)
      #expect(error?.lostSendings == 1)
      #expect(error?.description.contains(peer.url.server) == true)
    }
    #expect(peer.failures == [])
  }

  @Test("An idempotent command is sent until it is answered, and its reply tells how often in vain")
  func resend() async throws {
    let losing: ScriptedPeer.Script = {
      try $0.greet()
      try $0.expect("SET k v")
    }
    let peer = try ScriptedPeer(losing, losing) {
      try $0.greet()
      try $0.expect("SET k v")
      $0.reply("+OK\r\n")
      try $0.waitForEnd()
    }
    try await withClient(peer.url) { client in
      let reply = try await client.call(["SET", "k", "v"], as: OK.self, options: .retrying)
      #expect(reply.lostSendings == 2)
    }
    #expect(peer.failures == [])
  }

  @Test("After a loss, unanswered commands that may be repeated go first, in order, then the new ones")
  func order() async throws {
    let lost = Gate()
    let peer = try ScriptedPeer(
      { peer in
        try peer.greet()
        for command in ["GET 0", "GET 1", "DEL 2", "GET 3"] { try peer.expect(command) }
        peer.reply("+zero\r\n")
        lost.open()
      },
      { peer in
        try peer.greet()
        try peer.expect("GET 1")
        try peer.expect("GET 3")
        peer.reply("+one\r\n+three\r\n")
        try peer.expect("GET 4")
        peer.reply("+four\r\n")
        try peer.waitForEnd()
      }
    )
    try await withClient(peer.url) { client in
      try await withThrowingTaskGroup(of: Void.self) { group in
        // Tasks on the client's own thread begin in the order in which they are made.
        func add(
          _ command: RedisCommand,
          _ options: CallOptions,
          _ check: @escaping @Sendable (Result<Reply<String>, RedisError>) -> Void
        ) {
          group.addTask(executorPreference: client.taskExecutor) {
            do throws(RedisError) {
              check(.success(try await client.call(command, as: String.self, options: options)))
            } catch {
              check(.failure(error))
            }
          }
        }
        add(["GET", "0"], .retrying) { #expect((try? $0.get().value) == "zero") }
        add(["GET", "1"], .retrying) { #expect((try? $0.get().value) == "one") }
        add(["DEL", "2"], .once) { result in
          let error = #expect(throws: RedisError.self) { try result.get() }
          #expect(error?.code == .replyLost)
        }
        add(["GET", "3"], .retrying) { #expect((try? $0.get().lostSendings) == 1) }
        try await lost.opened()
        add(["GET", "4"], .once) { #expect((try? $0.get().value) == "four") }
        try await group.waitForAll()
      }
    }
    #expect(peer.failures == [])
  }

  @Test("Half a reply is no reply", arguments: ["", "$5\r\nhe", "*3\r\n+OK\r\n:1", "*2\r\n$3\r\nabc\r\n"])
  func halfReply(_ half: String) async throws {
    let peer = try ScriptedPeer(
      {
        try $0.greet()
        try $0.expect("GET k")
        $0.reply(half)
      },
      {
        try $0.greet()
        try $0.expect("GET k")
        $0.reply("$5\r\nhello\r\n")
        try $0.waitForEnd()
      }
    )
    try await withClient(peer.url) { client in
      let reply = try await client.call(["GET", "k"], as: String.self, options: .retrying)
      #expect(reply.value == "hello")
      #expect(reply.lostSendings == 1)
    }
    #expect(peer.failures == [])
  }

  @Test("What is not RESP fails its command, ends the connection, and the next command has a new one")
  func garbage() async throws {
    let peer = try ScriptedPeer(
      {
        try $0.greet()
        try $0.expect("GET k")
        $0.reply("HTTP/1.1 400\r\n")
        try $0.waitForEnd()
      },
      {
        try $0.greet()
        try $0.expect("GET k")
        $0.reply("$-1\r\n")
        try $0.waitForEnd()
      }
    )
    try await withClient(peer.url) { client in
      let error = await failure { try await client.send(["GET", "k"], options: .retrying) }
      #expect(error?.code == .protocolViolation)
      #expect(error?.outcomeIsUnknown == true)
      let reply1 = try await client.send(["GET", "k"])
      #expect(reply1 == .null)
    }
    #expect(peer.failures == [])
  }

  @Test("A reply that nobody asked for ends the connection before it can be taken for another's")
  func unsolicited() async throws {
    let peer = try ScriptedPeer(
      {
        try $0.greet()
        try $0.expect("GET a")
        $0.reply("+a\r\n+surplus\r\n")
        try $0.waitForEnd()
      },
      {
        try $0.greet()
        try $0.expect("GET b")
        $0.reply("+b\r\n")
        try $0.waitForEnd()
      }
    )
    try await withClient(peer.url) { client in
      let reply2 = try await client.send(["GET", "a"])
      #expect(reply2 == .simple("a"))
      try await eventually("the connection's end") { client.connectionEpoch > 0 }
      let reply3 = try await client.send(["GET", "b"])
      #expect(reply3 == .simple("b"))
    }
    #expect(peer.failures == [])
  }

  @Test("A silent server fails the command in time, and the connection is made anew")
  func silence() async throws {
    let peer = try ScriptedPeer(
      {
        try $0.greet()
        try $0.expect("GET a")
        try $0.waitForEnd()
      },
      {
        try $0.greet()
        try $0.expect("GET b")
        $0.reply("+b\r\n")
        try $0.waitForEnd()
      }
    )
    try await withClient(peer.url) { client in
      let error = await failure {
        try await client.send(["GET", "a"], options: CallOptions(timeout: .milliseconds(50)))
      }
      #expect(error?.code == .timedOut)
      #expect(error?.outcomeIsUnknown == true)
      let reply4 = try await client.send(["GET", "b"])
      #expect(reply4 == .simple("b"))
    }
    #expect(peer.failures == [])
  }

  @Test("A server that takes connections and never answers the greeting fails the attempt in time")
  func silentGreeting() async throws {
    let peer = try ScriptedPeer {
      try $0.expect("PING")
      try $0.waitForEnd()
    }
    var configuration = RedisClient.Configuration.patient
    configuration.connectTimeout = .milliseconds(50)
    try await withClient(peer.url, configuration) { client in
      let error = await failure { try await client.connect() }
      #expect(error?.code == .cannotConnect)
      #expect(error?.outcomeIsUnknown == false)
    }
    #expect(peer.failures == [])
  }

  @Test("A command past its deadline is never sent, though the server comes back")
  func deadline() async throws {
    let slow = Gate()
    let peer = try ScriptedPeer { peer in
      try peer.expect("PING")
      try slow.wait()
      peer.reply("+PONG\r\n")
      try peer.expect("GET later")
      peer.reply("+later\r\n")
      try peer.waitForEnd()
    }
    try await withClient(peer.url) { client in
      let error = await failure {
        try await client.send(
          ["GET", "early"],
          options: CallOptions(retry: .always, deadline: .now + .milliseconds(30))
        )
      }
      #expect(error?.code == .notSent)
      #expect(error?.outcomeIsUnknown == false)
      slow.open()
      let reply5 = try await client.send(["GET", "later"])
      #expect(reply5 == .simple("later"))
    }
    #expect(peer.failures == [])
  }

  @Test("A command whose deadline passes after a loss is not sent again, and its outcome is unknown")
  func deadlineAfterLoss() async throws {
    let peer = try ScriptedPeer(
      {
        try $0.greet()
        try $0.expect("GET a")
      },
      {
        try $0.expect("PING")
        try $0.waitForEnd()
      }
    )
    try await withClient(peer.url) { client in
      let options = CallOptions(retry: .always, deadline: .now + .milliseconds(300))
      let error = await failure { try await client.send(["GET", "a"], options: options) }
      #expect(error?.code == .replyLost)
      #expect(error?.lostSendings == 1)
    }
  }

  @Test("A server that is loading, busy or without its master is asked again until it is ready")
  func loading() async throws {
    let peer = try ScriptedPeer(
      {
        try $0.expect("PING")
        $0.reply("-LOADING Redis is loading the dataset in memory\r\n")
        try $0.waitForEnd()
      },
      {
        try $0.expect("PING")
        $0.reply("-BUSY Redis is busy running a script\r\n")
        try $0.waitForEnd()
      },
      {
        try $0.expect("PING")
        $0.reply("-MASTERDOWN Link with MASTER is down\r\n")
        try $0.waitForEnd()
      },
      { $0.reply("-ERR max number of clients reached\r\n") },
      {
        try $0.greet()
        try $0.expect("GET k")
        $0.reply("+v\r\n")
        try $0.waitForEnd()
      }
    )
    try await withClient(peer.url) { client in
      let reply = try await client.call(["GET", "k"], as: String.self)
      #expect(reply.lostSendings == 0)
    }
    #expect(peer.failures == [])
    #expect(peer.connections == 5)
  }

  @Test("A server that goes on loading fails the command at its deadline, with the server's reason")
  func stillLoading() async throws {
    let peer = try ScriptedPeer {
      try $0.expect("PING")
      $0.reply("-LOADING dataset\r\n")
      try $0.waitForEnd()
    }
    // The deadline falls into the wait before the second attempt, however slow the machine is at the first.
    var configuration = RedisClient.Configuration.patient
    configuration.backOff = BackOff(first: .seconds(600), longest: .seconds(600))
    configuration.patience = .seconds(3)
    try await withClient(peer.url, configuration) { client in
      let error = await failure { try await client.send(["GET", "k"]) }
      #expect(error?.code == .notSent)
      #expect(error?.message.contains("LOADING dataset") == true)
    }
    #expect(peer.failures == [])
  }

  @Test("A transaction whose reply was lost is repeated whole, and one that must not run twice is not")
  func transaction() async throws {
    let peer = try ScriptedPeer(
      { peer in
        try peer.greet()
        for command in ["MULTI", "INCR a", "INCR b", "EXEC"] { try peer.expect(command) }
        peer.reply("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n")
      },
      { peer in
        try peer.greet()
        for command in ["MULTI", "INCR a", "INCR b", "EXEC"] { try peer.expect(command) }
        peer.reply("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:2\r\n")
        for command in ["MULTI", "INCR c", "EXEC"] { try peer.expect(command) }
        peer.reply("+OK\r\n")
      }
    )
    try await withClient(peer.url) { client in
      let reply = try await client.transaction([["INCR", "a"], ["INCR", "b"]], options: .retrying)
      #expect(reply.value == [.integer(1), .integer(2)])
      #expect(reply.lostSendings == 1)
      let error = await failure { try await client.transaction([["INCR", "c"]]) }
      #expect(error?.code == .replyLost)
    }
    #expect(peer.failures == [])
  }
}

/// Cancelled tasks.
@Suite(.timeLimit(.minutes(10))) struct CancellationTests {
  @Test("A cancelled task does not wait, and its reply is not taken for the next command's")
  func inFlight() async throws {
    let (received, cancelled) = (Gate(), Gate())
    let peer = try ScriptedPeer { peer in
      try peer.greet()
      try peer.expect("GET a")
      received.open()
      try cancelled.wait()
      try peer.expect("GET b")
      peer.reply("+a\r\n+b\r\n")
      try peer.waitForEnd()
    }
    try await withClient(peer.url) { client in
      await withTaskGroup(of: RedisError?.self) { group in
        group.addTask { await failure { try await client.send(["GET", "a"]) } }
        try? await received.opened()
        group.cancelAll()
        let error = await group.next() ?? nil
        #expect(error?.code == .cancelled)
        #expect(error?.outcomeIsUnknown == true)
      }
      cancelled.open()
      let reply6 = try await client.send(["GET", "b"])
      #expect(reply6 == .simple("b"))
    }
    #expect(peer.failures == [])
  }

  @Test("A cancelled task that wants to know the outcome waits for it")
  func awaitReply() async throws {
    let (received, cancelled) = (Gate(), Gate())
    let peer = try ScriptedPeer { peer in
      try peer.greet()
      try peer.expect("GET a")
      received.open()
      try cancelled.wait()
      peer.reply("+a\r\n")
      try peer.waitForEnd()
    }
    try await withClient(peer.url) { client in
      try await withThrowingTaskGroup(of: RESPValue.self) { group in
        group.addTask { try await client.send(["GET", "a"], options: CallOptions(whenCancelled: .awaitReply)) }
        try await received.opened()
        group.cancelAll()
        cancelled.open()
        let reply7 = try await group.next()
        #expect(reply7 == .simple("a"))
      }
    }
    #expect(peer.failures == [])
  }

  @Test("A cancelled task sends nothing, and what waited to be sent is withdrawn")
  func unsent() async throws {
    let (asked, cancelled) = (Gate(), Gate())
    let peer = try ScriptedPeer { peer in
      try peer.expect("PING")
      asked.open()
      try cancelled.wait()
      peer.reply("+PONG\r\n")
      try peer.expect("GET c")
      peer.reply("+c\r\n")
      try peer.waitForEnd()
    }
    try await withClient(peer.url) { client in
      await withTaskGroup(of: RedisError?.self) { group in
        group.addTask { await failure { try await client.send(["GET", "a"]) } }
        try? await asked.opened()
        group.cancelAll()
        group.addTask { await failure { try await client.send(["GET", "b"]) } }
        for await error in group {
          #expect(error?.code == .cancelled)
          #expect(error?.outcomeIsUnknown == false)
        }
      }
      cancelled.open()
      let reply8 = try await client.send(["GET", "c"])
      #expect(reply8 == .simple("c"))
    }
    #expect(peer.failures == [])
  }

  @Test("Cancelling many tasks at any moment leaves every other with its own reply")
  func storm() async throws {
    let server = try RedisServer.plain()
    try await withClient(server.unixURL) { client in
      let connection = client.connectionEpoch
      for round in 0..<30 {
        try await withThrowingTaskGroup(of: Void.self) { group in
          group.addTask {
            await withTaskGroup(of: Void.self) { doomed in
              for task in 0..<50 {
                doomed.addTask(executorPreference: task % 2 == 0 ? client.taskExecutor : nil) {
                  for _ in 0..<20 { _ = await failure { try await client.send(["ECHO", "doomed"]) } }
                }
              }
              for _ in 0..<round { await Task.yield() }
              doomed.cancelAll()
            }
          }
          for task in 0..<20 {
            group.addTask(executorPreference: task % 2 == 0 ? client.taskExecutor : nil) {
              for index in 0..<50 {
                let word = "\(task).\(index)"
                let reply9 = try await client.call(["ECHO", .init(word)], as: String.self).value
                #expect(reply9 == word)
              }
            }
          }
          try await group.waitForAll()
        }
      }
      #expect(client.connectionEpoch == connection)
    }
  }
}
