import Testing

@testable import StockCore

extension Outcome {
  var reply: ReferenceModel.Reply {
    fault == .none
      ? ReferenceModel.Reply(status: status, remaining: remaining, sequence: sequence)
      : ReferenceModel.Reply(status: nil, fault: fault)
  }
}

/// A bucket and its model side by side, with a replica that hears only what the bucket propagates.
final class Rehearsal {
  /// At places of their own, so that several buckets can be changed in one step.
  let place: UnsafeMutablePointer<Bucket>
  private let replicaPlace: UnsafeMutablePointer<Bucket>
  private(set) var model: ReferenceModel
  /// How often each reply and each event was met, by their numbers in the tables of the ABI.
  private(set) var statuses: [UInt8: Int] = [:]
  private(set) var faults: [UInt8: Int] = [:]
  private(set) var effects: [UInt8: Int] = [:]

  var bucket: Bucket {
    _read { yield place.pointee }
    _modify { yield &place.pointee }
  }
  private(set) var replica: Bucket {
    _read { yield replicaPlace.pointee }
    _modify { yield &replicaPlace.pointee }
  }

  init(
    _ quantity: Int64,
    limit: Int64 = 0,
    opens: Int64 = 0,
    closes: Int64 = 0,
    isFrozen: Bool = false,
    now: Int64 = 1000
  ) throws {
    let made = Bucket.sample(quantity, limit: limit, opens: opens, closes: closes, isFrozen: isFrozen, now: now)
    let replica = try Bucket.restored(from: [made.lastChange])
    place = .allocate(capacity: 1)
    place.initialize(to: made)
    replicaPlace = .allocate(capacity: 1)
    replicaPlace.initialize(to: replica)
    model = ReferenceModel(
      quantity: quantity,
      limit: limit,
      opens: opens,
      closes: closes,
      isFrozen: isFrozen,
      now: now
    )
  }

  deinit {
    place.deinitialize(count: 1)
    place.deallocate()
    replicaPlace.deinitialize(count: 1)
    replicaPlace.deallocate()
  }

  // MARK: Playing

  /// Plays one command on the bucket and its model and checks reply, events, books and replica.
  func play(_ play: Play, now: Int64, _ comment: @autoclosure () -> Comment) throws {
    let before = Before(self)
    let outcome = bucket.play(play, now: now)
    let events = try bucket.events(after: before.last, count: .max)
    var choices = Choices(expired: events.filter { $0.action == .expire }.compactMap { $0.token.map(text) })
    choices.epoch = bucket.figures.epoch
    let expected = model.play(play, now: now, choices)
    if case .freezeAnew(let reason, let seed) = play { replica.freezeAnew(reason, seed: seed) }
    try check(outcome, expected, events, before, isPlain: play.isAnsweredPlainly, comment)
  }

  /// Sets what the bucket has after a rebalancing gave it a share, which had this outcome.
  func rebalance(to share: Int64, _ outcome: Outcome, since before: Before, now: Int64, _ comment: Comment) throws {
    let events = try bucket.events(after: before.last, count: .max)
    let expected = model.rebalance(to: share, now)
    try check(outcome, expected, events, before, isPlain: false) { comment }
  }

  /// What stood before a command.
  struct Before {
    let last: Int64
    let events: Int
    let available: Int64
    let trimmed: Int
    let settled: Int

    init(_ rehearsal: Rehearsal) {
      last = rehearsal.bucket.figures.log_last
      events = rehearsal.model.log.count
      available = rehearsal.model.available
      trimmed = rehearsal.model.trimmed
      settled = rehearsal.model.settledCount
    }
  }

  private func check(
    _ outcome: Outcome,
    _ expected: ReferenceModel.Reply,
    _ events: [LoggedEvent],
    _ before: Before,
    isPlain: Bool,
    _ comment: () -> Comment
  ) throws {
    var reply = outcome.reply
    var wanted = expected
    if isPlain {
      (reply.remaining, reply.sequence) = (0, 0)
      (wanted.remaining, wanted.sequence) = (0, 0)
    }
    if reply != wanted { Issue.record("\(comment()): \(reply) instead of \(wanted)") }
    let written = Array(model.log.dropFirst(before.events))
    if events != written { Issue.record("\(comment()): logged \(events) instead of \(written)") }
    let changed = !written.isEmpty || model.trimmed != before.trimmed || model.settledCount != before.settled
    if outcome.changed != changed { Issue.record("\(comment()): changed is \(outcome.changed)") }
    statuses[outcome.status.rawValue, default: 0] += outcome.fault == .none ? 1 : 0
    faults[outcome.fault.rawValue, default: 0] += 1
    countEffects(since: before.last)
    let turn: Turn =
      before.available > 0 && model.available == 0
      ? .soldOut : before.available == 0 && model.available > 0 ? .onSale : .none
    if outcome.turn != turn { Issue.record("\(comment()): turn \(outcome.turn)") }
    if outcome.changed {
      let change = bucket.lastChange
      if change.count > bucket.changeBytes { Issue.record("\(comment()): the change is larger than it says") }
      let fault = replica.apply(change)
      if fault != .none { Issue.record("\(comment()): the replica answers \(fault)") }
      if replica.turn != turn { Issue.record("\(comment()): turn \(replica.turn) of the replica") }
    }
    checkBooks(comment)
  }

  private func countEffects(since sequence: Int64) {
    var cursor = Cursor()
    guard bucket.seek(after: sequence, epoch: 0, &cursor) == .none else { return }
    while let event = bucket.next(&cursor) { effects[event.effect.rawValue, default: 0] += 1 }
  }

  /// Goes on with what is read from the bucket's payloads instead of the bucket, as after a restart.
  func reload(partBytes: Int = 65536) throws {
    bucket = try .restored(from: bucket.payloads(partBytes: partBytes))
    model.forgetPostponements()
  }

  /// Goes on with the replica instead of the bucket, and gives it a replica of its own.
  func failOver() throws {
    swap(&place.pointee, &replicaPlace.pointee)
    replica = try .restored(from: bucket.payloads())
    model.forgetPostponements()
  }

  // MARK: Checking

  private func checkBooks(_ comment: () -> Comment) {
    let figures = bucket.figures
    if let difference = model.difference(from: figures) { Issue.record("\(comment()): \(difference)") }
    if figures.created + figures.added + figures.transferred_in
      != figures.available + figures.held + figures.sold + figures.transferred_out
    {
      Issue.record("\(comment()): the books don't balance")
    }
    if bucket.nextExpiry != model.nextExpiry {
      Issue.record("\(comment()): next expiry \(bucket.nextExpiry) instead of \(model.nextExpiry)")
    }
  }

  /// Compares everything that can be read of the bucket, the replica, and what comes of the bucket's payloads.
  func checkAll(partBytes: Int = 512, _ comment: Comment) throws {
    audit(bucket, comment)
    audit(replica, comment)
    let restored = try Bucket.restored(from: bucket.payloads(partBytes: partBytes))
    try check(bucket, comment)
    try check(replica, comment)
    try check(restored, comment)
  }

  private func check(_ other: borrowing Bucket, _ comment: Comment) throws {
    #expect(other.digestSums == bucket.digestSums, comment)
    #expect(model.difference(from: other.figures) == nil, comment)
    let first = Int64(model.trimmed)
    #expect(try other.events(after: first, count: .max) == Array(model.log.dropFirst(model.trimmed)), comment)
    if first > 0 { #expect(throws: StockError(fault: .trimmed)) { try other.events(after: first - 1, count: 1) } }
    #expect(throws: StockError(fault: .ahead)) { try other.events(after: Int64(model.log.count) + 1, count: 1) }
    for (token, entry) in model.tokens {
      let known = other.known(token: bytes(token))
      if let difference = model.difference(from: known, entry) { Issue.record("\(comment): \(token): \(difference)") }
    }
    #expect(other.known(token: bytes("never sent")) == nil, comment)
    #expect(other.transfers(all: true, count: .max) == model.knownTransfers(all: true), comment)
    #expect(other.transfers(count: .max) == model.knownTransfers(all: false), comment)
  }
}

extension ReferenceModel {
  var settledCount: Int { transfers.count { $0.isSettled } }

  /// What a restart does: holds are tried again at once.
  mutating func forgetPostponements() {
    for (name, entry) in tokens { tokens[name]?.due = entry.expires }
  }

  func knownTransfers(all: Bool) -> [KnownTransfer] {
    transfers.filter { all || !$0.isSettled }.map {
      KnownTransfer(
        name: Array($0.name.utf8),
        direction: $0.direction,
        peer: $0.peer,
        quantity: $0.quantity,
        timestamp: $0.timestamp,
        isSettled: $0.isSettled
      )
    }
  }

  /// The first thing about a token that isn't as it should be.
  func difference(from known: KnownToken?, _ entry: Entry) -> String? {
    guard let known else { return "it is unknown" }
    let isCompact = isCompact(entry)
    if known.isTrimmed != isCompact { return "trimmed is \(known.isTrimmed)" }
    if !isCompact && known.first != log[entry.first - 1] { return "\(known.first) instead of \(log[entry.first - 1])" }
    if known.first.sequence != Int64(entry.first) { return "sequence \(known.first.sequence)" }
    if known.quantity != entry.quantity { return "quantity \(known.quantity)" }
    if known.state != entry.state { return "state \(known.state.rawValue)" }
    if known.expires != (entry.state == .held ? entry.expires : 0) { return "expires \(known.expires)" }
    return known.isFence == (entry.user == nil) ? nil : "fence is \(known.isFence)"
  }

  /// The first figure that isn't as it should be.
  func difference(from figures: Figures) -> String? {
    let pairs: [(String, Int64, Int64)] = [
      ("created", figures.created, created), ("added", figures.added, added),
      ("available", figures.available, available), ("held", figures.held, held), ("sold", figures.sold, sold),
      ("cancelled", figures.cancelled, cancelled), ("transferredIn", figures.transferred_in, transferredIn),
      ("transferredOut", figures.transferred_out, transferredOut), ("epoch", figures.epoch, epoch),
      ("tokens", figures.tokens, Int64(tokens.count)),
      ("transfers", figures.transfers, Int64(transfers.count { !$0.isSettled })),
      ("logFirst", figures.log_first, Int64(trimmed + 1)), ("logLast", figures.log_last, Int64(log.count)),
      ("limit", figures.settings.limit, limit), ("opens", figures.settings.opens, opens),
      ("closes", figures.settings.closes, closes),
      ("frozen", Int64(figures.frozen.rawValue), Int64(shownFreeze.rawValue)),
    ]
    for (name, found, expected) in pairs where found != expected {
      return "\(name) is \(found) instead of \(expected)"
    }
    return nil
  }
}

/// The name of bytes that a test has made of one.
func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
