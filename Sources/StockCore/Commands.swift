import CStockABI

// The commands that sell, give back and restock, each in two steps: look and decide, then record. Arguments are within
// bounds.
extension Bucket {
  /// Takes `quantity` units for `user` under `token`, sold, or held for `hold` milliseconds if that is not 0. In order of
  /// precedence: fault `tokenMismatch`, `duplicate`, `cancelled`, `frozen`, `early`, `closed`, `limit`, `soldOut`, faults
  /// `holdTooLong` and `overflow`, `ok`.
  /// `hash` is the token's, by `lookAhead`.
  mutating func deduct(
    user: Bytes,
    token: Bytes,
    hash: UInt64,
    quantity: Int64,
    hold: Int64,
    now: Int64
  ) -> Outcome {
    beginChange()
    let known = find(token, .purchase, hash: hash)
    if let first = known.first {
      if first.isFence { return outcome(.cancelled) }
      guard first.quantity == quantity, isUser(user, of: first) else { return failed(.tokenMismatch) }
      let sequence = sequence(of: known)
      return stateNow(of: known, first, now: now) == .cancelled
        ? outcome(.cancelled) : outcome(.duplicate, sequence: sequence)
    }
    if freezing.isFrozen { return outcome(.frozen) }
    if settings.opens > max(now, 0) { return outcome(.early) }
    if settings.closes != 0 && settings.closes <= now { return outcome(.closed) }
    if settings.limit != 0 && !isWithinLimit(user, quantity, now: now) { return outcome(.limit) }
    guard hasAvailable(quantity, now: now) else { return outcome(.soldOut) }
    if hold == 0 {
      return sell(makeEvent(.deduct, token: token, user: user, quantity: quantity, now: now), known)
    }
    let expires = min(max(now, 0), Limits.time) &+ hold
    guard expires <= Limits.number else { return failed(.holdTooLong) }
    return sell(makeEvent(.hold, token: token, user: user, quantity: quantity, expires: expires, now: now), known)
  }

  /// Sells what is held. In order: `unknown` (`frozen` in a frozen bucket), `duplicate`, `cancelled`, fault `overflow`, `ok`.
  mutating func confirm(token: Bytes, now: Int64) -> Outcome {
    beginChange()
    let known = find(token, .purchase)
    guard let first = known.first else { return outcome(freezing.isFrozen ? .frozen : .unknown) }
    let sequence = sequence(of: known)
    switch stateNow(of: known, first, now: now) {
    case .sold: return outcome(.duplicate, sequence: sequence)
    case .cancelled: return outcome(.cancelled)
    case .held: return commit(makeEvent(.confirm, of: first, token, now: now), known)
    }
  }

  /// Gives a purchase's units back, or takes them off sale. In order: `unknown` (`frozen` in a frozen bucket; else with
  /// `fence`, the token is marked cancelled instead, `ok`), `duplicate`, fault `overflow`, `ok`.
  mutating func cancel(token: Bytes, fence: Bool, offSale: Bool, now: Int64) -> Outcome {
    beginChange()
    let known = find(token, .purchase)
    guard let first = known.first else {
      if freezing.isFrozen { return outcome(.frozen) }
      if !fence { return outcome(.unknown) }
      return commit(makeEvent(.fence, token: token, now: now), known)
    }
    let state = first.state
    if state == .cancelled { return outcome(.duplicate, sequence: sequence(of: known)) }
    return commit(makeEvent(.cancelling(state, offSale: offSale), of: first, token, now: now), known)
  }

  /// Marks an unknown token cancelled, so that a deduction on its way is refused. In order: `frozen` (an unknown token in a
  /// frozen bucket), `duplicate` (cancelled), `live`, fault `overflow`, `ok`.
  mutating func fence(token: Bytes, now: Int64) -> Outcome {
    beginChange()
    let known = find(token, .purchase)
    if let first = known.first {
      let sequence = sequence(of: known)
      let isOver = stateNow(of: known, first, now: now) == .cancelled
      return outcome(isOver ? .duplicate : .live, sequence: sequence)
    }
    if freezing.isFrozen { return outcome(.frozen) }
    return commit(makeEvent(.fence, token: token, now: now), known)
  }

  /// Puts units on sale, or takes unsold ones off. In order: fault `tokenMismatch`, `duplicate`, of a negative quantity
  /// `frozen` and `soldOut`, fault `overflow`, `ok`.
  mutating func add(token: Bytes, quantity: Int64, now: Int64) -> Outcome {
    beginChange()
    let known = find(token, .restock)
    if let first = known.first {
      guard first.quantity == quantity else { return failed(.tokenMismatch) }
      return outcome(.duplicate, sequence: sequence(of: known))
    }
    if quantity < 0 {
      if freezing.isFrozen { return outcome(.frozen) }
      guard hasAvailable(0 &- quantity, now: now) else { return outcome(.soldOut) }
    }
    return commit(makeEvent(.add, token: token, quantity: quantity, now: now), known)
  }

  /// Sets limit and window. Nothing changes, and no event is made, where they are so already. Counting what each user
  /// has bought begins with the first limit and reads all that is known once.
  public mutating func schedule(limit: Int64, opens: Int64, closes: Int64, now: Int64) -> Outcome {
    beginChange()
    if limit == settings.limit && opens == settings.opens && closes == settings.closes { return outcome(.ok) }
    if limit != 0 && !countUsers() { return failed(.overflow) }
    let fault = record(makeEvent(.schedule, now: now))
    guard fault == .none else { return failed(fault) }
    settings = Settings(buckets: settings.buckets, limit: limit, opens: opens, closes: closes)
    return outcome(.ok, sequence: lastSequence)
  }

  /// The event that moves a known purchase on.
  func makeEvent(_ effect: Effect, of first: FirstEvent, _ token: Bytes, now: Int64) -> Event {
    makeEvent(effect, token: token, user: first.user, quantity: first.quantity, now: now)
  }
}
