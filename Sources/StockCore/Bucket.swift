import CStockABI

/// One bucket: its stock, its log, and what became of every token and transfer it has accepted.
///
/// A command decides first and changes afterwards; `record` is the only place that changes the books, for a command of a
/// client as for a payload of the master or of a file. Time is an argument, nothing here does I/O, and nothing traps:
/// arithmetic is bounds-checked before and wraps, so that a mistake could give a wrong number but not end the server.
public struct Bucket: ~Copyable {
  var books: Books
  var settings: Settings
  var epoch: Int64
  var freezing: Freezing
  let hashing: KeyedHash
  var purchases: Int64 = 0
  var lastSequence: Int64 = 0
  var log = ChunkList()
  var tokens = SlotTable()
  /// Where the log begins.
  var trimmed = TrimmedLog()
  /// The tokens whose first event is gone: those that were held where the log begins, and the others.
  var held = HeldTokens()
  var kept = KeptTokens()
  /// The holds that can expire.
  var holds = HoldQueue()
  var transfers = Transfers()
  var userUnits = UserUnits()
  /// Whether the units of each user are counted: from the first limit on.
  private(set) var countsUsers: Bool
  /// What the command that runs, or ran last, has changed.
  var change = Change()
  /// The last event, where it was a deduction: encoded from here, it need not be read back. Its names are the command's
  /// arguments, and valid as long as these.
  var deduction = Event()
  /// What a payload in parts has brought, and has still to bring, of the time before the log.
  var restoration = Restoration()

  /// A bucket without any event, to which the caller applies its create event at once.
  init(settings: Settings, freezing: Freezing, epoch: Int64, hashing: KeyedHash, countsUsers: Bool) {
    books = Books()
    self.settings = settings
    self.freezing = freezing
    self.epoch = epoch
    self.hashing = hashing
    self.countsUsers = countsUsers || settings.limit > 0
  }

  /// A new bucket with its create event.
  init(settings: Settings, isFrozen: Bool, epoch: Int64, hashing: KeyedHash, quantity: Int64, now: Int64) {
    self.init(
      settings: settings,
      freezing: Freezing(reason: isFrozen ? .create : .no),
      epoch: epoch,
      hashing: hashing,
      countsUsers: false
    )
    beginChange()
    // The first event of an empty bucket, within its bounds, always has room.
    _ = record(makeEvent(.create, quantity: quantity, now: now))
  }

  /// The books, settings and sizes.
  public var figures: Figures {
    Figures(
      created: books.created,
      added: books.added,
      available: books.available,
      held: books.held,
      sold: books.sold,
      cancelled: books.cancelled,
      transferred_in: books.transferredIn,
      transferred_out: books.transferredOut,
      epoch: epoch,
      tokens: purchases,
      transfers: transfers.openCount,
      log_first: trimmed.sequence &+ 1,
      log_last: lastSequence,
      settings: settings,
      frozen: freezing.shown,
      bytes: UInt64(truncatingIfNeeded: bytes),
      allocations: UInt64(truncatingIfNeeded: allocations)
    )
  }

  /// Slots of the token table that all commands so far have moved.
  public var slotsMoved: Int { tokens.moved }

  private var bytes: Int {
    MemoryLayout<Bucket>.size &+ log.bytes &+ tokens.bytes &+ held.bytes &+ kept.bytes &+ holds.bytes
      &+ transfers.bytes &+ userUnits.bytes
  }

  private var allocations: Int {
    3 &+ log.count &+ tokens.pieces &+ held.pieceTotal &+ kept.pieces &+ holds.pieceTotal &+ transfers.pieces
      &+ userUnits.pieces
  }

  // MARK: Looking up

  /// Looks a purchase's or restock's token up in its name space.
  @inline(__always)
  func find(_ token: Bytes, _ space: NameSpace) -> Lookup { find(token, space, hash: hashing.hash(token, space)) }

  /// The hash of a purchase's token, whose slot is fetched meanwhile.
  func lookAhead(_ token: Bytes) -> UInt64 {
    let hash = hashing.hash(token, .purchase)
    tokens.prefetch(hash)
    return hash
  }

  @inline(__always)
  func find(_ token: Bytes, _ space: NameSpace, hash: UInt64) -> Lookup {
    let place = tokens.find(hash) { address in
      if KeptTokens.isKept(address) { return kept.record(at: address).isOf(token, space, hash: hash, hashing) }
      let record = record(at: address)
      record.prefetchNames()
      return record.isRestock == (space == .restock) && record.token.equals(token)
    }
    return Lookup(hash: hash, place: place, first: place.address == 0 ? nil : firstEvent(at: place.address))
  }

  /// The first event of a token, by its address in the table.
  @inline(__always)
  func firstEvent(at address: UInt64) -> FirstEvent {
    if KeptTokens.isKept(address) { return .kept(kept.record(at: address)) }
    return .whole(record(at: address))
  }

  /// The record of an event in the log, or of a held token, at an address.
  @inline(__always)
  func record(at address: UInt64) -> Record {
    HeldTokens.isHeld(address) ? held.record(at: address) : Record(at: log.memory(at: address))
  }

  /// The sequence of the event that first took the token, 0 if none did.
  @inline(__always)
  func sequence(of token: Lookup) -> Int64 {
    token.first == nil ? 0 : sequence(at: token.place.address)
  }

  /// The sequence of the event at an address in the table.
  @inline(__always)
  func sequence(at address: UInt64) -> Int64 {
    if HeldTokens.isHeld(address) { return held.sequence(at: address) }
    if KeptTokens.isKept(address) { return kept.sequence(at: address) }
    return log.label(at: address) &+ Record(at: log.memory(at: address)).place
  }

  /// Whether the token was first sent by this user; of a trimmed one, by the user's keyed hash.
  @inline(__always)
  func isUser(_ user: Bytes, of first: FirstEvent) -> Bool {
    switch first {
    case .whole(let record): record.user.equals(user)
    case .kept(let record): !record.isFence && record.user == hashing.hash(user, .user)
    }
  }

  // MARK: Outcomes
  // What a command calls on the way, here as above, is inlined or mutating: else the compiler copies the whole bucket to
  // lend it.

  /// Begins a command: what it changes is counted from here.
  @inline(__always)
  mutating func beginChange() { change = Change(available: books.available) }

  /// How a command ended, with whatever it has changed.
  @inline(__always)
  func outcome(_ status: Status, sequence: Int64 = 0) -> Outcome {
    outcome(status, remaining: books.available, sequence: sequence)
  }

  @inline(__always)
  func outcome(_ status: Status, remaining: Int64, sequence: Int64) -> Outcome {
    Outcome(
      remaining: remaining,
      sequence: sequence,
      status: status,
      fault: .none,
      turn: change.turn(to: books.available),
      changed: change.isSome,
      events: change.events(to: lastSequence)
    )
  }

  /// How a command failed; what it has changed before stays.
  @inline(__always)
  func failed(_ fault: Fault) -> Outcome {
    Outcome(
      remaining: 0,
      sequence: 0,
      status: .unknown,
      fault: fault,
      turn: change.turn(to: books.available),
      changed: change.isSome,
      events: change.events(to: lastSequence)
    )
  }

  /// Records an event that a command has decided; `ok` with its sequence, or the fault.
  mutating func commit(_ event: Event, _ token: Lookup? = nil) -> Outcome {
    let fault = record(event, token)
    return fault == .none ? outcome(.ok, sequence: lastSequence) : failed(fault)
  }

  // MARK: Changing

  /// Commits the event of a deduction or hold, and keeps it for `encodeDeduction`.
  @inline(__always)
  mutating func sell(_ event: Event, _ token: Lookup) -> Outcome {
    let outcome = commit(event, token)
    if outcome.fault == .none { deduction = event }
    return outcome
  }

  /// The next event, which `record` then takes.
  @inline(__always)
  func makeEvent(
    _ effect: Effect,
    token: Bytes = .none,
    user: Bytes = .none,
    quantity: Int64 = 0,
    expires: Int64 = 0,
    peer: UInt16 = 0,
    now: Int64
  ) -> Event {
    let from = books.available
    return Event(
      sequence: lastSequence &+ 1,
      timestamp: min(max(now, 0), Limits.time),
      from: from,
      to: from &+ effect.change(quantity),
      quantity: quantity,
      expires: expires,
      token: token,
      user: user,
      peer: peer,
      effect: effect
    )
  }

  /// Records an event that has been decided and changes the books by it. `token` is what was found of the event's
  /// token, if it has one that is no transfer's. Faults: `overflow`, and then nothing has changed.
  mutating func record(_ event: Event, _ token: Lookup? = nil) -> Fault {
    guard let books = books.after(event), event.sequence <= Limits.number, log.hasRoom else { return .overflow }
    var place = SlotTable.Place()
    if let token, token.first == nil {
      place = token.place
      guard tokens.reserve(token.hash, &place) else { return .overflow }
    }
    if event.effect == .hold && !holds.hasRoom { return .overflow }
    if countsUsers && !countUnits(of: event, token) { return .overflow }
    self.books = books
    let entry = log.append(size: Record.size(of: event), label: event.sequence)
    Record.write(event, place: event.sequence &- log.label(at: entry.address), to: entry.memory)
    if let token {
      if let first = token.first {
        move(first, to: event.effect.stateAfter)
      } else {
        take(event, token.hash, entry.address, at: place)
      }
    }
    lastSequence = event.sequence
    change.note(event.sequence, at: entry.address)
    log.makeRoom()
    return .none
  }

  /// Enters the first event of a token, which lies at an address.
  mutating func take(_ event: Event, _ hash: UInt64, _ address: UInt64, at place: SlotTable.Place) {
    tokens.insert(hash, address, at: place)
    if event.effect.subject == .purchase { purchases &+= 1 }
    if event.effect == .hold {
      enqueue(QueuedHold(expires: event.expires, sequence: event.sequence, address: address))
    }
  }

  /// Moves a purchase on; a hold that ends leaves the queue.
  private mutating func move(_ first: FirstEvent, to state: PurchaseState) {
    switch first {
    case .whole(let record):
      if record.state == .held && record.queuePlace != Record.unqueued {
        dequeue(at: Int(record.queuePlace))
        record.note(queuePlace: Record.unqueued)
      }
      record.mark(state)
    case .kept(let record):
      // A kept purchase is sold until it is cancelled.
      if state == .cancelled { record.markCancelled() }
    }
  }

  // MARK: Counting what each user has

  private mutating func countUnits(of event: Event, _ token: Lookup?) -> Bool {
    guard event.effect.subject == .purchase else { return true }
    if let first = token?.first {
      guard event.effect.stateAfter == .cancelled else { return true }
      return userUnits.add(0 &- event.quantity, to: userHash(of: first))
    }
    guard event.effect.stateAfter != .cancelled else { return true }
    return userUnits.add(event.quantity, to: hashing.hash(event.user, .user))
  }

  private func userHash(of first: FirstEvent) -> UInt64 {
    switch first {
    case .whole(let record): hashing.hash(record.user, .user)
    case .kept(let record): record.user
    }
  }

  /// Starts to count the units of each user, from what is held and sold; false where memory can't be addressed.
  mutating func countUsers() -> Bool {
    if countsUsers { return true }
    userUnits = UserUnits()
    countsUsers = countKept() && countHeld() && countLogged()
    return countsUsers
  }

  private mutating func countKept() -> Bool {
    var position: UInt64 = 0
    var rest = kept.count
    while rest > 0 {
      let token = kept.next(&position)
      if token.kind == .purchase && !token.isCancelled {
        guard userUnits.add(token.quantity, to: token.user) else { return false }
      }
      rest &-= 1
    }
    return true
  }

  private mutating func countHeld() -> Bool {
    var position: UInt64 = 0
    while let address = held.next(&position) {
      guard countLive(held.record(at: address)) else { return false }
    }
    return true
  }

  private mutating func countLogged() -> Bool {
    var position = trimmed.next
    var sequence = trimmed.sequence
    while sequence < lastSequence {
      position = log.settled(position)
      let record = Record(at: log.memory(at: position))
      let effect = record.effect
      if effect.subject == .purchase && effect.stateBefore == nil {
        guard countLive(record) else { return false }
      }
      position &+= record.units
      sequence &+= 1
    }
    return true
  }

  private mutating func countLive(_ record: Record) -> Bool {
    record.state == .cancelled || userUnits.add(record.quantity, to: hashing.hash(record.user, .user))
  }
}

/// Whether a bucket is frozen, and why: by an operator, on top of one of the other reasons.
struct Freezing {
  var reason: FreezeReason = .no
  var isByOperator = false

  var isFrozen: Bool { isByOperator || reason != .no }

  /// What is told of it: an operator's freeze hides the other reason.
  var shown: FreezeReason { isByOperator ? .byOperator : reason }
}

/// What a command has changed so far: events from one on, or what makes no event.
struct Change {
  /// The stock that was available before it.
  var available: Int64 = 0
  /// The first event of it and where that lies; 0 where it made none.
  var first: Int64 = 0
  var address: UInt64 = 0
  /// The first event that a trim dropped, 0 for none.
  var trimmedFrom: Int64 = 0
  /// The transfer that was closed, 0 for none.
  var settled: UInt64 = 0

  init(available: Int64 = 0) { self.available = available }

  var isSome: Bool { first != 0 || trimmedFrom != 0 || settled != 0 }

  /// How many events it made, the last of them `last`.
  @inline(__always)
  func events(to last: Int64) -> UInt32 { first == 0 ? 0 : UInt32(truncatingIfNeeded: last &- first &+ 1) }

  @inline(__always)
  mutating func note(_ sequence: Int64, at address: UInt64) {
    guard first == 0 else { return }
    first = sequence
    self.address = address
  }

  @inline(__always)
  func turn(to available: Int64) -> Turn {
    if self.available > 0 { return available > 0 ? .none : .soldOut }
    return available > 0 ? .onSale : .none
  }
}

/// What is known of a token: its hash, its place in the table, and its first event.
struct Lookup {
  let hash: UInt64
  let place: SlotTable.Place
  let first: FirstEvent?
}

/// The event that first took a token: as it lies in the log or among the held tokens, or what is kept of it after a trim.
enum FirstEvent {
  case whole(Record)
  case kept(KeptRecord)

  /// Whether the token was marked cancelled before any deduction: it has no user.
  var isFence: Bool {
    switch self {
    case .whole(let record): record.isFence
    case .kept(let record): record.isFence
    }
  }

  var state: PurchaseState {
    switch self {
    case .whole(let record): record.state
    case .kept(let record): record.isCancelled ? .cancelled : .sold
    }
  }

  /// With its sign.
  var quantity: Int64 {
    switch self {
    case .whole(let record): record.quantity
    case .kept(let record): record.quantity
    }
  }

  /// No bytes where they are gone or never were.
  var user: Bytes {
    switch self {
    case .whole(let record): record.user
    case .kept: .none
    }
  }

  /// When a hold ends; 0 of anything else.
  var expires: Int64 {
    switch self {
    case .whole(let record): record.expires
    case .kept: 0
    }
  }
}
