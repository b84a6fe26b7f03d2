import Testing

@testable import StockCore

/// Two buckets of a product with a clock, as the model has them, and how they came to be so.
struct SmallWorld {
  /// One thing that happens.
  enum Move {
    case play(bucket: Int, Play)
    /// The bucket that a transfer went out to takes it in, by `DEPOSIT` or by `RECORD`.
    case arrive(transfer: String, from: Int, to: Int, isRecorded: Bool)
    case rebalance(weights: [Int64]?)
    /// The clock goes on.
    case tick(ms: Int64)
  }

  /// What was done to buckets, and when.
  struct Deed {
    let action: Action
    let now: Int64
  }

  enum Action {
    case play(bucket: Int, Play)
    case rebalance(weights: [Int64]?)
  }

  var models: [ReferenceModel]
  var deeds: [Deed] = []
  var now: Int64 = 1000

  /// What the move does here; nil where it does nothing to the buckets.
  func action(of move: Move) -> Action? {
    switch move {
    case .play(let bucket, let play): return .play(bucket: bucket, play)
    case .rebalance(let weights): return .rebalance(weights: weights)
    case .tick: return nil
    case .arrive(let name, let source, let target, let isRecorded):
      // No one brings what has not left.
      guard let out = models[source].transfer(name) else { return nil }
      let peer = UInt16(truncatingIfNeeded: source)
      let deposit = Play.deposit(transfer: name, quantity: out.quantity, from: peer)
      let record = Play.recordTransfer(transfer: name, direction: .incoming, peer: peer, quantity: out.quantity)
      return .play(bucket: target, isRecorded ? record : deposit)
    }
  }

  /// What can be told of the world from now on, whatever happens: everything but the numbers and times of events. A hold's
  /// deadline counts from now.
  var essence: [Int64] {
    var essence: [Int64] = []
    for model in models { model.add(to: &essence, now: now) }
    return essence
  }
}

extension ReferenceModel {
  fileprivate func add(to essence: inout [Int64], now: Int64) {
    essence += [added, rebalancedIn, rebalancedOut, limit, opens, closes]
    essence += [isFrozenByOperator ? 1 : 0, Int64(frozen.rawValue), trimmed == log.count ? 1 : 0]
    for (name, entry) in tokens.sorted(by: { $0.key < $1.key }) {
      essence += [number(name), entry.user.map { number($0) } ?? 0, entry.quantity, Int64(entry.state.rawValue)]
      let isTrimmed = entry.first <= trimmed
      let isEndTrimmed = entry.holdEnded <= trimmed
      essence.append((entry.wasHeld ? 1 : 0) + (isTrimmed ? 2 : 0) + (isEndTrimmed ? 4 : 0))
      essence.append(entry.state == .held && entry.expires != 0 ? max(entry.expires - now, 0) + 1 : 0)
    }
    // Which of the holds was first.
    for (name, _) in tokens.filter({ $0.value.state == .held }).sorted(by: { $0.value.first < $1.value.first }) {
      essence.append(number(name))
    }
    for (name, entry) in restocks.sorted(by: { $0.key < $1.key }) {
      essence += [number(name), entry.quantity, entry.first <= trimmed ? 1 : 0]
    }
    for transfer in transfers {
      essence += [number(transfer.name), Int64(transfer.direction.rawValue), transfer.quantity]
      essence += [transfer.isSettled ? 1 : 0, transfer.event <= trimmed ? 1 : 0]
    }
    essence.append(-1)
  }

  /// Names here have one letter.
  private func number(_ name: String) -> Int64 { Int64(name.utf8.first ?? 0) }
}

/// The two buckets of a small world.
final class BucketPair {
  let places: [UnsafeMutablePointer<Bucket>]

  init(_ first: consuming Bucket, _ second: consuming Bucket) {
    let places = UnsafeMutablePointer<Bucket>.allocate(capacity: 1)
    places.initialize(to: first)
    let more = UnsafeMutablePointer<Bucket>.allocate(capacity: 1)
    more.initialize(to: second)
    self.places = [places, more]
  }

  /// As they come out of everything that has been done.
  convenience init(quantity: Int64, _ deeds: [SmallWorld.Deed]) {
    self.init(.sample(quantity), .sample(0))
    for deed in deeds { _ = perform(deed) }
  }

  convenience init(payloads: [[[UInt8]]]) throws {
    try self.init(.restored(from: payloads[0]), .restored(from: payloads[1]))
  }

  deinit {
    for place in places {
      place.deinitialize(count: 1)
      place.deallocate()
    }
  }

  /// The outcomes by bucket, nil where it took no part; no outcome at all where a rebalancing is refused.
  func perform(_ deed: SmallWorld.Deed) -> [Outcome?]? {
    switch deed.action {
    case .play(let bucket, let play):
      var outcomes: [Outcome?] = [nil, nil]
      outcomes[bucket] = places[bucket].pointee.play(play, now: deed.now)
      return outcomes
    case .rebalance(let weights):
      return try? Bucket.rebalance(places, weights: weights, now: deed.now)
    }
  }

  var payloads: [[[UInt8]]] { places.map { $0.pointee.payloads() } }
}
