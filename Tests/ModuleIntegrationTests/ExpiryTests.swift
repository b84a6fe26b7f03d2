import TestServers
import Testing

/// Holds that end by themselves: on a master only, in write commands and in a timer.
@Suite struct ExpiryTests {
  /// So many holds of one unit that end after `ms`.
  private static func hold(_ stock: Stage, _ key: String = "key", count: Int = 1, ms: Int64) throws {
    _ = try stock.redis.pipeline(holds(key, count: count, ms: ms))
  }

  private static func holds(_ key: String = "key", count: Int = 1, ms: Int64) -> [[any RedisArgument]] {
    (0..<count).map { ["STOCK.DEDUCT", key, "u\($0)", "t\($0)", 1, "HOLD", ms] }
  }

  @Test("A hold that is due is cancelled by itself, and its units are on sale again", arguments: [2, 3])
  func timer(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try stock("CREATE", "key", 10, "LIMIT", 3)
    try stock("DEDUCT", "key", "u", "t", 3, "HOLD", 60)
    let expires = try #require(stock("GET", "key", "t")["expires"]?.integer)
    #expect(try stock("DEDUCT", "key", "u", "more", 1) == .status("LIMIT", 7, 0))
    try stock.waitForHeld("key")
    let event = try #require(stock("LOG", "key", 2)[0])
    let timestamp = try #require(event[7]?.integer)
    #expect(event == [3, "expire", "t", "u", 3, 7, 10, .integer(timestamp)])
    #expect(timestamp >= expires)
    #expect(try stock.numbers("key", "available", "held", "sold", "cancelled") == [10, 0, 0, 3])
    let record = try stock("GET", "key", "t")
    #expect(record["state"] == "cancelled" && record["expires"] == .null)
    #expect(try stock("DEDUCT", "key", "u", "t", 3) == .status("CANCELLED", 10, 0))
    #expect(try stock("CONFIRM", "key", "t") == .status("CANCELLED", 10, 0))
    #expect(try stock("CANCEL", "key", "t") == .status("DUPLICATE", 10, 2))
    #expect(try stock("FENCE", "key", "t") == .status("DUPLICATE", 10, 2))
    // The limit is given back.
    #expect(try stock("DEDUCT", "key", "u", "more", 3) == .status("OK", 7, 4))
  }

  @Test("Nothing expires before its time, and what was confirmed or cancelled never does")
  func notEarly() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    for token in ["late", "sold", "gone"] {
      try stock("DEDUCT", "key", "u", token, 1, "HOLD", token == "late" ? 600 : 80)
    }
    try stock("CONFIRM", "key", "sold")
    try stock("CANCEL", "key", "gone")
    let expires = try #require(stock("GET", "key", "late")["expires"]?.integer)
    var seen: Set<String> = []
    try waitUntil("the end of the hold") {
      let before = try stock.nowMs()
      let state = try #require(stock("GET", "key", "late")["state"]?.text)
      let after = try stock.nowMs()
      if after < expires { #expect(state == "held") }
      if before < expires { seen.insert(state) }
      return state == "cancelled"
    }
    #expect(seen.contains("held"))
    #expect(try stock("GET", "key", "sold")["state"] == "sold")
    #expect(try stock.actions("key", after: 6) == ["expire"])
  }

  @Test("A write command that comes before the timer expires what it needs; a due hold is neither confirmed nor live")
  func commands() throws {
    let stock = try Stage()
    let calls: [(words: [any RedisArgument], expected: [String])] = [
      (["STOCK.CONFIRM", "key", "t0"], ["CANCELLED"]),
      (["STOCK.DEDUCT", "key", "u0", "t0", 1], ["CANCELLED"]),
      (["STOCK.FENCE", "key", "t0"], ["DUPLICATE"]),
      // Without its expiry there would be nothing left.
      (["STOCK.DEDUCT", "key", "v", "new", 1], ["OK"]),
      (["STOCK.DEDUCT", "key", "v", "new", 1, "HOLD", 60_000], ["OK"]),
      (["STOCK.WITHDRAW", "key", "w", 1, "TO", 1], ["OK"]),
      (["STOCK.ADD", "key", "less", -1], ["OK"]),
      (["STOCK.RECORD", "key", "v", "lost", 1, "held"], ["OK"]),
      (["STOCK.RECORD", "key", "v", "lost", 1, "sold"], ["OK"]),
      (["STOCK.RECORD", "key", "v", "lost", 1, "rejected"], ["OK"]),
      (["STOCK.RECORD", "key", "TRANSFER", "out", "OUT", 1, 1], ["OK"]),
      (["STOCK.RECORD", "key", "RESTOCK", "less", -1], ["OK"]),
    ]
    for (words, expected) in calls {
      try stock("CREATE", "key", 1)
      let replies = try stock.afterSleep(
        ms: 30,
        first: Self.holds(ms: 10),
        [words, ["STOCK.LOG", "key", 2], ["STOCK.GET", "key", "t0"]]
      )
      #expect(Stage.words([replies[0]]) == expected, "\(words)")
      #expect(replies[1][0]?[1] == "expire" && replies[1][0]?[2] == "t0", "\(words): \(replies[1])")
      #expect(replies[2]["state"] == "cancelled", "\(words)")
      _ = try stock.info("key")
      try stock.redis.call("DEL", "key")
    }
  }

  @Test("CANCEL of a hold that is due gives its units back once, whoever comes first")
  func cancelled() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1)
    let replies = try stock.afterSleep(
      ms: 30,
      first: Self.holds(ms: 10),
      [["STOCK.CANCEL", "key", "t0"], ["STOCK.CANCEL", "key", "t0"], ["STOCK.CONFIRM", "key", "t0"]]
    )
    #expect(["OK", "DUPLICATE"].contains(replies[0][0]?.text))
    #expect(Stage.words(Array(replies.dropFirst())) == ["DUPLICATE", "CANCELLED"])
    #expect(try stock.numbers("key", "available", "held", "cancelled", "logLast") == [1, 0, 1, 3])
  }

  @Test("SOLDOUT and LIMIT are not answered while holds that are due would do")
  func refusals() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 6, "LIMIT", 5)
    let holds: [[any RedisArgument]] = [("a", 2), ("b", 2), ("c", 1)].map { token, quantity in
      ["STOCK.DEDUCT", "key", "u", token, quantity, "HOLD", 10]
    }
    try stock("DEDUCT", "key", "v", "kept", 1)
    let replies = try stock.afterSleep(
      ms: 30,
      first: holds,
      [["STOCK.DEDUCT", "key", "u", "big", 5], ["STOCK.DEDUCT", "key", "w", "more", 1], ["STOCK.INFO", "key"]]
    )
    #expect(Stage.words(Array(replies.prefix(2))) == ["OK", "SOLDOUT"])
    #expect(replies[2]["held"] == 0 && replies[2]["sold"] == 6)
  }

  @Test("Read-only commands expire nothing", arguments: [2, 3])
  func readOnly(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try stock("CREATE", "key", 5)
    let stream = try ReplicationStream(stock.server)
    let replies = try stock.afterSleep(
      ms: 30,
      first: Self.holds(count: 5, ms: 10),
      [
        ["STOCK.GET", "key", "t0"], ["STOCK.INFO", "key"], ["STOCK.LOG", "key", 0], ["STOCK.TRANSFERS", "key"],
        ["STOCK.GET", "key", "t0"], ["STOCK.INFO", "key"],
      ]
    )
    #expect(replies[0]["state"] == "held" && replies[4]["state"] == "held")
    for index in [1, 5] { #expect(replies[index]["held"] == 5 && replies[index]["logLast"] == 6) }
    #expect(replies[2].elements?.count == 6)
    try stock.waitForHeld("key")
    #expect(try stream.commands().allSatisfy { $0[0] == "STOCK.APPLY" || ["MULTI", "EXEC"].contains($0[0].text) })
  }

  @Test("100,000 holds that are due at once expire within a second by the timer, and no command pays for all of them")
  func crowd() throws {
    let stock = try Stage()
    let count = 100_000
    try stock("CREATE", "key", count)
    let due = try stock.nowMs() + 6_000
    for start in stride(from: 0, to: count, by: 10_000) {
      let left = due - (try stock.nowMs())
      #expect(left > 0, "the machine is too slow for this test")
      _ = try stock.redis.pipeline(
        (start..<start + 10_000).map { ["STOCK.DEDUCT", "key", "u\($0)", "t\($0)", 1, "HOLD", max(left, 1)] }
      )
    }
    #expect(try stock.info("key")["held"] == .integer(Int64(count)))
    try stock.redis.call("CONFIG", "SET", "slowlog-log-slower-than", 50_000)
    try stock.redis.call("SLOWLOG", "RESET")
    // The first command after the deadline, before any timer: what it needs is one unit.
    let left = due - (try stock.nowMs()) + 20
    let replies = try stock.afterSleep(
      ms: max(left, 1),
      [["STOCK.DEDUCT", "key", "new", "new", 1], ["STOCK.INFO", "key"]]
    )
    #expect(replies[0][0] == .simple("OK"))
    #expect(try #require(replies[1]["held"]?.integer) > Int64(count) / 2)
    let woken = try stock.nowMs()
    try stock.waitForHeld("key")
    let took = try stock.nowMs() - woken
    #expect(took <= 1_200, "\(took) ms")
    let slow = try stock.redis.call("SLOWLOG", "GET", -1).elements ?? []
    #expect(!slow.contains { $0[3]?[0]?.text?.uppercased().hasPrefix("STOCK.") ?? false }, "\(slow)")
    #expect(try stock.numbers("key", "available", "sold", "cancelled") == [Int64(count - 1), 1, Int64(count)])
  }

  @Test("Holds of many buckets expire, in every database, whatever became of their keys")
  func keys() throws {
    let stock = try Stage()
    let redis = stock.redis
    for key in ["stays", "renamed", "moved", "copied", "restored", "swapped", "deleted"] {
      try stock("CREATE", key, 3)
      try Self.hold(stock, key, count: 2, ms: 250)
    }
    #expect(try redis.call("RENAME", "renamed", "other") == .ok)
    #expect(try redis.call("MOVE", "moved", 3) == 1)
    #expect(try redis.call("COPY", "copied", "copy") == 1)
    #expect(try redis.call("COPY", "copied", "copied", "DB", 4) == 1)
    let payload = try #require(redis.call("DUMP", "restored").bytes)
    #expect(try redis.call("RESTORE", "restored", 0, payload, "REPLACE") == .ok)
    #expect(try redis.call("DEL", "deleted") == 1)
    #expect(try redis.call("SELECT", 5) == .ok)
    try stock("CREATE", "swapped", 3)
    try Self.hold(stock, "swapped", count: 1, ms: 250)
    #expect(try redis.call("SWAPDB", 0, 5) == .ok)
    // What was in database 0 is in 5 now, which this connection has selected.
    for key in ["stays", "other", "copied", "copy", "restored", "swapped"] {
      try stock.waitForHeld(key)
      #expect(try stock.numbers(key, "available", "cancelled") == [3, 2], "\(key)")
    }
    #expect(try stock.actions("copy") == stock.actions("copied"))
    for (database, key) in [(0, "swapped"), (3, "moved"), (4, "copied")] {
      #expect(try redis.call("SELECT", database) == .ok)
      try stock.waitForHeld(key)
    }
  }

  @Test("A bucket that is deleted, flushed or replaced while it holds leaves nothing behind to trip over")
  func gone() throws {
    let stock = try Stage()
    for removal in [
      ["DEL", "key"], ["UNLINK", "key"], ["FLUSHALL", "SYNC"], ["FLUSHALL", "ASYNC"], ["SET", "key", "x"],
    ] {
      try stock("CREATE", "key", 50)
      try Self.hold(stock, count: 50, ms: 20)
      let due = try stock.nowMs() + 20
      try stock.redis.call(removal)
      try stock.waitForClock(after: due + 150)
      #expect(try stock.redis.call("PING") == .simple("PONG"), "\(removal)")
      try stock.redis.call("DEL", "key")
    }
  }

  @Test("Right after a restart what fell due meanwhile expires, without a command")
  func restart() throws {
    let stock = try Stage(.init(appendOnly: true, appendFsync: .always))
    try stock("CREATE", "key", 9)
    try Self.hold(stock, count: 3, ms: 300)
    try stock("DEDUCT", "key", "v", "long", 1, "HOLD", 600_000)
    let before = try stock.readings("key", tokens: ["t0", "long"])
    let expires = try stock("GET", "key", "t2")["expires"]
    try stock.server.kill9()
    try stock.server.restart()
    let again = try stock.again()
    if try again.nowMs() < expires?.integer ?? 0 {
      #expect(try again.readings("key", tokens: ["t0", "long"]) == before)
    }
    try again.waitForHeld("key", 1)
    #expect(try again.actions("key", after: 5) == ["expire", "expire", "expire"])
    #expect(try again("GET", "key", "long")["state"] == "held")
    #expect(try again("CONFIRM", "key", "t0")[0] == .simple("CANCELLED"))
    #expect(try again("CONFIRM", "key", "long")[0] == .simple("OK"))
  }

  @Test("DEBUG RELOAD keeps the deadlines")
  func reload() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 9)
    try Self.hold(stock, count: 3, ms: 400)
    let expires = try stock("GET", "key", "t0")["expires"]
    #expect(try stock.redis.call("DEBUG", "RELOAD") == .ok)
    #expect(try stock("GET", "key", "t0")["expires"] == expires)
    try stock.waitForHeld("key")
  }

  @Test("A replica expires nothing: it waits for its master, also by its own clock and its own reads")
  func replica() throws {
    let master = try Stage(.init(tcp: true))
    try master("CREATE", "key", 9)
    let replica = try Stage(.init(replicaOf: master.server))
    try Self.hold(master, count: 3, ms: 200)
    try replica.server.waitForSync(with: master.server)
    let due = try #require(replica("GET", "key", "t2")["expires"]?.integer)
    master.server.pause()
    try replica.waitForClock(after: due + 1_200)
    #expect(try replica.info("key")["held"] == 3)
    #expect(try replica("GET", "key", "t0")["state"] == "held")
    #expect(try replica("LOG", "key", 0).elements?.count == 4)
    master.server.resume()
    try master.waitForHeld("key")
    try replica.server.waitForSync(with: master.server)
    #expect(try replica.readings("key", tokens: ["t0"]) == master.readings("key", tokens: ["t0"]))
    #expect(try replica.info("key")["held"] == 0)
  }

  @Test("A replica that may be written to expires nothing either")
  func writableReplica() throws {
    let master = try Stage(.init(tcp: true))
    try master("CREATE", "key", 1)
    let replica = try Stage(.init(replicaOf: master.server, configLines: ["replica-read-only no"]))
    try Self.hold(master, ms: 100)
    try replica.server.waitForSync(with: master.server)
    master.server.pause()
    let due = try #require(replica("GET", "key", "t0")["expires"]?.integer)
    try replica.waitForClock(after: due + 50)
    #expect(try replica("CONFIRM", "key", "none")[0]?.text != "OK")
    #expect(try replica("GET", "key", "t0")["state"] == "held")
    master.server.resume()
  }

  @Test("A promoted replica expires what is due once it is thawed, and not before")
  func failover() throws {
    let master = try Stage(.init(tcp: true))
    try master("CREATE", "key", 9)
    let replica = try Stage(.init(replicaOf: master.server))
    try Self.hold(master, count: 3, ms: 1_000)
    try replica.server.waitForSync(with: master.server)
    let due = try #require(replica("GET", "key", "t2")["expires"]?.integer)
    try master.server.kill9()
    #expect(try replica.redis.call("REPLICAOF", "NO", "ONE") == .ok)
    try replica.waitForClock(after: due + 1_200)
    #expect(try replica.info("key")["frozen"] == "promotion")
    #expect(try replica.info("key")["held"] == 3)
    let epoch = try #require(replica.info("key")["epoch"]?.integer)
    #expect(try replica("THAW", "key", "EPOCH", epoch) == .ok)
    try replica.waitForHeld("key")
    #expect(try replica.actions("key", after: 4) == ["thaw", "expire", "expire", "expire"])
  }

  @Test("In a frozen bucket no hold expires: what is due can still be confirmed, and the rest expires after the thaw")
  func frozen() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 3)
    try Self.hold(stock, count: 3, ms: 60)
    #expect(try stock("FREEZE", "key") == .ok)
    let due = try #require(stock("GET", "key", "t2")["expires"]?.integer)
    try stock.waitForClock(after: due + 1_100)
    #expect(try stock.info("key")["held"] == 3)
    #expect(try stock("CONFIRM", "key", "t0")[0] == .simple("OK"))
    #expect(try stock("DEDUCT", "key", "u1", "t1", 1)[0] == .simple("DUPLICATE"))
    #expect(try stock.info("key")["held"] == 2)
    #expect(try stock("THAW", "key") == .ok)
    try stock.waitForHeld("key")
    #expect(try stock.numbers("key", "available", "sold") == [2, 1])
  }

  @Test("While writes are paused nothing expires and the server lives; afterwards all does")
  func paused() throws {
    let stock = try Stage(.init(tcp: true))
    let replica = try Stage(.init(replicaOf: stock.server))
    try stock("CREATE", "key", 9)
    try Self.hold(stock, count: 5, ms: 100)
    let due = try #require(stock("GET", "key", "t4")["expires"]?.integer)
    #expect(try stock.redis.call("CLIENT", "PAUSE", 60_000, "WRITE") == .ok)
    let other = try stock.server.connect()
    try waitUntil("a clock long after the deadline") { try stock.nowMs() > due + 1_200 }
    #expect(try stock.info("key")["held"] == 5)
    // A write that waits for the end of the pause.
    try other.send(["STOCK.DEDUCT", "key", "v", "new", 9])
    try stock.waitForClock(after: due + 1_300)
    #expect(try stock.info("key")["held"] == 5)
    #expect(try stock.redis.call("CLIENT", "UNPAUSE") == .ok)
    #expect(try other.receive()[0] == .simple("OK"))
    try stock.waitForHeld("key")
    try replica.server.waitForSync(with: stock.server)
    #expect(try replica.digest("key") == stock.digest("key"))
  }

  @Test("Holds that are made after the clock was set back by an hour expire in time")
  func clockSetBack() throws {
    let clock = try SetClock()
    let stock = try Stage(.init(program: clock.program))
    try stock("CREATE", "key", 9)
    try clock.set(aheadSeconds: 3_600)
    let ahead = try stock.nowMs()
    // This one keeps the timer running.
    try Self.hold(stock, ms: 36_000_000)
    try clock.set(aheadSeconds: 0)
    #expect(try stock.nowMs() < ahead - 3_500_000)
    try stock("DEDUCT", "key", "u", "short", 1, "HOLD", 200)
    try waitUntil("the expiry", timeout: .seconds(10)) { try stock("GET", "key", "short")["state"] == "cancelled" }
    #expect(try stock.actions("key", after: 3) == ["expire"])
    try clock.set(aheadSeconds: 7_200)
    try stock("DEDUCT", "key", "u", "shorter", 1, "HOLD", 100)
    try waitUntil("the expiry", timeout: .seconds(10)) { try stock("GET", "key", "shorter")["state"] == "cancelled" }
  }

  @Test("A timer's expiry breaks a transaction that watches the bucket")
  func watched() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1)
    try Self.hold(stock, ms: 60)
    try stock.redis.call("WATCH", "key")
    let other = try stock.again()
    try other.waitForHeld("key")
    try stock.redis.call("MULTI")
    try stock.redis.call("PING")
    #expect(try stock.redis.call("EXEC") == nil)
  }

  @Test("In a transaction and in a script a due hold expires too, and both replicas and AOF get it in order")
  func nested() throws {
    let stock = try Stage(.init(appendOnly: true, tcp: true))
    let replica = try Stage(.init(replicaOf: stock.server))
    for key in ["a", "b"] { try stock("CREATE", key, 1) }
    let script = "return redis.call('STOCK.DEDUCT', KEYS[1], 'v', 'new', 1)[2]"
    let replies = try stock.afterSleep(
      ms: 30,
      first: Self.holds("a", ms: 10) + Self.holds("b", ms: 10),
      [
        ["MULTI"], ["STOCK.DEDUCT", "a", "v", "new", 1], ["STOCK.CONFIRM", "a", "t0"], ["EXEC"],
        ["EVAL", script, 1, "b"],
      ]
    )
    #expect(Stage.words(replies[3].elements ?? []) == ["OK", "CANCELLED"])
    #expect(replies[4] == 0)
    try replica.server.waitForSync(with: stock.server)
    for key in ["a", "b"] {
      #expect(try stock.actions(key) == ["create", "hold", "expire", "deduct"])
      #expect(try replica.digest(key) == stock.digest(key))
    }
    let digests = try ["a", "b"].map { try stock.digest($0) }
    try stock.server.kill9()
    try stock.server.restart()
    let again = try stock.again()
    #expect(try ["a", "b"].map { try again.digest($0) } == digests)
  }

  @Test("A record that expires holds sends both as one change, after the holds themselves; a refused one sends nothing")
  func recorded() throws {
    let master = try Stage(.init(tcp: true))
    let replica = try Stage(.init(replicaOf: master.server))
    let stream = try ReplicationStream(master.server)
    for form: [any RedisArgument] in [["u", "t", 2, "sold"], ["TRANSFER", "x", "OUT", 1, 2], ["RESTOCK", "r", -2]] {
      try master("CREATE", "key", 2)
      _ = try stream.commands()
      let record = ["STOCK.RECORD", "key"] + form
      let refused = record.map { ($0 as? Int).map { $0 == 2 ? 3 : $0 == -2 ? -3 : $0 } ?? $0 }
      let replies = try master.afterSleep(ms: 30, first: Self.holds(count: 2, ms: 10), [refused, record])
      #expect(replies == [.status("SOLDOUT", 0, 0), .status("OK", 0, 6)], "\(form)")
      let commands = try stream.commands()
      // Two holds, and one change of three events.
      #expect(commands.map { $0.first } == ["STOCK.APPLY", "STOCK.APPLY", "STOCK.APPLY"], "\(form): \(commands)")
      #expect(commands.allSatisfy { $0.count == 3 && $0[1] == "key" }, "\(form): \(commands)")
      #expect(try master.actions("key", after: 3) == ["expire", "expire", "record"], "\(form)")
      try replica.server.waitForSync(with: master.server)
      #expect(try replica.readings("key") == master.readings("key"), "\(form)")
      try master.redis.call("DEL", "key")
    }
    #expect(!replica.server.log.contains("refused"), "\(replica.server.log)")
  }

  @Test("Holds of many lengths expire in the order of their deadlines")
  func order() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1_000)
    try withSeed { seed, random in
      let lengths = (0..<500).map { _ in Int64.random(in: 1...400, using: &random) }
      _ = try stock.redis.pipeline(
        lengths.enumerated().map { ["STOCK.DEDUCT", "key", "u", "t\($0.offset)", 1, "HOLD", $0.element] }
      )
      try stock.waitForHeld("key")
      let log = try #require(stock("LOG", "key", 1, "COUNT", 10_000).elements)
      var deadlines: [String: Int64] = [:]
      var last: Int64 = 0
      var expired = 0
      for event in log {
        let (token, timestamp) = (try #require(event[2]?.text), try #require(event[7]?.integer))
        if event[1] == "hold" {
          deadlines[token] = timestamp + lengths[Int(token.dropFirst()) ?? 0]
        } else {
          let deadline = try #require(deadlines[token], "seed \(seed)")
          #expect(event[1] == "expire" && deadline <= timestamp && deadline >= last, "seed \(seed): \(event)")
          last = deadline
          expired += 1
        }
      }
      #expect(expired == lengths.count, "seed \(seed)")
    }
  }
}
