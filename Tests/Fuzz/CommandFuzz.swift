import CStockABI

/// Bytes as a sequence of commands to a bucket, whose replica hears only what it propagates.
enum CommandFuzz {
  private static let stepsMax = 200

  static func run(_ input: [UInt8]) {
    var bytes = input[...]
    func next() -> UInt8 { bytes.popFirst() ?? 0 }
    let settings = Settings(buckets: 2, limit: Int64(next() % 8), opens: 0, closes: 0)
    let quantity = amount(next())
    var bucket = Bucket(quantity: abs(quantity), settings: settings, epoch: 3, hashKey: [next(), next()], now: 1)
    guard var replica = try? Bucket.restored(from: [bucket.lastChange]) else { fatalError("its creation is refused") }
    var now: Int64 = 10
    var steps = 0
    while !bytes.isEmpty, steps < stepsMax {
      steps += 1
      let before = bucket.figures
      let outcome = step(&bucket, next(), next(), next(), &now)
      if outcome.changed {
        require(replica.apply(bucket.lastChange) == .none, "its change is refused by a replica")
      } else {
        require(bucket.figures.log_last == before.log_last, "an event that is no change")
      }
      if outcome.fault == .none, !outcome.changed {
        require(bucket.figures.available == before.available, "a silent change")
      }
      require(bucket.figures.log_last == replica.figures.log_last, "the replica has another log")
    }
    requireSound(bucket)
    require(bucket.digestSums == replica.digestSums, "the replica is another bucket")
    requireCarried(bucket)
  }

  static var seeds: [[UInt8]] {
    let all: [UInt8] = (UInt8(0)..<17).flatMap { operation -> [UInt8] in [operation, operation &* 7, operation &* 13] }
    let mixed: [UInt8] = (UInt8(0)..<60).flatMap { step -> [UInt8] in [step % 17, step, step &* 31] }
    let heads: [[UInt8]] = [[3, 40, 1, 2], [0, 200, 1, 2], [5, 9, 0, 0], [0, 60, 0, 0]]
    return heads.map { $0 + all } + heads.map { $0 + mixed }
  }

  /// Small amounts mostly, and those at the bounds.
  private static func amount(_ byte: UInt8) -> Int64 {
    switch byte {
    case 250: Limits.number
    case 251: Limits.number - 1
    case 252: 1 << 40
    case 253: 0 - Limits.number
    default: Int64(byte % 64)
    }
  }

  private static func step(
    _ bucket: inout Bucket,
    _ operation: UInt8,
    _ name: UInt8,
    _ number: UInt8,
    _ now: inout Int64
  ) -> Outcome {
    now += Int64(number % 4)
    if number == 255 { now = Limits.time }
    let token = [name % 12]
    let user = [name % 5]
    let quantity = max(amount(number), 1)
    let peer = UInt16(name % 3)
    switch operation % 17 {
    case 0: return bucket.deduct(user: user, token: token, quantity: quantity, now: now)
    case 1: return bucket.deduct(user: user, token: token, quantity: quantity, hold: Int64(number % 16) + 1, now: now)
    case 2: return bucket.deduct(user: user, token: token, quantity: 1, hold: Limits.number, now: now)
    case 3: return bucket.confirm(token: token, now: now)
    case 4: return bucket.cancel(token: token, fence: number & 1 == 1, offSale: number & 2 == 2, now: now)
    case 5: return bucket.fence(token: token, now: now)
    case 6:
      let signed = amount(number)
      return bucket.add(token: token, quantity: signed == 0 ? -1 : signed, now: now)
    case 7: return bucket.withdraw(transfer: token, quantity: quantity, to: peer, now: now)
    case 8: return bucket.deposit(transfer: token, quantity: quantity, from: peer, now: now)
    case 9: return bucket.settle(transfer: token)
    case 10:
      let states: [Recording] = [.held, .sold, .cancelled, .rejected]
      return bucket.record(user: user, token: token, quantity: quantity, as: states[Int(number & 3)], now: now)
    case 11:
      let direction: Direction = number & 1 == 1 ? .incoming : .outgoing
      return bucket.record(transfer: token, direction: direction, peer: peer, quantity: quantity, now: now)
    case 12: return bucket.record(restock: token, quantity: quantity, now: now)
    case 13: return number & 1 == 1 ? bucket.freeze(now: now) : bucket.thaw(epoch: number & 2 == 2 ? 3 : 0, now: now)
    case 14: return bucket.schedule(limit: Int64(number % 9), opens: 0, closes: 0, now: now)
    case 15: return bucket.expire(count: Int64(number % 8) + 1, now: now)
    default:
      let dropped = (try? bucket.trim(to: max(bucket.figures.log_last - Int64(number % 16), 0))) ?? 0
      return Outcome(remaining: 0, sequence: 0, status: .ok, fault: .none, turn: .none, changed: dropped > 0, events: 0)
    }
  }
}
