import StockCore

/// What the contract leaves open and the bucket has chosen; the model checks that the choice was one of those allowed.
struct Choices {
  /// The tokens whose holds the command ended, in order.
  var expired: [String] = []
  /// The epoch after it.
  var epoch: Int64 = 0
}

// The commands, in the order of precedence that the contract gives.
extension ReferenceModel {
  mutating func play(_ play: Play, now: Int64 = 1000, _ choices: Choices = Choices()) -> Reply {
    switch play {
    case .deduct(let user, let token, let quantity, let hold): deduct(user, token, quantity, hold, now, choices)
    case .confirm(let token): confirm(token, now)
    case .cancel(let token, let fence, let offSale): cancel(token, fence: fence, offSale: offSale, now)
    case .fence(let token): fence(token, now)
    case .add(let token, let quantity): add(token, quantity, now)
    case .schedule(let limit, let opens, let closes): schedule(limit: limit, opens: opens, closes: closes, now)
    case .withdraw(let transfer, let quantity, let peer): withdraw(transfer, quantity, to: peer, now)
    case .deposit(let transfer, let quantity, let peer): enter(.deposit, transfer, .incoming, quantity, peer, now)
    case .settle(let transfer): settle(transfer)
    case .record(let user, let token, let quantity, let recording): record(user, token, quantity, recording, now)
    case .recordTransfer(let transfer, let direction, let peer, let quantity):
      enter(.record, transfer, direction, quantity, peer, now)
    case .recordRestock(let token, let quantity): recordRestock(token, quantity, now)
    case .freeze: freeze(now)
    case .thaw(let epoch): thaw(epoch, now)
    case .freezeAnew(let reason, let seed): freezeAnew(reason, seed, choices)
    case .expire(let count): expire(count, now)
    case .trim(let keeping): trim(keeping: keeping)
    }
  }

  // MARK: Purchases

  private mutating func deduct(
    _ user: String,
    _ token: String,
    _ quantity: Int64,
    _ hold: Int64,
    _ now: Int64,
    _ choices: Choices
  ) -> Reply {
    if let known = tokens[token] {
      guard known.user != nil else { return refused(.cancelled) }
      guard known.user == user, known.quantity == quantity else { return Reply(fault: .tokenMismatch) }
      return stateNow(token, now) == .cancelled ? refused(.cancelled) : refused(.duplicate, known.first)
    }
    if isFrozen { return refused(.frozen) }
    if opens > 0, now < opens { return refused(.early) }
    if closes > 0, now >= closes { return refused(.closed) }
    if limit > 0 {
      var wanted = choices.expired
      while units(of: user) + quantity > limit {
        let due = dueHolds(now).filter { tokens[$0]?.user == user }
        // Any of the user's due holds will do; none that is not due, and none where it can't help.
        guard quantity <= limit, !due.isEmpty else { return refused(.limit) }
        let next = wanted.isEmpty ? due[0] : wanted.removeFirst()
        guard due.contains(next) else { return Reply(status: nil) }
        expire(next, now)
      }
    }
    guard makeAvailable(quantity, now) else { return refused(.soldOut) }
    let expires = hold == 0 ? 0 : Self.clock(now) + hold
    if expires > Self.most { return Reply(fault: .holdTooLong) }
    let state: PurchaseState = hold == 0 ? .sold : .held
    return take(token, user, quantity, state, expires, hold == 0 ? .deduct : .hold, now)
  }

  private mutating func confirm(_ token: String, _ now: Int64) -> Reply {
    guard let known = tokens[token] else { return refused(isFrozen ? .frozen : .unknown) }
    switch stateNow(token, now) {
    case .sold: return refused(.duplicate, known.first)
    case .cancelled: return refused(.cancelled)
    case .held: return commit(.confirm, token, userLeft(of: known), now) { $0.move(token, to: .sold) }
    }
  }

  private mutating func cancel(_ token: String, fence: Bool, offSale: Bool, _ now: Int64) -> Reply {
    guard let known = tokens[token] else {
      if isFrozen { return refused(.frozen) }
      return fence ? self.fence(token, now) : refused(.unknown)
    }
    if known.state == .cancelled { return refused(.duplicate, known.first) }
    return commit(.cancel, token, userLeft(of: known), now) {
      $0.move(token, to: .cancelled)
      if offSale { $0.added -= known.quantity }
    }
  }

  private mutating func fence(_ token: String, _ now: Int64) -> Reply {
    if let known = tokens[token] {
      let state = stateNow(token, now)
      return refused(state == .cancelled ? .duplicate : .live, known.first)
    }
    if isFrozen { return refused(.frozen) }
    return take(token, nil, 0, .cancelled, 0, .fence, now)
  }

  private mutating func record(
    _ user: String,
    _ token: String,
    _ quantity: Int64,
    _ recording: Recording,
    _ now: Int64
  ) -> Reply {
    let state: PurchaseState = recording == .held ? .held : recording == .sold ? .sold : .cancelled
    let offSale = recording == .rejected ? quantity : 0
    guard let known = tokens[token] else {
      let needed = recording == .cancelled ? 0 : quantity
      guard makeAvailable(needed, now) else { return refused(.soldOut) }
      return take(token, user, quantity, state, 0, .record, offSale: offSale, now)
    }
    if known.user == nil { return refused(.duplicate, known.first) }
    guard known.user == user, known.quantity == quantity else { return Reply(fault: .tokenMismatch) }
    if rank(known.state) >= rank(state) { return refused(.duplicate, known.first) }
    return commit(.record, token, user, now) {
      $0.move(token, to: state)
      $0.added -= offSale
    }
  }

  private func rank(_ state: PurchaseState) -> Int {
    switch state {
    case .held: 0
    case .sold: 1
    case .cancelled: 2
    }
  }

  /// The user as far as the bucket still knows it.
  private func userLeft(of entry: Entry) -> String? { isCompact(entry) ? nil : entry.user }

  private mutating func take(
    _ token: String,
    _ user: String?,
    _ quantity: Int64,
    _ state: PurchaseState,
    _ expires: Int64,
    _ action: Action,
    offSale: Int64 = 0,
    _ now: Int64
  ) -> Reply {
    let isHeld = state == .held
    return commit(action, token, user, now) {
      $0.tokens[token] = Entry(
        user: user,
        quantity: quantity,
        state: state,
        first: $0.log.count + 1,
        wasHeld: isHeld,
        expires: expires,
        due: expires
      )
      $0.added -= offSale
    }
  }

  // MARK: Holds

  /// The state of a purchase, after its hold has ended if that is due.
  private mutating func stateNow(_ token: String, _ now: Int64) -> PurchaseState {
    if let known = tokens[token], known.state == .held, known.expires != 0, known.expires <= Self.clock(now), !isFrozen
    {
      _ = end(token, now)
    }
    return tokens[token]?.state ?? .cancelled
  }

  private mutating func end(_ token: String, _ now: Int64) -> Reply {
    let user = tokens[token]?.user
    return commit(.expire, token, user, now) { $0.move(token, to: .cancelled) }
  }

  private mutating func expire(_ token: String, _ now: Int64) {
    if end(token, now).fault != .none { tokens[token]?.due = Self.clock(now) + Self.postponement }
  }

  /// Ends due holds, the oldest first, until a quantity is available, if together they would do.
  private mutating func makeAvailable(_ quantity: Int64, _ now: Int64) -> Bool {
    let due = dueHolds(now)
    let units = due.reduce(0) { $0 + (tokens[$1]?.quantity ?? 0) }
    guard quantity <= available + units else { return false }
    expireUntilAvailable(quantity, now)
    return quantity <= available
  }

  private mutating func expireUntilAvailable(_ quantity: Int64, _ now: Int64, count: Int = .max) {
    var rest = count
    while quantity > available, rest > 0, let next = dueHolds(now).first {
      expire(next, now)
      rest -= 1
    }
  }

  private mutating func expire(_ count: Int64, _ now: Int64) -> Reply {
    var rest = count
    while rest > 0, let next = dueHolds(now).first {
      expire(next, now)
      rest -= 1
    }
    return refused(.ok)
  }

  // MARK: Stock

  private mutating func add(_ token: String, _ quantity: Int64, _ now: Int64) -> Reply {
    if let known = restocks[token] {
      return known.quantity == quantity ? refused(.duplicate, known.first) : Reply(fault: .tokenMismatch)
    }
    if quantity < 0 {
      if isFrozen { return refused(.frozen) }
      guard makeAvailable(-quantity, now) else { return refused(.soldOut) }
    }
    return restock(.add, token, quantity, now)
  }

  private mutating func recordRestock(_ token: String, _ quantity: Int64, _ now: Int64) -> Reply {
    if let known = restocks[token] {
      return known.quantity == quantity ? refused(.duplicate, known.first) : Reply(fault: .tokenMismatch)
    }
    if quantity < 0 { guard makeAvailable(-quantity, now) else { return refused(.soldOut) } }
    return restock(.record, token, quantity, now)
  }

  private mutating func restock(_ action: Action, _ token: String, _ quantity: Int64, _ now: Int64) -> Reply {
    commit(action, token, nil, now) {
      $0.restocks[token] = Entry(user: nil, quantity: quantity, state: .sold, first: $0.log.count + 1, wasHeld: false)
      $0.added += quantity
    }
  }

  private mutating func schedule(limit: Int64, opens: Int64, closes: Int64, _ now: Int64) -> Reply {
    if limit == self.limit, opens == self.opens, closes == self.closes { return refused(.ok) }
    return commit(.schedule, nil, nil, now) { ($0.limit, $0.opens, $0.closes) = (limit, opens, closes) }
  }

  private mutating func trim(keeping: Int64) -> Reply {
    let last = max(trimmed, log.count - Int(keeping))
    defer { trimmed = last }
    return Reply(status: .ok, remaining: available, sequence: Int64(last - trimmed))
  }

  // MARK: Transfers

  private mutating func withdraw(_ name: String, _ quantity: Int64, to peer: UInt16, _ now: Int64) -> Reply {
    if let known = transfer(name) {
      guard known.direction == .outgoing, known.peer == peer else { return Reply(fault: .transferMismatch) }
      return Reply(status: .duplicate, remaining: known.quantity, sequence: Int64(known.event))
    }
    if isFrozen { return Reply(status: .frozen) }
    expireUntilAvailable(quantity, now, count: 1000)
    let moved = min(quantity, available)
    if moved == 0 { return Reply(status: .soldOut) }
    var reply = make(.withdraw, name, .outgoing, moved, peer, now)
    if reply.fault == .none { reply.remaining = moved }
    return reply
  }

  private mutating func enter(
    _ action: Action,
    _ name: String,
    _ direction: Direction,
    _ quantity: Int64,
    _ peer: UInt16,
    _ now: Int64
  ) -> Reply {
    if let known = transfer(name) {
      guard known.direction == direction, known.peer == peer, known.quantity == quantity else {
        return Reply(fault: .transferMismatch)
      }
      return refused(.duplicate, known.event)
    }
    if direction == .outgoing { guard makeAvailable(quantity, now) else { return refused(.soldOut) } }
    return make(action, name, direction, quantity, peer, now)
  }

  private mutating func make(
    _ action: Action,
    _ name: String,
    _ direction: Direction,
    _ quantity: Int64,
    _ peer: UInt16,
    _ now: Int64
  ) -> Reply {
    commit(action, name, nil, now) {
      $0.transfers.append(
        Transfer(
          name: name,
          direction: direction,
          peer: peer,
          quantity: quantity,
          timestamp: Self.clock(now),
          event: $0.log.count + 1
        )
      )
    }
  }

  private mutating func settle(_ name: String) -> Reply {
    guard let index = transfers.firstIndex(where: { $0.name == name }) else { return refused(.unknown) }
    if transfers[index].isSettled { return refused(.duplicate, transfers[index].event) }
    transfers[index].isSettled = true
    return refused(.ok)
  }

  /// Sets what is available, as a rebalancing does.
  mutating func rebalance(to share: Int64, _ now: Int64) -> Reply {
    let change = share - available
    if change == 0 { return refused(.ok) }
    return commit(.rebalance, nil, nil, now) {
      if change < 0 { $0.rebalancedOut -= change } else { $0.rebalancedIn += change }
    }
  }

  // MARK: Freezing

  private mutating func freeze(_ now: Int64) -> Reply {
    if isFrozenByOperator { return refused(.ok) }
    return commit(.freeze, nil, nil, now) { $0.isFrozenByOperator = true }
  }

  private mutating func thaw(_ epoch: Play.Epoch, _ now: Int64) -> Reply {
    if epoch == .wrong { return Reply(fault: .epochMismatch) }
    if epoch == .right, isFrozenByOperator { return Reply(fault: .frozenByOperator) }
    if !isFrozen { return refused(.ok) }
    return commit(.thaw, nil, nil, now) {
      if $0.isFrozenByOperator { $0.isFrozenByOperator = false } else { $0.frozen = .no }
    }
  }

  private mutating func freezeAnew(_ reason: FreezeReason, _ seed: UInt64, _ choices: Choices) -> Reply {
    // The same freeze once more stays in its epoch.
    let isRight = (choices.epoch == epoch) == (seed == freezeSeed)
    guard isRight, choices.epoch >= 1, choices.epoch <= Self.most else { return Reply(status: nil) }
    frozen = reason
    freezeSeed = seed
    epoch = choices.epoch
    return refused(.ok)
  }
}
