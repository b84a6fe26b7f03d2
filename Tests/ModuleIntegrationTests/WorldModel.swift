import TestServers

/// The contract's rules of a bucket with holds, transfers, records and freezes, in dictionaries, written from the contract
/// alone. What the server's clock decides is told to it: the time, and which holds have expired.
struct WorldModel {
  enum Reply: Equatable {
    case reply(RESP)
    case error(String)
  }

  enum State: Int, Comparable {
    case held, sold, cancelled

    static func < (one: State, other: State) -> Bool { one.rawValue < other.rawValue }
  }

  struct Purchase {
    /// Nil for a fence.
    var user: String?
    var quantity: Int64
    var state: State
    var sequence: Int64
    /// Of a hold.
    var expires: Int64?
  }

  struct Transfer {
    var name: String
    var isOut: Bool
    var peer: Int64
    var quantity: Int64
    var sequence: Int64
    var isSettled = false
  }

  /// An event without its time.
  struct Event: Equatable {
    var action: String
    var token: String?
    var user: String?
    var from: Int64
    var to: Int64
  }

  private(set) var created: Int64
  private(set) var added: Int64 = 0
  private(set) var available: Int64 = 0
  private(set) var transferredIn: Int64 = 0
  private(set) var transferredOut: Int64 = 0
  private(set) var purchases: [String: Purchase] = [:]
  private(set) var restocks: [String: (quantity: Int64, sequence: Int64)] = [:]
  private(set) var transfers: [Transfer] = []
  private(set) var limit: Int64
  private(set) var events: [Event] = []
  private(set) var trimmed: Int64 = 0
  private(set) var isFrozenByOperator = false
  private(set) var isFrozenByCreation: Bool
  let epoch: Int64

  init(quantity: Int64, limit: Int64, isFrozen: Bool, epoch: Int64) {
    created = quantity
    self.limit = limit
    self.epoch = epoch
    isFrozenByCreation = isFrozen
    record("create", change: quantity)
  }

  var isFrozen: Bool { isFrozenByOperator || isFrozenByCreation }
  var last: Int64 { Int64(events.count) }

  func units(_ state: State) -> Int64 { purchases.values.reduce(0) { $0 + ($1.state == state ? $1.quantity : 0) } }

  /// The fields of INFO that a model can know.
  var info: [String: RESP] {
    [
      "created": .integer(created), "added": .integer(added), "available": .integer(available),
      "held": .integer(units(.held)),
      "sold": .integer(units(.sold)), "transferredIn": .integer(transferredIn),
      "transferredOut": .integer(transferredOut),
      "limit": .integer(limit), "frozen": isFrozenByOperator ? "operator" : isFrozenByCreation ? "create" : "no",
      "tokens": .integer(Int64(purchases.count)), "transfers": .integer(Int64(transfers.count { !$0.isSettled })),
      "logFirst": .integer(trimmed + 1), "logLast": .integer(last), "epoch": .integer(epoch),
    ]
  }

  // MARK: Telling it what happened

  /// A hold of which the server says that it expired; false where it can't have.
  mutating func expire(_ token: String, timestamp: Int64) -> Bool {
    guard !isFrozen, var known = purchases[token], known.state == .held, let expires = known.expires,
      expires <= timestamp
    else {
      return false
    }
    known.state = .cancelled
    purchases[token] = known
    record("expire", token, known.user, change: known.quantity)
    return true
  }

  mutating func noteExpiry(_ token: String, at expires: Int64) { purchases[token]?.expires = expires }

  /// Tokens of holds whose time is over.
  func due(at ms: Int64) -> [String] {
    isFrozen ? [] : purchases.filter { $0.value.state == .held && ($0.value.expires ?? .max) <= ms }.map(\.key)
  }

  // MARK: Commands

  mutating func deduct(user: String, token: String, quantity: Int64, holds: Bool) -> Reply {
    if let known = purchases[token] {
      if let first = known.user, first != user || known.quantity != quantity { return .error("TOKENMISMATCH") }
      return known.state == .cancelled ? status("CANCELLED") : status("DUPLICATE", known.sequence)
    }
    if isFrozen { return status("FROZEN") }
    let has = purchases.values.reduce(Int64(0)) { $0 + ($1.state != .cancelled && $1.user == user ? $1.quantity : 0) }
    if limit > 0, has + quantity > limit { return status("LIMIT") }
    if quantity > available { return status("SOLDOUT") }
    let sequence = record(holds ? "hold" : "deduct", token, user, change: -quantity)
    purchases[token] = Purchase(user: user, quantity: quantity, state: holds ? .held : .sold, sequence: sequence)
    return status("OK", sequence)
  }

  mutating func confirm(token: String) -> Reply {
    guard var known = purchases[token] else { return status(isFrozen ? "FROZEN" : "UNKNOWN") }
    switch known.state {
    case .cancelled: return status("CANCELLED")
    case .sold: return status("DUPLICATE", known.sequence)
    case .held:
      known.state = .sold
      purchases[token] = known
      let sequence = record("confirm", token, known.user)
      return status("OK", sequence)
    }
  }

  mutating func cancel(token: String, fence: Bool, offSale: Bool) -> Reply {
    guard let known = purchases[token] else {
      if isFrozen { return status("FROZEN") }
      return fence ? self.fence(token: token) : status("UNKNOWN")
    }
    if known.state == .cancelled { return status("DUPLICATE", known.sequence) }
    let sequence = cancel(known, token, "cancel", offSale: offSale)
    return status("OK", sequence)
  }

  private mutating func cancel(_ known: Purchase, _ token: String, _ action: String, offSale: Bool) -> Int64 {
    purchases[token]?.state = .cancelled
    if offSale { added -= known.quantity }
    return record(action, token, known.user, change: offSale ? 0 : known.quantity)
  }

  mutating func fence(token: String) -> Reply {
    if let known = purchases[token] { return status(known.state == .cancelled ? "DUPLICATE" : "LIVE", known.sequence) }
    if isFrozen { return status("FROZEN") }
    let sequence = record("fence", token)
    purchases[token] = Purchase(user: nil, quantity: 0, state: .cancelled, sequence: sequence)
    return status("OK", sequence)
  }

  mutating func add(token: String, quantity: Int64, action: String = "add") -> Reply {
    if let known = restocks[token] {
      return known.quantity == quantity ? status("DUPLICATE", known.sequence) : .error("TOKENMISMATCH")
    }
    if quantity < 0 {
      if isFrozen { return status("FROZEN") }
      if available + quantity < 0 { return status("SOLDOUT") }
    }
    added += quantity
    let sequence = record(action, token, change: quantity)
    restocks[token] = (quantity, sequence)
    return status("OK", sequence)
  }

  mutating func withdraw(name: String, quantity: Int64, to peer: Int64) -> Reply {
    func moved(_ word: String, _ amount: Int64, _ sequence: Int64 = 0) -> Reply {
      .reply(.status(word, amount, sequence))
    }
    if let known = transfers.first(where: { $0.name == name }) {
      guard known.isOut, known.peer == peer else { return .error("TRANSFERMISMATCH") }
      return moved("DUPLICATE", known.quantity, known.sequence)
    }
    if isFrozen { return moved("FROZEN", 0) }
    let amount = min(quantity, available)
    if amount == 0 { return moved("SOLDOUT", 0) }
    let sequence = take(name, amount, peer, "withdraw")
    return moved("OK", amount, sequence)
  }

  private mutating func take(_ name: String, _ amount: Int64, _ peer: Int64, _ action: String) -> Int64 {
    transferredOut += amount
    let sequence = record(action, name, change: -amount)
    transfers.append(Transfer(name: name, isOut: true, peer: peer, quantity: amount, sequence: sequence))
    return sequence
  }

  mutating func deposit(name: String, quantity: Int64, from peer: Int64, action: String = "deposit") -> Reply {
    if let known = transfers.first(where: { $0.name == name }) {
      guard !known.isOut, known.peer == peer, known.quantity == quantity else { return .error("TRANSFERMISMATCH") }
      return status("DUPLICATE", known.sequence)
    }
    transferredIn += quantity
    let sequence = record(action, name, change: quantity)
    transfers.append(Transfer(name: name, isOut: false, peer: peer, quantity: quantity, sequence: sequence))
    return status("OK", sequence)
  }

  /// Only the status is told: settling makes no event.
  mutating func settle(name: String) -> String {
    guard let index = transfers.firstIndex(where: { $0.name == name }) else { return "UNKNOWN" }
    if transfers[index].isSettled { return "DUPLICATE" }
    transfers[index].isSettled = true
    return "OK"
  }

  mutating func record(user: String, token: String, quantity: Int64, state: String) -> Reply {
    let offSale = state == "rejected"
    let target: State = state == "held" ? .held : state == "sold" ? .sold : .cancelled
    if let known = purchases[token] {
      if let first = known.user, first != user || known.quantity != quantity { return .error("TOKENMISMATCH") }
      if known.state >= target { return status("DUPLICATE", known.sequence) }
      purchases[token]?.state = target
      let sequence =
        target == .cancelled ? cancel(known, token, "record", offSale: offSale) : record("record", token, user)
      return status("OK", sequence)
    }
    let takes = target != .cancelled || offSale
    if takes, quantity > available { return status("SOLDOUT") }
    if offSale { added -= quantity }
    let sequence = record("record", token, user, change: takes ? -quantity : 0)
    purchases[token] = Purchase(user: user, quantity: quantity, state: target, sequence: sequence)
    return status("OK", sequence)
  }

  mutating func recordTransfer(name: String, isOut: Bool, peer: Int64, quantity: Int64) -> Reply {
    guard isOut else { return deposit(name: name, quantity: quantity, from: peer, action: "record") }
    if let known = transfers.first(where: { $0.name == name }) {
      guard known.isOut, known.peer == peer, known.quantity == quantity else { return .error("TRANSFERMISMATCH") }
      return status("DUPLICATE", known.sequence)
    }
    if quantity > available { return status("SOLDOUT") }
    let sequence = take(name, quantity, peer, "record")
    return status("OK", sequence)
  }

  mutating func freeze() -> Reply {
    if !isFrozenByOperator {
      isFrozenByOperator = true
      record("freeze")
    }
    return .reply(.ok)
  }

  mutating func thaw(epoch: Int64?) -> Reply {
    if let epoch {
      if epoch != self.epoch { return .error("EPOCHMISMATCH") }
      if isFrozenByOperator { return .error("FROZENBYOPERATOR") }
    }
    guard isFrozen else { return .reply(.ok) }
    if isFrozenByOperator { isFrozenByOperator = false } else { isFrozenByCreation = false }
    record("thaw")
    return .reply(.ok)
  }

  mutating func schedule(limit: Int64) -> Reply {
    if limit != self.limit {
      self.limit = limit
      record("schedule")
    }
    return .reply(.ok)
  }

  mutating func trim(to sequence: Int64) -> Reply {
    if sequence > last { return .error("AHEAD") }
    let count = max(sequence - trimmed, 0)
    trimmed += count
    return .reply(.integer(count))
  }

  /// Its part of a rebalance: what it has on sale afterwards.
  mutating func rebalance(to share: Int64) {
    if share == available { return }
    if share > available { transferredIn += share - available } else { transferredOut += available - share }
    record("rebalance", change: share - available)
  }

  private func status(_ word: String, _ sequence: Int64 = 0) -> Reply { .reply(.status(word, available, sequence)) }

  @discardableResult
  private mutating func record(_ action: String, _ token: String? = nil, _ user: String? = nil, change: Int64 = 0)
    -> Int64
  {
    events.append(Event(action: action, token: token, user: user, from: available, to: available + change))
    available += change
    return last
  }
}
