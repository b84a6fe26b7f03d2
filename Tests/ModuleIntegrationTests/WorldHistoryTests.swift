import TestServers
import Testing

/// Random histories over several buckets with a moving clock, each step held against the model.
@Suite struct WorldHistoryTests {
  @Test(
    "Every reply and event of a random history is the model's, and the books balance after every step",
    arguments: [2, 3]
  )
  func histories(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try withSeed { seed, random in
      for round in 0..<8 {
        let world = try World(stock, round: round, &random)
        for step in 0..<500 {
          let command = WorldCommand.random(&random, buckets: world.keys.count)
          try world.play(command, "seed \(seed), round \(round), step \(step): \(command)")
        }
        try world.checkAll("seed \(seed), round \(round)")
      }
    }
  }
}

/// Buckets of one server, and what the model makes of them.
private final class World {
  let stock: Stage
  let keys: [String]
  private var models: [WorldModel]

  init(_ stock: Stage, round: Int, _ random: inout SplitMix64) throws {
    self.stock = stock
    keys = (0..<3).map { "world:\(round):\($0)" }
    models = []
    for key in keys {
      let quantity = Int64.random(in: 0...60, using: &random)
      let limit: Int64 = random.oneIn(2) ? 0 : 9
      let isFrozen = random.oneIn(6)
      let words: [any RedisArgument] = ["STOCK.CREATE", key, quantity, "LIMIT", limit] + (isFrozen ? ["FROZEN"] : [])
      #expect(try stock.redis.call(words) == .ok)
      let epoch = try #require(stock.info(key)["epoch"]?.integer)
      models.append(WorldModel(quantity: quantity, limit: limit, isFrozen: isFrozen, epoch: epoch))
    }
  }

  func play(_ command: WorldCommand, _ comment: String) throws {
    if command.bucket == nil { try settleDown() }
    let before = try stock.nowMs()
    let reply = try stock.redis.call(command.words(keys: keys, models: models))
    let after = try stock.nowMs()
    let events = try keys.indices.map { try newEvents($0) }
    for index in keys.indices where index != command.bucket {
      try follow(index, events[index], from: command, reply, comment)
    }
    if let bucket = command.bucket {
      try explain(command, bucket, reply, events[bucket], comment)
      try checkTimes(events[bucket], before, after, comment)
    }
    for index in keys.indices {
      var info = try stock.info(keys[index])
      // A timer may have come between.
      while info["logLast"] != .integer(models[index].last) {
        try follow(index, newEvents(index), from: .reload, .ok, comment)
        info = try stock.info(keys[index])
      }
      for (name, value) in models[index].info { try #require(info[name] == value, "\(name): \(comment)") }
      // The timer is late by a second at most; a busy machine may add to that.
      try #require(models[index].due(at: before - 2_000).isEmpty, "an expiry that never comes: \(comment)")
    }
  }

  /// Waits until no hold is due or soon will be, so that nothing happens beside a command of several buckets.
  private func settleDown() throws {
    try waitUntil("a quiet moment") {
      let now = try stock.nowMs()
      for index in keys.indices { try follow(index, newEvents(index), from: .reload, .ok, "while waiting") }
      return models.allSatisfy { $0.due(at: now + 60).isEmpty }
    }
  }

  private func newEvents(_ index: Int) throws -> [RESP] {
    let after = models[index].last
    return try #require(stock("LOG", keys[index], after, "COUNT", 1_000).elements, "LOG \(keys[index]) \(after)")
  }

  /// Events of a bucket that a command was not about: expiries, or its part of a rebalance.
  private func follow(_ index: Int, _ events: [RESP], from command: WorldCommand, _ reply: RESP, _ comment: String)
    throws
  {
    for event in events where event[1] == "expire" { try expire(index, event, comment) }
    if case .rebalance = command, reply.errorCode == nil {
      models[index].rebalance(to: try #require(reply[index]?.integer, "\(comment)"))
    } else if case .rebalance = command {
      try #require(models.contains(where: \.isFrozen) && reply.errorCode == "FROZEN", "\(reply): \(comment)")
    }
    try checkLog(index, events, comment)
    if case .rebalance(let weights) = command, reply.errorCode == nil, index == keys.count - 1 {
      try checkShares(reply, weights, comment)
    }
  }

  private func checkShares(_ reply: RESP, _ weights: [Int64]?, _ comment: String) throws {
    let shares = (reply.elements ?? []).compactMap(\.integer)
    let weights = weights ?? keys.map { _ in 1 }
    let (total, sum) = (shares.reduce(0, +), weights.reduce(0, +))
    for (share, weight) in zip(shares, weights) {
      try #require(abs(share * sum - total * weight) < sum, "\(shares): \(comment)")
    }
  }

  /// Finds the order of expiries and command in which the model gives the reply.
  private func explain(_ command: WorldCommand, _ index: Int, _ reply: RESP, _ events: [RESP], _ comment: String) throws
  {
    let own = events.firstIndex { $0[1] != "expire" }
    let expiries = events.filter { $0[1] == "expire" }
    var tried: [String] = []
    for count in own.map({ $0...$0 }) ?? 0...expiries.count {
      var model = models[index]
      var isPossible = true
      func follow(_ some: ArraySlice<RESP>) {
        for event in some where !model.expire(event[2]?.text ?? "", timestamp: event[7]?.integer ?? 0) {
          isPossible = false
        }
      }
      follow(expiries[..<count])
      guard let expected = command.apply(to: &model) else { return }
      if case .deduct(_, _, let token, _, let holdMs?) = command, let own, events[own][1] == "hold" {
        model.noteExpiry(token, at: (events[own][7]?.integer ?? 0) + holdMs)
      }
      follow(expiries[count...])
      if isPossible, Self.isSame(reply, expected), Int64(events.count) == model.last - models[index].last {
        models[index] = model
        return try checkLog(index, events, comment)
      }
      tried.append("\(expected)")
    }
    try #require(Bool(false), "\(reply) \(events), of the model \(tried): \(comment)")
  }

  private static func isSame(_ reply: RESP, _ expected: WorldModel.Reply) -> Bool {
    switch expected {
    case .error(let code): reply.errorCode == code
    // SETTLE's.
    case .reply(.simple(let word)) where word != "OK" || reply.elements != nil: reply[0] == .simple(word)
    case .reply(let expected): reply == expected
    }
  }

  /// What happened during a command bears a time between its sending and its reply; a timer's may be a little older.
  private func checkTimes(_ events: [RESP], _ before: Int64, _ after: Int64, _ comment: String) throws {
    for event in events where event[1] != "expire" {
      try #require((before...after).contains(event[7]?.integer ?? 0), "\(event): \(comment)")
    }
  }

  private func expire(_ index: Int, _ event: RESP, _ comment: String) throws {
    let (token, timestamp) = (event[2]?.text ?? "", event[7]?.integer ?? 0)
    let isPossible = models[index].expire(token, timestamp: timestamp)
    try #require(isPossible, "\(event): \(comment)")
  }

  private func checkLog(_ index: Int, _ events: [RESP], _ comment: String) throws {
    let model = models[index]
    let expected = model.events.suffix(events.count)
    for (offset, (event, wanted)) in zip(events, expected).enumerated() {
      let sequence = model.last - Int64(events.count - offset) + 1
      let numbers = [event[0], event[4], event[5], event[6]].map { $0?.integer }
      try #require(numbers == [sequence, wanted.to - wanted.from, wanted.from, wanted.to], "\(event): \(comment)")
      try #require(event[1]?.text == wanted.action && event[2]?.text == wanted.token, "\(event): \(comment)")
      // The user may be gone with a trimmed event, unless the command names it.
      let first = wanted.token.flatMap { model.purchases[$0]?.sequence } ?? .max
      let isGone = first <= model.trimmed && wanted.action != "record"
      try #require(event[3]?.text == wanted.user || isGone && event[3] == .null, "\(event): \(comment)")
    }
  }

  /// Each token, restock and transfer as it is read.
  func checkAll(_ comment: String) throws {
    try settleDown()
    for (key, model) in zip(keys, models) {
      for number in 0..<70 {
        let token = "token:\(number)"
        let record = try stock("GET", key, token)
        guard let known = model.purchases[token] else {
          #expect(record == .null, "\(key) \(token): \(comment)")
          continue
        }
        #expect(record["state"]?.text == "\(known.state)", "\(key) \(token): \(comment)")
        #expect(record["sequence"] == .integer(known.sequence), "\(key) \(token): \(comment)")
        if known.user != nil { #expect(record["quantity"] == .integer(known.quantity), "\(key) \(token): \(comment)") }
        if known.sequence > model.trimmed { #expect(record["user"]?.text == known.user, "\(key) \(token): \(comment)") }
        if known.state == .held { #expect(record["expires"]?.integer == known.expires, "\(key) \(token): \(comment)") }
      }
      let all = try #require(stock("TRANSFERS", key, "ALL", "COUNT", 1_000).elements)
      #expect(all.map { $0[0]?.text } == model.transfers.map(\.name), "\(key): \(comment)")
      #expect(all.map { $0[3]?.integer } == model.transfers.map(\.quantity), "\(key): \(comment)")
      let open = try #require(stock("TRANSFERS", key, "COUNT", 1_000).elements)
      #expect(open.map { $0[0]?.text } == model.transfers.filter { !$0.isSettled }.map(\.name), "\(key): \(comment)")
    }
  }
}
