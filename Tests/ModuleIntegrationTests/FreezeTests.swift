import TestServers
import Testing

/// `FREEZE` and `THAW` by an operator, and what a frozen bucket answers.
@Suite struct FreezeTests {
  /// A bucket with a token in each state and a transfer in each direction.
  static func fill(_ stock: Stage, _ key: String = "key") throws {
    try stock("CREATE", key, 100, "LIMIT", 50)
    try stock("DEDUCT", key, "u", "held", 2, "HOLD", 600_000)
    try stock("DEDUCT", key, "u", "held2", 2, "HOLD", 600_000)
    for token in ["sold", "sold2", "gone"] { try stock("DEDUCT", key, "u", token, 2) }
    try stock("CANCEL", key, "gone")
    try stock("FENCE", key, "fenced")
    try stock("ADD", key, "restock", 5)
    try stock("WITHDRAW", key, "out", 3, "TO", 1)
    try stock("DEPOSIT", key, "in", 3, "FROM", 1)
  }

  @Test("FREEZE and THAW are events, once each; an unfrozen bucket is thawed already", arguments: [2, 3])
  func events(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try stock("CREATE", "key", 5)
    let epoch = try stock.info("key")["epoch"]
    #expect(try stock.info("key")["frozen"] == "no")
    #expect(try stock("THAW", "key") == .ok)
    #expect(try stock("FREEZE", "key") == .ok)
    #expect(try stock.info("key")["frozen"] == "operator")
    #expect(try stock("FREEZE", "key") == .ok)
    #expect(try stock("THAW", "key") == .ok)
    #expect(try stock.info("key")["frozen"] == "no")
    #expect(try stock("THAW", "key") == .ok)
    #expect(try stock.actions("key") == ["create", "freeze", "thaw"])
    let events = try #require(stock("LOG", "key", 1).elements)
    for (index, event) in events.enumerated() {
      #expect(
        try #require(event.elements).dropLast() == [
          .integer(Int64(index + 2)), index == 0 ? "freeze" : "thaw", nil, nil, 0, 5, 5,
        ]
      )
    }
    #expect(try stock.info("key")["epoch"] == epoch)
  }

  @Test("A bucket may be created frozen, and sells nothing until it is thawed", arguments: [2, 3])
  func created(resp: Int) throws {
    let stock = try Stage(resp: resp)
    #expect(try stock("CREATE", "key", 5, "FROZEN", "LIMIT", 2) == .ok)
    #expect(try stock.info("key")["frozen"] == "create")
    #expect(try stock("DEDUCT", "key", "u", "t", 1) == .status("FROZEN", 5, 0))
    let epoch = try #require(stock.info("key")["epoch"]?.integer)
    expectError(try stock("THAW", "key", "EPOCH", epoch % maximum + 1), "EPOCHMISMATCH")
    #expect(try stock.info("key")["frozen"] == "create")
    #expect(try stock("THAW", "key", "EPOCH", epoch) == .ok)
    #expect(try stock.info("key")["frozen"] == "no")
    #expect(try stock("DEDUCT", "key", "u", "t", 1)[0] == .simple("OK"))
    #expect(try stock("CREATE", "other", 5, "frozen") == .ok)
    #expect(try stock("THAW", "other") == .ok)
    #expect(try stock.info("other")["frozen"] == "no")
    expectError(try stock("CREATE", "third", 5, "FROZEN", "FROZEN"), naming: "FROZEN")
  }

  @Test("A frozen bucket answers FROZEN to what is new, and the rest works as ever")
  func statuses() throws {
    let stock = try Stage()
    try Self.fill(stock)
    try stock("FREEZE", "key")
    let left = try #require(stock.info("key")["available"]?.integer)
    let digest = try stock.digest("key")
    let refused: [[any RedisArgument]] = [
      ["DEDUCT", "key", "u", "new", 1], ["DEDUCT", "key", "u", "new", 1, "HOLD", 5], ["FENCE", "key", "new"],
      ["CONFIRM", "key", "new"], ["CANCEL", "key", "new"], ["CANCEL", "key", "new", "FENCE"],
      ["CANCEL", "key", "new", "OFFSALE"],
      ["ADD", "key", "new", -1],
    ]
    for words in refused { #expect(try Self.call(stock, words) == .status("FROZEN", left, 0), "\(words)") }
    #expect(try stock("WITHDRAW", "key", "new", 1, "TO", 1) == .status("FROZEN", 0, 0))
    try stock("CREATE", "other", 5)
    expectError(try stock("REBALANCE", "key", "other"), "FROZEN")
    expectError(try stock("REBALANCE", "other", "key", "WEIGHTS", 1, 2), "FROZEN")
    #expect(try stock.digest("key") == digest)
    #expect(try stock.info("other")["logLast"] == 1)

    let works: [([any RedisArgument], String)] = [
      (["DEDUCT", "key", "u", "sold", 2], "DUPLICATE"), (["DEDUCT", "key", "u", "held", 2], "DUPLICATE"),
      (["DEDUCT", "key", "u", "gone", 2], "CANCELLED"), (["FENCE", "key", "sold"], "LIVE"),
      (["FENCE", "key", "fenced"], "DUPLICATE"),
      (["CONFIRM", "key", "held"], "OK"), (["CONFIRM", "key", "gone"], "CANCELLED"),
      (["CONFIRM", "key", "sold"], "DUPLICATE"),
      (["CANCEL", "key", "held2"], "OK"), (["CANCEL", "key", "sold2", "OFFSALE"], "OK"),
      (["CANCEL", "key", "gone"], "DUPLICATE"),
      (["ADD", "key", "restock", 5], "DUPLICATE"), (["ADD", "key", "more", 5], "OK"),
      (["WITHDRAW", "key", "out", 3, "TO", 1], "DUPLICATE"), (["DEPOSIT", "key", "in2", 3, "FROM", 1], "OK"),
      (["DEPOSIT", "key", "in", 3, "FROM", 1], "DUPLICATE"), (["SETTLE", "key", "out"], "OK"),
      (["RECORD", "key", "u", "lost", 1, "sold"], "OK"),
    ]
    for (words, status) in works { #expect(try Self.call(stock, words)[0] == .simple(status), "\(words)") }
    expectError(try stock("DEDUCT", "key", "v", "sold", 2), "TOKENMISMATCH")
    #expect(try stock("SCHEDULE", "key", "LIMIT", 7) == .ok)
    #expect(try stock("TRIM", "key", 3) == 3)
    #expect(try stock("LOG", "key", 3).elements?.isEmpty == false)
    #expect(try stock("TRANSFERS", "key").elements?.count == 2)
    #expect(try stock.info("key")["frozen"] == "operator")
  }

  @Test("FROZEN comes behind what is known of the token and before window, limit and stock")
  func precedence() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1, "LIMIT", 1, "OPENS", farFuture, "CLOSES", 1)
    try stock("FREEZE", "key")
    #expect(try stock("DEDUCT", "key", "u", "t", 9) == .status("FROZEN", 1, 0))
    try stock("THAW", "key")
    #expect(try stock("DEDUCT", "key", "u", "t", 9) == .status("EARLY", 1, 0))
  }

  @Test("THAW with another epoch, and with an operator's freeze, is refused")
  func thawErrors() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 5)
    let epoch = try #require(stock.info("key")["epoch"]?.integer)
    try stock("FREEZE", "key")
    let last = try stock.info("key")["logLast"]
    expectError(try stock("THAW", "key", "EPOCH", epoch), "FROZENBYOPERATOR")
    expectError(try stock("THAW", "key", "EPOCH", epoch % maximum + 1), "EPOCHMISMATCH")
    #expect(try stock.info("key")["frozen"] == "operator")
    #expect(try stock.info("key")["logLast"] == last)
    for bad in ArgumentTests.malformed + ["0"] { expectError(try stock("THAW", "key", "EPOCH", bad), naming: "EPOCH") }
    expectError(try stock("THAW", "key", "EPOCH"), naming: "EPOCH")
    expectError(try stock("THAW", "key", "NOW"), naming: "NOW")
    expectError(try stock("THAW"))
    expectError(try stock("FREEZE", "key", "x"))
    for command in ["FREEZE", "THAW"] { expectError(try stock(command, "none"), "NOBUCKET") }
    #expect(try stock("THAW", "key", "epoch", epoch).errorCode == "FROZENBYOPERATOR")
    #expect(try stock("THAW", "key") == .ok)
  }

  @Test("An operator's freeze hides the reason below it, which comes back with THAW")
  func hidden() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 5, "FROZEN")
    let epoch = try #require(stock.info("key")["epoch"]?.integer)
    try stock("FREEZE", "key")
    #expect(try stock.info("key")["frozen"] == "operator")
    expectError(try stock("THAW", "key", "EPOCH", epoch), "FROZENBYOPERATOR")
    #expect(try stock("THAW", "key") == .ok)
    #expect(try stock.info("key")["frozen"] == "create")
    #expect(try stock("DEDUCT", "key", "u", "t", 1) == .status("FROZEN", 5, 0))
    #expect(try stock("THAW", "key", "EPOCH", epoch) == .ok)
    #expect(try stock.info("key")["frozen"] == "no")
  }

  @Test("Neither the freeze nor the epoch is part of the digest, apart from its events")
  func digest() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 5)
    try stock("DEDUCT", "key", "u", "t", 1)
    let payload = try #require(stock.redis.call("DUMP", "key").bytes)
    try stock("FREEZE", "key")
    try stock("THAW", "key")
    #expect(try stock.redis.call("RESTORE", "other", 0, payload) == .ok)
    // Two events more.
    #expect(try stock.digest("key") != stock.digest("other"))
    #expect(try stock.redis.call("DEBUG", "RELOAD") == .ok)
    #expect(try stock.info("key")["frozen"] == "no")
  }

  private static func call(_ stock: Stage, _ words: [any RedisArgument]) throws -> RESP {
    let name = try #require(words[0] as? String)
    return try stock.redis.call(["STOCK." + name] + words.dropFirst())
  }
}
