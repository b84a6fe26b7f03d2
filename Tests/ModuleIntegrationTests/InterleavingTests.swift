import TestServers
import Testing

/// Many clients at once: never a unit too many, never a token twice.
@Suite struct InterleavingTests {
  @Test("A crowd larger than the stock buys exactly the stock, with every token sent by two clients")
  func crowd() throws {
    let stock = try Stage()
    let (clients, tokens, units) = (16, 4_000, Int64(2_500))
    try stock("CREATE", "key", units, "LIMIT", 40)
    let server = stock.server
    let replies = try onThreads(clients) { client in
      try withSeed(UInt64(client)) { _, random in
        // Two clients share each token's half of the crowd, each in an order of its own.
        let mine = (0..<tokens).filter { $0 % (clients / 2) == client / 2 }.shuffled(using: &random)
        let redis = try server.connect()
        var seen: [(Int, RESP)] = []
        for start in stride(from: 0, to: mine.count, by: 25) {
          let batch = mine[start..<min(start + 25, mine.count)]
          seen += zip(batch, try redis.pipeline(batch.map(Self.purchase)))
        }
        return seen
      }
    }.flatMap { $0 }

    #expect(replies.count == 2 * tokens)
    let accepted = replies.filter { $0.1[0]?.text == "OK" }
    #expect(Set(accepted.map(\.0)).count == accepted.count)
    let taken = accepted.reduce(Int64(0)) { $0 + Self.quantity($1.0) }
    let info = try stock.info("key")
    #expect(info["sold"] == .integer(taken))
    #expect(info["available"] == .integer(units - taken))
    #expect(taken <= units && taken > units - 3)
    #expect(replies.allSatisfy { $0.1[1]?.integer.map { $0 >= 0 } ?? false })
    let statuses = Set(replies.compactMap { $0.1[0]?.text })
    #expect(statuses.isSubset(of: ["OK", "DUPLICATE", "SOLDOUT", "LIMIT"]))
    #expect(statuses.contains("SOLDOUT") && statuses.contains("DUPLICATE"))
    // Accepted purchases have events of their own, without gaps.
    #expect(accepted.compactMap { $0.1[2]?.integer }.sorted() == Array(2...Int64(accepted.count + 1)))
  }

  @Sendable private static func quantity(_ token: Int) -> Int64 { Int64(token % 3 + 1) }

  @Sendable private static func purchase(_ token: Int) -> [any RedisArgument] {
    ["STOCK.DEDUCT", "key", "user:\(token % 300)", "token:\(token)", quantity(token)]
  }

  @Test("A token sent many times at once takes its units once")
  func oneToken() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 100_000)
    let server = stock.server
    let rounds = 200
    let replies = try onThreads(24) { _ in
      let redis = try server.connect()
      return try (0..<rounds).map { try redis.call("STOCK.DEDUCT", "key", "u", "token:\($0)", 3) }
    }
    for round in 0..<rounds {
      let statuses = replies.map { $0[round][0]?.text }
      #expect(statuses.count { $0 == "OK" } == 1, "\(round)")
      #expect(statuses.count { $0 == "DUPLICATE" } == 23, "\(round)")
      #expect(Set(replies.map { $0[round][2] }).count == 1, "\(round)")
    }
    #expect(try stock.info("key")["sold"] == .integer(Int64(rounds * 3)))
  }

  @Test("Deductions, cancels and fences of the same tokens by many clients leave books that balance")
  func cancels() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 50)
    let server = stock.server
    let seed = SplitMix64.seedOfRun()
    let accepted = try onThreads(12) { client in
      try withSeed(seed &+ UInt64(client)) { _, random in
        let redis = try server.connect()
        var balance: Int64 = 0
        for _ in 0..<600 {
          let token = Int.random(in: 0..<400, using: &random)
          let action = random.next() % 5
          let reply: RESP =
            if action < 3 {
              try redis.call("STOCK.DEDUCT", "key", "u", token, 1)
            } else if action == 3 {
              try redis.call("STOCK.CANCEL", "key", token)
            } else {
              try redis.call("STOCK.FENCE", "key", token)
            }
          let remaining = try #require(reply[1]?.integer, "\(reply)")
          #expect((0...50).contains(remaining), "seed \(seed)")
          if reply[0]?.text == "OK" { balance += action < 3 ? 1 : action == 3 ? -1 : 0 }
        }
        return balance
      }
    }.reduce(0, +)
    #expect(try stock.info("key")["sold"] == .integer(accepted), "seed \(seed)")
    try Self.expectLogExplains(stock, "seed \(seed)")
  }

  /// Adds the log up from the first event and compares with the books.
  private static func expectLogExplains(_ stock: Stage, _ comment: Comment) throws {
    let log = try #require(stock("LOG", "key", 0, "COUNT", 10_000).elements)
    var available: Int64 = 0
    for (index, event) in log.enumerated() {
      #expect(event[0] == .integer(Int64(index + 1)), comment)
      #expect(event[5] == .integer(available), comment)
      available += try #require(event[4]?.integer)
      #expect(event[6] == .integer(available), comment)
    }
    let info = try stock.info("key")
    #expect(info["available"] == .integer(available), comment)
    #expect(info["logLast"] == .integer(Int64(log.count)), comment)
  }

  @Test("A client that goes away in the middle of a command leaves nothing half done")
  func brokenClients() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1_000)
    let whole = RawRedis.encode(["STOCK.DEDUCT", "key", "user", "token", 7])
    for length in 1..<whole.count {
      let client = try stock.server.connect()
      try client.send(bytes: Array(whole.prefix(length)))
    }
    #expect(try stock("GET", "key", "token") == nil)
    // The last one sends all and leaves without reading the reply.
    do { try stock.server.connect().send(bytes: whole) }
    try waitUntil("the purchase whose reply nobody read") { try stock("GET", "key", "token") != nil }
    #expect(try stock("DEDUCT", "key", "user", "token", 7) == .status("DUPLICATE", 993, 2))
  }
}
