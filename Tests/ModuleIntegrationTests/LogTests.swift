import TestServers
import Testing

/// The record of operations, `STOCK.LOG`, and the epoch in which its positions are valid.
@Suite struct LogTests {
  @Test(
    "Every change is one event, with what it did to the stock; refusals and duplicates are none",
    arguments: [2, 3]
  )
  func events(resp: Int) throws {
    let stock = try Stage(resp: resp)
    let started = try stock.nowMs()
    try stock("CREATE", "key", 10, "LIMIT", 5)
    try stock("DEDUCT", "key", "ann", "a", 2)
    try stock("DEDUCT", "key", "ann", "a", 2)
    try stock("DEDUCT", "key", "bob", "b", 1)
    try stock("DEDUCT", "key", "bob", "x", 6)
    try stock("CANCEL", "key", "a")
    try stock("CANCEL", "key", "a")
    try stock("CANCEL", "key", "unknown")
    try stock("FENCE", "key", "f")
    try stock("FENCE", "key", "b")
    try stock("CANCEL", "key", "g", "FENCE")
    try stock("SCHEDULE", "key", "LIMIT", 0)
    try stock("ADD", "key", "r", 5)
    try stock("ADD", "key", "r", 5)
    try stock("ADD", "key", "s", -3)
    try stock("ADD", "key", "s2", -300)
    try stock("CANCEL", "key", "b", "OFFSALE")
    let ended = try stock.nowMs()

    let log = try #require(stock("LOG", "key", 0).elements)
    let withoutTimes = log.map { RESP.array(Array(($0.elements ?? []).dropLast())) }
    #expect(
      withoutTimes == [
        [1, "create", nil, nil, 10, 0, 10],
        [2, "deduct", "a", "ann", -2, 10, 8],
        [3, "deduct", "b", "bob", -1, 8, 7],
        [4, "cancel", "a", "ann", 2, 7, 9],
        [5, "fence", "f", nil, 0, 9, 9],
        [6, "fence", "g", nil, 0, 9, 9],
        [7, "schedule", nil, nil, 0, 9, 9],
        [8, "add", "r", nil, 5, 9, 14],
        [9, "add", "s", nil, -3, 14, 11],
        [10, "cancel", "b", "bob", 0, 11, 11],
      ]
    )
    let times = log.compactMap { $0[7]?.integer }
    #expect(times.count == 10 && times == times.sorted())
    #expect(times.allSatisfy { (started...ended).contains($0) })
  }

  @Test("LOG gives what comes after a sequence, a hundred unless told, ten thousand at most")
  func pages() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 20_000)
    _ = try stock.redis.pipeline((1..<10_050).map { ["STOCK.DEDUCT", "key", "u", $0, 1] })
    func sequences(_ options: any RedisArgument...) throws -> [Int64] {
      try #require(stock.redis.call(["STOCK.LOG", "key"] + options).elements).compactMap { $0[0]?.integer }
    }
    #expect(try sequences(0) == Array(1...100))
    #expect(try sequences(10_000) == Array(10_001...10_050))
    #expect(try sequences(5_000, "COUNT", 1) == [5_001])
    #expect(try sequences(25, "COUNT", 10_000) == Array(26...10_025))
    #expect(try sequences(10_050) == [])
    #expect(try sequences(10_049, "COUNT", 10_000) == [10_050])
    expectError(try stock("LOG", "key", 10_051), "AHEAD")
    expectError(try stock("LOG", "key", maximum, "COUNT", 1), "AHEAD")
    let info = try stock.info("key")
    #expect(info["logFirst"] == 1)
    #expect(info["logLast"] == 10_050)
  }

  @Test("A position of another epoch is EPOCHMISMATCH; each bucket has an epoch of its own, from 1 to 2^53")
  func epoch() throws {
    let stock = try Stage()
    var epochs: Set<Int64> = []
    for key in 0..<50 {
      try stock("CREATE", key, 1)
      let epoch = try #require(stock.info(key)["epoch"]?.integer)
      #expect((1...maximum).contains(epoch))
      epochs.insert(epoch)
    }
    #expect(epochs.count == 50)
    let epoch = try #require(stock.info(0)["epoch"]?.integer)
    #expect(try stock("LOG", 0, 0, "EPOCH", epoch).elements?.count == 1)
    #expect(try stock("LOG", 0, 0, "EPOCH", epoch, "COUNT", 1).elements?.count == 1)
    expectError(try stock("LOG", 0, 0, "EPOCH", epoch % maximum + 1), "EPOCHMISMATCH")
    expectError(try stock("LOG", 0, 5, "EPOCH", epoch % maximum + 1), "EPOCHMISMATCH")

    try stock.redis.call("DEL", 0)
    try stock("CREATE", 0, 1)
    #expect(try stock.info(0)["epoch"]?.integer != epoch)
  }

  @Test("Buckets created by two servers differ in epoch")
  func epochsOfServers() throws {
    let epochs = try (0..<2).map { _ in
      let stock = try Stage()
      try stock("CREATE", "key", 1)
      return try stock.info("key")["epoch"]
    }
    #expect(epochs[0] != epochs[1])
  }
}
