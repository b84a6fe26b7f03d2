import StockCore

/// What a bucket should do, written down a second time with dictionaries and no thought of speed. It shares the words with
/// the product and nothing else: totals are counted anew from what happened to each token and transfer.
struct ReferenceModel {
  /// A purchase, a fence or a restock.
  struct Entry {
    /// Nil for a fence and a restock.
    var user: String?
    var quantity: Int64
    var state: PurchaseState
    /// The number of the event that first took the token.
    let first: Int
    /// Whether that event held it, and the number of the event that ended the hold, 0 until then.
    let wasHeld: Bool
    var holdEnded = 0
    /// When a hold ends, 0: never by itself.
    var expires: Int64 = 0
    /// When it will next be tried to end it: later than `expires` after an attempt that failed.
    var due: Int64 = 0
  }

  struct Transfer {
    let name: String
    let direction: Direction
    let peer: UInt16
    let quantity: Int64
    let timestamp: Int64
    let event: Int
    var isSettled = false
  }

  struct Reply: Equatable, CustomStringConvertible {
    var status: Status?
    var fault: Fault = .none
    var remaining: Int64 = 0
    var sequence: Int64 = 0

    var description: String {
      "\(status.map { "status \($0.rawValue)" } ?? "fault \(fault.rawValue)") \(remaining) \(sequence)"
    }
  }

  static let most: Int64 = 9_007_199_254_740_992
  /// How long an expiry that can't be recorded waits for the next attempt.
  static let postponement: Int64 = 60_000

  let created: Int64
  var added: Int64 = 0
  var rebalancedOut: Int64 = 0
  var rebalancedIn: Int64 = 0
  var limit: Int64
  var opens: Int64
  var closes: Int64
  var epoch: Int64 = 7
  var isFrozenByOperator = false
  var frozen: FreezeReason
  /// Of the last freeze of all buckets.
  var freezeSeed: UInt64?
  var tokens: [String: Entry] = [:]
  var restocks: [String: Entry] = [:]
  /// In order of making.
  var transfers: [Transfer] = []
  var log: [LoggedEvent] = []
  /// How many events of the log are gone.
  var trimmed = 0

  init(
    quantity: Int64,
    limit: Int64 = 0,
    opens: Int64 = 0,
    closes: Int64 = 0,
    isFrozen: Bool = false,
    now: Int64 = 1000
  ) {
    created = quantity
    self.limit = limit
    self.opens = opens
    self.closes = closes
    frozen = isFrozen ? .create : .no
    note(.create, nil, nil, from: 0, now)
  }

  // MARK: Totals

  var held: Int64 { total(.held) }
  var sold: Int64 { total(.sold) }
  var cancelled: Int64 { total(.cancelled) }
  var transferredOut: Int64 { total(.outgoing) + rebalancedOut }
  var transferredIn: Int64 { total(.incoming) + rebalancedIn }
  var available: Int64 { created + added + transferredIn - held - sold - transferredOut }

  private func total(_ state: PurchaseState) -> Int64 {
    tokens.values.reduce(0) { $0 + ($1.state == state ? $1.quantity : 0) }
  }

  private func total(_ direction: Direction) -> Int64 {
    transfers.reduce(0) { $0 + ($1.direction == direction ? $1.quantity : 0) }
  }

  func units(of user: String) -> Int64 {
    tokens.values.reduce(0) { $0 + ($1.user == user && $1.state != .cancelled ? $1.quantity : 0) }
  }

  /// Whether no total is beyond 2^53.
  private var isSound: Bool {
    let most = Self.most
    return available >= 0 && available + held + sold <= most && cancelled <= most && abs(added) <= most
      && transferredIn <= most && transferredOut <= most
  }

  // MARK: Looking

  var isFrozen: Bool { isFrozenByOperator || frozen != .no }
  var shownFreeze: FreezeReason { isFrozenByOperator ? .byOperator : frozen }

  func transfer(_ name: String) -> Transfer? { transfers.first { $0.name == name } }

  /// Whether only a compact form of the token is left: its first event is gone, and so is the end of its hold if it had
  /// one.
  func isCompact(_ entry: Entry) -> Bool {
    guard entry.first <= trimmed else { return false }
    return !entry.wasHeld || entry.holdEnded != 0 && entry.holdEnded <= trimmed
  }

  /// The holds that are due, in the order in which the timer ends them.
  func dueHolds(_ now: Int64) -> [String] {
    guard !isFrozen else { return [] }
    return queuedHolds.filter { $0.value.due <= Self.clock(now) }.map(\.key)
  }

  /// When the timer has to end the next hold, 0: never.
  var nextExpiry: Int64 { isFrozen ? 0 : queuedHolds.first?.value.due ?? 0 }

  private var queuedHolds: [(key: String, value: Entry)] {
    tokens.filter { $0.value.state == .held && $0.value.expires != 0 }
      .sorted { ($0.value.due, $0.value.first) < ($1.value.due, $1.value.first) }
  }

  /// What is read of a clock.
  static func clock(_ now: Int64) -> Int64 { min(max(now, 0), 281_474_976_710_655) }

  func refused(_ status: Status, _ event: Int = 0) -> Reply {
    Reply(status: status, remaining: available, sequence: Int64(event))
  }

  // MARK: Changing

  /// Changes the model unless a total would pass its bounds, and then writes the event down.
  mutating func commit(
    _ action: Action,
    _ name: String?,
    _ user: String?,
    _ now: Int64,
    _ change: (inout ReferenceModel) -> Void
  ) -> Reply {
    var next = self
    change(&next)
    guard next.isSound else { return Reply(fault: .overflow) }
    let from = available
    self = next
    note(action, name, user, from: from, now)
    return refused(.ok, log.count)
  }

  /// Moves a purchase into a state by the next event.
  mutating func move(_ token: String, to state: PurchaseState) {
    if tokens[token]?.state == .held { tokens[token]?.holdEnded = log.count + 1 }
    tokens[token]?.state = state
  }

  private mutating func note(_ action: Action, _ name: String?, _ user: String?, from: Int64, _ now: Int64) {
    let event = LoggedEvent(
      sequence: Int64(log.count + 1),
      action: action,
      token: name.map { Array($0.utf8) },
      user: user.map { Array($0.utf8) },
      change: available - from,
      from: from,
      to: available,
      timestamp: Self.clock(now)
    )
    log.append(event)
  }
}
