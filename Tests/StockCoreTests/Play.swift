import StockCore
import Testing

/// A command of a history.
enum Play: CustomStringConvertible {
  case deduct(user: String, token: String, quantity: Int64)
  case cancel(token: String, fence: Bool, offSale: Bool)
  case fence(token: String)
  case add(token: String, quantity: Int64)
  case schedule(limit: Int64, opens: Int64, closes: Int64)
  /// Up to this sequence before the last event.
  case trim(keeping: Int64)

  var description: String {
    switch self {
    case .deduct(let user, let token, let quantity): "DEDUCT \(user) \(token) \(quantity)"
    case .cancel(let token, let fence, let offSale):
      "CANCEL \(token)\(fence ? " FENCE" : "")\(offSale ? " OFFSALE" : "")"
    case .fence(let token): "FENCE \(token)"
    case .add(let token, let quantity): "ADD \(token) \(quantity)"
    case .schedule(let limit, let opens, let closes): "SCHEDULE LIMIT \(limit) OPENS \(opens) CLOSES \(closes)"
    case .trim(let keeping): "TRIM but the last \(keeping)"
    }
  }
}

extension ReferenceModel {
  mutating func play(_ play: Play, now: Int64) -> Reply {
    switch play {
    case .deduct(let user, let token, let quantity): deduct(user, token, quantity, now)
    case .cancel(let token, let fence, let offSale): cancel(token, fence: fence, offSale: offSale, now)
    case .fence(let token): fence(token, now)
    case .add(let token, let quantity): add(token, quantity, now)
    case .schedule(let limit, let opens, let closes): schedule(limit: limit, opens: opens, closes: closes, now)
    case .trim(let keeping): trim(keeping: keeping)
    }
  }
}

extension Bucket {
  static func sample(
    _ quantity: Int64,
    limit: Int64 = 0,
    opens: Int64 = 0,
    closes: Int64 = 0,
    now: Int64 = 1000
  ) -> Bucket {
    let settings = Settings(buckets: 1, limit: limit, opens: opens, closes: closes)
    return Bucket(quantity: quantity, settings: settings, epoch: 7, hashKey: Array(0..<16), now: now)
  }

  mutating func play(_ play: Play, now: Int64) -> Outcome {
    switch play {
    case .deduct(let user, let token, let quantity):
      deduct(user: Array(user.utf8), token: Array(token.utf8), quantity: quantity, now: now)
    case .cancel(let token, let fence, let offSale):
      cancel(token: Array(token.utf8), fence: fence, offSale: offSale, now: now)
    case .fence(let token): fence(token: Array(token.utf8), now: now)
    case .add(let token, let quantity): add(token: Array(token.utf8), quantity: quantity, now: now)
    case .schedule(let limit, let opens, let closes): schedule(limit: limit, opens: opens, closes: closes, now: now)
    case .trim(let keeping): trim(keeping: keeping)
    }
  }
}

extension Bucket {
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
      changed: dropped > 0
    )
  }
}

extension Outcome {
  var reply: ReferenceModel.Reply {
    fault == .none
      ? ReferenceModel.Reply(status: status, remaining: remaining, sequence: sequence)
      : ReferenceModel.Reply(status: nil, fault: fault)
  }
}

/// A bucket and its model side by side, with a replica that hears only what the bucket propagates.
struct Rehearsal: ~Copyable {
  var bucket: Bucket
  var replica: Bucket
  var model: ReferenceModel

  init(_ quantity: Int64, limit: Int64 = 0, opens: Int64 = 0, closes: Int64 = 0, now: Int64 = 1000) throws {
    bucket = .sample(quantity, limit: limit, opens: opens, closes: closes, now: now)
    replica = try .restored(from: [bucket.lastChange])
    model = ReferenceModel(quantity: quantity, limit: limit, opens: opens, closes: closes, now: now)
  }

  /// Plays one command on both and checks reply, books and replica.
  mutating func play(_ play: Play, now: Int64, _ comment: Comment) {
    let before = bucket.figures.log_last
    let outcome = bucket.play(play, now: now)
    var expected = model.play(play, now: now)
    // SCHEDULE answers a plain OK; the rest of its outcome is not part of the reply.
    if case .schedule = play { expected.sequence = outcome.sequence }
    #expect(outcome.reply == expected, comment)
    if case .trim = play {
      #expect(bucket.figures.log_last == before, comment)
    } else {
      #expect(outcome.changed == (bucket.figures.log_last == before + 1), comment)
    }
    if outcome.changed { #expect(replica.apply(bucket.lastChange) == .none, comment) }
    checkBooks(comment)
  }

  func checkBooks(_ comment: Comment) {
    let figures = bucket.figures
    #expect(figures.created + figures.added == figures.available + figures.sold, comment)
    #expect(figures.available >= 0 && figures.sold >= 0, comment)
    #expect(figures.available == model.available && figures.sold == model.sold, comment)
    #expect(figures.added == model.added && figures.cancelled == model.cancelled, comment)
    #expect(figures.log_first == model.trimmed + 1, comment)
    #expect(figures.tokens == model.tokens.count && figures.log_last == model.log.count, comment)
  }

  /// Compares everything that can be read.
  func checkAll(_ comment: Comment) throws {
    try check(bucket, comment)
    try check(replica, comment)
    try check(.restored(from: bucket.payloads(partBytes: 512)), comment)
  }

  private func check(_ other: borrowing Bucket, _ comment: Comment) throws {
    let first = Int64(model.trimmed)
    #expect(try other.events(after: first, count: .max) == Array(model.log.dropFirst(model.trimmed)), comment)
    if first > 0 { #expect(throws: StockError(fault: .trimmed)) { try other.events(after: first - 1, count: 1) } }
    #expect(other.payloads() == bucket.payloads(), comment)
    for (token, entry) in model.tokens {
      let known = other.known(token: Array(token.utf8))
      let isTrimmed = entry.event <= model.trimmed
      #expect(known?.isTrimmed == isTrimmed, comment)
      #expect(known?.first.sequence == Int64(entry.event), comment)
      if !isTrimmed { #expect(known?.first == model.log[entry.event - 1], comment) }
      #expect(known?.quantity == entry.quantity, comment)
      #expect(known?.state == (entry.cancelled ? .cancelled : .sold), comment)
    }
    let (mine, theirs) = (bucket.figures, other.figures)
    #expect(theirs.available == mine.available && theirs.sold == mine.sold && theirs.added == mine.added, comment)
    #expect(theirs.cancelled == mine.cancelled && theirs.tokens == mine.tokens, comment)
    #expect(theirs.log_first == mine.log_first, comment)
    #expect(theirs.epoch == mine.epoch && theirs.log_last == mine.log_last, comment)
    #expect(theirs.settings.limit == mine.settings.limit && theirs.settings.opens == mine.settings.opens, comment)
    #expect(theirs.settings.closes == mine.settings.closes && theirs.settings.buckets == 1, comment)
  }
}
