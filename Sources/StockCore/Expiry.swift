import CStockABI

// Holds end at their deadline, unless the bucket is frozen. A command expires those that it needs; `expire` the rest.
extension Bucket {
  /// How many holds that are due a command looks at to find those of one user, and how many of them it expires. Those it
  /// misses are given back by `expire`.
  private static var sweepMax: Int { 256 }
  private static var userExpiriesMax: Int { 16 }
  /// How many a withdrawal expires, which takes what is there then. Other commands expire what they need, one hold for
  /// each unit that they ask for at most.
  static var withdrawalExpiriesMax: Int64 { 1000 }
  /// By how much an expiry that can't be recorded is put off.
  private static var postponementMs: Int64 { 60_000 }

  /// When the next hold is due, 0 if none is or the bucket is frozen.
  public var nextExpiry: Int64 {
    guard !freezing.isFrozen, let hold = firstHold else { return 0 }
    return hold.expires
  }

  /// Expires at most `count` holds that are due; the outcome is `ok`.
  public mutating func expire(count: Int64, now: Int64) -> Outcome {
    beginChange()
    var rest = count
    while rest > 0, let hold = firstDue(now) {
      expire(hold, now: now)
      rest &-= 1
    }
    return outcome(.ok)
  }

  /// A purchase's state, once its hold has expired if it is due.
  mutating func stateNow(of known: Lookup, _ first: FirstEvent, now: Int64) -> PurchaseState {
    let state = first.state
    guard state == .held, case .whole(let record) = first else { return state }
    guard !freezing.isFrozen, record.queuePlace != Record.unqueued, isDue(record.expires, now) else { return state }
    return end(known.place.address, now: now) ? .cancelled : state
  }

  /// Whether `quantity` units are available, now or once holds that are due have expired. One that gives units is.
  @inline(__always)
  mutating func hasAvailable(_ quantity: Int64, now: Int64) -> Bool {
    quantity <= books.available || makeAvailable(quantity, now: now)
  }

  /// Expires holds that are due until `quantity` units are available, if together they would do; whether they are.
  private mutating func makeAvailable(_ quantity: Int64, now: Int64) -> Bool {
    guard firstDue(now) != nil, quantity <= books.available &+ books.held else { return false }
    guard quantity <= books.available &+ dueUnits(now: now, enough: quantity &- books.available) else { return false }
    expireUntilAvailable(quantity, now: now)
    return quantity <= books.available
  }

  /// Expires holds that are due, `count` at most, until `quantity` units are available or none is due.
  mutating func expireUntilAvailable(_ quantity: Int64, count: Int64 = .max, now: Int64) {
    var rest = count
    while books.available < quantity, rest > 0, let hold = firstDue(now) {
      expire(hold, now: now)
      rest &-= 1
    }
  }

  /// Whether a user may have `quantity` more units, now or once due holds of the user have expired.
  mutating func isWithinLimit(_ user: Bytes, _ quantity: Int64, now: Int64) -> Bool {
    let hash = hashing.hash(user, .user)
    var rest = Self.userExpiriesMax
    while quantity > settings.limit &- userUnits.units(of: hash) {
      guard quantity <= settings.limit, rest > 0, let hold = dueHold(of: user, now: now) else { return false }
      expire(hold, now: now)
      rest &-= 1
    }
    return true
  }

  private func firstDue(_ now: Int64) -> QueuedHold? {
    guard !freezing.isFrozen, let hold = firstHold, isDue(hold.expires, now) else { return nil }
    return hold
  }

  private mutating func expire(_ hold: QueuedHold, now: Int64) {
    if !end(hold.address, now: now) {
      // A total is full. The hold stays, and is tried again later.
      let place = Int(record(at: hold.address).queuePlace)
      postpone(holdAt: place, to: min(max(now, 0), Limits.time) &+ Self.postponementMs)
    }
  }

  /// Ends the hold whose record lies at an address; false where a total would pass its bounds.
  private mutating func end(_ address: UInt64, now: Int64) -> Bool {
    let hold = record(at: address)
    let first = FirstEvent.whole(hold)
    let known = Lookup(hash: 0, place: SlotTable.Place(address: address), first: first)
    return record(makeEvent(.expire, of: first, hold.token, now: now), known) == .none
  }

  // MARK: Looking through the holds that are due

  /// The units of due holds, counted until they are enough.
  private func dueUnits(now: Int64, enough: Int64) -> Int64 {
    var units: Int64 = 0
    var walk = DueWalk()
    while units < enough, let hold = walk.next(in: holds, now) {
      units &+= record(at: hold.address).quantity
    }
    return units
  }

  private func dueHold(of user: Bytes, now: Int64) -> QueuedHold? {
    guard firstDue(now) != nil else { return nil }
    var walk = DueWalk()
    var rest = Self.sweepMax
    while rest > 0, let hold = walk.next(in: holds, now) {
      if record(at: hold.address).user.equals(user) { return hold }
      rest &-= 1
    }
    return nil
  }
}

/// Whether a hold of this deadline is due. A clock beyond the last time is read as that: what is put off is due no more.
private func isDue(_ expires: Int64, _ now: Int64) -> Bool { expires <= min(now, Limits.time) }

/// Walks through the holds that are due, parents first, without memory of its own: they are the top of the heap.
private struct DueWalk {
  private var place = 0
  private var isBelow = true

  mutating func next(in holds: borrowing HoldQueue, _ now: Int64) -> QueuedHold? {
    while true {
      if isBelow {
        if place < holds.count && isDue(holds[place].expires, now) {
          let hold = holds[place]
          place = 2 &* place &+ 1
          return hold
        }
        isBelow = false
      }
      // Back up from right children, then to the right sibling of a left one.
      while place > 0 && place & 1 == 0 { place = (place &- 1) &>> 1 }
      if place == 0 { return nil }
      place &+= 1
      isBelow = true
    }
  }
}
