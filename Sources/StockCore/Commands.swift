import CStockABI

// The commands that change a bucket, each in two steps: look and decide, then record. Arguments are within bounds.
extension Bucket {
  /// Takes `quantity` units for `user` under `token`. In order of precedence: fault `tokenMismatch`, `duplicate`,
  /// `cancelled`, `early`, `closed`, `limit`, `soldOut`, fault `overflow`, `ok`.
  mutating func deduct(user: Bytes, token: Bytes, quantity: Int64, now: Int64) -> Outcome {
    let known = find(token, .purchase)
    if let first = known.first {
      if first.isFence { return unchanged(.cancelled) }
      guard first.quantity == quantity, isUser(user, of: first) else { return failed(.tokenMismatch) }
      if first.isCancelled { return unchanged(.cancelled) }
      return unchanged(.duplicate, sequence: sequence(of: known))
    }
    if settings.opens > now { return unchanged(.early) }
    if settings.closes != 0 && settings.closes <= now { return unchanged(.closed) }
    if settings.limit != 0 {
      let units = userUnits.units(of: hashing.hash(user, .user))
      if quantity > settings.limit &- units { return unchanged(.limit) }
    }
    if quantity > books.available { return unchanged(.soldOut) }
    return commit(makeEvent(.deduct, token: token, user: user, quantity: quantity, now: now), known)
  }

  /// Gives a purchase's units back, or takes them off sale. In order: `unknown` (with `fence`, the token is marked
  /// cancelled instead, `ok`), `duplicate`, fault `overflow`, `ok`.
  mutating func cancel(token: Bytes, fence: Bool, offSale: Bool, now: Int64) -> Outcome {
    let known = find(token, .purchase)
    guard let first = known.first else {
      if !fence { return unchanged(.unknown) }
      return commit(makeEvent(.fence, token: token, now: now), known)
    }
    if first.isCancelled { return unchanged(.duplicate, sequence: sequence(of: known)) }
    let event = makeEvent(
      .cancel,
      token: token,
      user: first.user,
      quantity: first.quantity,
      offSale: offSale,
      now: now
    )
    return commit(event, known)
  }

  /// Marks an unknown token cancelled, so that a deduction on its way is refused. In order: `duplicate` (cancelled),
  /// `live`, fault `overflow`, `ok`.
  mutating func fence(token: Bytes, now: Int64) -> Outcome {
    let known = find(token, .purchase)
    if let first = known.first {
      return unchanged(first.isCancelled ? .duplicate : .live, sequence: sequence(of: known))
    }
    return commit(makeEvent(.fence, token: token, now: now), known)
  }

  /// Puts units on sale, or takes unsold ones off. In order: fault `tokenMismatch`, `duplicate`, `soldOut`, fault
  /// `overflow`, `ok`.
  mutating func add(token: Bytes, quantity: Int64, now: Int64) -> Outcome {
    let known = find(token, .restock)
    if let first = known.first {
      guard first.quantity == quantity else { return failed(.tokenMismatch) }
      return unchanged(.duplicate, sequence: sequence(of: known))
    }
    if books.available &+ quantity < 0 { return unchanged(.soldOut) }
    return commit(makeEvent(.add, token: token, quantity: quantity, now: now), known)
  }

  /// Sets limit and window. Nothing changes, and no event is made, where they are so already. Counting what each user
  /// has bought begins with the first limit and reads all that is known once.
  public mutating func schedule(limit: Int64, opens: Int64, closes: Int64, now: Int64) -> Outcome {
    if limit == settings.limit && opens == settings.opens && closes == settings.closes { return unchanged(.ok) }
    if limit != 0 && !countUsers() { return failed(.overflow) }
    let outcome = commit(makeEvent(.schedule, now: now))
    if outcome.changed {
      settings = Settings(buckets: settings.buckets, limit: limit, opens: opens, closes: closes)
    }
    return outcome
  }

  /// What is known of a token, nil if nothing.
  func purchase(token: Bytes) -> Purchase? {
    let known = find(token, .purchase)
    guard let first = known.first else { return nil }
    let state: PurchaseState = first.isCancelled ? .cancelled : .sold
    switch first {
    case .logged(let record):
      return Purchase(event: record.event(sequence: sequence(of: known)), state: state, is_trimmed: false)
    case .kept(let record):
      var event = Event()
      event.sequence = sequence(of: known)
      event.action = record.isFence ? .fence : .deduct
      event.quantity = record.quantity
      event.token = token
      return Purchase(event: event, state: state, is_trimmed: true)
    }
  }

  private mutating func commit(_ event: Event, _ token: Lookup? = nil) -> Outcome {
    let fault = record(event, token)
    if fault != .none { return failed(fault) }
    return Outcome(
      remaining: books.available,
      sequence: lastSequence,
      status: .ok,
      fault: .none,
      changed: true
    )
  }
}
