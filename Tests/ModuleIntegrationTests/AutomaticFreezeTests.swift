import TestServers
import Testing

/// Buckets that come up frozen, in a new epoch, where writes may be missing.
@Suite struct AutomaticFreezeTests {
  private static let none: [(key: String, available: Int64)] = [("a", 5), ("b", 0), ("c", 100)]

  /// Buckets in two databases; their epochs.
  private static func fill(_ stock: Stage) throws -> [Int64] {
    for (key, quantity) in none { try stock("CREATE", key, quantity) }
    try stock.redis.call("SELECT", 2)
    try stock("CREATE", "d", 7)
    try stock.redis.call("SELECT", 0)
    try stock("DEDUCT", "a", "u", "t", 1)
    return try epochs(stock)
  }

  private static func each<Value>(_ stock: Stage, _ body: (String) throws -> Value) throws -> [Value] {
    var values = try none.map { try body($0.key) }
    try stock.redis.call("SELECT", 2)
    values.append(try body("d"))
    try stock.redis.call("SELECT", 0)
    return values
  }

  private static func epochs(_ stock: Stage) throws -> [Int64] {
    try each(stock) { try #require(stock.info($0)["epoch"]?.integer) }
  }

  private static func reasons(_ stock: Stage) throws -> Set<RESP?> {
    Set(try each(stock) { try stock.info($0)["frozen"] })
  }

  /// New epochs of a server, all of them different from the former and in their bounds.
  private static func expectNew(_ stock: Stage, since before: [Int64]) throws {
    let after = try epochs(stock)
    for (one, other) in zip(before, after) { #expect(one != other && (1...maximum).contains(other)) }
  }

  @Test("A start from an RDB freezes every bucket, in a new epoch and without an event")
  func rdb() throws {
    let stock = try Stage()
    let before = try Self.fill(stock)
    let digests = try Self.each(stock) { try stock.digest($0) }
    #expect(try stock.redis.call("SAVE") == .ok)
    try stock.server.restart()
    let again = try stock.again()
    #expect(try Self.reasons(again) == ["load"])
    try Self.expectNew(again, since: before)
    #expect(try Self.each(again) { try again.digest($0) } == digests)
    #expect(try again.actions("a") == ["create", "deduct"])
    #expect(try again("DEDUCT", "c", "u", "new", 1) == .status("FROZEN", 100, 0))
    expectError(try again("LOG", "a", 0, "EPOCH", before[0]), "EPOCHMISMATCH")
    expectError(try again("THAW", "a", "EPOCH", before[0]), "EPOCHMISMATCH")
    let epoch = try #require(again.info("a")["epoch"]?.integer)
    #expect(try again("THAW", "a", "EPOCH", epoch) == .ok)
    #expect(try again("DEDUCT", "a", "u", "new", 1)[0] == .simple("OK"))
  }

  @Test(
    "A start from an AOF freezes unless every write was flushed before its reply",
    arguments: [RedisServerOptions.AppendFsync.always, .everysec, .no],
    [true, false]
  )
  func aof(fsync: RedisServerOptions.AppendFsync, rewritten: Bool) throws {
    let stock = try Stage(.init(appendOnly: true, appendFsync: fsync))
    let before = try Self.fill(stock)
    if rewritten {
      try stock.redis.call("BGREWRITEAOF")
      try stock.waitForRewrite()
    }
    try stock.server.restart()
    let again = try stock.again()
    if fsync == .always {
      #expect(try Self.reasons(again) == ["no"])
      #expect(try Self.epochs(again) == before)
    } else {
      #expect(try Self.reasons(again) == ["load"])
      try Self.expectNew(again, since: before)
    }
  }

  @Test("A start from an AOF that is not synced while it is rewritten freezes, though it is synced always")
  func noSyncOnRewrite() throws {
    let stock = try Stage(.init(appendOnly: true, configLines: ["no-appendfsync-on-rewrite yes"]))
    let before = try Self.fill(stock)
    try stock.server.restart()
    let again = try stock.again()
    #expect(try Self.reasons(again) == ["load"])
    try Self.expectNew(again, since: before)
  }

  @Test("doorbuster.freeze says whether a start freezes: auto, yes or no", arguments: ["auto", "yes", "no"])
  func setting(value: String) throws {
    for (appendOnly, automatic) in [(false, true), (true, false)] {
      let stock = try Stage(.init(appendOnly: appendOnly, configLines: ["doorbuster.freeze \(value)"]))
      #expect(try stock.redis.call("CONFIG", "GET", "doorbuster.freeze")["doorbuster.freeze"]?.text == value)
      let before = try Self.fill(stock)
      #expect(try Self.reasons(stock) == ["no"])
      if !appendOnly { try stock.redis.call("SAVE") }
      try stock.server.restart()
      let again = try stock.again()
      if value == "yes" || value == "auto" && automatic {
        #expect(try Self.reasons(again) == ["load"], "AOF \(appendOnly)")
        try Self.expectNew(again, since: before)
      } else {
        #expect(try Self.reasons(again) == ["no"], "AOF \(appendOnly)")
        #expect(try Self.epochs(again) == before)
      }
    }
  }

  @Test("doorbuster.freeze can be changed while the server runs, and takes nothing else")
  func configuration() throws {
    let stock = try Stage()
    #expect(try stock.redis.call("CONFIG", "GET", "doorbuster.freeze")["doorbuster.freeze"] == "auto")
    for value in ["yes", "no", "auto"] {
      #expect(try stock.redis.call("CONFIG", "SET", "doorbuster.freeze", value) == .ok)
      #expect(try stock.redis.call("CONFIG", "GET", "doorbuster.freeze")["doorbuster.freeze"]?.text == value)
    }
    for value in ["", "maybe", "1"] {
      #expect(try stock.redis.call("CONFIG", "SET", "doorbuster.freeze", value).errorCode == "ERR", "\(value)")
    }
    let wrong = try? RedisServer(.init(configLines: ["doorbuster.freeze perhaps"]))
    #expect(wrong == nil)
  }

  @Test("DEBUG RELOAD, a copy and a replica's sync freeze nothing and keep the epoch")
  func notFrozen() throws {
    let stock = try Stage(.init(tcp: true))
    let before = try Self.fill(stock)
    #expect(try stock.redis.call("DEBUG", "RELOAD") == .ok)
    #expect(try Self.reasons(stock) == ["no"])
    #expect(try Self.epochs(stock) == before)
    let replica = try Stage(.init(replicaOf: stock.server))
    #expect(try Self.reasons(replica) == ["no"])
    #expect(try Self.epochs(replica) == before)
    // Also a second full sync, of a replica that has the buckets already.
    try stock.redis.call("DEBUG", "CHANGE-REPL-ID")
    try replica.redis.call("REPLICAOF", "127.0.0.1", 1)
    try replica.server.follow(stock.server)
    #expect(try Self.reasons(replica) == ["no"])
    #expect(try Self.epochs(replica) == before)
  }

  @Test("A promoted replica freezes every bucket in a new epoch; by doorbuster.freeze no it does not")
  func promotion() throws {
    for setting in ["auto", "yes", "no"] {
      let master = try Stage(.init(tcp: true))
      let before = try Self.fill(master)
      let digests = try Self.each(master) { try master.digest($0) }
      let replica = try Stage(.init(replicaOf: master.server, configLines: ["doorbuster.freeze \(setting)"]))
      try master.server.kill9()
      #expect(try replica.redis.call("REPLICAOF", "NO", "ONE") == .ok)
      if setting == "no" {
        #expect(try Self.reasons(replica) == ["no"])
        #expect(try Self.epochs(replica) == before)
      } else {
        #expect(try Self.reasons(replica) == ["promotion"], "\(setting)")
        try Self.expectNew(replica, since: before)
        #expect(try replica("DEDUCT", "c", "u", "new", 1) == .status("FROZEN", 100, 0))
      }
      #expect(try Self.each(replica) { try replica.digest($0) } == digests)
      // A master that is told to be one freezes nothing again.
      let epochs = try Self.epochs(replica)
      #expect(try replica.redis.call("REPLICAOF", "NO", "ONE") == .ok)
      #expect(try Self.epochs(replica) == epochs)
    }
  }

  @Test("The freeze of a promotion reaches replicas and AOF by one STOCK.APPLY, before any other write")
  func propagated() throws {
    let master = try Stage(.init(tcp: true))
    _ = try Self.fill(master)
    let middle = try Stage(.init(appendOnly: true, rdbPreamble: false, tcp: true))
    try middle.server.follow(master.server)
    let last = try Stage(.init(replicaOf: middle.server))
    try middle.waitForRewrite()
    let written = try AppendOnlyFile.commands(of: middle.server).count
    try master.server.kill9()
    #expect(try middle.redis.call("REPLICAOF", "NO", "ONE") == .ok)
    try middle.redis.call("SET", "other", "x")
    #expect(try middle("ADD", "a", "r", 1)[0] == .simple("OK"))
    let commands = try AppendOnlyFile.commands(of: middle.server).dropFirst(written)
    #expect(commands.map { $0[0].text } == ["STOCK.APPLY", "SET", "STOCK.APPLY"], "\(commands)")
    try last.server.waitForSync(with: middle.server)
    #expect(try Self.reasons(last) == ["promotion"])
    #expect(try Self.epochs(last) == Self.epochs(middle))
    #expect(try Self.each(last) { try last.digest($0) } == Self.each(middle) { try middle.digest($0) })
    // The AOF brings it back as it is: the epoch that was told to others.
    let epochs = try Self.epochs(middle)
    try middle.redis.call("CONFIG", "SET", "appendfsync", "always")
    try middle.server.restart()
    let again = try middle.again()
    #expect(try Self.reasons(again) == ["promotion"])
    #expect(try Self.epochs(again) == epochs)
  }

  @Test("The freeze of a start is in the AOF before the first write that follows it")
  func loadInAof() throws {
    let stock = try Stage(.init(appendOnly: true, appendFsync: .everysec, rdbPreamble: false))
    _ = try Self.fill(stock)
    // While the file is being synced, what is written to it waits.
    let written = Self.none.count + 2
    try waitUntil("the first flush") { try AppendOnlyFile.commands(of: stock.server).count == written }
    try stock.server.restart()
    let again = try stock.again()
    let epochs = try Self.epochs(again)
    try again("ADD", "a", "r", 1)
    try waitUntil("the flush") { try AppendOnlyFile.commands(of: stock.server).count == written + 2 }
    #expect(
      try AppendOnlyFile.commands(of: stock.server).dropFirst(written).map { $0[0].text } == [
        "STOCK.APPLY", "STOCK.APPLY",
      ]
    )
    // The next start may have lost writes again.
    try stock.server.kill9()
    try stock.server.restart()
    let third = try stock.again()
    try Self.expectNew(third, since: epochs)
    #expect(try Self.reasons(third) == ["load"])
  }

  @Test("A replica of a server that came up frozen is frozen too")
  func replicaOfFrozen() throws {
    let stock = try Stage(.init(tcp: true))
    _ = try Self.fill(stock)
    try stock.redis.call("SAVE")
    try stock.server.restart()
    let again = try stock.again()
    let replica = try Stage(.init(replicaOf: again.server))
    #expect(try Self.reasons(replica) == ["load"])
    #expect(try Self.epochs(replica) == Self.epochs(again))
    let epoch = try #require(again.info("a")["epoch"]?.integer)
    try again("THAW", "a", "EPOCH", epoch)
    try replica.server.waitForSync(with: again.server)
    #expect(try replica.info("a")["frozen"] == "no")
    #expect(try replica.info("b")["frozen"] == "load")
  }

  @Test("A replica with an AOF that restarts goes on as a replica, in its master's epoch")
  func replicaRestart() throws {
    let master = try Stage(.init(tcp: true))
    let before = try Self.fill(master)
    let replica = try Stage(.init(appendOnly: true, appendFsync: .everysec, replicaOf: master.server))
    // A server that is still writing its first AOF doesn't end when it is told to.
    try replica.waitForRewrite()
    try replica.server.restart()
    let again = try replica.again()
    #expect(try Self.reasons(again) == ["no"])
    #expect(try Self.epochs(again) == before)
    try master("DEDUCT", "c", "u", "more", 1)
    try again.server.waitForSync(with: master.server)
    #expect(try again.digest("c") == master.digest("c"))
  }

  @Test("An operator's freeze goes with the bucket, and comes off before the load's")
  func operatorFirst() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 5)
    try stock("FREEZE", "key")
    try stock.redis.call("SAVE")
    try stock.server.restart()
    let again = try stock.again()
    #expect(try again.info("key")["frozen"] == "operator")
    let epoch = try #require(again.info("key")["epoch"]?.integer)
    expectError(try again("THAW", "key", "EPOCH", epoch), "FROZENBYOPERATOR")
    #expect(try again("THAW", "key") == .ok)
    #expect(try again.info("key")["frozen"] == "load")
    #expect(try again("THAW", "key", "EPOCH", epoch) == .ok)
    #expect(try again.info("key")["frozen"] == "no")
  }

  @Test("A server without buckets starts and is promoted without a word")
  func empty() throws {
    let master = try Stage(.init(tcp: true))
    let replica = try Stage(.init(appendOnly: true, rdbPreamble: false, replicaOf: master.server))
    try replica.waitForRewrite()
    let before = try AppendOnlyFile.commands(of: replica.server).count
    #expect(try replica.redis.call("REPLICAOF", "NO", "ONE") == .ok)
    try replica.redis.call("SET", "a", "b")
    #expect(try AppendOnlyFile.commands(of: replica.server).dropFirst(before).map { $0[0].text } == ["SET"])
  }
}
