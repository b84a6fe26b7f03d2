import TestServers

/// The contract's rules of one bucket once more, in dictionaries, written from the contract alone.
struct BucketModel {
  enum Reply: Equatable {
    case reply(RESP)
    case error(String)
  }

  struct Purchase {
    var user: String?
    var quantity: Int64
    var sold: Bool
    var from: Int64
    var to: Int64
    var sequence: Int64
  }

  private(set) var created: Int64
  private(set) var added: Int64 = 0
  private(set) var available: Int64
  private(set) var cancelled: Int64 = 0
  private(set) var purchases: [String: Purchase] = [:]
  private(set) var restocks: [String: (quantity: Int64, sequence: Int64)] = [:]
  private(set) var settings: [String: Int64]
  /// Events without their times.
  private(set) var log: [RESP] = []

  init(quantity: Int64, limit: Int64) {
    created = quantity
    available = 0
    settings = ["LIMIT": limit, "OPENS": 0, "CLOSES": 0]
    record("create", token: nil, user: nil, change: quantity)
  }

  var sold: Int64 { purchases.values.reduce(0) { $0 + ($1.sold ? $1.quantity : 0) } }

  @discardableResult
  private mutating func record(_ action: String, token: String?, user: String?, change: Int64) -> Int64 {
    let sequence = Int64(log.count + 1)
    func text(_ text: String?) -> RESP { text.map { .bulk(Array($0.utf8)) } ?? .null }
    log.append([
      .integer(sequence), text(action), text(token), text(user), .integer(change), .integer(available),
      .integer(available + change),
    ])
    available += change
    return sequence
  }

  private func status(_ word: String, _ sequence: Int64 = 0) -> Reply { .reply(.status(word, available, sequence)) }

  mutating func deduct(user: String, token: String, quantity: Int64, nowMs: Int64) -> Reply {
    if let known = purchases[token] {
      if let first = known.user, first != user || known.quantity != quantity { return .error("TOKENMISMATCH") }
      return known.sold ? status("DUPLICATE", known.sequence) : status("CANCELLED")
    }
    let (limit, opens, closes) = (settings["LIMIT"] ?? 0, settings["OPENS"] ?? 0, settings["CLOSES"] ?? 0)
    if opens > nowMs { return status("EARLY") }
    if closes > 0, closes <= nowMs { return status("CLOSED") }
    let has = purchases.values.reduce(Int64(0)) { $0 + ($1.sold && $1.user == user ? $1.quantity : 0) }
    if limit > 0, has + quantity > limit { return status("LIMIT") }
    if quantity > available { return status("SOLDOUT") }
    let from = available
    let sequence = record("deduct", token: token, user: user, change: -quantity)
    purchases[token] = Purchase(
      user: user,
      quantity: quantity,
      sold: true,
      from: from,
      to: available,
      sequence: sequence
    )
    return status("OK", sequence)
  }

  mutating func cancel(token: String, fence: Bool, offSale: Bool) -> Reply {
    guard var known = purchases[token] else { return fence ? self.fence(token: token) : status("UNKNOWN") }
    guard known.sold else { return status("DUPLICATE", known.sequence) }
    known.sold = false
    purchases[token] = known
    cancelled += known.quantity
    if offSale { added -= known.quantity }
    let sequence = record("cancel", token: token, user: known.user, change: offSale ? 0 : known.quantity)
    return status("OK", sequence)
  }

  mutating func fence(token: String) -> Reply {
    if let known = purchases[token] { return status(known.sold ? "LIVE" : "DUPLICATE", known.sequence) }
    let sequence = record("fence", token: token, user: nil, change: 0)
    purchases[token] = Purchase(
      user: nil,
      quantity: 0,
      sold: false,
      from: available,
      to: available,
      sequence: sequence
    )
    return status("OK", sequence)
  }

  mutating func add(token: String, quantity: Int64) -> Reply {
    if let known = restocks[token] {
      return known.quantity == quantity ? status("DUPLICATE", known.sequence) : .error("TOKENMISMATCH")
    }
    if quantity < 0, available + quantity < 0 { return status("SOLDOUT") }
    if created + added + quantity > maximum { return .error("OVERFLOW") }
    added += quantity
    let sequence = record("add", token: token, user: nil, change: quantity)
    restocks[token] = (quantity, sequence)
    return status("OK", sequence)
  }

  mutating func schedule(_ changes: [String: Int64]) -> Reply {
    // What is set already is no change, so no event.
    let wanted = settings.merging(changes) { $1 }
    if wanted != settings {
      settings = wanted
      record("schedule", token: nil, user: nil, change: 0)
    }
    return .reply(.ok)
  }

  /// The fields of INFO that a model can know.
  var info: [String: RESP] {
    [
      "created": .integer(created), "added": .integer(added), "available": .integer(available), "held": 0,
      "sold": .integer(sold), "cancelled": .integer(cancelled), "transferredIn": 0, "transferredOut": 0,
      "limit": .integer(settings["LIMIT"] ?? 0), "opens": .integer(settings["OPENS"] ?? 0),
      "closes": .integer(settings["CLOSES"] ?? 0), "frozen": "no", "tokens": .integer(Int64(purchases.count)),
      "transfers": 0, "logFirst": 1, "logLast": .integer(Int64(log.count)),
    ]
  }
}
