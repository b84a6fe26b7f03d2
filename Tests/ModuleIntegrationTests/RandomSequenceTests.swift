import TestServers
import Testing

/// Random sequences of commands against the module, reply by reply, beside a model that was written from the contract.
@Suite struct RandomSequenceTests {
  @Test("Every reply, the log, each token and the books are the model's", arguments: [2, 3])
  func againstTheModel(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try withSeed { seed, random in
      for round in 0..<40 {
        let key = "key:\(round)"
        let limit: Int64 = random.oneIn(2) ? 0 : 4
        let quantity = Int64.random(in: 0...60, using: &random)
        var model = BucketModel(quantity: quantity, limit: limit)
        #expect(try stock("CREATE", key, quantity, "LIMIT", limit) == .ok)
        let commands = (0..<250).map { _ in BucketCommand.random(&random, tokens: 60) }
        let nowMs = try stock.nowMs()
        let replies = try stock.redis.pipeline(commands.map { $0.words(key: key) })
        for (index, (command, reply)) in zip(commands, replies).enumerated() {
          let expected = command.apply(to: &model, nowMs: nowMs)
          let got: BucketModel.Reply = reply.errorCode.map { .error($0) } ?? .reply(reply)
          try #require(got == expected, "seed \(seed), round \(round), command \(index): \(command)")
        }
        try Self.expectEqual(stock, key, model, "seed \(seed), round \(round)")
      }
    }
  }

  private static func expectEqual(_ stock: Stage, _ key: String, _ model: BucketModel, _ comment: Comment) throws {
    let info = try stock.info(key)
    for (name, value) in model.info { #expect(info[name] == value, comment) }
    let log = try #require(stock("LOG", key, 0, "COUNT", 10_000).elements)
    #expect(log.map { RESP.array(Array(($0.elements ?? []).dropLast())) } == model.log, comment)
    for number in 0..<60 {
      let token = "token:\(number)"
      let record = try stock("GET", key, token)
      guard let known = model.purchases[token] else {
        #expect(record == .null, comment)
        continue
      }
      #expect(record["state"]?.text == (known.sold ? "sold" : "cancelled"), comment)
      #expect(record["sequence"] == .integer(known.sequence), comment)
      #expect(record["user"]?.text == known.user, comment)
      if known.user != nil {
        #expect(record["quantity"] == .integer(known.quantity), comment)
        #expect(record["from"] == .integer(known.from), comment)
        #expect(record["to"] == .integer(known.to), comment)
      }
    }
  }

  @Test("However a bucket is carried on the way, its replies stay the model's and its replica equal")
  func carried() throws {
    let stock = try Stage(.init(appendOnly: true, appendFsync: .no, rdbPreamble: false, tcp: true))
    let replica = try Stage(.init(replicaOf: stock.server))
    try withSeed { seed, random in
      var model = BucketModel(quantity: 50, limit: 0)
      try stock("CREATE", "key", 50)
      for step in 0..<24 {
        let commands = (0..<60).map { _ in BucketCommand.random(&random, tokens: 200) }
        let nowMs = try stock.nowMs()
        let replies = try stock.redis.pipeline(commands.map { $0.words(key: "key") })
        for (command, reply) in zip(commands, replies) {
          let expected = command.apply(to: &model, nowMs: nowMs)
          let got: BucketModel.Reply = reply.errorCode.map { .error($0) } ?? .reply(reply)
          try #require(got == expected, "seed \(seed), step \(step): \(command)")
        }
        try Self.carry(stock, by: Int(random.next() % 4))
        let digest = try stock.digest("key")
        try replica.server.waitForSync(with: stock.server)
        try #require(replica.digest("key") == digest, "seed \(seed), step \(step)")
      }
      try Self.expectEqual(stock, "key", model, "seed \(seed)")
      let digest = try stock.digest("key")
      try stock.server.restart()
      #expect(try stock.again().digest("key") == digest, "seed \(seed)")
    }
  }

  private static func carry(_ stock: Stage, by way: Int) throws {
    switch way {
    case 0:
      #expect(try stock.redis.call("DEBUG", "RELOAD") == .ok)
    case 1:
      let payload = try #require(stock.redis.call("DUMP", "key").bytes)
      #expect(try stock.redis.call("RESTORE", "key", 0, payload, "REPLACE") == .ok)
    case 2:
      #expect(try stock.redis.call("COPY", "key", "other", "REPLACE") == 1)
      #expect(try stock.redis.call("RENAME", "other", "key") == .ok)
    default:
      _ = try stock.redis.call("BGREWRITEAOF")
    }
  }
}
