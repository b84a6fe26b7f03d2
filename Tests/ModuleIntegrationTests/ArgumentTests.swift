import TestServers
import Testing

/// What may be sent, and what is refused with an error that names the argument and changes nothing.
@Suite struct ArgumentTests {
  /// Not a number in the contract's form, wherever a number is asked for.
  static let malformed = [
    "", "-1", "+1", " 1", "1 ", "01", "00", "-0", "1e3", "1.0", "1.", "0x1", "a", "1a", "１", "1\0", "--1",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551617",
    "99999999999999999999999999999999999999",
  ]

  @Test("Bad input ends in an error that names the argument and changes nothing", arguments: [2, 3])
  func badInput(resp: Int) throws {
    let stock = try Stage(resp: resp)
    #expect(try stock("CREATE", "key", 10) == .ok)
    #expect(try stock("DEDUCT", "key", "user", "token", 1) == .status("OK", 9, 2))
    let stream = try ReplicationStream(stock.server)
    let before = try stock.readings("key", tokens: ["token"])

    for (words, culprit) in Self.badCommands() {
      expectError(try stock.redis.call(words), naming: culprit, comment: "\(words)")
    }
    #expect(try stock.readings("key", tokens: ["token"]) == before)
    #expect(try stock.redis.call("EXISTS", "new") == 0)
    #expect(try stream.commands() == [])
  }

  static func badCommands() -> [([String], String)] {
    var all: [([String], String)] = []
    for number in malformed {
      all.append((["STOCK.CREATE", "new", number], "quantity"))
      for option in ["BUCKETS", "LIMIT", "OPENS", "CLOSES"] {
        all.append((["STOCK.CREATE", "new", "1", option, number], option))
        if option != "BUCKETS" { all.append((["STOCK.SCHEDULE", "key", option, number], option)) }
      }
      all.append((["STOCK.DEDUCT", "key", "user", "other", number], "quantity"))
      all.append((["STOCK.LOG", "key", number], "after"))
      all.append((["STOCK.LOG", "key", "0", "COUNT", number], "COUNT"))
      all.append((["STOCK.LOG", "key", "0", "EPOCH", number], "EPOCH"))
      if number != "-1" { all.append((["STOCK.ADD", "key", "restock", number], "quantity")) }
    }
    all.append((["STOCK.DEDUCT", "key", "user", "other", "0"], "quantity"))
    all.append((["STOCK.ADD", "key", "restock", "0"], "quantity"))
    all.append((["STOCK.ADD", "key", "restock", "-9007199254740993"], "quantity"))
    all.append((["STOCK.ADD", "key", "restock", "-9223372036854775808"], "quantity"))
    all.append((["STOCK.ADD", "key", "restock", "-01"], "quantity"))
    all.append((["STOCK.CREATE", "new", "1", "BUCKETS", "0"], "BUCKETS"))
    all.append((["STOCK.CREATE", "new", "1", "BUCKETS", "16385"], "BUCKETS"))
    all.append((["STOCK.LOG", "key", "0", "COUNT", "0"], "COUNT"))
    all.append((["STOCK.LOG", "key", "0", "COUNT", "10001"], "COUNT"))
    for text in ["", String.bytes(129), String.bytes(100_000)] {
      all.append((["STOCK.DEDUCT", "key", text, "other", "1"], "user"))
      all.append((["STOCK.DEDUCT", "key", "user", text, "1"], "token"))
      for command in ["CANCEL", "FENCE", "GET"] { all.append((["STOCK." + command, "key", text], "token")) }
      all.append((["STOCK.CANCEL", "key", text, "FENCE"], "token"))
      all.append((["STOCK.ADD", "key", text, "1"], "token"))
    }
    return all + badOptions
  }

  static let badOptions: [([String], String)] = [
    (["STOCK.CREATE", "new", "1", "COLOUR", "1"], "COLOUR"),
    (["STOCK.CREATE", "new", "1", "LIMIT"], "LIMIT"),
    (["STOCK.CREATE", "new", "1", "FROZEN", "1"], "1"),
    (["STOCK.SCHEDULE", "key", "COLOUR", "1"], "COLOUR"),
    (["STOCK.SCHEDULE", "key", "BUCKETS", "1"], "BUCKETS"),
    (["STOCK.SCHEDULE", "key", "LIMIT", "1", "OPENS"], "OPENS"),
    (["STOCK.DEDUCT", "key", "user", "other", "1", "HOLD"], "HOLD"),
    (["STOCK.DEDUCT", "key", "user", "other", "1", "LIMIT", "1000"], "LIMIT"),
    (["STOCK.CANCEL", "key", "token", "GENTLY"], "GENTLY"),
    (["STOCK.CANCEL", "key", "token", "FENCE", "GENTLY"], "GENTLY"),
    (["STOCK.LOG", "key", "0", "COUNT"], "COUNT"),
    (["STOCK.LOG", "key", "0", "COLOUR", "1"], "COLOUR"),
  ]

  @Test("Too few or too many words are an error that names the command and changes nothing")
  func arity() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    try stock("DEDUCT", "key", "user", "token", 1)
    let before = try stock.readings("key")
    let wrong: [[String]] = [
      ["CREATE"], ["CREATE", "new"], ["SCHEDULE", "key"], ["SCHEDULE", "key", "LIMIT"], ["DEDUCT", "key", "user", "t"],
      ["DEDUCT", "key"], ["CANCEL", "key"], ["FENCE", "key"], ["FENCE", "key", "token", "x"], ["ADD", "key", "t"],
      ["ADD", "key", "t", "1", "x"], ["GET", "key"], ["GET", "key", "token", "x"], ["INFO"], ["INFO", "key", "x"],
      ["LOG", "key"], ["LOG"], ["CREATE", "new", "1"] + Array(repeating: "LIMIT", count: 21),
    ]
    for words in wrong {
      let reply = try stock.redis.call(["STOCK." + words[0]] + words.dropFirst().map { $0 as any RedisArgument })
      expectError(reply, comment: "\(words)")
    }
    for words in wrong where words.count < 3 && words != ["SCHEDULE", "key", "LIMIT"] {
      let reply = try stock.redis.call(["STOCK." + words[0]] + words.dropFirst().map { $0 as any RedisArgument })
      expectError(reply, naming: "arguments", "stock." + words[0], comment: "\(words)")
    }
    #expect(try stock.readings("key") == before)
    #expect(try stock.redis.call("EXISTS", "new") == 0)
  }

  @Test("Every argument is taken at its lowest and at its highest value")
  func bounds() throws {
    let stock = try Stage()
    #expect(try stock("CREATE", "least", 0, "BUCKETS", 1, "LIMIT", 0, "OPENS", 0, "CLOSES", 0) == .ok)
    #expect(try stock.info("least")["available"] == 0)
    #expect(
      try stock("CREATE", "most", maximum, "BUCKETS", 16384, "LIMIT", maximum, "OPENS", 1, "CLOSES", maximum) == .ok
    )
    let most = try stock.info("most")
    #expect(most["created"] == .integer(maximum))
    #expect(most["buckets"] == 16384)
    #expect(most["limit"] == .integer(maximum))
    #expect(most["opens"] == 1)
    #expect(most["closes"] == .integer(maximum))

    let (user, token) = (String.bytes(128), String.bytes(128))
    #expect(try stock("DEDUCT", "most", user, token, maximum) == .status("OK", 0, 2))
    #expect(try stock("CANCEL", "most", token) == .status("OK", maximum, 3))
    #expect(try stock("ADD", "most", token, -maximum) == .status("OK", 0, 4))
    #expect(try stock("ADD", "most", "t", maximum) == .status("OK", maximum, 5))
    #expect(try stock("FENCE", "most", "f") == .status("OK", maximum, 6))
    #expect(try stock("LOG", "most", 0, "COUNT", 10_000).elements?.count == 6)
    #expect(try stock("LOG", "most", 5, "COUNT", 1).elements?.count == 1)
    #expect(try stock("SCHEDULE", "most", "LIMIT", 0, "OPENS", maximum, "CLOSES", 0) == .ok)
    #expect(try stock.info("most")["opens"] == .integer(maximum))
  }

  @Test("Users, tokens and keys are any bytes, compared as bytes")
  func binary() throws {
    let stock = try Stage()
    let key: [UInt8] = [0, 255, 13, 10, 123]
    #expect(try stock("CREATE", key, 100) == .ok)
    let every = (0...255).map { [UInt8($0)] }
    for (index, token) in every.enumerated() {
      let left = max(0, 99 - Int64(index))
      let expected = index < 100 ? RESP.status("OK", left, Int64(index) + 2) : .status("SOLDOUT", 0, 0)
      #expect(try stock("DEDUCT", key, token, token, 1) == expected)
    }
    for token in every.prefix(100) {
      let record = try stock("GET", key, token)
      #expect(record["token"] == .bulk(token))
      #expect(record["user"] == .bulk(token))
    }
    #expect(try stock("DEDUCT", key, [UInt8]("a".utf8), [UInt8]("A".utf8), 1).errorCode == "TOKENMISMATCH")
    #expect(try stock("GET", key, "a ") == nil)
    let long = Array(repeating: UInt8(0), count: 128)
    #expect(try stock("CANCEL", key, long, "FENCE") == .status("OK", 0, 102))
    #expect(try stock("GET", key, long)["token"] == .bulk(long))
    #expect(try stock("GET", key, Array(long.dropLast())) == nil)
  }

  @Test("Options are read in any order and any case")
  func options() throws {
    let stock = try Stage()
    #expect(try stock("CREATE", "key", 5, "closes", farFuture, "Limit", 2, "OPENS", 7, "buckets", 3) == .ok)
    let info = try stock.info("key")
    #expect([info["closes"], info["limit"], info["opens"], info["buckets"]] == [.integer(farFuture), 2, 7, 3])
    try stock("DEDUCT", "key", "u", "t", 1)
    #expect(try stock("CANCEL", "key", "t", "offsale", "FENCE") == .status("OK", 4, 3))
    #expect(try stock("LOG", "key", 0, "epoch", #require(info["epoch"]?.integer), "count", 1).elements?.count == 1)
  }

  @Test("A missing bucket is NOBUCKET and a key of another type WRONGTYPE, in every command")
  func keys() throws {
    let stock = try Stage()
    let commands: [[String]] = [
      ["SCHEDULE", "key", "LIMIT", "1"], ["DEDUCT", "key", "user", "token", "1"], ["CANCEL", "key", "token"],
      ["CANCEL", "key", "token", "FENCE"], ["FENCE", "key", "token"], ["ADD", "key", "token", "1"],
      ["GET", "key", "token"], ["INFO", "key"], ["LOG", "key", "0"], ["TRIM", "key", "0"], ["CONFIRM", "key", "token"],
      ["WITHDRAW", "key", "name", "1", "TO", "1"], ["DEPOSIT", "key", "name", "1", "FROM", "1"],
      ["SETTLE", "key", "name"],
      ["TRANSFERS", "key"], ["FREEZE", "key"], ["THAW", "key"], ["RECORD", "key", "user", "token", "1", "sold"],
      ["RECORD", "key", "TRANSFER", "name", "IN", "1", "1"], ["RECORD", "key", "RESTOCK", "token", "1"],
    ]
    for words in commands {
      let reply = try stock.redis.call(["STOCK." + words[0]] + words.dropFirst().map { $0 as any RedisArgument })
      expectError(reply, "NOBUCKET", comment: "\(words)")
    }
    #expect(try stock.redis.call("DBSIZE") == 0)
    try stock.redis.call("SET", "key", "text")
    for words in commands + [["CREATE", "key", "1"]] {
      let reply = try stock.redis.call(["STOCK." + words[0]] + words.dropFirst().map { $0 as any RedisArgument })
      expectError(reply, "WRONGTYPE", comment: "\(words)")
    }
    #expect(try stock.redis.call("GET", "key") == "text")
    try stock.redis.call("DEL", "key")
    try stock("CREATE", "key", 1)
    expectError(try stock.redis.call("GET", "key"), "WRONGTYPE")
    expectError(try stock.redis.call("LPUSH", "key", "x"), "WRONGTYPE")
    #expect(try stock.redis.call("TYPE", "key") == .simple("doorbustr"))
  }

  @Test("A bucket that exists is not created again")
  func createTwice() throws {
    let stock = try Stage()
    #expect(try stock("CREATE", "key", 5) == .ok)
    let before = try stock.readings("key")
    expectError(try stock("CREATE", "key", 5), "BUCKETEXISTS")
    expectError(try stock("CREATE", "key", 6, "LIMIT", 1), "BUCKETEXISTS")
    #expect(try stock.readings("key") == before)
    try stock.redis.call("DEL", "key")
    #expect(try stock("CREATE", "key", 6) == .ok)
  }

  @Test("Totals beyond 2^53 are OVERFLOW and change nothing")
  func overflow() throws {
    let stock = try Stage()
    try stock("CREATE", "key", maximum)
    let before = try stock.readings("key")
    expectError(try stock("ADD", "key", "restock", 1), "OVERFLOW")
    expectError(try stock("ADD", "key", "restock", maximum), "OVERFLOW")
    #expect(try stock.readings("key") == before)
    try stock("DEDUCT", "key", "user", "token", maximum)
    expectError(try stock("ADD", "key", "restock", 1), "OVERFLOW")
    #expect(try stock("ADD", "key", "restock", -1) == .status("SOLDOUT", 0, 0))
    #expect(try stock("CANCEL", "key", "token") == .status("OK", maximum, 3))
  }
}
