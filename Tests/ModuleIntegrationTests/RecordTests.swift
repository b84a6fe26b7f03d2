import TestServers
import Testing

/// `RECORD`: what the database or a message knows and the bucket lost.
@Suite struct RecordTests {
  @Test("A lost purchase is written in with its state, which the books then show", arguments: [2, 3])
  func purchases(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try stock("CREATE", "key", 20)
    #expect(try stock("RECORD", "key", "u", "held", 2, "held") == .status("OK", 18, 2))
    #expect(try stock("RECORD", "key", "u", "sold", 3, "sold") == .status("OK", 15, 3))
    #expect(try stock("RECORD", "key", "u", "cancelled", 4, "cancelled") == .status("OK", 15, 4))
    #expect(try stock("RECORD", "key", "u", "rejected", 5, "rejected") == .status("OK", 10, 5))
    #expect(try stock.numbers("key", "available", "held", "sold", "added", "tokens") == [10, 2, 3, -5, 4])
    let states = try ["held", "sold", "cancelled", "rejected"].map { try stock("GET", "key", $0)["state"]?.text }
    #expect(states == ["held", "sold", "cancelled", "cancelled"])
    for (index, token) in ["held", "sold", "cancelled", "rejected"].enumerated() {
      let record = try stock("GET", "key", token)
      #expect(record["user"] == "u" && record["quantity"] == .integer(Int64(index + 2)), "\(token)")
      #expect(record["sequence"] == .integer(Int64(index + 2)), "\(token)")
    }
    let events = try #require(stock("LOG", "key", 1).elements).map { Array(($0.elements ?? []).dropLast()) }
    #expect(
      events == [
        [2, "record", "held", "u", -2, 20, 18], [3, "record", "sold", "u", -3, 18, 15],
        [4, "record", "cancelled", "u", 0, 15, 15], [5, "record", "rejected", "u", -5, 15, 10],
      ]
    )
  }

  @Test("What is written in counts like what was sold: for retries, CONFIRM, CANCEL, FENCE and the limit")
  func goesOn() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 50, "LIMIT", 5)
    for (token, state) in [("h", "held"), ("s", "sold"), ("c", "cancelled"), ("r", "rejected")] {
      // Without limit: eight units of one user who may have five.
      #expect(try stock("RECORD", "key", "u", token, 4, state)[0] == .simple("OK"))
    }
    #expect(try stock("DEDUCT", "key", "u", "new", 1)[0] == .simple("LIMIT"))
    #expect(try stock("DEDUCT", "key", "u", "h", 4)[0] == .simple("DUPLICATE"))
    #expect(try stock("DEDUCT", "key", "u", "s", 4)[0] == .simple("DUPLICATE"))
    for token in ["c", "r"] { #expect(try stock("DEDUCT", "key", "u", token, 4)[0] == .simple("CANCELLED")) }
    #expect(try stock("FENCE", "key", "h")[0] == .simple("LIVE"))
    #expect(try stock("CONFIRM", "key", "h")[0] == .simple("OK"))
    #expect(try stock("CANCEL", "key", "s")[0] == .simple("OK"))
    #expect(try stock("DEDUCT", "key", "u", "new", 1)[0] == .simple("OK"))
    #expect(try stock("DEDUCT", "key", "u", "more", 1)[0] == .simple("LIMIT"))
  }

  @Test("A known purchase goes forward only: held, sold, cancelled")
  func forward() throws {
    let states = ["held", "sold", "cancelled", "rejected"]
    let stock = try Stage()
    for (from, start) in states.prefix(3).enumerated() {
      for (to, next) in states.enumerated() {
        let key = "\(start):\(next)"
        try stock("CREATE", key, 10)
        try stock("DEDUCT", key, "u", "t", 3, "HOLD", 600_000)
        if from == 1 { try stock("CONFIRM", key, "t") }
        if from == 2 { try stock("CANCEL", key, "t") }
        let last = try #require(stock.info(key)["logLast"]?.integer)
        let reply = try stock("RECORD", key, "u", "t", 3, next)
        let goesForward = min(to, 2) > from
        #expect(reply[0] == .simple(goesForward ? "OK" : "DUPLICATE"), "\(key)")
        #expect(reply[2] == .integer(goesForward ? last + 1 : 2), "\(key)")
        let expected = goesForward ? states[min(to, 2)] : start
        #expect(try stock("GET", key, "t")["state"]?.text == expected, "\(key)")
        let numbers = try stock.numbers(key, "available", "held", "sold", "added")
        switch expected {
        case "held": #expect(numbers == [7, 3, 0, 0], "\(key)")
        case "sold": #expect(numbers == [7, 0, 3, 0], "\(key)")
        default: #expect(numbers == (next == "rejected" && goesForward ? [7, 0, 0, -3] : [10, 0, 0, 0]), "\(key)")
        }
        if goesForward { #expect(try stock.actions(key, after: last) == ["record"], "\(key)") }
      }
    }
  }

  @Test("A recorded purchase again is a duplicate; another user or quantity is TOKENMISMATCH; a fence stays a fence")
  func again() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    try stock("RECORD", "key", "u", "t", 3, "sold")
    let digest = try stock.digest("key")
    for state in ["held", "sold"] {
      #expect(try stock("RECORD", "key", "u", "t", 3, state) == .status("DUPLICATE", 7, 2))
    }
    for state in ["held", "sold", "cancelled", "rejected"] {
      expectError(try stock("RECORD", "key", "v", "t", 3, state), "TOKENMISMATCH")
      expectError(try stock("RECORD", "key", "u", "t", 2, state), "TOKENMISMATCH")
    }
    #expect(try stock.digest("key") == digest)
    try stock("FENCE", "key", "f")
    for state in ["held", "sold", "cancelled"] {
      #expect(try stock("RECORD", "key", "u", "f", 3, state) == .status("DUPLICATE", 7, 3))
    }
    #expect(try stock.numbers("key", "available", "sold") == [7, 3])
  }

  @Test("Where its units are not there a record is SOLDOUT and changes nothing; one that takes none needs none")
  func soldOut() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 2)
    for state in ["held", "sold", "rejected"] {
      #expect(try stock("RECORD", "key", "u", "t", 3, state) == .status("SOLDOUT", 2, 0), "\(state)")
    }
    #expect(try stock("RECORD", "key", "TRANSFER", "x", "OUT", 1, 3)[0] == .simple("SOLDOUT"))
    #expect(try stock("GET", "key", "t") == nil)
    #expect(try stock("TRANSFERS", "key", "ALL") == [])
    #expect(try stock.info("key")["logLast"] == 1)
    #expect(try stock("RECORD", "key", "u", "t", 3, "cancelled") == .status("OK", 2, 2))
    #expect(try stock("RECORD", "key", "u", "s", 2, "sold") == .status("OK", 0, 3))
  }

  @Test("Neither window nor freeze keeps a record out")
  func unconditional() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10, "LIMIT", 1, "OPENS", farFuture, "CLOSES", 1, "FROZEN")
    #expect(try stock("RECORD", "key", "u", "t", 3, "sold")[0] == .simple("OK"))
    #expect(try stock("RECORD", "key", "TRANSFER", "x", "OUT", 1, 3)[0] == .simple("OK"))
    #expect(try stock("RECORD", "key", "TRANSFER", "y", "IN", 1, 3)[0] == .simple("OK"))
    #expect(try stock("RECORD", "key", "RESTOCK", "r", 3)[0] == .simple("OK"))
    #expect(try stock.info("key")["frozen"] == "create")
    try stock("FREEZE", "key")
    #expect(try stock("RECORD", "key", "u", "t2", 3, "held")[0] == .simple("OK"))
    #expect(try stock.numbers("key", "available", "held", "sold") == [7, 3, 3])
  }

  @Test("The lost half of a transfer is written in, and is then a transfer like any other", arguments: [2, 3])
  func transfers(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try stock("CREATE", "key", 10)
    #expect(try stock("RECORD", "key", "TRANSFER", "out", "OUT", 3, 4) == .status("OK", 6, 2))
    #expect(try stock("RECORD", "key", "TRANSFER", "in", "IN", 2, 5) == .status("OK", 11, 3))
    #expect(try stock("RECORD", "key", "TRANSFER", "out", "OUT", 3, 4)[0] == .simple("DUPLICATE"))
    #expect(try stock("RECORD", "key", "TRANSFER", "in", "IN", 2, 5)[0] == .simple("DUPLICATE"))
    #expect(try stock.numbers("key", "available", "transferredIn", "transferredOut", "transfers") == [11, 5, 4, 2])
    #expect(try stock("WITHDRAW", "key", "out", 9, "TO", 3) == .status("DUPLICATE", 4, 2))
    #expect(try stock("DEPOSIT", "key", "in", 5, "FROM", 2) == .status("DUPLICATE", 11, 3))
    #expect(try stock.actions("key", after: 1) == ["record", "record"])
    for name in ["out", "in"] { #expect(try stock("SETTLE", "key", name)[0] == .simple("OK")) }
    #expect(try stock("RECORD", "key", "TRANSFER", "out", "OUT", 3, 4)[0] == .simple("DUPLICATE"))
    let list = try #require(stock("TRANSFERS", "key", "ALL").elements)
    #expect(
      list.map { Array(($0.elements ?? []).dropLast().map { $0.text ?? "\($0)" }) } == [
        ["out", "out", "3", "4"], ["in", "in", "2", "5"],
      ]
    )
  }

  @Test("A lost restock is written in, and its token is then known to ADD")
  func restocks() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    #expect(try stock("RECORD", "key", "RESTOCK", "r", 5) == .status("OK", 15, 2))
    #expect(try stock("RECORD", "key", "RESTOCK", "r", 5) == .status("DUPLICATE", 15, 2))
    #expect(try stock("ADD", "key", "r", 5) == .status("DUPLICATE", 15, 2))
    expectError(try stock("ADD", "key", "r", 6), "TOKENMISMATCH")
    expectError(try stock("RECORD", "key", "RESTOCK", "r", 6), "TOKENMISMATCH")
    try stock("ADD", "key", "s", 1)
    #expect(try stock("RECORD", "key", "RESTOCK", "s", 1)[0] == .simple("DUPLICATE"))
    #expect(try stock.numbers("key", "available", "added") == [16, 6])
    expectError(try stock("RECORD", "key", "RESTOCK", "big", maximum), "OVERFLOW")
  }

  @Test("The forms are told apart by their number of arguments, whatever users and tokens are called")
  func forms() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 50)
    #expect(try stock("RECORD", "key", "TRANSFER", "t", 2, "sold")[0] == .simple("OK"))
    #expect(try stock("GET", "key", "t")["user"] == "TRANSFER")
    #expect(try stock("RECORD", "key", "RESTOCK", "s", 2, "held")[0] == .simple("OK"))
    #expect(try stock("RECORD", "key", "u", "TRANSFER", 2, "SOLD")[0] == .simple("OK"))
    #expect(try stock("record", "key", "transfer", "TRANSFER", "out", 1, 2)[0] == .simple("OK"))
    #expect(try stock("RECORD", "key", "restock", "RESTOCK", 2)[0] == .simple("OK"))
    #expect(try stock.numbers("key", "held", "sold", "transferredOut", "added") == [2, 4, 2, 2])
  }

  @Test("Bad arguments of every form are errors that name them and change nothing")
  func badArguments() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    let before = try stock.readings("key")
    var calls: [([any RedisArgument], String)] = []
    for number in ArgumentTests.malformed {
      calls.append((["key", "u", "t", number, "sold"], "quantity"))
      calls.append((["key", "TRANSFER", "t", "OUT", number, 1], "peer"))
      calls.append((["key", "TRANSFER", "t", "IN", 1, number], "quantity"))
      if !number.hasPrefix("-") { calls.append((["key", "RESTOCK", "t", number], "quantity")) }
    }
    for bad in ["", String.bytes(129)] {
      calls += [
        (["key", bad, "t", 1, "sold"], "user"), (["key", "u", bad, 1, "sold"], "token"),
        (["key", "RESTOCK", bad, 1], "token"),
      ]
    }
    calls += [
      (["key", "u", "t", 0, "sold"], "quantity"), (["key", "u", "t", 1, "lost"], "lost"),
      (["key", "u", "t", 1, ""], "state"),
      (["key", "TRANSFER", "t", "SIDEWAYS", 1, 1], "SIDEWAYS"), (["key", "TRANSFER", "t", "OUT", 16_384, 1], "peer"),
      (["key", "TRANSFER", "t", "OUT", 1, 0], "quantity"), (["key", "MOVE", "t", "OUT", 1, 1], "MOVE"),
      (["key", "RESTOCK", "t", 0], "quantity"), (["key", "MORE", "t", 1], "MORE"),
    ]
    for (words, culprit) in calls {
      expectError(try stock.redis.call(["STOCK.RECORD"] + words), naming: culprit, comment: "\(words)")
    }
    for words in [["key"], ["key", "u", "t"], ["key", "TRANSFER", "t", "OUT", "1", "1", "1"]] {
      expectError(try stock.redis.call(["STOCK.RECORD"] + words.map { $0 as any RedisArgument }), comment: "\(words)")
    }
    #expect(try stock.readings("key") == before)
    expectError(try stock("RECORD", "none", "u", "t", 1, "sold"), "NOBUCKET")
    expectError(try stock("RECORD", "none", "RESTOCK", "t", 1), "NOBUCKET")
    expectError(try stock("RECORD", "none", "TRANSFER", "t", "IN", 1, 1), "NOBUCKET")
  }

  @Test("A bucket rebuilt by records, in any order and repeated, equals the one that was lost in all that counts")
  func rebuilt() throws {
    let stock = try Stage()
    try withSeed { seed, random in
      try stock("CREATE", "lost", 500, "LIMIT", 60)
      var records: [[any RedisArgument]] = []
      for index in 0..<120 {
        let (user, token, quantity) = ("u\(index % 9)", "t\(index)", index % 4 + 1)
        let isHeld = random.oneIn(3)
        let hold: [any RedisArgument] = isHeld ? ["HOLD", 600_000] : []
        let reply = try stock.redis.call(["STOCK.DEDUCT", "lost", user, token, quantity] + hold)
        guard reply[0] == .simple("OK") else { continue }
        var state = isHeld ? "held" : "sold"
        if random.oneIn(4) {
          try stock("CANCEL", "lost", token)
          state = "cancelled"
        } else if random.oneIn(6) {
          try stock("CANCEL", "lost", token, "OFFSALE")
          state = "rejected"
        }
        records.append([user, token, quantity, state])
      }
      try stock("WITHDRAW", "lost", "out", 7, "TO", 1)
      try stock("DEPOSIT", "lost", "in", 9, "FROM", 1)
      try stock("ADD", "lost", "restock", 11)
      records += [["TRANSFER", "out", "OUT", 1, 7], ["TRANSFER", "in", "IN", 1, 9], ["RESTOCK", "restock", 11]]
      try stock("CREATE", "found", 500, "LIMIT", 60, "FROZEN")
      for _ in 0..<2 {
        for words in records.shuffled(using: &random) {
          #expect(
            try ["OK", "DUPLICATE"].contains(stock.redis.call(["STOCK.RECORD", "found"] + words)[0]?.text),
            "seed \(seed)"
          )
        }
      }
      let (lost, found) = (try stock.info("lost"), try stock.info("found"))
      for field in [
        "created", "added", "available", "held", "sold", "transferredIn", "transferredOut", "tokens", "transfers",
      ] {
        #expect(lost[field] == found[field], "\(field), seed \(seed)")
      }
      for words in records.prefix(records.count - 3) {
        let token = try #require(words[1] as? String)
        let (one, other) = (try stock("GET", "lost", token), try stock("GET", "found", token))
        for field in ["user", "quantity", "state"] {
          #expect(one[field] == other[field], "\(token) \(field), seed \(seed)")
        }
      }
    }
  }
}
