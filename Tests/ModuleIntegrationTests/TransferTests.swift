import TestServers
import Testing

/// Units on their way between buckets: `WITHDRAW`, `DEPOSIT`, `SETTLE`, `TRANSFERS`.
@Suite struct TransferTests {
  @Test("A transfer takes units off sale here and puts them on sale there, once each", arguments: [2, 3])
  func journey(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try stock("CREATE", "a", 10, "BUCKETS", 2)
    try stock("CREATE", "b", 1, "BUCKETS", 2)
    #expect(try stock("WITHDRAW", "a", "t", 4, "TO", 1) == .status("OK", 4, 2))
    #expect(try stock.numbers("a", "available", "transferredOut", "transferredIn", "transfers") == [6, 4, 0, 1])
    #expect(try stock("DEPOSIT", "b", "t", 4, "FROM", 0) == .status("OK", 5, 2))
    #expect(try stock.numbers("b", "available", "transferredOut", "transferredIn", "transfers") == [5, 0, 4, 1])
    #expect(try stock("SETTLE", "a", "t")[0] == .simple("OK"))
    #expect(try stock("SETTLE", "b", "t")[0] == .simple("OK"))
    for key in ["a", "b"] {
      #expect(try stock.info(key)["transfers"] == 0)
      #expect(try stock("TRANSFERS", key) == [])
    }
    let out = try #require(stock("LOG", "a", 1)[0]?.elements)
    #expect(out.dropLast() == [2, "withdraw", "t", nil, -4, 10, 6])
    let into = try #require(stock("LOG", "b", 1)[0]?.elements)
    #expect(into.dropLast() == [2, "deposit", "t", nil, 4, 1, 5])
    // Settling is no event: it moves nothing.
    #expect(try stock.info("a")["logLast"] == 2)
  }

  @Test("WITHDRAW moves what is there, says how much, and at a repetition the amount first moved, whatever is asked")
  func partial() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 5)
    #expect(try stock("WITHDRAW", "key", "t", 8, "TO", 1) == .status("OK", 5, 2))
    for quantity in [Int64(8), 5, 1, maximum] {
      #expect(try stock("WITHDRAW", "key", "t", quantity, "TO", 1) == .status("DUPLICATE", 5, 2))
    }
    #expect(try stock("WITHDRAW", "key", "more", 1, "TO", 1) == .status("SOLDOUT", 0, 0))
    #expect(try stock("TRANSFERS", "key").elements?.count == 1)
    // One that moved nothing is not remembered.
    #expect(try stock("SETTLE", "key", "more") == .status("UNKNOWN", 0, 0))
    try stock("ADD", "key", "r", 3)
    #expect(try stock("WITHDRAW", "key", "more", 2, "TO", 7) == .status("OK", 2, 4))
    #expect(try stock.numbers("key", "available", "transferredOut") == [1, 7])
  }

  @Test("Another peer, direction or deposited quantity is TRANSFERMISMATCH, open or settled, and changes nothing")
  func mismatch() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    try stock("WITHDRAW", "key", "out", 4, "TO", 1)
    try stock("DEPOSIT", "key", "in", 3, "FROM", 2)
    for _ in 0..<2 {
      let digest = try stock.digest("key")
      let calls: [[any RedisArgument]] = [
        ["WITHDRAW", "key", "out", 4, "TO", 2], ["WITHDRAW", "key", "in", 3, "TO", 2],
        ["DEPOSIT", "key", "in", 3, "FROM", 1],
        ["DEPOSIT", "key", "in", 4, "FROM", 2], ["DEPOSIT", "key", "in", 2, "FROM", 2],
        ["DEPOSIT", "key", "out", 4, "FROM", 1],
        ["RECORD", "key", "TRANSFER", "out", "OUT", 1, 5], ["RECORD", "key", "TRANSFER", "out", "OUT", 2, 4],
        ["RECORD", "key", "TRANSFER", "out", "IN", 1, 4], ["RECORD", "key", "TRANSFER", "in", "IN", 2, 2],
        ["RECORD", "key", "TRANSFER", "in", "OUT", 2, 3],
      ]
      for words in calls {
        let name = try #require(words[0] as? String)
        expectError(
          try stock.redis.call(["STOCK." + name] + words.dropFirst()),
          "TRANSFERMISMATCH",
          comment: "\(words)"
        )
      }
      #expect(try stock.digest("key") == digest)
      #expect(try stock("WITHDRAW", "key", "out", 9, "TO", 1) == .status("DUPLICATE", 4, 2))
      #expect(try stock("DEPOSIT", "key", "in", 3, "FROM", 2) == .status("DUPLICATE", 9, 3))
      for name in ["out", "in"] { try stock("SETTLE", "key", name) }
    }
  }

  @Test("A settled transfer stays known: late steps are duplicates")
  func late() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    #expect(try stock("SETTLE", "key", "t")[0] == .simple("UNKNOWN"))
    try stock("WITHDRAW", "key", "t", 4, "TO", 1)
    #expect(try stock("SETTLE", "key", "t")[0] == .simple("OK"))
    #expect(try stock("SETTLE", "key", "t")[0] == .simple("DUPLICATE"))
    #expect(try stock("WITHDRAW", "key", "t", 4, "TO", 1)[0] == .simple("DUPLICATE"))
    try stock("DEPOSIT", "key", "back", 4, "FROM", 1)
    #expect(try stock("SETTLE", "key", "back")[0] == .simple("OK"))
    #expect(try stock("DEPOSIT", "key", "back", 4, "FROM", 1)[0] == .simple("DUPLICATE"))
    #expect(try stock("SETTLE", "key", "back")[0] == .simple("DUPLICATE"))
    #expect(try stock.numbers("key", "available", "transfers", "transferredIn", "transferredOut") == [10, 0, 4, 4])
    // Also after the log that tells of them is gone, and after a reload.
    try stock("TRIM", "key", 3)
    for _ in 0..<2 {
      #expect(try stock("WITHDRAW", "key", "t", 1, "TO", 1) == .status("DUPLICATE", 4, 2))
      #expect(try stock("DEPOSIT", "key", "back", 4, "FROM", 1) == .status("DUPLICATE", 10, 3))
      #expect(try stock("SETTLE", "key", "t")[0] == .simple("DUPLICATE"))
      expectError(try stock("DEPOSIT", "key", "t", 4, "FROM", 1), "TRANSFERMISMATCH")
      #expect(try stock("TRANSFERS", "key", "ALL").elements?.count == 2)
      #expect(try stock.redis.call("DEBUG", "RELOAD") == .ok)
    }
  }

  @Test("TRANSFERS lists the open ones, or all, in the order of their making, page by page", arguments: [2, 3])
  func list(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try stock("CREATE", "key", 1_000)
    #expect(try stock("TRANSFERS", "key") == [])
    let before = try stock.nowMs()
    // Names whose order as text is another.
    let names = (0..<12).map { "t\(($0 * 7) % 12)" }
    for (index, name) in names.enumerated() {
      if index % 3 == 2 {
        try stock("DEPOSIT", "key", name, index + 1, "FROM", index)
      } else {
        try stock("WITHDRAW", "key", name, index + 1, "TO", index)
      }
    }
    let after = try stock.nowMs()
    let all = try #require(stock("TRANSFERS", "key", "ALL").elements)
    #expect(all.map { $0[0]?.text } == names)
    #expect(all.map { $0[1]?.text?.lowercased() } == (0..<12).map { $0 % 3 == 2 ? "in" : "out" })
    #expect(all.map { $0[2]?.integer } == (0..<12).map(Int64.init))
    #expect(all.map { $0[3]?.integer } == (1...12).map(Int64.init))
    #expect(all.allSatisfy { ($0[4]?.integer).map { (before...after).contains($0) } ?? false })
    #expect(all.allSatisfy { $0.elements?.count == 5 })
    for name in names.prefix(6) { try stock("SETTLE", "key", name) }
    #expect(try stock("TRANSFERS", "key") == .array(Array(all.suffix(6))))
    #expect(try stock("TRANSFERS", "key", "ALL").elements == all)
    #expect(try stock("TRANSFERS", "key", "COUNT", 2) == .array(Array(all[6..<8])))
    #expect(try stock("TRANSFERS", "key", "AFTER", names[8], "COUNT", 2) == .array(Array(all[9..<11])))
    #expect(try stock("TRANSFERS", "key", "AFTER", names[11]) == [])
    #expect(try stock("TRANSFERS", "key", "ALL", "AFTER", names[2], "COUNT", 100) == .array(Array(all.dropFirst(3))))
    #expect(try stock("transfers", "key", "count", 1, "all", "after", names[0]) == .array([all[1]]))
    // A page may end at one that is settled since.
    #expect(try stock("TRANSFERS", "key", "AFTER", names[1], "COUNT", 1) == .array([all[6]]))
  }

  @Test("Thousands of transfers are read to the end by pages")
  func pages() throws {
    let stock = try Stage()
    let count = 3_000
    try stock("CREATE", "key", count)
    _ = try stock.redis.pipeline((0..<count).map { ["STOCK.WITHDRAW", "key", "transfer:\($0)", 1, "TO", 1] })
    _ = try stock.redis.pipeline(stride(from: 0, to: count, by: 2).map { ["STOCK.SETTLE", "key", "transfer:\($0)"] })
    for (options, expected) in [([String](), Array(stride(from: 1, to: count, by: 2))), (["ALL"], Array(0..<count))] {
      var (seen, after): ([String], [any RedisArgument]) = ([], [])
      while true {
        let page = try #require(
          stock.redis.call(["STOCK.TRANSFERS", "key"] + options + after + ["COUNT", 97]).elements
        )
        if page.isEmpty { break }
        seen += page.compactMap { $0[0]?.text }
        after = ["AFTER", try #require(seen.last)]
      }
      #expect(seen == expected.map { "transfer:\($0)" })
    }
    #expect(try stock.info("key")["transfers"] == .integer(Int64(count / 2)))
  }

  @Test("Transfers have a name space of their own, of names of 1 to 192 bytes")
  func names() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 100)
    try stock("DEDUCT", "key", "u", "same", 1)
    try stock("ADD", "key", "same", 1)
    #expect(try stock("WITHDRAW", "key", "same", 1, "TO", 0)[0] == .simple("OK"))
    #expect(try stock("GET", "key", "same")["state"] == "sold")
    for name in [[UInt8](repeating: 0, count: 192), [0], [255, 13, 10]] as [[UInt8]] {
      #expect(try stock("WITHDRAW", "key", name, 1, "TO", 16_383)[0] == .simple("OK"))
      #expect(try stock("SETTLE", "key", name)[0] == .simple("OK"))
    }
    let listed = try #require(stock("TRANSFERS", "key", "ALL").elements)
    #expect(listed[1][0]?.bytes == [UInt8](repeating: 0, count: 192))
    let long = String.bytes(193)
    for words in [
      ["WITHDRAW", "key", long, "1", "TO", "1"], ["WITHDRAW", "key", "", "1", "TO", "1"],
      ["DEPOSIT", "key", long, "1", "FROM", "1"],
      ["DEPOSIT", "key", "", "1", "FROM", "1"], ["SETTLE", "key", long], ["SETTLE", "key", ""],
      ["RECORD", "key", "TRANSFER", long, "IN", "1", "1"], ["RECORD", "key", "TRANSFER", "", "OUT", "1", "1"],
    ] {
      let reply = try stock.redis.call(["STOCK." + words[0]] + words.dropFirst().map { $0 as any RedisArgument })
      expectError(reply, naming: "transfer", comment: "\(words.prefix(2))")
    }
  }

  @Test("Bad arguments of the transfer commands are errors that name them and change nothing")
  func badArguments() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 100)
    try stock("WITHDRAW", "key", "t", 1, "TO", 1)
    let before = try stock.readings("key")
    var calls: [([any RedisArgument], String)] = []
    for number in ArgumentTests.malformed {
      calls.append((["WITHDRAW", "key", "n", number, "TO", 1], "quantity"))
      calls.append((["DEPOSIT", "key", "n", number, "FROM", 1], "quantity"))
      calls.append((["WITHDRAW", "key", "n", 1, "TO", number], "TO"))
      calls.append((["DEPOSIT", "key", "n", 1, "FROM", number], "FROM"))
      calls.append((["TRANSFERS", "key", "COUNT", number], "COUNT"))
    }
    calls += [
      (["WITHDRAW", "key", "n", 0, "TO", 1], "quantity"), (["DEPOSIT", "key", "n", 0, "FROM", 1], "quantity"),
      (["WITHDRAW", "key", "n", 1, "TO", 16_384], "TO"), (["DEPOSIT", "key", "n", 1, "FROM", 16_384], "FROM"),
      (["WITHDRAW", "key", "n", 1, "FROM", 1], "FROM"), (["DEPOSIT", "key", "n", 1, "TO", 1], "TO"),
      (["TRANSFERS", "key", "COUNT", 0], "COUNT"), (["TRANSFERS", "key", "EVERY"], "EVERY"),
      (["TRANSFERS", "key", "AFTER"], "AFTER"), (["TRANSFERS", "key", "COUNT"], "COUNT"),
    ]
    for (words, culprit) in calls {
      let name = try #require(words[0] as? String)
      expectError(try stock.redis.call(["STOCK." + name] + words.dropFirst()), naming: culprit, comment: "\(words)")
    }
    for words in [
      ["WITHDRAW"], ["WITHDRAW", "key", "n", "1"], ["WITHDRAW", "key", "n", "1", "TO"],
      ["WITHDRAW", "key", "n", "1", "TO", "1", "x"],
      ["DEPOSIT", "key", "n", "1"], ["DEPOSIT", "key", "n", "1", "FROM"], ["SETTLE", "key"],
      ["SETTLE", "key", "n", "x"], ["TRANSFERS"],
    ] {
      let reply = try stock.redis.call(["STOCK." + words[0]] + words.dropFirst().map { $0 as any RedisArgument })
      expectError(reply, comment: "\(words)")
    }
    #expect(try stock.readings("key") == before)
    for words in [
      ["WITHDRAW", "none", "n", "1", "TO", "1"], ["DEPOSIT", "none", "n", "1", "FROM", "1"], ["SETTLE", "none", "n"],
      ["TRANSFERS", "none"],
    ] {
      let reply = try stock.redis.call(["STOCK." + words[0]] + words.dropFirst().map { $0 as any RedisArgument })
      expectError(reply, "NOBUCKET", comment: "\(words)")
    }
    #expect(try stock.redis.call("EXISTS", "none") == 0)
  }

  @Test("Amounts up to 2^53 move; beyond, a deposit is OVERFLOW and changes nothing")
  func amounts() throws {
    let stock = try Stage()
    try stock("CREATE", "key", maximum)
    #expect(try stock("WITHDRAW", "key", "all", maximum, "TO", 1) == .status("OK", maximum, 2))
    #expect(try stock("DEPOSIT", "key", "back", maximum, "FROM", 1) == .status("OK", maximum, 3))
    let digest = try stock.digest("key")
    expectError(try stock("DEPOSIT", "key", "more", 1, "FROM", 1), "OVERFLOW")
    expectError(try stock("DEPOSIT", "key", "more", maximum, "FROM", 1), "OVERFLOW")
    // Out again, the total of what ever went out would pass 2^53.
    expectError(try stock("WITHDRAW", "key", "again", 1, "TO", 1), "OVERFLOW")
    #expect(try stock.digest("key") == digest)
    #expect(try stock("SETTLE", "key", "more")[0] == .simple("UNKNOWN"))
    #expect(try stock("DEDUCT", "key", "u", "t", maximum) == .status("OK", 0, 4))
  }

  @Test("What is in transfer over all buckets is what left minus what arrived, whatever is repeated")
  func conservation() throws {
    let stock = try Stage()
    let buckets = 4
    for bucket in 0..<buckets { try stock("CREATE", bucket, 50, "BUCKETS", buckets) }
    try withSeed { seed, random in
      var transfers: [(name: String, from: Int, to: Int, moved: Int64?)] = []
      for step in 0..<600 {
        if transfers.isEmpty || random.oneIn(4) {
          let from = Int.random(in: 0..<buckets, using: &random)
          transfers.append(("t\(step)", from, (from + Int.random(in: 1..<buckets, using: &random)) % buckets, nil))
        }
        let index = Int.random(in: 0..<transfers.count, using: &random)
        let transfer = transfers[index]
        switch random.next() % 4 {
        case 0, 1:
          let reply = try stock(
            "WITHDRAW",
            transfer.from,
            transfer.name,
            Int.random(in: 1...30, using: &random),
            "TO",
            transfer.to
          )
          if let moved = transfer.moved {
            #expect(reply[0] == .simple("DUPLICATE") && reply[1] == .integer(moved), "seed \(seed)")
          } else if reply[0] == .simple("OK") {
            transfers[index].moved = reply[1]?.integer
          } else {
            #expect(reply == .status("SOLDOUT", 0, 0), "seed \(seed)")
          }
        case 2:
          guard let moved = transfer.moved else { break }
          _ = try stock("DEPOSIT", transfer.to, transfer.name, moved, "FROM", transfer.from)
        default:
          // First at its source, and only after the deposit.
          guard let moved = transfer.moved else { break }
          _ = try stock("DEPOSIT", transfer.to, transfer.name, moved, "FROM", transfer.from)
          for key in [transfer.from, transfer.to] { try stock("SETTLE", key, transfer.name) }
        }
      }
      for transfer in transfers {
        guard let moved = transfer.moved else { continue }
        _ = try stock("DEPOSIT", transfer.to, transfer.name, moved, "FROM", transfer.from)
      }
      let sums = try (0..<buckets).map { try stock.numbers("\($0)", "available", "transferredOut", "transferredIn") }
      #expect(sums.reduce(0) { $0 + $1[0] } == 200, "seed \(seed)")
      #expect(sums.reduce(0) { $0 + $1[1] - $1[2] } == 0, "seed \(seed)")
    }
  }
}
