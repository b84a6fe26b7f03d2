import TestServers
import Testing

/// `REBALANCE`: buckets of one server share what they have on sale, in one step.
@Suite struct RebalanceTests {
  private static func create(_ stock: Stage, _ quantities: [Int64]) throws -> [String] {
    let keys = quantities.indices.map { "key:\($0)" }
    try stock.redis.call("FLUSHALL")
    for (key, quantity) in zip(keys, quantities) { try stock("CREATE", key, quantity, "BUCKETS", quantities.count) }
    return keys
  }

  private static func rebalance(_ stock: Stage, _ keys: [String], weights: [Int64] = []) throws -> RESP {
    let tail: [any RedisArgument] = weights.isEmpty ? [] : ["WEIGHTS"] + weights.map { $0 as any RedisArgument }
    return try stock.redis.call(["STOCK.REBALANCE"] + keys.map { $0 as any RedisArgument } + tail)
  }

  private static func available(_ stock: Stage, _ keys: [String]) throws -> [Int64] {
    try keys.map { try stock.numbers($0, "available")[0] }
  }

  /// Whether a share is the weight's part of the total, to less than a unit.
  private static func isFair(_ share: Int64, _ weight: Int64, _ weights: [Int64], _ total: Int64) -> Bool {
    let sum = weights.reduce(Int128(0)) { $0 + Int128($1) }
    return (Int128(share) * sum - Int128(total) * Int128(weight)).magnitude < sum.magnitude
  }

  @Test("Without weights the shares differ by one at most, and nothing is lost or made", arguments: [2, 3])
  func even(resp: Int) throws {
    let stock = try Stage(resp: resp)
    let worlds: [[Int64]] = [
      [10, 0], [0, 11], [3, 4], [0, 0], [1, 0, 0], [100, 3, 5, 7, 11], [maximum, 0], [0, 0, 0, 0, 0, 0, 0, 1],
      [5, 5, 5], [maximum, 0, 0],
    ]
    for quantities in worlds {
      let keys = try Self.create(stock, quantities)
      let reply = try Self.rebalance(stock, keys)
      let shares = try Self.available(stock, keys)
      #expect(reply == .array(shares.map(RESP.integer)), "\(quantities)")
      #expect(shares.reduce(0, +) == quantities.reduce(0, +), "\(quantities)")
      #expect(try #require(shares.max()) - #require(shares.min()) <= 1, "\(quantities): \(shares)")
      // Once more is no change.
      let digests = try keys.map { try stock.digest($0) }
      let again = try Self.rebalance(stock, keys)
      #expect(again == reply, "\(quantities)")
      #expect(try keys.map { try stock.digest($0) } == digests, "\(quantities)")
    }
  }

  @Test("By weight each share is the weight's part, to less than a unit")
  func weights() throws {
    let stock = try Stage()
    let worlds: [(quantities: [Int64], weights: [Int64])] = [
      ([100, 0], [1, 3]), ([100, 0], [3, 1]), ([0, 100], [0, 1]), ([100, 0, 0], [0, 0, 1]), ([10, 10, 10], [1, 1, 1]),
      ([7, 0, 0], [1, 1, 1]), ([1_000, 1, 1], [5, 3, 2]), ([maximum, 0], [1, 1]), ([maximum, 0, 0], [1, 2, 4]),
      ([100, 0], [maximum - 1, 1]), ([maximum, 0], [maximum / 2, maximum / 2]), ([0, 0], [1, 2]),
      ([9, 9], [0, maximum]),
    ]
    for (quantities, weights) in worlds {
      let keys = try Self.create(stock, quantities)
      let reply = try Self.rebalance(stock, keys, weights: weights)
      let shares = try Self.available(stock, keys)
      #expect(reply == .array(shares.map(RESP.integer)), "\(quantities) \(weights)")
      let total = quantities.reduce(0, +)
      #expect(shares.reduce(0, +) == total, "\(quantities) \(weights)")
      for (share, weight) in zip(shares, weights) {
        #expect(Self.isFair(share, weight, weights, total), "\(quantities) \(weights): \(shares)")
        if weight == 0 { #expect(share == 0, "\(quantities) \(weights): \(shares)") }
      }
    }
  }

  @Test("Only what is on sale moves; it counts as transferred, in an event of each bucket that changed")
  func books() throws {
    let stock = try Stage()
    let keys = try Self.create(stock, [10, 4, 1])
    try stock("DEDUCT", keys[0], "u", "t", 1)
    try stock("DEDUCT", keys[0], "u", "h", 2, "HOLD", 600_000)
    try stock("WITHDRAW", keys[0], "w", 1, "TO", 1)
    // 6, 4 and 1 are on sale.
    let shares = try Self.rebalance(stock, keys)
    let sorted = try Self.available(stock, keys)
    #expect(shares == .array(sorted.map(RESP.integer)) && sorted.sorted() == [3, 4, 4])
    #expect(try stock.numbers(keys[0], "sold", "held", "transfers") == [1, 2, 1])
    let moved = try keys.map { try stock.numbers($0, "transferredIn", "transferredOut") }
    #expect(moved.reduce(0) { $0 + $1[0] } + 1 == moved.reduce(0) { $0 + $1[1] })
    for (key, before) in zip(keys, [Int64(6), 4, 1]) {
      let event = try #require(stock("LOG", key, 0).elements?.last)
      let now = try stock.numbers(key, "available")[0]
      if now == before {
        #expect(event[1] != "rebalance")
      } else {
        #expect(
          try #require(event.elements).dropFirst().dropLast() == [
            "rebalance", nil, nil, .integer(now - before), .integer(before), .integer(now),
          ]
        )
      }
    }
    for key in keys { #expect(try stock("TRANSFERS", key, "ALL").elements?.count == (key == keys[0] ? 1 : 0)) }
  }

  @Test("A rebalance is one step: a frozen, missing or foreign key refuses it whole")
  func atomic() throws {
    let stock = try Stage()
    let keys = try Self.create(stock, [10, 0, 0])
    let digests = try keys.map { try stock.digest($0) }
    let stream = try ReplicationStream(stock.server)
    expectError(try Self.rebalance(stock, keys + ["none"]), "NOBUCKET")
    try stock.redis.call("SET", "text", "x")
    _ = try stream.commands()
    expectError(try Self.rebalance(stock, keys + ["text"]), "WRONGTYPE")
    expectError(try Self.rebalance(stock, [keys[0], keys[1], keys[0]]), naming: keys[0])
    expectError(try Self.rebalance(stock, [keys[0], keys[0]]), naming: keys[0])
    #expect(try keys.map { try stock.digest($0) } == digests)
    #expect(try stream.commands() == [])
    try stock("FREEZE", keys[2])
    _ = try stream.commands()
    expectError(try Self.rebalance(stock, keys), "FROZEN")
    expectError(try Self.rebalance(stock, [keys[2], keys[0]], weights: [1, 1]), "FROZEN")
    #expect(try Self.available(stock, keys) == [10, 0, 0])
    #expect(try stream.commands() == [])
    #expect(try Self.rebalance(stock, Array(keys.prefix(2))) == [5, 5])
  }

  @Test("Bad arguments are errors that change nothing")
  func badArguments() throws {
    let stock = try Stage()
    let keys = try Self.create(stock, [10, 0])
    let digests = try keys.map { try stock.digest($0) }
    let bad: [[any RedisArgument]] = [
      [], [keys[0]], [keys[0], "WEIGHTS", 1], [keys[0], keys[1], "WEIGHTS"], [keys[0], keys[1], "WEIGHTS", 1],
      [keys[0], keys[1], "WEIGHTS", 1, 1, 1], [keys[0], keys[1], "WEIGHTS", 0, 0],
    ]
    // Which of them names a key that is not there is for the module to say.
    for words in bad { #expect(try stock.redis.call(["STOCK.REBALANCE"] + words).errorCode != nil, "\(words)") }
    for number in ArgumentTests.malformed {
      expectError(try stock("REBALANCE", keys[0], keys[1], "WEIGHTS", 1, number), comment: number)
      expectError(try stock("REBALANCE", keys[0], keys[1], "WEIGHTS", number, 1), comment: number)
    }
    #expect(try keys.map { try stock.digest($0) } == digests)
    #expect(try stock("rebalance", keys[0], keys[1], "weights", 1, 1) == [5, 5])
  }

  @Test("A server that tells shares apart by weights of any size and any number of keys never passes 2^53 or traps")
  func randomWorlds() throws {
    let stock = try Stage()
    try withSeed { seed, random in
      for round in 0..<60 {
        let count = Int.random(in: 2...9, using: &random)
        let most = [Int64(3), 1_000, maximum / 16][round % 3]
        let quantities = (0..<count).map { _ in Int64.random(in: 0...most, using: &random) }
        let keys = try Self.create(stock, quantities)
        // The weights together are at most 2^53.
        let heaviest = [Int64(5), maximum / Int64(count)][round % 2]
        var weights = (0..<count).map { _ in random.oneIn(4) ? 0 : Int64.random(in: 1...heaviest, using: &random) }
        if weights.allSatisfy({ $0 == 0 }) { weights[0] = 1 }
        let reply = try Self.rebalance(stock, keys, weights: weights)
        let shares = try Self.available(stock, keys)
        #expect(reply == .array(shares.map(RESP.integer)), "seed \(seed), round \(round)")
        #expect(shares.reduce(0, +) == quantities.reduce(0, +), "seed \(seed), round \(round)")
        let total = quantities.reduce(0, +)
        for (share, weight) in zip(shares, weights) {
          #expect(Self.isFair(share, weight, weights, total), "seed \(seed), round \(round): \(weights) \(shares)")
        }
      }
    }
  }

  @Test("On a cluster the keys must lie in one slot, and the server finds all of them in the command")
  func keys() throws {
    let stock = try Stage()
    #expect(try stock.redis.call("COMMAND", "GETKEYS", "STOCK.REBALANCE", "a", "b", "c") == ["a", "b", "c"])
    #expect(try stock.redis.call("COMMAND", "GETKEYS", "STOCK.REBALANCE", "a", "b", "WEIGHTS", 1, 2) == ["a", "b"])
  }
}
