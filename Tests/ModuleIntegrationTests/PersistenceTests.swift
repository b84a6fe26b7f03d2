import TestServers
import Testing

/// Whatever carries a bucket carries all of it: equal digest, equal answers.
@Suite struct PersistenceTests {
  static let tokens = [
    "sold:1", "sold:9", "gone", "off", "fenced", "unseen", "unknown", "held", "confirmed", "dropped", "expired",
    "recorded", "rejected",
  ]

  /// A bucket with a bit of everything in it, and one with nothing.
  static func fill(_ stock: Stage, _ key: String = "key", purchases: Int = 300) throws {
    #expect(try stock("CREATE", key, 1_000, "BUCKETS", 7, "LIMIT", 400, "OPENS", 5, "CLOSES", farFuture) == .ok)
    let commands = (0..<purchases).map {
      ["STOCK.DEDUCT", key, "user:\($0 % 11)", "sold:\($0)", $0 % 3 + 1] as [any RedisArgument]
    }
    _ = try stock.redis.pipeline(commands)
    try stock("DEDUCT", key, [0, 255], "gone", 2)
    try stock("CANCEL", key, "gone")
    try stock("DEDUCT", key, String.bytes(128), "off", 2)
    try stock("CANCEL", key, "off", "OFFSALE")
    try stock("FENCE", key, "fenced")
    try stock("CANCEL", key, "unseen", "FENCE")
    try stock("ADD", key, "restock", 50)
    try stock("ADD", key, "takeback", -20)
    try stock("SCHEDULE", key, "LIMIT", 500)
    try fillFurther(stock, key)
  }

  /// Holds in each state, transfers of each kind, records of each form, and a freeze that is over.
  private static func fillFurther(_ stock: Stage, _ key: String) throws {
    try stock("DEDUCT", key, "holder", "expired", 4, "HOLD", 1)
    try stock.waitForHeld(key)
    for token in ["held", "confirmed", "dropped"] { try stock("DEDUCT", key, "holder", token, 3, "HOLD", 3_600_000) }
    try stock("CONFIRM", key, "confirmed")
    try stock("CANCEL", key, "dropped")
    for (name, peer) in [("out:open", 1), ("out:settled", 2)] { try stock("WITHDRAW", key, name, 5, "TO", peer) }
    for (name, peer) in [("in:open", 3), ("in:settled", 4)] { try stock("DEPOSIT", key, name, 6, "FROM", peer) }
    for name in ["out:settled", "in:settled"] { try stock("SETTLE", key, name) }
    try stock("RECORD", key, "holder", "recorded", 2, "held")
    try stock("RECORD", key, "holder", "rejected", 2, "rejected")
    try stock("RECORD", key, "TRANSFER", "out:found", "OUT", 5, 1)
    try stock("RECORD", key, "RESTOCK", "found", 7)
    try stock("FREEZE", key)
    try stock("THAW", key)
  }

  /// Tokens, limits and restocks go on where they were. Leaves the bucket changed.
  static func expectAlive(_ stock: Stage, _ key: String = "key") throws {
    let last = try #require(stock.info(key)["logLast"]?.integer)
    func status(_ command: String, _ words: any RedisArgument...) throws -> String? {
      try stock.redis.call(["STOCK." + command, key] + words)[0]?.text
    }
    #expect(try status("DEDUCT", "user:1", "sold:1", 2) == "DUPLICATE")
    #expect(try stock("DEDUCT", key, "user:1", "sold:1", 1).errorCode == "TOKENMISMATCH")
    #expect(try status("DEDUCT", [0, 255], "gone", 2) == "CANCELLED")
    #expect(try status("DEDUCT", "anyone", "fenced", 1) == "CANCELLED")
    #expect(try status("ADD", "restock", 50) == "DUPLICATE")
    #expect(try stock("ADD", key, "takeback", -10).errorCode == "TOKENMISMATCH")
    #expect(try status("DEDUCT", "user:1", "new", 499) == "LIMIT")
    #expect(try status("DEDUCT", "holder", "held", 3) == "DUPLICATE")
    #expect(try status("CONFIRM", "expired") == "CANCELLED")
    #expect(try status("DEDUCT", "holder", "more", 493) == "LIMIT")
    #expect(try stock("WITHDRAW", key, "out:open", 1, "TO", 1)[1] == 5)
    #expect(try status("WITHDRAW", "out:settled", 5, "TO", 2) == "DUPLICATE")
    #expect(try status("DEPOSIT", "in:open", 6, "FROM", 3) == "DUPLICATE")
    #expect(try stock("DEPOSIT", key, "in:settled", 7, "FROM", 4).errorCode == "TRANSFERMISMATCH")
    #expect(try status("SETTLE", "out:settled") == "DUPLICATE")
    #expect(try status("RECORD", "RESTOCK", "found", 7) == "DUPLICATE")
    #expect(try stock("TRANSFERS", key).elements?.map { $0[0]?.text } == ["out:open", "in:open", "out:found"])
    #expect(try stock("DEDUCT", key, "user:1", "new", 1)[2] == .integer(last + 1))
    #expect(try status("CONFIRM", "held") == "OK")
    #expect(try status("SETTLE", "out:open") == "OK")
  }

  /// Takes off the freeze that a start from a file which may lack writes, or a promotion, puts on.
  static func thaw(_ stock: Stage, _ key: String = "key", from reason: String) throws {
    let info = try stock.info(key)
    #expect(info["frozen"]?.text == reason)
    #expect(try stock("THAW", key, "EPOCH", #require(info["epoch"]?.integer)) == .ok)
  }

  @Test("DEBUG RELOAD gives back an equal bucket, in the same epoch and not frozen")
  func reload() throws {
    let stock = try Stage()
    try Self.fill(stock)
    try stock("CREATE", "empty", 0)
    let before = (try stock.readings("key", tokens: Self.tokens), try stock.readings("empty"))
    let epoch = try stock.info("key")["epoch"]
    #expect(try stock.redis.call("DEBUG", "RELOAD") == .ok)
    #expect(try stock.readings("key", tokens: Self.tokens) == before.0)
    #expect(try stock.readings("empty") == before.1)
    #expect(try stock.info("key")["epoch"] == epoch)
    #expect(try stock.info("key")["frozen"] == "no")
    try Self.expectAlive(stock)
  }

  @Test("A start from an RDB gives back an equal bucket")
  func rdb() throws {
    let stock = try Stage()
    try Self.fill(stock)
    let before = try stock.readings("key", tokens: Self.tokens)
    #expect(try stock.redis.call("SAVE") == .ok)
    try stock.server.kill9()
    try stock.server.restart()
    let again = try stock.again()
    #expect(try again.readings("key", tokens: Self.tokens) == before)
    try Self.thaw(again, from: "load")
    try Self.expectAlive(again)
  }

  @Test(
    "A start from an AOF gives back an equal bucket, rewritten or not, with preamble or not, after a kill",
    arguments: [true, false],
    [0, 1, 2]
  )
  func aof(preamble: Bool, rewrites: Int) throws {
    let stock = try Stage(.init(appendOnly: true, rdbPreamble: preamble))
    try Self.fill(stock)
    for rewrite in 0..<rewrites {
      // What comes after a rewrite is in the incremental file, on top of the base.
      #expect(try stock.redis.call("BGREWRITEAOF").errorCode == nil)
      try stock.waitForRewrite()
      try stock("DEDUCT", "key", "user:5", "after:\(rewrite)", 1)
    }
    let before = try stock.readings("key", tokens: Self.tokens)
    let epoch = try stock.info("key")["epoch"]
    try stock.server.kill9()
    try stock.server.restart()
    let again = try stock.again()
    #expect(try again.readings("key", tokens: Self.tokens) == before)
    #expect(try again.info("key")["epoch"] == epoch)
    try Self.expectAlive(again)
  }

  @Test("A rewritten AOF without preamble holds a big bucket in pieces and gives it back")
  func bigAof() throws {
    let stock = try Stage(.init(appendOnly: true, appendFsync: .no, rdbPreamble: false))
    try stock("CREATE", "key", 50_000)
    _ = try stock.redis.pipeline((0..<20_000).map { ["STOCK.DEDUCT", "key", "user:\($0 % 997)", "token:\($0)", 1] })
    let before = try stock.readings("key", tokens: ["token:0", "token:19999"])
    try stock.redis.call("BGREWRITEAOF")
    try stock.waitForRewrite()
    let longest = try AppendOnlyFile.commands(of: stock.server).map { words in
      words.reduce(0) { $0 + ($1.bytes?.count ?? 0) }
    }.max()
    #expect(try #require(longest) <= 1 << 20)
    try stock.server.restart()
    let again = try stock.again()
    #expect(try again.readings("key", tokens: ["token:0", "token:19999"]) == before)
  }

  @Test("Buckets of thousands of events are read, copied, dumped and reloaded whole, whatever the size of an event")
  func bigCopies() throws {
    let stock = try Stage()
    let count = 4_000
    // Events of every size in steps of four bytes, so that some fill the pieces of the log to their last byte.
    let buckets = stride(from: 0, to: 48, by: 4).map { padding in
      (key: "key:\(padding)", token: { (number: Int) in "\(100_000 + number)" + String.bytes(padding) })
    }
    for bucket in buckets {
      try stock("CREATE", bucket.key, 1_000_000)
      _ = try stock.redis.pipeline((0..<count).map { ["STOCK.DEDUCT", bucket.key, "u", bucket.token($0), 1] })
      let log = try #require(stock("LOG", bucket.key, 1, "COUNT", 10_000).elements)
      #expect(log.count == count, "\(bucket.key)")
      let wrong = log.indices.first { index in
        log[index][0] != .integer(Int64(index + 2)) || log[index][2]?.text != bucket.token(index)
      }
      #expect(wrong == nil, "\(bucket.key)")
      for after in stride(from: 1, through: count, by: 101) {
        let event = try stock("LOG", bucket.key, after, "COUNT", 1)[0]
        #expect(event?[2]?.text == bucket.token(after - 1), "\(bucket.key) \(after)")
      }
    }
    let digests = try buckets.map { try stock.digest($0.key) }
    for (bucket, digest) in zip(buckets, digests) {
      #expect(try stock.redis.call("COPY", bucket.key, "copy:" + bucket.key) == 1, "\(bucket.key)")
      #expect(try stock.digest("copy:" + bucket.key) == digest)
      let payload = try #require(stock.redis.call("DUMP", bucket.key).bytes)
      #expect(try stock.redis.call("RESTORE", "copy:" + bucket.key, 0, payload, "REPLACE") == .ok, "\(bucket.key)")
      #expect(try stock.digest("copy:" + bucket.key) == digest)
    }
    try #require(stock.redis.call("DEBUG", "RELOAD") == .ok)
    #expect(try buckets.map { try stock.digest($0.key) } == digests)
  }

  @Test("DUMP and RESTORE, COPY and RENAME give an equal bucket, and a copy is independent")
  func copies() throws {
    let stock = try Stage()
    try Self.fill(stock)
    let before = try stock.readings("key", tokens: Self.tokens)
    let payload = try #require(stock.redis.call("DUMP", "key").bytes)
    #expect(try stock.redis.call("RESTORE", "restored", 0, payload) == .ok)
    #expect(try stock.redis.call("COPY", "key", "copy") == 1)
    #expect(try stock.redis.call("COPY", "key", "key", "DB", 1) == 1)
    for key in ["restored", "copy"] { #expect(try stock.readings(key, tokens: Self.tokens) == before, "\(key)") }
    #expect(try stock.redis.call("DUMP", "restored").bytes == payload)

    try Self.expectAlive(stock, "copy")
    try Self.expectAlive(stock, "restored")
    #expect(try stock.readings("key", tokens: Self.tokens) == before)
    #expect(try stock.redis.call("RENAME", "key", "renamed") == .ok)
    #expect(try stock.readings("renamed", tokens: Self.tokens) == before)
    try stock.redis.call("FLUSHDB", "ASYNC")
    try stock.redis.call("SELECT", 1)
    #expect(try stock.readings("key", tokens: Self.tokens) == before)
    try Self.expectAlive(stock)
  }

  @Test("The digest tells buckets apart that differ in anything that is read of them")
  func digests() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 100)
    var seen: Set<RESP> = [try stock.digest("key")]
    let changes: [[any RedisArgument]] = [
      ["SCHEDULE", "key", "LIMIT", 5], ["SCHEDULE", "key", "OPENS", 5], ["SCHEDULE", "key", "CLOSES", farFuture],
      ["DEDUCT", "key", "u", "a", 1], ["DEDUCT", "key", "v", "b", 1], ["FENCE", "key", "f"], ["CANCEL", "key", "a"],
      ["CANCEL", "key", "b", "OFFSALE"], ["ADD", "key", "r", 5], ["ADD", "key", "s", -5],
    ]
    for words in changes {
      try stock.redis.call(["STOCK.\(words[0])"] + words.dropFirst())
      let inserted = seen.insert(try stock.digest("key")).inserted
      #expect(inserted, "\(words)")
    }
    let refusals: [[any RedisArgument]] = [
      ["STOCK.DEDUCT", "key", "u", "big", 6], ["STOCK.CANCEL", "key", "none"], ["STOCK.ADD", "key", "r", 5],
      ["STOCK.FENCE", "key", "f"],
    ]
    let settled = try stock.digest("key")
    _ = try stock.redis.pipeline(refusals)
    #expect(try stock.digest("key") == settled)
  }

  @Test("The digest tells apart buckets whose histories differ in one argument and not in their times")
  func digestsOfTwins() throws {
    let stock = try Stage()
    try stock("CREATE", "base", 100)
    try stock("DEDUCT", "base", "u", "sold", 1)
    let pairs: [([String], [String])] = [
      (["SCHEDULE", "LIMIT", "5"], ["SCHEDULE", "LIMIT", "6"]),
      (["SCHEDULE", "OPENS", "5"], ["SCHEDULE", "OPENS", "6"]),
      (["SCHEDULE", "CLOSES", "5"], ["SCHEDULE", "CLOSES", "6"]),
      (["SCHEDULE", "OPENS", "5"], ["SCHEDULE", "CLOSES", "5"]),
      (["DEDUCT", "u", "t", "1"], ["DEDUCT", "v", "t", "1"]),
      (["DEDUCT", "u", "t", "1"], ["DEDUCT", "u", "s", "1"]), (["DEDUCT", "u", "t", "1"], ["DEDUCT", "u", "t", "2"]),
      (["DEDUCT", "ab", "c", "1"], ["DEDUCT", "a", "bc", "1"]), (["FENCE", "t"], ["FENCE", "s"]),
      (["CANCEL", "sold"], ["CANCEL", "sold", "OFFSALE"]), (["ADD", "t", "1"], ["ADD", "s", "1"]),
      (["ADD", "t", "1"], ["ADD", "t", "-1"]),
    ]
    for (one, other) in pairs {
      let same = try Self.digestsAtOneTime(stock, one, one)
      #expect(same.0 == same.1, "\(one)")
      let different = try Self.digestsAtOneTime(stock, one, other)
      #expect(different.0 != different.1, "\(one) \(other)")
    }
  }

  /// Copies the bucket twice and changes both copies within one millisecond.
  private static func digestsAtOneTime(_ stock: Stage, _ one: [String], _ other: [String]) throws -> (RESP, RESP) {
    try waitUntil("two changes within one millisecond") {
      for key in ["one", "other"] { #expect(try stock.redis.call("COPY", "base", key, "REPLACE") == 1) }
      let replies = try stock.redis.pipeline(
        [("one", one), ("other", other)].map { key, words in
          ["STOCK." + words[0], key] + words.dropFirst().map { $0 as any RedisArgument }
        }
      )
      #expect(replies.allSatisfy { $0.errorCode == nil })
      let times = try ["one", "other"].map { try stock("LOG", $0, 2)[0]?[7] }
      return times[0] == times[1] ? (try stock.digest("one"), try stock.digest("other")) : nil
    }
  }

  @Test("Neither the epoch nor the server's random seed is part of the digest: equal histories, equal digests")
  func digestsOfServers() throws {
    let digests = try (0..<2).map { _ in
      // Times are part of a bucket, so both are made from the same payload and then changed by nothing timed.
      let stock = try Stage()
      try Self.fill(stock, purchases: 50)
      return (try stock.redis.call("DUMP", "key"), stock)
    }
    for (_, stock) in digests {
      for (index, (payload, _)) in digests.enumerated() {
        #expect(try stock.redis.call("RESTORE", "other:\(index)", 0, #require(payload.bytes)) == .ok)
      }
    }
    for key in ["other:0", "other:1"] { #expect(try digests[0].1.digest(key) == digests[1].1.digest(key)) }
  }
}

extension Stage {
  /// The same server by a new connection, after a restart.
  func again() throws -> Stage { Stage(server: server, redis: try server.connect()) }

  init(server: RedisServer, redis: RawRedis) {
    self.server = server
    self.redis = redis
  }

  func waitForRewrite() throws {
    try waitUntil("the end of an AOF rewrite") {
      let text = try redis.call("INFO", "persistence").text ?? ""
      return text.contains("aof_rewrite_in_progress:0") && text.contains("aof_rewrite_scheduled:0")
        && text.contains("aof_last_bgrewrite_status:ok")
    }
  }
}
