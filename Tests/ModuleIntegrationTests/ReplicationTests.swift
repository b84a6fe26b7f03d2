import TestServers
import Testing

/// What a change sends to replicas and to the AOF, and what becomes of it there.
@Suite struct ReplicationTests {
  @Test("Each change is propagated as one STOCK.APPLY; refusals, duplicates, errors and reads as nothing")
  func literalList() throws {
    let stock = try Stage()
    let stream = try ReplicationStream(stock.server)
    func expect(_ names: [String], after words: any RedisArgument...) throws {
      try stock.redis.call(words)
      let commands = try stream.commands()
      #expect(commands.map { $0[0].text } == names, "\(words): \(commands)")
      for command in commands where command[0] == "STOCK.APPLY" {
        #expect(command[1] == "key", "\(command)")
        // Absolute values and no words of the client's command that a replica would have to decide upon again.
        #expect(!command.contains("DEDUCT") && !command.contains("LIMIT"), "\(command)")
      }
    }
    let apply = ["STOCK.APPLY"]
    try expect(apply, after: "STOCK.CREATE", "key", 10, "LIMIT", 5)
    try expect([], after: "STOCK.CREATE", "key", 10)
    try expect(apply, after: "STOCK.DEDUCT", "key", "u", "t", 2)
    try expect([], after: "STOCK.DEDUCT", "key", "u", "t", 2)
    try expect([], after: "STOCK.DEDUCT", "key", "v", "t", 2)
    try expect([], after: "STOCK.DEDUCT", "key", "u", "more", 4)
    try expect([], after: "STOCK.DEDUCT", "key", "u", "t", "1e3")
    try expect(apply, after: "STOCK.SCHEDULE", "key", "LIMIT", 50)
    try expect([], after: "STOCK.DEDUCT", "key", "u", "more", 40)
    try expect(apply, after: "STOCK.CANCEL", "key", "t")
    try expect([], after: "STOCK.CANCEL", "key", "t")
    try expect([], after: "STOCK.CANCEL", "key", "none")
    try expect([], after: "STOCK.DEDUCT", "key", "u", "t", 2)
    try expect(apply, after: "STOCK.FENCE", "key", "f")
    try expect([], after: "STOCK.FENCE", "key", "f")
    try expect(apply, after: "STOCK.CANCEL", "key", "g", "FENCE")
    try expect([], after: "STOCK.CANCEL", "key", "g", "FENCE")
    try expect(apply, after: "STOCK.DEDUCT", "key", "u", "o", 1)
    try expect(apply, after: "STOCK.CANCEL", "key", "o", "OFFSALE")
    try expect(apply, after: "STOCK.ADD", "key", "r", 5)
    try expect([], after: "STOCK.ADD", "key", "r", 5)
    try expect([], after: "STOCK.ADD", "key", "s", -500)
    try expect(apply, after: "STOCK.ADD", "key", "s", -5)
    try expect([], after: "STOCK.GET", "key", "t")
    try expect([], after: "STOCK.INFO", "key")
    try expect([], after: "STOCK.LOG", "key", 0)
    try expect([], after: "STOCK.DEDUCT", "none", "u", "t", 2)
    try expect(["DEL"], after: "DEL", "key")
  }

  @Test("MONITOR shows each change on a replica, and on the master nothing but what clients sent")
  func monitored() throws {
    let master = try Stage(.init(tcp: true))
    let replica = try Stage(.init(replicaOf: master.server))
    try replica.server.waitForSync(with: master.server)
    let links = try [master, replica].map { try $0.server.connect() }
    for link in links { #expect(try link.call("MONITOR") == .ok) }
    let calls: [[any RedisArgument]] = [
      ["STOCK.CREATE", "key", 2], ["STOCK.DEDUCT", "key", "u", "t", 1], ["STOCK.DEDUCT", "key", "u", "t", 1],
      ["STOCK.DEDUCT", "key", "u", "big", 3], ["STOCK.DEDUCT", "key", "u", "t2", 1],
      ["STOCK.DEDUCT", "key", "u", "t3", 1], ["STOCK.CONFIRM", "key", "none"], ["STOCK.CANCEL", "key", "t"],
      ["STOCK.TRIM", "key", 2], ["STOCK.FREEZE", "key"], ["STOCK.FENCE", "key", "f"], ["STOCK.INFO", "key"],
    ]
    for words in calls { try master.redis.call(words) }
    try replica.server.waitForSync(with: master.server)
    var seen: [[String]] = []
    for (stage, link) in zip([master, replica], links) {
      try stage.redis.call("ECHO", "the end")
      var lines: [String] = []
      while lines.last?.hasSuffix("\"the end\"") != true { lines.append(try #require(link.receive().text)) }
      seen.append(lines.compactMap { line in line.split(separator: "\"").dropFirst().first.map(String.init) })
    }
    #expect(seen[0].filter { $0.hasPrefix("STOCK.") } == calls.map { $0[0] as? String })
    #expect(seen[1].filter { $0.hasPrefix("STOCK.") } == [String](repeating: "STOCK.APPLY", count: 6))
  }

  @Test("In a transaction and in a script each change is one STOCK.APPLY, all between one MULTI and EXEC")
  func transactions() throws {
    let stock = try Stage()
    let stream = try ReplicationStream(stock.server)
    try stock("CREATE", "key", 10)
    _ = try stream.commands()
    try stock.redis.call("MULTI")
    try stock("DEDUCT", "key", "u", "1", 1)
    try stock("DEDUCT", "key", "u", "1", 1)
    try stock("DEDUCT", "key", "u", "2", 1)
    #expect(
      try stock.redis.call("EXEC") == [.status("OK", 9, 2), .status("DUPLICATE", 9, 2), .status("OK", 8, 3)]
    )
    #expect(try stream.commands().map { $0[0].text } == ["MULTI", "STOCK.APPLY", "STOCK.APPLY", "EXEC"])
    let script = "redis.call('STOCK.DEDUCT',KEYS[1],'u','3',1) return redis.call('STOCK.CANCEL',KEYS[1],'3')"
    #expect(try stock.redis.call("EVAL", script, 1, "key")[0]?.text ?? "" == "OK")
    #expect(try stream.commands().map { $0[0].text } == ["MULTI", "STOCK.APPLY", "STOCK.APPLY", "EXEC"])
  }

  @Test("STOCK.APPLY is refused from a client, in a transaction and in a script, and changes nothing")
  func applyRefused() throws {
    let stock = try Stage()
    let stream = try ReplicationStream(stock.server)
    try stock("CREATE", "key", 10)
    try stock("DEDUCT", "key", "u", "t", 2)
    let captured = try stream.commands()
    #expect(captured.count == 2)
    let before = try stock.readings("key", tokens: ["t"])
    for words in captured {
      let arguments = words.map { ($0.bytes ?? []) as any RedisArgument }
      #expect(try stock.redis.call(arguments).errorCode != nil)
      #expect(try stock.redis.call("MULTI") == .ok)
      let queued = try stock.redis.call(arguments)
      #expect(try stock.redis.call("EXEC").elements?.allSatisfy { $0.errorCode != nil } ?? true, "\(queued)")
      let script = "return redis.call(unpack(ARGV))"
      #expect(try stock.redis.call(["EVAL", script, 1, "key"] + arguments).errorCode != nil)
      let other = try stock.redis.call([arguments[0], "new"] + arguments.dropFirst(2))
      #expect(other.errorCode != nil)
    }
    #expect(try stock.readings("key", tokens: ["t"]) == before)
    #expect(try stock.redis.call("EXISTS", "new") == 0)
    #expect(try stream.commands() == [])
  }

  @Test("The AOF holds the same STOCK.APPLY as the replicas get")
  func appendOnlyFile() throws {
    let stock = try Stage(.init(appendOnly: true, rdbPreamble: false))
    let stream = try ReplicationStream(stock.server)
    try PersistenceTests.fill(stock, purchases: 20)
    let propagated = try stream.commands()
    #expect(propagated.count > 40)
    #expect(try AppendOnlyFile.commands(of: stock.server) == propagated)
  }

  @Test("A replica equals its master, by full sync and by the stream, and refuses writes")
  func replica() throws {
    let master = try Stage(.init(tcp: true))
    try PersistenceTests.fill(master, "before", purchases: 100)
    let replica = try Stage(.init(replicaOf: master.server))
    try PersistenceTests.fill(master, "after", purchases: 100)
    try replica.server.waitForSync(with: master.server)
    for key in ["before", "after"] {
      let tokens = PersistenceTests.tokens
      #expect(try replica.readings(key, tokens: tokens) == master.readings(key, tokens: tokens), "\(key)")
      #expect(try replica.info(key)["epoch"] == master.info(key)["epoch"])
      #expect(try replica.info(key)["frozen"] == "no")
    }
    let writes: [[any RedisArgument]] = [
      ["STOCK.CREATE", "new", 1], ["STOCK.SCHEDULE", "after", "LIMIT", 1], ["STOCK.DEDUCT", "after", "u", "t", 1],
      ["STOCK.CANCEL", "after", "sold:1"], ["STOCK.FENCE", "after", "t"], ["STOCK.ADD", "after", "t", 1],
      ["STOCK.CONFIRM", "after", "held"], ["STOCK.WITHDRAW", "after", "w", 1, "TO", 1],
      ["STOCK.DEPOSIT", "after", "w", 1, "FROM", 1],
      ["STOCK.SETTLE", "after", "out:open"], ["STOCK.FREEZE", "after"], ["STOCK.THAW", "after"],
      ["STOCK.TRIM", "after", 1],
      ["STOCK.RECORD", "after", "u", "t", 1, "sold"], ["STOCK.REBALANCE", "after", "before"],
    ]
    for words in writes { expectError(try replica.redis.call(words), "READONLY", comment: "\(words)") }
    #expect(try replica.digest("after") == master.digest("after"))
  }

  @Test("A replica's replica and one that missed a part of the stream come to the same bucket")
  func chained() throws {
    let master = try Stage(.init(tcp: true))
    let middle = try Stage(.init(tcp: true, replicaOf: master.server))
    let last = try Stage(.init(appendOnly: true, rdbPreamble: false, replicaOf: middle.server))
    try PersistenceTests.fill(master, purchases: 50)
    try middle.server.stop()
    try master("DEDUCT", "key", "late", "late", 1)
    try middle.server.restart()
    try master("CANCEL", "key", "late")
    try middle.server.waitForSync(with: master.server)
    let middleAgain = try middle.again()
    try last.server.waitForSync(with: middle.server)
    let expected = try master.readings("key", tokens: PersistenceTests.tokens)
    #expect(try middleAgain.readings("key", tokens: PersistenceTests.tokens) == expected)
    #expect(try last.readings("key", tokens: PersistenceTests.tokens) == expected)
  }

  @Test("A replica that becomes the master knows every token and goes on where the master was")
  func promotion() throws {
    let master = try Stage(.init(tcp: true))
    try PersistenceTests.fill(master, purchases: 50)
    let replica = try Stage(.init(replicaOf: master.server))
    try master.server.kill9()
    #expect(try replica.redis.call("REPLICAOF", "NO", "ONE") == .ok)
    try PersistenceTests.thaw(replica, from: "promotion")
    try PersistenceTests.expectAlive(replica)
  }

  @Test("A replica's times are the master's, however late it applies them")
  func clocks() throws {
    let master = try Stage(.init(tcp: true))
    let replica = try Stage(.init(replicaOf: master.server))
    try master("CREATE", "key", 10)
    // The replica applies this long after the master made it.
    replica.server.pause()
    try master("DEDUCT", "key", "u", "t", 1)
    let made = try master.nowMs()
    try waitUntil("a clock that is 50 ms further") { try master.nowMs() > made + 50 }
    replica.server.resume()
    try replica.server.waitForSync(with: master.server)
    #expect(try replica("LOG", "key", 0) == master("LOG", "key", 0))
    #expect(try #require(replica("GET", "key", "t")["timestamp"]?.integer) <= made)
  }
}
