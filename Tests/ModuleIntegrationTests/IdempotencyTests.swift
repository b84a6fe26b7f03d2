import TestServers
import Testing

/// A token counts once.
@Suite struct IdempotencyTests {
  @Test("Every command sent again changes nothing and tells the event that first took the token")
  func again() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    let first: [[any RedisArgument]] = [
      ["STOCK.DEDUCT", "key", "u", "sold", 1], ["STOCK.DEDUCT", "key", "u", "gone", 2],
      ["STOCK.CANCEL", "key", "gone"],
      ["STOCK.FENCE", "key", "fenced"], ["STOCK.CANCEL", "key", "unseen", "FENCE"], ["STOCK.ADD", "key", "sold", 5],
    ]
    for words in first { #expect(try stock.redis.call(words)[0] == .simple("OK"), "\(words)") }
    let before = try stock.readings("key", tokens: ["sold", "gone", "fenced", "unseen"])
    let replies = try stock.redis.pipeline(first)
    #expect(
      replies == [
        .status("DUPLICATE", 14, 2), .status("CANCELLED", 14, 0), .status("DUPLICATE", 14, 3),
        .status("DUPLICATE", 14, 5), .status("DUPLICATE", 14, 6), .status("DUPLICATE", 14, 7),
      ]
    )
    #expect(try stock.readings("key", tokens: ["sold", "gone", "fenced", "unseen"]) == before)
  }

  @Test("A token spent with another user or quantity is TOKENMISMATCH, whatever became of it")
  func mismatch() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    try stock("DEDUCT", "key", "user", "token", 2)
    for _ in 0..<2 {
      let before = try stock.readings("key", tokens: ["token"])
      expectError(try stock("DEDUCT", "key", "other", "token", 2), "TOKENMISMATCH")
      expectError(try stock("DEDUCT", "key", "user", "token", 1), "TOKENMISMATCH")
      expectError(try stock("DEDUCT", "key", "use", "token", 2), "TOKENMISMATCH")
      expectError(try stock("DEDUCT", "key", "USER", "token", 2), "TOKENMISMATCH")
      expectError(try stock("DEDUCT", "key", "user", "token", maximum), "TOKENMISMATCH")
      #expect(try stock.readings("key", tokens: ["token"]) == before)
      try stock("CANCEL", "key", "token")
    }
  }

  @Test("A refused token is not remembered and may succeed later, also with other arguments")
  func refusedIsForgotten() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1, "LIMIT", 2, "OPENS", farFuture)
    #expect(try stock("DEDUCT", "key", "u", "t", 1)[0] == .simple("EARLY"))
    try stock("SCHEDULE", "key", "OPENS", 0, "CLOSES", 1)
    #expect(try stock("DEDUCT", "key", "u", "t", 1)[0] == .simple("CLOSED"))
    try stock("SCHEDULE", "key", "CLOSES", 0)
    #expect(try stock("DEDUCT", "key", "u", "t", 3)[0] == .simple("LIMIT"))
    #expect(try stock("DEDUCT", "key", "u", "t", 2)[0] == .simple("SOLDOUT"))
    #expect(try stock("GET", "key", "t") == nil)
    #expect(try stock.info("key")["tokens"] == 0)
    #expect(try stock("DEDUCT", "key", "other", "t", 1) == .status("OK", 0, 4))
  }

  @Test("Tokens of one bucket mean nothing in another")
  func buckets() throws {
    let stock = try Stage()
    try stock("CREATE", "a", 1)
    try stock("CREATE", "b", 1)
    #expect(try stock("DEDUCT", "a", "u", "t", 1) == .status("OK", 0, 2))
    #expect(try stock("DEDUCT", "b", "v", "t", 1) == .status("OK", 0, 2))
  }

  @Test("A hundred thousand tokens are all known, each with its own event")
  func manyTokens() throws {
    let stock = try Stage()
    let count = 100_000
    try stock("CREATE", "key", count)
    let commands = (0..<count).map {
      ["STOCK.DEDUCT", "key", "user:\($0 % 977)", "token:\($0)", 1] as [any RedisArgument]
    }
    let taken = try stock.redis.pipeline(commands)
    #expect(taken == (0..<count).map { .status("OK", Int64(count - $0 - 1), Int64($0 + 2)) })
    let again = try stock.redis.pipeline(commands)
    #expect(again == (0..<count).map { .status("DUPLICATE", 0, Int64($0 + 2)) })
    #expect(try stock.info("key")["tokens"] == .integer(Int64(count)))
  }
}
