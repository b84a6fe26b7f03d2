import TestServers
import Testing

/// The literal list of propagated commands, for every write there is.
@Suite struct PropagationTests {
  /// A write or a refusal, in order, and what it sends to replicas.
  private static let one = ["STOCK.APPLY"]
  static let calls: [(words: [any RedisArgument], propagated: [String])] = [
    (["CREATE", "key", 100, "LIMIT", 20], one), (["CREATE", "key", 100], []),
    (["DEDUCT", "key", "u", "a", 2], one), (["DEDUCT", "key", "u", "a", 2], []), (["DEDUCT", "key", "v", "a", 2], []),
    (["DEDUCT", "key", "u", "big", 200], []), (["DEDUCT", "key", "u", "b", 19], []),
    (["DEDUCT", "key", "u", "b", "x"], []),
    (["DEDUCT", "key", "u", "h", 2, "HOLD", 600_000], one), (["DEDUCT", "key", "u", "h", 2, "HOLD", 600_000], []),
    (["DEDUCT", "key", "u", "h2", 1, "HOLD", 600_000], one), (["DEDUCT", "key", "u", "h3", 1, "HOLD", 600_000], one),
    (["CONFIRM", "key", "h"], one), (["CONFIRM", "key", "h"], []), (["CONFIRM", "key", "none"], []),
    (["CONFIRM", "key", "a"], []),
    (["CANCEL", "key", "h2"], one), (["CANCEL", "key", "h2"], []), (["CANCEL", "key", "none"], []),
    (["CONFIRM", "key", "h2"], []),
    (["CANCEL", "key", "h3", "OFFSALE"], one), (["CANCEL", "key", "f", "FENCE"], one),
    (["CANCEL", "key", "f", "FENCE"], []),
    (["FENCE", "key", "g"], one), (["FENCE", "key", "g"], []), (["FENCE", "key", "a"], []),
    (["DEDUCT", "key", "u", "g", 1], []),
    (["ADD", "key", "r", 5], one), (["ADD", "key", "r", 5], []), (["ADD", "key", "s", -5], one),
    (["ADD", "key", "t", -500], []),
    (["SCHEDULE", "key", "LIMIT", 30], one), (["SCHEDULE", "key", "LIMIT", 30], []),
    (["WITHDRAW", "key", "w", 5, "TO", 1], one), (["WITHDRAW", "key", "w", 9, "TO", 1], []),
    (["WITHDRAW", "key", "w", 5, "TO", 2], []),
    (["DEPOSIT", "key", "d", 5, "FROM", 1], one), (["DEPOSIT", "key", "d", 5, "FROM", 1], []),
    (["DEPOSIT", "key", "d", 6, "FROM", 1], []),
    (["SETTLE", "key", "w"], one), (["SETTLE", "key", "w"], []), (["SETTLE", "key", "none"], []),
    (["SETTLE", "key", "d"], one),
    (["RECORD", "key", "u", "lost", 1, "held"], one), (["RECORD", "key", "u", "lost", 1, "held"], []),
    (["RECORD", "key", "u", "lost", 1, "sold"], one), (["RECORD", "key", "u", "lost", 1, "held"], []),
    (["RECORD", "key", "u", "lost", 1, "rejected"], one), (["RECORD", "key", "u", "lost", 1, "sold"], []),
    (["RECORD", "key", "u", "gone", 1, "cancelled"], one), (["RECORD", "key", "u", "gone", 1, "cancelled"], []),
    (["RECORD", "key", "u", "many", 1_000, "sold"], []), (["RECORD", "key", "v", "lost", 1, "sold"], []),
    (["RECORD", "key", "TRANSFER", "x", "OUT", 1, 3], one), (["RECORD", "key", "TRANSFER", "x", "OUT", 1, 3], []),
    (["RECORD", "key", "TRANSFER", "y", "IN", 1, 3], one), (["RECORD", "key", "TRANSFER", "y", "IN", 1, 4], []),
    (["RECORD", "key", "RESTOCK", "z", 3], one), (["RECORD", "key", "RESTOCK", "z", 3], []),
    (["FREEZE", "key"], one), (["FREEZE", "key"], []), (["DEDUCT", "key", "u", "cold", 1], []),
    (["FENCE", "key", "cold"], []),
    (["WITHDRAW", "key", "cold", 1, "TO", 1], []), (["ADD", "key", "cold", -1], []), (["THAW", "key", "EPOCH", 1], []),
    (["THAW", "key"], one), (["THAW", "key"], []),
    (["GET", "key", "a"], []), (["INFO", "key"], []), (["LOG", "key", 0], []), (["TRANSFERS", "key", "ALL"], []),
    (["TRIM", "key", 0], []), (["TRIM", "key", 9_999], []), (["TRIM", "key", 12], one), (["TRIM", "key", 12], []),
    (["DEDUCT", "key", "u", "a", 2], []), (["CANCEL", "key", "a"], one), (["CANCEL", "key", "a"], []),
    (["CREATE", "two", 7], one), (["CREATE", "three", 0], one),
    (["REBALANCE", "two", "three"], ["MULTI", "STOCK.APPLY", "STOCK.APPLY", "EXEC"]),
    (["REBALANCE", "two", "three"], []),
    (["REBALANCE", "two", "none"], []), (["CREATE", "four", 1, "FROZEN"], one), (["REBALANCE", "two", "four"], []),
    (["SCHEDULE", "key", "OPENS", farFuture], one), (["DEDUCT", "key", "u", "early", 1], []),
    (["SCHEDULE", "key", "OPENS", 0, "CLOSES", 1], one), (["DEDUCT", "key", "u", "late", 1], []),
  ]

  private static func call(_ words: [any RedisArgument]) -> [any RedisArgument] {
    ["STOCK.\(words[0])"] + words.dropFirst()
  }

  @Test("Each write sends exactly its changes to replicas and AOF; refusals, duplicates, errors and reads send nothing")
  func literalList() throws {
    let stock = try Stage(.init(appendOnly: true, appendFsync: .always, rdbPreamble: false))
    let stream = try ReplicationStream(stock.server)
    var all: [[RESP]] = []
    for (words, expected) in Self.calls {
      let reply = try stock.redis.call(Self.call(words))
      let commands = try stream.commands()
      #expect(commands.map { $0[0].text } == expected, "\(words) \(reply): \(commands)")
      for command in commands where command[0] == "STOCK.APPLY" {
        #expect(command.count == 3, "\(words): \(command)")
        #expect(
          [words[1].argumentBytes, Array("two".utf8), Array("three".utf8)].contains(command[1].bytes),
          "\(words): \(command)"
        )
      }
      all += commands
    }
    #expect(try AppendOnlyFile.commands(of: stock.server) == all)
  }

  @Test("A refusal changes nothing that is measured: neither the replication offset nor the count of changes")
  func refusalsAreFree() throws {
    let stock = try Stage()
    _ = try ReplicationStream(stock.server)
    for (words, expected) in Self.calls {
      let before = try Self.marks(stock)
      _ = try stock.redis.call(Self.call(words))
      let after = try Self.marks(stock)
      if expected.isEmpty { #expect(before == after, "\(words)") } else { #expect(before != after, "\(words)") }
    }
  }

  private static func marks(_ stock: Stage) throws -> [String] {
    let lines = try ["replication", "persistence"].flatMap { section in
      try stock.redis.call("INFO", section).text?.split(whereSeparator: \.isNewline).map(String.init) ?? []
    }
    return lines.filter { $0.hasPrefix("master_repl_offset") || $0.hasPrefix("rdb_changes_since_last_save") }
  }

  @Test("Each propagated change, applied by a replica, leaves it equal to the master", arguments: [2, 3])
  func replicaFollows(resp: Int) throws {
    let master = try Stage(.init(tcp: true), resp: resp)
    let replica = try Stage(.init(replicaOf: master.server), resp: resp)
    for (words, expected) in Self.calls {
      _ = try master.redis.call(Self.call(words))
      if expected.isEmpty { continue }
      try replica.server.waitForSync(with: master.server)
      for key in ["key", "two", "three", "four"] where try master.redis.call("EXISTS", key) == 1 {
        #expect(try replica.digest(key) == master.digest(key), "\(words)")
        let (one, other) = (try replica.info(key), try master.info(key))
        for (field, value) in one where field != "bytes" { #expect(other[field] == value, "\(words): \(field)") }
      }
    }
    #expect(!replica.server.log.contains("refused"), "\(replica.server.log)")
  }

  @Test("A timer's expiries are propagated as changes, in their order, and a read-only command's as nothing")
  func expiries() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    for index in 0..<5 { try stock("DEDUCT", "key", "u", "t\(index)", 1, "HOLD", 50) }
    let stream = try ReplicationStream(stock.server)
    try stock.waitForHeld("key")
    let commands = try stream.commands()
    let applied = commands.filter { $0[0] == "STOCK.APPLY" }
    #expect((1...5).contains(applied.count))
    #expect(commands.allSatisfy { ["STOCK.APPLY", "MULTI", "EXEC"].contains($0[0].text) }, "\(commands)")
    #expect(applied.allSatisfy { $0[1] == "key" })
  }
}
