import Stock

/// One bucket, by the contract. Its methods that change it are given the time and expire what is due first.
struct ModelBucket {
  struct Entry {
    var user: UserID?
    var quantity: Int64?
    var state: PurchaseState
    var sequence: Int64
    var timestampMs: Int64
  }

  struct Half {
    var listed: ListedTransfer
    var isSettled = false
  }

  var created: Int64
  var added: Int64 = 0
  var available: Int64
  var held: Int64 = 0
  var sold: Int64 = 0
  var cancelled: Int64 = 0
  var transferredIn: Int64 = 0
  var transferredOut: Int64 = 0
  var terms: SaleTerms
  var epoch: Int64
  var frozen: FrozenReason?
  /// The reason that an operator's freeze hides.
  var hidden: FrozenReason?
  var entries: [Token: Entry] = [:]
  /// When each hold ends.
  var holds: [Token: Int64] = [:]
  var restocks: [Token: Int64] = [:]
  /// In the order of their making.
  var halves: [Half] = []
  var log: [StockEvent] = []
  var trimmed: Int64 = 0

  init(created: Int64, terms: SaleTerms, epoch: Int64, nowMs: Int64) {
    self.created = created
    self.terms = terms
    self.epoch = epoch
    available = 0
    move(.create, nil, nil, by: created, nowMs)
  }

  var logLast: Int64 { trimmed + Int64(log.count) }

  var isConserved: Bool {
    created + added + transferredIn == available + held + sold + transferredOut
      && [available, held, sold, transferredIn, transferredOut].allSatisfy { $0 >= 0 }
  }

  mutating func comeUp(_ reason: FrozenReason, epoch: Int64) {
    self.epoch = epoch
    if frozen == .operator { hidden = reason } else { frozen = reason }
  }

  // MARK: Purchases

  mutating func deduct(_ purchase: Purchase, holdMs: Int64? = nil, nowMs: Int64) throws(StockError) -> DeductOutcome {
    expire(nowMs)
    if let known = entries[purchase.token] {
      try requireSame(purchase, known)
      switch known.state {
      case .held, .sold: return .accepted(remaining: available, sequence: known.sequence, isRepeat: true)
      case .cancelled: return .cancelled
      }
    }
    if frozen != nil { return .refused(.frozen, remaining: available) }
    if terms.opensMs > nowMs { return .refused(.early, remaining: available) }
    if terms.closesMs != 0, terms.closesMs <= nowMs { return .refused(.closed, remaining: available) }
    if terms.limit != 0, units(of: purchase.user) + purchase.quantity > terms.limit {
      return .refused(.limit, remaining: available)
    }
    guard available >= purchase.quantity else { return .refused(.soldOut, remaining: available) }
    take(purchase, holdMs == nil ? .sold : .held, holdMs == nil ? .deduct : .hold, nowMs)
    if let holdMs { holds[purchase.token] = nowMs + holdMs }
    return .accepted(remaining: available, sequence: logLast, isRepeat: false)
  }

  mutating func confirm(_ token: Token, nowMs: Int64) throws(StockError) -> ConfirmOutcome {
    expire(nowMs)
    guard let known = entries[token] else {
      try requireThawed()
      return .unknownToken
    }
    switch known.state {
    case .held:
      sell(token, known, .confirm, nowMs)
      return .confirmed
    case .sold: return .alreadyConfirmed
    case .cancelled: return .cancelled
    }
  }

  mutating func cancel(_ token: Token, fence: Bool, offSale: Bool, nowMs: Int64) throws(StockError) -> CancelOutcome {
    expire(nowMs)
    guard let known = entries[token] else {
      try requireThawed()
      guard fence else { return .unknownToken }
      markCancelled(token, nowMs)
      return .cancelled
    }
    guard known.state != .cancelled else { return .alreadyCancelled }
    giveBack(token, known, .cancel, offSale: offSale, nowMs)
    return .cancelled
  }

  mutating func fence(_ token: Token, nowMs: Int64) throws(StockError) -> FenceOutcome {
    expire(nowMs)
    switch entries[token]?.state {
    case .held, .sold: return .live
    case .cancelled: return .alreadyCancelled
    case nil:
      try requireThawed()
      markCancelled(token, nowMs)
      return .fenced
    }
  }

  mutating func add(_ token: Token, quantity: Int64, nowMs: Int64) throws(StockError) -> AddOutcome {
    expire(nowMs)
    if let first = restocks[token] {
      guard first == quantity else { throw StockError(.tokenMismatch, "restock \(token) was of \(first)") }
      return .alreadyAdded
    }
    if quantity < 0 { try requireThawed() }
    guard available + quantity >= 0 else { return .short(remaining: available) }
    restock(token, quantity, .add, nowMs)
    return .added(remaining: available)
  }

  mutating func schedule(limit: Int64?, opensMs: Int64?, closesMs: Int64?, nowMs: Int64) {
    terms.limit = limit ?? terms.limit
    terms.opensMs = opensMs ?? terms.opensMs
    terms.closesMs = closesMs ?? terms.closesMs
    move(.schedule, nil, nil, by: 0, nowMs)
  }

  /// What is due goes back on sale, the earliest first. In a frozen bucket nothing expires.
  mutating func expire(_ nowMs: Int64) {
    guard frozen == nil else { return }
    let due = holds.filter { $0.value <= nowMs }
      .sorted { ($0.value, $0.key.bytes.description) < ($1.value, $1.key.bytes.description) }
    for (token, _) in due {
      guard let known = entries[token] else { continue }
      giveBack(token, known, .expire, offSale: false, nowMs)
    }
  }

  // MARK: Reading

  /// A token whose first event is trimmed is kept without its user, unless it is held.
  func record(of token: Token) -> PurchaseRecord? {
    entries[token].map {
      let isWhole = $0.sequence > trimmed || $0.state == .held
      return PurchaseRecord(
        token: token,
        user: isWhole ? $0.user : nil,
        quantity: $0.quantity,
        state: $0.state,
        sequence: $0.sequence,
        timestampMs: isWhole ? $0.timestampMs : nil,
        expiresMs: holds[token]
      )
    }
  }

  func events(after position: LogPosition, count: Int) throws(StockError) -> [StockEvent] {
    try require(position)
    guard position.sequence >= trimmed else {
      throw StockError(.logTrimmed, "the events after \(position.sequence), up to \(trimmed), are gone")
    }
    return Array(log[Int(position.sequence - trimmed)...].prefix(count))
  }

  mutating func trim(upTo position: LogPosition) throws(StockError) -> Int64 {
    try require(position)
    let dropped = max(0, position.sequence - trimmed)
    log.removeFirst(Int(dropped))
    trimmed += dropped
    return dropped
  }

  var info: BucketInfo {
    BucketInfo(
      created: created,
      added: added,
      available: available,
      held: held,
      sold: sold,
      cancelled: cancelled,
      transferredIn: transferredIn,
      transferredOut: transferredOut,
      buckets: terms.buckets,
      limit: terms.limit,
      opensMs: terms.opensMs,
      closesMs: terms.closesMs,
      frozen: frozen,
      epoch: epoch,
      tokens: Int64(entries.count),
      transfers: Int64(halves.count { !$0.isSettled }),
      logFirst: trimmed + 1,
      logLast: logLast,
      bytes: 0
    )
  }

  private func require(_ position: LogPosition) throws(StockError) {
    guard position.epoch == epoch else { throw StockError(.epochMismatch, "the bucket is in epoch \(epoch)") }
    guard position.sequence <= logLast else {
      throw StockError(.logAhead, "\(position.sequence) is beyond the last event, \(logLast)")
    }
  }
}

/// What the commands are made of.
extension ModelBucket {
  func requireThawed() throws(StockError) {
    if let frozen { throw StockError(.frozen, "the bucket is frozen (\(frozen.rawValue))") }
  }

  func requireSame(_ purchase: Purchase, _ known: Entry) throws(StockError) {
    if let user = known.user, user != purchase.user || known.quantity != purchase.quantity {
      throw StockError(.tokenMismatch, "token \(purchase.token) was first sent with another user or quantity")
    }
  }

  mutating func take(_ purchase: Purchase, _ state: PurchaseState, _ action: StockAction, _ nowMs: Int64) {
    if state == .held { held += purchase.quantity } else { sold += purchase.quantity }
    move(action, purchase.token.bytes, purchase.user.bytes, by: -purchase.quantity, nowMs)
    note(purchase, state, nowMs)
  }

  /// The last event is the token's first.
  mutating func note(_ purchase: Purchase, _ state: PurchaseState, _ nowMs: Int64) {
    entries[purchase.token] = Entry(
      user: purchase.user,
      quantity: purchase.quantity,
      state: state,
      sequence: logLast,
      timestampMs: nowMs
    )
  }

  mutating func sell(_ token: Token, _ known: Entry, _ action: StockAction, _ nowMs: Int64) {
    let quantity = known.quantity ?? 0
    held -= quantity
    sold += quantity
    entries[token]?.state = .sold
    holds[token] = nil
    move(action, token.bytes, known.user?.bytes, by: 0, nowMs)
  }

  mutating func giveBack(_ token: Token, _ known: Entry, _ action: StockAction, offSale: Bool, _ nowMs: Int64) {
    let quantity = known.quantity ?? 0
    if known.state == .held { held -= quantity } else { sold -= quantity }
    entries[token]?.state = .cancelled
    holds[token] = nil
    cancelled += quantity
    if offSale { added -= quantity }
    move(action, token.bytes, known.user?.bytes, by: offSale ? 0 : quantity, nowMs)
  }

  mutating func restock(_ token: Token, _ quantity: Int64, _ action: StockAction, _ nowMs: Int64) {
    restocks[token] = quantity
    added += quantity
    move(action, token.bytes, nil, by: quantity, nowMs)
  }

  mutating func markCancelled(_ token: Token, _ nowMs: Int64) {
    move(.fence, token.bytes, nil, by: 0, nowMs)
    entries[token] = Entry(user: nil, quantity: nil, state: .cancelled, sequence: logLast, timestampMs: nowMs)
  }

  func units(of user: UserID) -> Int64 {
    entries.values.reduce(0) { $0 + ($1.user == user && $1.state != .cancelled ? $1.quantity ?? 0 : 0) }
  }

  mutating func move(_ action: StockAction, _ token: [UInt8]?, _ user: [UInt8]?, by change: Int64, _ ms: Int64) {
    log.append(
      StockEvent(
        sequence: logLast + 1,
        action: action,
        token: token,
        user: user,
        change: change,
        from: available,
        to: available + change,
        timestampMs: ms
      )
    )
    available += change
  }
}
