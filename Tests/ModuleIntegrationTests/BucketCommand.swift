import TestServers

/// One command to a bucket, for random sequences: as words for the module, and as calls of a model.
enum BucketCommand: CustomStringConvertible {
  case deduct(user: String, token: String, quantity: Int64)
  case cancel(token: String, fence: Bool, offSale: Bool)
  case fence(token: String)
  case add(token: String, quantity: Int64)
  case schedule([(option: String, value: Int64)])

  func words(key: String) -> [any RedisArgument] {
    switch self {
    case .deduct(let user, let token, let quantity): ["STOCK.DEDUCT", key, user, token, quantity]
    case .cancel(let token, let fence, let offSale):
      ["STOCK.CANCEL", key, token] + (fence ? ["FENCE"] : []) + (offSale ? ["OFFSALE"] : [])
    case .fence(let token): ["STOCK.FENCE", key, token]
    case .add(let token, let quantity): ["STOCK.ADD", key, token, quantity]
    case .schedule(let changes):
      ["STOCK.SCHEDULE", key] + changes.flatMap { [$0.option, $0.value] as [any RedisArgument] }
    }
  }

  var description: String { words(key: "key").map { "\($0)" }.joined(separator: " ") }

  func apply(to model: inout BucketModel, nowMs: Int64) -> BucketModel.Reply {
    switch self {
    case .deduct(let user, let token, let quantity):
      model.deduct(user: user, token: token, quantity: quantity, nowMs: nowMs)
    case .cancel(let token, let fence, let offSale): model.cancel(token: token, fence: fence, offSale: offSale)
    case .fence(let token): model.fence(token: token)
    case .add(let token, let quantity): model.add(token: token, quantity: quantity)
    case .schedule(let changes):
      model.schedule(Dictionary(changes.map { ($0.option, $0.value) }) { $1 })
    }
  }

  /// Tokens and users come from small sets, so that they meet again; windows are wide open or shut for good.
  static func random(_ random: inout SplitMix64, tokens: Int) -> BucketCommand {
    let token = "token:\(Int.random(in: 0..<tokens, using: &random))"
    switch random.next() % 16 {
    case 0..<8:
      // A token mostly comes with the user and quantity that go with it, as a retry does.
      let retry = !random.oneIn(8)
      let user = "user:\((retry ? token.hashOfText : Int.random(in: 0..<9, using: &random)) % 9)"
      let others: [Int64] = [1, 2, 9, 1_000, 1 << 40]
      let quantity = retry ? Int64(token.hashOfText % 4 + 1) : others.randomElement(using: &random) ?? 1
      return .deduct(user: user, token: token, quantity: quantity)
    case 8..<11:
      return .cancel(token: token, fence: random.oneIn(4), offSale: random.oneIn(5))
    case 11..<13:
      return .fence(token: token)
    case 13..<15:
      let quantities: [Int64] = [-40, -3, -1, 1, 2, 5, 8, maximum, -maximum]
      let quantity = quantities.randomElement(using: &random) ?? 1
      return .add(token: token, quantity: quantity)
    default:
      return .schedule(schedule(&random))
    }
  }

  private static func schedule(_ random: inout SplitMix64) -> [(option: String, value: Int64)] {
    let limit: Int64 = [0, 3, 6, 50].randomElement(using: &random) ?? 0
    let opens: Int64 = random.oneIn(6) ? farFuture : [0, 1].randomElement(using: &random) ?? 0
    let closes: Int64 = random.oneIn(6) ? 1 : [0, farFuture].randomElement(using: &random) ?? 0
    let all = [("LIMIT", limit), ("OPENS", opens), ("CLOSES", closes)].shuffled(using: &random)
    return all.prefix(Int.random(in: 1...3, using: &random)).map { (option: $0.0, value: $0.1) }
  }
}

extension String {
  /// The same number in every run, unlike `hashValue`.
  fileprivate var hashOfText: Int { Int(utf8.reduce(UInt32(17)) { $0 &* 31 &+ UInt32($1) } >> 3) }
}
