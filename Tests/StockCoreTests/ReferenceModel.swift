import StockCore

/// What a bucket should do, written down a second time with dictionaries and no thought of speed. It shares the words with
/// the product and nothing else.
struct ReferenceModel {
  struct Entry: Equatable {
    var user: String?
    var quantity: Int64
    var cancelled: Bool
    var event: Int
  }

  struct Reply: Equatable, CustomStringConvertible {
    var status: Status?
    var fault: Fault = .none
    var remaining: Int64 = 0
    var sequence: Int64 = 0

    var description: String { "\(status.map { "\($0)" } ?? "\(fault)") \(remaining) \(sequence)" }
  }

  private(set) var created: Int64
  private(set) var added: Int64 = 0
  private(set) var sold: Int64 = 0
  private(set) var cancelled: Int64 = 0
  var limit: Int64
  var opens: Int64
  var closes: Int64
  private(set) var tokens: [String: Entry] = [:]
  private(set) var restocks: [String: Entry] = [:]
  private(set) var log: [LoggedEvent] = []
  /// How many events of the log are gone.
  private(set) var trimmed = 0
  private static let most: Int64 = 9_007_199_254_740_992

  init(quantity: Int64, limit: Int64 = 0, opens: Int64 = 0, closes: Int64 = 0, now: Int64) {
    created = quantity
    self.limit = limit
    self.opens = opens
    self.closes = closes
    append(.create, nil, nil, from: 0, to: quantity, now)
  }

  var available: Int64 { created + added - sold }

  mutating func deduct(_ user: String, _ token: String, _ quantity: Int64, _ now: Int64) -> Reply {
    if let known = tokens[token] {
      guard known.user != nil else { return refused(.cancelled) }
      guard known.user == user, known.quantity == quantity else { return Reply(fault: .tokenMismatch) }
      return known.cancelled ? refused(.cancelled) : refused(.duplicate, known)
    }
    if now < opens { return refused(.early) }
    if closes > 0, now >= closes { return refused(.closed) }
    if limit > 0, units(of: user) + quantity > limit { return refused(.limit) }
    if available < quantity { return refused(.soldOut) }
    tokens[token] = Entry(user: user, quantity: quantity, cancelled: false, event: log.count + 1)
    let from = available
    sold += quantity
    return append(.deduct, token, user, from: from, to: available, now)
  }

  mutating func cancel(_ token: String, fence: Bool, offSale: Bool, _ now: Int64) -> Reply {
    guard var known = tokens[token] else {
      return fence ? self.fence(token, now) : refused(.unknown)
    }
    if known.cancelled { return refused(.duplicate, known) }
    if cancelled + known.quantity > Self.most { return Reply(fault: .overflow) }
    known.cancelled = true
    tokens[token] = known
    let from = available
    sold -= known.quantity
    cancelled += known.quantity
    if offSale { added -= known.quantity }
    return append(.cancel, token, known.event <= trimmed ? nil : known.user, from: from, to: available, now)
  }

  mutating func fence(_ token: String, _ now: Int64) -> Reply {
    if let known = tokens[token] { return refused(known.cancelled ? .duplicate : .live, known) }
    tokens[token] = Entry(user: nil, quantity: 0, cancelled: true, event: log.count + 1)
    return append(.fence, token, nil, from: available, to: available, now)
  }

  mutating func add(_ token: String, _ quantity: Int64, _ now: Int64) -> Reply {
    if let known = restocks[token] {
      return known.quantity == quantity ? refused(.duplicate, known) : Reply(fault: .tokenMismatch)
    }
    if quantity < 0, available < -quantity { return refused(.soldOut) }
    if created + added + quantity > Self.most { return Reply(fault: .overflow) }
    if abs(added + quantity) > Self.most { return Reply(fault: .overflow) }
    restocks[token] = Entry(user: nil, quantity: quantity, cancelled: false, event: log.count + 1)
    let from = available
    added += quantity
    return append(.add, token, nil, from: from, to: available, now)
  }

  mutating func schedule(limit: Int64, opens: Int64, closes: Int64, _ now: Int64) -> Reply {
    if limit == self.limit, opens == self.opens, closes == self.closes { return refused(.ok) }
    (self.limit, self.opens, self.closes) = (limit, opens, closes)
    return append(.schedule, nil, nil, from: available, to: available, now)
  }

  mutating func trim(keeping: Int64) -> Reply {
    let last = max(trimmed, log.count - Int(keeping))
    defer { trimmed = last }
    return Reply(status: .ok, remaining: available, sequence: Int64(last - trimmed))
  }

  private func units(of user: String) -> Int64 {
    tokens.values.reduce(0) { $0 + ($1.user == user && !$1.cancelled ? $1.quantity : 0) }
  }

  private func refused(_ status: Status, _ known: Entry? = nil) -> Reply {
    Reply(status: status, remaining: available, sequence: Int64(known?.event ?? 0))
  }

  @discardableResult
  private mutating func append(
    _ action: Action,
    _ token: String?,
    _ user: String?,
    from: Int64,
    to: Int64,
    _ now: Int64
  ) -> Reply {
    let event = LoggedEvent(
      sequence: Int64(log.count + 1),
      action: action,
      token: token.map { Array($0.utf8) },
      user: user.map { Array($0.utf8) },
      change: to - from,
      from: from,
      to: to,
      timestamp: now
    )
    log.append(event)
    return Reply(status: .ok, remaining: to, sequence: event.sequence)
  }
}

/// A small generator whose seed a failing test prints.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
