import Testing

@testable import StockCore

/// Everything that can happen to three units, two buyers, three tokens and two buckets, in up to six steps.
///
/// Histories are followed breadth first, and of those that come to the same state (of the model; numbers and times of events
/// apart) the first alone is followed on. From each state each move is played: its reply, events and books are the
/// model's, a copy that was read from the state's payloads takes the change in, and comes to the same.
@Suite("Small worlds")
struct SmallWorldTests {
  /// Buyer a is at home in bucket 0 and b in bucket 1. Token x is held at first, y sold, z held or recorded.
  private static let selling: [SmallWorld.Move] = [
    .play(bucket: 0, .deduct(user: "a", token: "x", quantity: 1, hold: 10)),
    .play(bucket: 0, .deduct(user: "a", token: "y", quantity: 2)),
    .play(bucket: 1, .deduct(user: "b", token: "z", quantity: 1, hold: 20)),
    .play(bucket: 0, .deduct(user: "b", token: "x", quantity: 1)),
    .play(bucket: 0, .confirm(token: "x")),
    .play(bucket: 1, .confirm(token: "z")),
    .play(bucket: 0, .cancel(token: "x")),
    .play(bucket: 0, .cancel(token: "y", fence: true)),
    .play(bucket: 1, .cancel(token: "z", offSale: true)),
    .play(bucket: 0, .fence(token: "x")),
    .play(bucket: 1, .fence(token: "z")),
    .tick(ms: 10),
    .play(bucket: 0, .expire(count: 9)),
    .play(bucket: 1, .expire(count: 9)),
    .play(bucket: 0, .trim(keeping: 0)),
    .play(bucket: 1, .trim(keeping: 0)),
    .play(bucket: 0, .add(token: "r", quantity: -1)),
    .play(bucket: 0, .schedule(limit: 2, opens: 0, closes: 0)),
  ]

  private static let moving: [SmallWorld.Move] = [
    .play(bucket: 0, .withdraw(transfer: "T", quantity: 2, to: 1)),
    .arrive(transfer: "T", from: 0, to: 1, isRecorded: false),
    .play(bucket: 0, .settle(transfer: "T")),
    .play(bucket: 1, .settle(transfer: "T")),
    .play(bucket: 1, .withdraw(transfer: "U", quantity: 1, to: 0)),
    .arrive(transfer: "U", from: 1, to: 0, isRecorded: true),
    .rebalance(weights: nil),
  ]

  private static let mending: [SmallWorld.Move] = [
    .play(bucket: 0, .freeze),
    .play(bucket: 0, .thaw(.none)),
    .play(bucket: 0, .thaw(.right)),
    .play(bucket: 0, .freezeAnew(.load, seed: 5)),
    .play(bucket: 0, .record(user: "a", token: "x", quantity: 1, as: .held)),
    .play(bucket: 0, .record(user: "a", token: "y", quantity: 2, as: .rejected)),
    .play(bucket: 1, .record(user: "b", token: "z", quantity: 1, as: .sold)),
    .play(bucket: 1, .record(user: "b", token: "z", quantity: 1, as: .cancelled)),
    .play(bucket: 1, .recordRestock(token: "r", quantity: 1)),
    .rebalance(weights: [0, 1]),
  ]

  @Test("Every history of six steps of selling and of moving stock goes as the model says")
  func sellingAndMoving() throws { try follow(Self.selling + Self.moving) }

  @Test("Every history of six steps of selling, freezing and recording goes as the model says")
  func sellingAndMending() throws { try follow(Self.selling + Self.mending) }

  @Test("Every history of six steps of moving stock, freezing and recording goes as the model says")
  func movingAndMending() throws {
    try follow(Self.selling.prefix(2) + Self.moving + Self.mending + Self.selling.suffix(7))
  }

  private func follow(_ moves: [SmallWorld.Move], steps: Int = 6) throws {
    let start = SmallWorld(models: [ReferenceModel(quantity: 3), ReferenceModel(quantity: 0)])
    var seen: Set<[Int64]> = [start.essence]
    var level = [start]
    for _ in 1...steps {
      var next: [SmallWorld] = []
      for world in level {
        let state = try SmallState(world)
        for move in moves {
          guard let after = try state.play(move), seen.insert(after.essence).inserted else { continue }
          next.append(after)
        }
        state.checkUntouched()
      }
      level = next
    }
    // Those of the last step are read from their payloads as well.
    for world in level { _ = try SmallState(world) }
  }
}

/// A state of a small world: its buckets, and their payloads.
private final class SmallState {
  private let world: SmallWorld
  private let pair: BucketPair
  private let payloads: [[[UInt8]]]

  /// Makes the buckets again, and holds them and what is read from their payloads against the model.
  init(_ world: SmallWorld) throws {
    self.world = world
    pair = BucketPair(quantity: 3, world.deeds)
    payloads = pair.payloads
    let read = try BucketPair(payloads: payloads)
    for index in 0...1 {
      compare(pair.places[index].pointee, world.models[index], "")
      compare(read.places[index].pointee, world.models[index], "read ")
      if read.places[index].pointee.digestSums != pair.places[index].pointee.digestSums { record("digests differ") }
      if read.payloads != payloads { record("payloads differ") }
    }
  }

  /// Plays a move and checks what comes of it; the world after it.
  func play(_ move: SmallWorld.Move) throws -> SmallWorld? {
    var after = world
    guard let action = world.action(of: move) else {
      guard case .tick(let ms) = move else { return nil }
      after.now += ms
      return after
    }
    let deed = SmallWorld.Deed(action: action, now: world.now)
    after.deeds.append(deed)
    switch action {
    case .play(let bucket, let play): return try self.play(play, on: bucket, deed, &after) ? after : nil
    case .rebalance(let weights): return try rebalance(weights, deed, &after) ? after : nil
    }
  }

  /// No refusal and no repetition has left a trace.
  func checkUntouched() {
    if pair.payloads != payloads { record("something that changes nothing has changed the payloads") }
  }

  /// Whether the move changes anything.
  private func play(_ play: Play, on index: Int, _ deed: SmallWorld.Deed, _ after: inout SmallWorld) throws -> Bool {
    let before = world.models[index]
    if case .freezeAnew = play {
      let changed = BucketPair(quantity: 3, after.deeds)
      let choices = Choices(epoch: changed.places[index].pointee.figures.epoch)
      _ = after.models[index].play(play, now: deed.now, choices)
      return true
    }
    let wanted = plain(after.models[index].play(play, now: deed.now), play)
    let model = after.models[index]
    let changes =
      model.log.count != before.log.count || model.trimmed != before.trimmed
      || model.settledCount != before.settledCount
    // What changes nothing can be played on the same buckets, one after the other.
    let target = changes ? BucketPair(quantity: 3, world.deeds) : pair
    guard let outcome = target.perform(deed)?[index] else { return false }
    if plain(outcome.reply, play) != wanted { record("\(play): \(outcome.reply) instead of \(wanted)") }
    if outcome.changed != changes { record("\(play): changed is \(outcome.changed)") }
    if changes { try check(target.places[index], index, after, "\(play)") }
    return changes
  }

  private func rebalance(_ weights: [Int64]?, _ deed: SmallWorld.Deed, _ after: inout SmallWorld) throws -> Bool {
    let target = BucketPair(quantity: 3, world.deeds)
    let outcomes = target.perform(deed)
    let isFrozen = world.models.contains { $0.isFrozen }
    if (outcomes == nil) != isFrozen { record("rebalance: refused is \(outcomes == nil)") }
    guard let outcomes else { return false }
    let whole = world.models[0].available + world.models[1].available
    let second = weights == nil ? target.places[1].pointee.figures.available : whole
    if second != whole / 2 && second != (whole + 1) / 2 && weights == nil { record("rebalance: \(second) of \(whole)") }
    var changes = false
    for (index, share) in [whole - second, second].enumerated() {
      let isMoved = after.models[index].available != share
      let wanted = after.models[index].rebalance(to: share, deed.now)
      if outcomes[index]?.reply != wanted || outcomes[index]?.changed != isMoved {
        record("rebalance: bucket \(index)")
      }
      if isMoved { try check(target.places[index], index, after, "rebalance") }
      changes = changes || isMoved
    }
    return changes
  }

  /// Holds a bucket after a change against the model, and a copy that has taken the change in against both.
  private func check(_ place: UnsafeMutablePointer<Bucket>, _ index: Int, _ after: SmallWorld, _ what: String) throws {
    compare(place.pointee, after.models[index], what)
    var copy = try Bucket.restored(from: payloads[index])
    let fault = copy.apply(place.pointee.lastChange)
    if fault != .none { record("\(what): the copy answers fault \(fault.rawValue)") }
    compare(copy, after.models[index], "\(what): copy: ")
    if copy.digestSums != place.pointee.digestSums { record("\(what): the copy's digest") }
  }

  private func compare(_ bucket: borrowing Bucket, _ model: ReferenceModel, _ what: String) {
    if let difference = model.difference(from: bucket.figures) { record("\(what): \(difference)") }
    if bucket.nextExpiry != model.nextExpiry { record("\(what): next expiry \(bucket.nextExpiry)") }
    let events = try? bucket.events(after: Int64(model.trimmed), count: .max)
    if events != Array(model.log.dropFirst(model.trimmed)) { record("\(what): log") }
    if bucket.transfers(all: true, count: .max) != model.knownTransfers(all: true) { record("\(what): transfers") }
    if bucket.transfers(count: .max) != model.knownTransfers(all: false) { record("\(what): open transfers") }
    for (token, entry) in model.tokens {
      let known = bucket.known(token: bytes(token))
      if let difference = model.difference(from: known, entry) { record("\(what): \(token): \(difference)") }
    }
  }

  private func plain(_ reply: ReferenceModel.Reply, _ play: Play) -> ReferenceModel.Reply {
    play.isAnsweredPlainly ? ReferenceModel.Reply(status: reply.status, fault: reply.fault) : reply
  }

  private func record(_ what: String) {
    let history = world.deeds.map { deed in
      switch deed.action {
      case .play(let bucket, let play): "\(deed.now) bucket \(bucket): \(play)"
      case .rebalance(let weights): "\(deed.now) rebalance \(weights ?? [])"
      }
    }
    Issue.record("after \(history), at \(world.now): \(what)")
  }
}
