import StockCore

/// A command of a history, on one bucket.
enum Play {
  case deduct(user: String, token: String, quantity: Int64, hold: Int64 = 0)
  case confirm(token: String)
  case cancel(token: String, fence: Bool = false, offSale: Bool = false)
  case fence(token: String)
  case add(token: String, quantity: Int64)
  case schedule(limit: Int64, opens: Int64, closes: Int64)
  case withdraw(transfer: String, quantity: Int64, to: UInt16)
  case deposit(transfer: String, quantity: Int64, from: UInt16)
  case settle(transfer: String)
  case record(user: String, token: String, quantity: Int64, as: Recording)
  case recordTransfer(transfer: String, direction: Direction, peer: UInt16, quantity: Int64)
  case recordRestock(token: String, quantity: Int64)
  case freeze
  /// With the bucket's epoch, with another one, or with none.
  case thaw(Epoch = .none)
  /// The freeze of all buckets of a server.
  case freezeAnew(FreezeReason, seed: UInt64)
  /// What the timer does.
  case expire(count: Int64)
  /// Up to this many before the last event.
  case trim(keeping: Int64)

  enum Epoch { case none, right, wrong }
}

extension Play: CustomStringConvertible {
  var description: String {
    switch self {
    case .deduct(let user, let token, let quantity, let hold):
      "DEDUCT \(user) \(token) \(quantity)\(hold == 0 ? "" : " HOLD \(hold)")"
    case .confirm(let token): "CONFIRM \(token)"
    case .cancel(let token, let fence, let offSale):
      "CANCEL \(token)\(fence ? " FENCE" : "")\(offSale ? " OFFSALE" : "")"
    case .fence(let token): "FENCE \(token)"
    case .add(let token, let quantity): "ADD \(token) \(quantity)"
    case .schedule(let limit, let opens, let closes): "SCHEDULE LIMIT \(limit) OPENS \(opens) CLOSES \(closes)"
    case .withdraw(let transfer, let quantity, let peer): "WITHDRAW \(transfer) \(quantity) TO \(peer)"
    case .deposit(let transfer, let quantity, let peer): "DEPOSIT \(transfer) \(quantity) FROM \(peer)"
    case .settle(let transfer): "SETTLE \(transfer)"
    case .record(let user, let token, let quantity, let recording):
      "RECORD \(user) \(token) \(quantity) \(recording)"
    case .recordTransfer(let transfer, let direction, let peer, let quantity):
      "RECORD TRANSFER \(transfer) \(direction) \(peer) \(quantity)"
    case .recordRestock(let token, let quantity): "RECORD RESTOCK \(token) \(quantity)"
    case .freeze: "FREEZE"
    case .thaw(let epoch): "THAW with \(epoch) epoch"
    case .freezeAnew(let reason, let seed): "freeze by \(reason) with seed \(seed)"
    case .expire(let count): "expire \(count)"
    case .trim(let keeping): "TRIM but the last \(keeping)"
    }
  }

  /// Whether the reply is a simple `OK`, so that no number of the outcome is part of it.
  var isAnsweredPlainly: Bool {
    switch self {
    case .schedule, .freeze, .thaw, .freezeAnew, .expire: true
    case .deduct, .confirm, .cancel, .fence, .add, .withdraw, .deposit, .settle, .record, .recordTransfer,
      .recordRestock, .trim:
      false
    }
  }
}

extension Bucket {
  static func sample(
    _ quantity: Int64,
    limit: Int64 = 0,
    opens: Int64 = 0,
    closes: Int64 = 0,
    isFrozen: Bool = false,
    now: Int64 = 1000
  ) -> Bucket {
    let settings = Settings(buckets: 1, limit: limit, opens: opens, closes: closes)
    return Bucket(
      quantity: quantity,
      settings: settings,
      isFrozen: isFrozen,
      epoch: 7,
      hashKey: Array(0..<16),
      now: now
    )
  }

  @discardableResult
  mutating func play(_ play: Play, now: Int64 = 1000) -> Outcome {
    switch play {
    case .deduct(let user, let token, let quantity, let hold):
      deduct(user: bytes(user), token: bytes(token), quantity: quantity, hold: hold, now: now)
    case .confirm(let token): confirm(token: bytes(token), now: now)
    case .cancel(let token, let fence, let offSale):
      cancel(token: bytes(token), fence: fence, offSale: offSale, now: now)
    case .fence(let token): fence(token: bytes(token), now: now)
    case .add(let token, let quantity): add(token: bytes(token), quantity: quantity, now: now)
    case .schedule(let limit, let opens, let closes): schedule(limit: limit, opens: opens, closes: closes, now: now)
    case .withdraw(let transfer, let quantity, let peer):
      withdraw(transfer: bytes(transfer), quantity: quantity, to: peer, now: now)
    case .deposit(let transfer, let quantity, let peer):
      deposit(transfer: bytes(transfer), quantity: quantity, from: peer, now: now)
    case .settle(let transfer): settle(transfer: bytes(transfer))
    case .record(let user, let token, let quantity, let recording):
      record(user: bytes(user), token: bytes(token), quantity: quantity, as: recording, now: now)
    case .recordTransfer(let transfer, let direction, let peer, let quantity):
      record(transfer: bytes(transfer), direction: direction, peer: peer, quantity: quantity, now: now)
    case .recordRestock(let token, let quantity): record(restock: bytes(token), quantity: quantity, now: now)
    case .freeze: freeze(now: now)
    case .thaw(let epoch): thaw(epoch: number(epoch), now: now)
    case .freezeAnew(let reason, let seed): freezeAnew(reason, seed)
    case .expire(let count): expire(count: count, now: now)
    case .trim(let keeping): trim(keeping: keeping)
    }
  }

  private func number(_ epoch: Play.Epoch) -> Int64 {
    switch epoch {
    case .none: 0
    case .right: figures.epoch
    case .wrong: figures.epoch == 1 ? 2 : figures.epoch - 1
    }
  }

  private mutating func freezeAnew(_ reason: FreezeReason, _ seed: UInt64) -> Outcome {
    freezeAnew(reason, seed: seed)
    return Outcome(remaining: 0, sequence: 0, status: .ok, fault: .none, turn: .none, changed: false, events: 0)
  }

  /// An outcome whose sequence is the number of events dropped.
  private mutating func trim(keeping: Int64) -> Outcome {
    let dropped = (try? trim(to: max(0, figures.log_last - keeping))) ?? -1
    let remaining = figures.available
    return Outcome(
      remaining: remaining,
      sequence: dropped,
      status: .ok,
      fault: .none,
      turn: .none,
      changed: dropped > 0,
      events: 0
    )
  }
}

/// The bytes of a name.
func bytes(_ name: String) -> [UInt8] { Array(name.utf8) }
