import TestServers

/// One step of a random history over several buckets.
enum WorldCommand: CustomStringConvertible {
  case deduct(bucket: Int, user: String, token: String, quantity: Int64, holdMs: Int64?)
  case confirm(bucket: Int, token: String)
  case cancel(bucket: Int, token: String, fence: Bool, offSale: Bool)
  case fence(bucket: Int, token: String)
  case add(bucket: Int, token: String, quantity: Int64)
  case withdraw(bucket: Int, name: String, quantity: Int64, peer: Int64)
  case deposit(bucket: Int, name: String, quantity: Int64, peer: Int64)
  case settle(bucket: Int, name: String)
  case record(bucket: Int, user: String, token: String, quantity: Int64, state: String)
  case recordTransfer(bucket: Int, name: String, isOut: Bool, peer: Int64, quantity: Int64)
  case recordRestock(bucket: Int, token: String, quantity: Int64)
  case freeze(bucket: Int)
  /// With the bucket's epoch, with another, or with none.
  case thaw(bucket: Int, epoch: Bool?)
  case schedule(bucket: Int, limit: Int64)
  case trim(bucket: Int, keeping: Int64)
  case rebalance(weights: [Int64]?)
  case reload

  /// The bucket it is about; nil for all.
  var bucket: Int? {
    switch self {
    case .deduct(let bucket, _, _, _, _), .confirm(let bucket, _), .cancel(let bucket, _, _, _), .fence(let bucket, _),
      .add(let bucket, _, _), .withdraw(let bucket, _, _, _), .deposit(let bucket, _, _, _), .settle(let bucket, _),
      .record(let bucket, _, _, _, _), .recordTransfer(let bucket, _, _, _, _), .recordRestock(let bucket, _, _),
      .freeze(let bucket), .thaw(let bucket, _), .schedule(let bucket, _), .trim(let bucket, _):
      bucket
    case .rebalance, .reload: nil
    }
  }

  /// What goes over the wire, to buckets with these keys and states.
  func words(keys: [String], models: [WorldModel]) -> [any RedisArgument] {
    switch self {
    case .deduct(let bucket, let user, let token, let quantity, let holdMs):
      ["STOCK.DEDUCT", keys[bucket], user, token, quantity] + (holdMs.map { ["HOLD", $0] } ?? [])
    case .confirm(let bucket, let token): ["STOCK.CONFIRM", keys[bucket], token]
    case .cancel(let bucket, let token, let fence, let offSale):
      ["STOCK.CANCEL", keys[bucket], token] + (fence ? ["FENCE"] : []) + (offSale ? ["OFFSALE"] : [])
    case .fence(let bucket, let token): ["STOCK.FENCE", keys[bucket], token]
    case .add(let bucket, let token, let quantity): ["STOCK.ADD", keys[bucket], token, quantity]
    case .withdraw(let bucket, let name, let quantity, let peer):
      ["STOCK.WITHDRAW", keys[bucket], name, quantity, "TO", peer]
    case .deposit(let bucket, let name, let quantity, let peer):
      ["STOCK.DEPOSIT", keys[bucket], name, quantity, "FROM", peer]
    case .settle(let bucket, let name): ["STOCK.SETTLE", keys[bucket], name]
    case .record(let bucket, let user, let token, let quantity, let state):
      ["STOCK.RECORD", keys[bucket], user, token, quantity, state]
    case .recordTransfer(let bucket, let name, let isOut, let peer, let quantity):
      ["STOCK.RECORD", keys[bucket], "TRANSFER", name, isOut ? "OUT" : "IN", peer, quantity]
    case .recordRestock(let bucket, let token, let quantity):
      ["STOCK.RECORD", keys[bucket], "RESTOCK", token, quantity]
    case .freeze(let bucket): ["STOCK.FREEZE", keys[bucket]]
    case .thaw(let bucket, let epoch):
      ["STOCK.THAW", keys[bucket]]
        + (epoch.map { ["EPOCH", $0 ? models[bucket].epoch : models[bucket].epoch % maximum + 1] } ?? [])
    case .schedule(let bucket, let limit): ["STOCK.SCHEDULE", keys[bucket], "LIMIT", limit]
    case .trim(let bucket, let keeping): ["STOCK.TRIM", keys[bucket], max(models[bucket].last - keeping, 0)]
    case .rebalance(let weights):
      ["STOCK.REBALANCE"] + keys.map { $0 as any RedisArgument }
        + (weights.map { ["WEIGHTS"] + $0.map { $0 as any RedisArgument } } ?? [])
    case .reload: ["DEBUG", "RELOAD"]
    }
  }

  var description: String {
    let keys = (0..<9).map { "key:\($0)" }
    let models = keys.map { _ in WorldModel(quantity: 0, limit: 0, isFrozen: false, epoch: 1) }
    return words(keys: keys, models: models).map { "\($0)" }.joined(separator: " ")
  }

  /// The model's reply; nil where only its status, or nothing, is told by the contract.
  func apply(to model: inout WorldModel) -> WorldModel.Reply? {
    switch self {
    case .deduct(_, let user, let token, let quantity, let holdMs):
      model.deduct(user: user, token: token, quantity: quantity, holds: holdMs != nil)
    case .confirm(_, let token): model.confirm(token: token)
    case .cancel(_, let token, let fence, let offSale): model.cancel(token: token, fence: fence, offSale: offSale)
    case .fence(_, let token): model.fence(token: token)
    case .add(_, let token, let quantity): model.add(token: token, quantity: quantity)
    case .withdraw(_, let name, let quantity, let peer): model.withdraw(name: name, quantity: quantity, to: peer)
    case .deposit(_, let name, let quantity, let peer): model.deposit(name: name, quantity: quantity, from: peer)
    case .settle(_, let name): .reply(.simple(model.settle(name: name)))
    case .record(_, let user, let token, let quantity, let state):
      model.record(user: user, token: token, quantity: quantity, state: state)
    case .recordTransfer(_, let name, let isOut, let peer, let quantity):
      model.recordTransfer(name: name, isOut: isOut, peer: peer, quantity: quantity)
    case .recordRestock(_, let token, let quantity): model.add(token: token, quantity: quantity, action: "record")
    case .freeze: model.freeze()
    case .thaw(_, let epoch): model.thaw(epoch: epoch.map { $0 ? model.epoch : model.epoch % maximum + 1 })
    case .schedule(_, let limit): model.schedule(limit: limit)
    case .trim(_, let keeping): model.trim(to: max(model.last - keeping, 0))
    case .rebalance, .reload: nil
    }
  }

  // MARK: Choosing

  /// Tokens, users and names come from small sets, so that they meet again; a token mostly comes with what goes with it.
  static func random(_ random: inout SplitMix64, buckets: Int) -> WorldCommand {
    let bucket = Int.random(in: 0..<buckets, using: &random)
    let number = Int.random(in: 0..<70, using: &random)
    let token = "token:\(number)"
    let isOdd = random.oneIn(9)
    let user = "user:\((number + (isOdd ? 1 : 0)) % 7)"
    let quantity = Int64(number % 4 + (isOdd ? 2 : 1))
    switch random.next() % 100 {
    case 0..<22: return .deduct(bucket: bucket, user: user, token: token, quantity: quantity, holdMs: nil)
    case 22..<40:
      let holdMs: Int64 = random.oneIn(3) ? 600_000 : Int64.random(in: 1...40, using: &random)
      return .deduct(bucket: bucket, user: user, token: token, quantity: quantity, holdMs: holdMs)
    case 40..<50: return .confirm(bucket: bucket, token: token)
    case 50..<58: return .cancel(bucket: bucket, token: token, fence: random.oneIn(4), offSale: random.oneIn(4))
    case 58..<61: return .fence(bucket: bucket, token: token)
    case 61..<65:
      let down = number % 3 == 0
      return .add(bucket: bucket, token: token, quantity: Int64((number % 5 + (isOdd ? 2 : 1)) * (down ? -1 : 2)))
    case 65..<85: return transfer(&random, bucket: bucket, buckets: buckets)
    case 85..<91:
      let states = ["held", "sold", "cancelled", "rejected"]
      return .record(
        bucket: bucket,
        user: user,
        token: token,
        quantity: quantity,
        state: states.randomElement(using: &random) ?? ""
      )
    case 91..<92: return .recordRestock(bucket: bucket, token: token, quantity: Int64(number % 5 + (isOdd ? 2 : 1)))
    default: return rare(&random, bucket: bucket, buckets: buckets)
    }
  }

  private static func transfer(_ random: inout SplitMix64, bucket: Int, buckets: Int) -> WorldCommand {
    let number = Int.random(in: 0..<40, using: &random)
    let name = "transfer:\(number)"
    // Each name has a source and a target that go with it.
    let (source, target) = (number % buckets, (number + 1 + number / buckets % max(buckets - 1, 1)) % buckets)
    let isOdd = random.oneIn(10)
    let quantity = Int64(number % 6 + (isOdd ? 2 : 1))
    switch random.next() % 8 {
    case 0, 1: return .withdraw(bucket: source, name: name, quantity: quantity, peer: Int64(isOdd ? source : target))
    case 2, 3: return .deposit(bucket: target, name: name, quantity: quantity, peer: Int64(source))
    case 4: return .settle(bucket: source, name: name)
    case 5: return .settle(bucket: target, name: name)
    case 6: return .recordTransfer(bucket: source, name: name, isOut: true, peer: Int64(target), quantity: quantity)
    default:
      return .recordTransfer(
        bucket: isOdd ? bucket : target,
        name: name,
        isOut: false,
        peer: Int64(source),
        quantity: quantity
      )
    }
  }

  private static func rare(_ random: inout SplitMix64, bucket: Int, buckets: Int) -> WorldCommand {
    switch random.next() % 8 {
    case 0: return .freeze(bucket: bucket)
    case 1, 2: return .thaw(bucket: bucket, epoch: [nil, nil, true, false][Int(random.next() % 4)])
    case 3: return .schedule(bucket: bucket, limit: [0, 4, 9, 40].randomElement(using: &random) ?? 0)
    case 4, 5: return .trim(bucket: bucket, keeping: Int64.random(in: -1...20, using: &random))
    case 6:
      let weights = (0..<buckets).map { _ in Int64.random(in: 0...3, using: &random) }
      return .rebalance(weights: random.oneIn(2) || weights.allSatisfy { $0 == 0 } ? nil : weights)
    default: return .reload
    }
  }
}
