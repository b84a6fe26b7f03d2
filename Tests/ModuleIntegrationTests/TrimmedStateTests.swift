import TestServers
import Testing

/// What stays of holds, transfers and records whose events are trimmed.
@Suite struct TrimmedStateTests {
  private static func last(_ stock: Stage, _ key: String = "key") throws -> Int64 {
    try #require(stock.info(key)["logLast"]?.integer)
  }

  @Test("A held purchase whose event is trimmed stays whole: told by GET, confirmed, cancelled, expired with its names")
  func holds() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 20, "LIMIT", 9)
    for token in ["confirmed", "cancelled"] { try stock("DEDUCT", "key", "u", token, 2, "HOLD", 600_000) }
    try stock("DEDUCT", "key", "u", "due", 4, "HOLD", 2_000)
    let before = try ["confirmed", "cancelled", "due"].map { try stock("GET", "key", $0)["expires"] }
    #expect(try stock("TRIM", "key", 4) == 4)
    for reload in [false, true] {
      if reload { #expect(try stock.redis.call("DEBUG", "RELOAD") == .ok) }
      for (index, token) in ["confirmed", "cancelled", "due"].enumerated() {
        let record = try stock("GET", "key", token)
        #expect(record["state"] == "held" && record["expires"] == before[index], "\(token)")
        #expect(record["sequence"] == .integer(Int64(index + 2)), "\(token)")
      }
      #expect(try stock("DEDUCT", "key", "u", "more", 2) == .status("LIMIT", 12, 0))
      #expect(try stock("DEDUCT", "key", "u", "due", 4)[0] == .simple("DUPLICATE"))
      expectError(try stock("DEDUCT", "key", "v", "due", 4), "TOKENMISMATCH")
    }
    #expect(try stock("CONFIRM", "key", "confirmed") == .status("OK", 12, 5))
    #expect(try stock("CANCEL", "key", "cancelled") == .status("OK", 14, 6))
    try stock.waitForHeld("key")
    let events = try #require(stock("LOG", "key", 4).elements).map { Array(($0.elements ?? []).dropLast()) }
    // The user is told where it is still known; the token always is.
    #expect(events.map { $0[1] } == ["confirm", "cancel", "expire"])
    #expect(events.map { $0[2] } == ["confirmed", "cancelled", "due"])
    #expect(events[2].dropFirst(4) == [4, 14, 18])
    #expect(try stock("DEDUCT", "key", "u", "more", 7)[0] == .simple("OK"))
    #expect(try stock("DEDUCT", "key", "u", "yet", 1)[0] == .simple("LIMIT"))
    #expect(try stock("TRIM", "key", Self.last(stock)) == 4)
    let states = try ["confirmed", "cancelled", "due"].map { try stock("GET", "key", $0)["state"] }
    #expect(states == ["sold", "cancelled", "cancelled"])
    #expect(try stock("CONFIRM", "key", "confirmed") == .status("DUPLICATE", 11, 2))
    #expect(try stock("CONFIRM", "key", "due")[0] == .simple("CANCELLED"))
    #expect(try stock("CANCEL", "key", "confirmed") == .status("OK", 13, 9))
  }

  @Test("Records and fences stay known after a trim, and mismatches are still told")
  func records() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 20)
    for state in ["held", "sold", "cancelled", "rejected"] { try stock("RECORD", "key", "u", state, 2, state) }
    try stock("RECORD", "key", "RESTOCK", "r", 3)
    try stock("RECORD", "key", "TRANSFER", "out", "OUT", 1, 2)
    #expect(try stock("TRIM", "key", Self.last(stock)) == 7)
    let digest = try stock.digest("key")
    for state in ["held", "sold", "cancelled", "rejected"] {
      #expect(try stock("RECORD", "key", "u", state, 2, state)[0] == .simple("DUPLICATE"), "\(state)")
      expectError(try stock("RECORD", "key", "v", state, 2, state), "TOKENMISMATCH")
      expectError(try stock("RECORD", "key", "u", state, 3, state), "TOKENMISMATCH")
    }
    #expect(try stock("RECORD", "key", "RESTOCK", "r", 3)[0] == .simple("DUPLICATE"))
    #expect(try stock("RECORD", "key", "TRANSFER", "out", "OUT", 1, 2)[0] == .simple("DUPLICATE"))
    #expect(try stock("TRANSFERS", "key").elements?.count == 1)
    #expect(try stock.digest("key") == digest)
    #expect(try stock("RECORD", "key", "u", "held", 2, "sold")[0] == .simple("OK"))
    #expect(try stock("RECORD", "key", "u", "sold", 2, "cancelled")[0] == .simple("OK"))
    #expect(try stock.numbers("key", "held", "sold") == [0, 2])
  }

  @Test("A record of a trimmed purchase has the user that it names, wherever the bucket is carried")
  func recordedUser() throws {
    let stock = try Stage(.init(appendOnly: true, rdbPreamble: false, tcp: true))
    let replica = try Stage(.init(replicaOf: stock.server))
    try stock("CREATE", "key", 10)
    for token in ["a", "b", "c"] { try stock("DEDUCT", "key", "u", token, 1) }
    try stock("TRIM", "key", 4)
    #expect(try stock("RECORD", "key", "u", "a", 1, "cancelled") == .status("OK", 8, 5))
    #expect(try stock("RECORD", "key", "u", "b", 1, "rejected") == .status("OK", 8, 6))
    #expect(try stock("CANCEL", "key", "c") == .status("OK", 9, 7))
    let users = try #require(stock("LOG", "key", 4).elements).map { $0[3] }
    #expect(users == ["u", "u", .null])
    let readings = try stock.readings("key", tokens: ["a", "b", "c"])
    try replica.server.waitForSync(with: stock.server)
    #expect(try replica.readings("key", tokens: ["a", "b", "c"]) == readings)
    #expect(try stock.redis.call("DEBUG", "RELOAD") == .ok)
    #expect(try stock.readings("key", tokens: ["a", "b", "c"]) == readings)
    try stock.redis.call("BGREWRITEAOF")
    try stock.waitForRewrite()
    try stock.server.kill9()
    try stock.server.restart()
    #expect(try stock.again().readings("key", tokens: ["a", "b", "c"]) == readings)
  }

  @Test("Whatever is trimmed when, every way of carrying the bucket gives an equal one")
  func carried() throws {
    let stock = try Stage(.init(appendOnly: true, rdbPreamble: false, tcp: true))
    let replica = try Stage(.init(replicaOf: stock.server))
    try PersistenceTests.fill(stock, purchases: 10)
    let last = try Self.last(stock)
    for sequence in 1...last {
      try stock("TRIM", "key", sequence)
      // Later changes of tokens and transfers whose events are gone.
      if sequence == last - 6 {
        try stock("CONFIRM", "key", "held")
        try stock("SETTLE", "key", "out:open")
        try stock("CANCEL", "key", "recorded")
      }
      let digest = try stock.digest("key")
      let payload = try #require(stock.redis.call("DUMP", "key").bytes)
      #expect(try stock.redis.call("RESTORE", "restored", 0, payload, "REPLACE") == .ok)
      #expect(try stock.redis.call("COPY", "key", "copy", "REPLACE") == 1)
      try replica.server.waitForSync(with: stock.server)
      #expect(try stock.digest("restored") == digest && stock.digest("copy") == digest, "\(sequence)")
      #expect(try replica.digest("key") == digest, "\(sequence)")
      #expect(try stock.redis.call("DEBUG", "RELOAD") == .ok)
      #expect(try stock.digest("key") == digest, "\(sequence)")
    }
    try stock.redis.call("BGREWRITEAOF")
    try stock.waitForRewrite()
    let readings = try stock.readings("key", tokens: PersistenceTests.tokens)
    try stock.server.kill9()
    try stock.server.restart()
    #expect(try stock.again().readings("key", tokens: PersistenceTests.tokens) == readings)
  }

  @Test("A trimmed purchase takes 48 bytes or less, confirmed and cancelled ones too; the limit's memory comes on top")
  func bytes() throws {
    let stock = try Stage()
    let count = 100_000
    try stock("CREATE", "key", count)
    func bytes() throws -> Int64 { try #require(stock.info("key")["bytes"]?.integer) }
    let empty = try bytes()
    let pad = String.bytes(28)
    for start in stride(from: 0, to: count, by: 20_000) {
      _ = try stock.redis.pipeline(
        (start..<start + 20_000).map { number -> [any RedisArgument] in
          let hold: [any RedisArgument] = number % 4 == 0 ? ["HOLD", 600_000] : []
          return ["STOCK.DEDUCT", "key", "user:\(number)", "\(10_000_000 + number)" + pad, 1] + hold
        }
      )
    }
    _ = try stock.redis.pipeline(
      stride(from: 0, to: count, by: 4).map {
        [$0 % 8 == 0 ? "STOCK.CONFIRM" : "STOCK.CANCEL", "key", "\(10_000_000 + $0)" + pad]
      }
    )
    #expect(try bytes() - empty <= Int64(count) * 160)
    let last = try Self.last(stock)
    for sequence in stride(from: Int64(500), to: last + 500, by: 500) { try stock("TRIM", "key", min(sequence, last)) }
    let each = Double(try bytes() - empty) / Double(count)
    #expect(each <= 48, "\(each)")
    #expect(try stock.info("key")["logFirst"] == .integer(last + 1))
  }

  @Test("A trim of 500 events stays under a millisecond, whatever they are")
  func portions() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1_000_000, "LIMIT", 1_000_000)
    let commands: [[any RedisArgument]] = (0..<10_000).flatMap { number -> [[any RedisArgument]] in
      [
        ["STOCK.DEDUCT", "key", "u\(number % 99)", "t\(number)", 1, "HOLD", 600_000],
        ["STOCK.CONFIRM", "key", "t\(number)"],
        ["STOCK.WITHDRAW", "key", "w\(number)", 1, "TO", 1], ["STOCK.RECORD", "key", "u", "r\(number)", 1, "sold"],
      ]
    }
    _ = try stock.redis.pipeline(commands)
    try stock.redis.call("CONFIG", "RESETSTAT")
    let last = try Self.last(stock)
    var portions = 0.0
    for sequence in stride(from: Int64(500), through: last, by: 500) {
      #expect(try stock("TRIM", "key", sequence) == 500)
      portions += 1
    }
    let stats = try stock.redis.call("INFO", "commandstats").text ?? ""
    let line = try #require(
      stats.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix("cmdstat_stock.trim:") }
    )
    let usec = try #require(
      line.split(separator: ",").first { $0.hasPrefix("usec=") }.flatMap { Double($0.dropFirst(5)) }
    )
    #expect(usec / portions < 1_000, "\(usec / portions) us")
  }
}
