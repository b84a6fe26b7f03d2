import CStockABI

/// One bucket: its stock, its log, and what became of every token it has accepted.
///
/// A command decides first and changes afterwards; `record` is the only place that changes, for a command of a client as
/// for a payload of the master or of a file. Time is an argument, nothing here does I/O, and nothing traps: arithmetic
/// is bounds-checked before and wraps, so that a mistake could give a wrong number but not end the server.
public struct Bucket: ~Copyable {
  var books: Books
  var settings: Settings
  var epoch: Int64
  let hashing: KeyedHash
  var purchases: Int64 = 0
  var lastSequence: Int64 = 0
  /// The place of the last event, 0 where that is not the last change.
  var lastAddress: UInt64 = 0
  var log = ChunkList()
  var tokens = SlotTable()
  /// Where the log begins.
  var trimmed = TrimmedLog()
  /// The tokens whose first event is gone.
  var kept = KeptTokens()
  /// How many of them a payload in parts has still to bring.
  var awaitedTokens: Int64 = 0
  var userUnits = UserUnits()
  /// Whether the units of each user are counted: from the first limit on.
  private(set) var countsUsers: Bool

  /// A bucket without any event, to which the caller applies its create event at once.
  init(settings: Settings, epoch: Int64, hashing: KeyedHash, countsUsers: Bool) {
    books = Books()
    self.settings = settings
    self.epoch = epoch
    self.hashing = hashing
    self.countsUsers = countsUsers || settings.limit > 0
  }

  /// A new bucket with its create event.
  init(settings: Settings, epoch: Int64, hashing: KeyedHash, quantity: Int64, now: Int64) {
    self.init(settings: settings, epoch: epoch, hashing: hashing, countsUsers: false)
    // The first event of an empty bucket, within its bounds, always has room.
    _ = record(makeEvent(.create, quantity: quantity, now: now))
  }

  /// The books, settings and sizes.
  public var figures: Figures {
    Figures(
      created: books.created,
      added: books.added,
      available: books.available,
      sold: books.sold,
      cancelled: books.cancelled,
      epoch: epoch,
      tokens: purchases,
      log_first: trimmed.sequence &+ 1,
      log_last: lastSequence,
      settings: settings,
      bytes: UInt64(
        truncatingIfNeeded: MemoryLayout<Bucket>.size &+ log.bytes &+ kept.bytes &+ tokens.bytes &+ userUnits.bytes
      ),
      allocations: UInt64(
        truncatingIfNeeded: 3 &+ log.count &+ kept.pieces &+ tokens.pieces &+ userUnits.pieces
      )
    )
  }

  /// Slots of the token table that all commands so far have moved.
  public var slotsMoved: Int { tokens.moved }

  // MARK: Looking up

  /// Looks a token up in its name space.
  @inline(__always)
  func find(_ token: Bytes, _ space: NameSpace) -> Lookup {
    let hash = hashing.hash(token, space)
    let place = tokens.find(hash) { address in
      if KeptTokens.isKept(address) {
        let record = kept.record(at: address)
        return record.low == hash && record.isRestock == (space == .restock)
          && record.high == hashing.secondHash(token, space)
      }
      let record = Record(at: log.memory(at: address))
      return record.isRestock == (space == .restock) && record.token.equals(token)
    }
    if place.address == 0 { return Lookup(hash: hash, place: place, first: nil) }
    if KeptTokens.isKept(place.address) {
      return Lookup(hash: hash, place: place, first: .kept(kept.record(at: place.address)))
    }
    return Lookup(hash: hash, place: place, first: .logged(Record(at: log.memory(at: place.address))))
  }

  /// The sequence of the event that first took the token, 0 if none did.
  func sequence(of token: Lookup) -> Int64 {
    switch token.first {
    case .logged(let record): log.label(at: token.place.address) &+ record.place
    case .kept: kept.sequence(at: token.place.address)
    case nil: 0
    }
  }

  /// Whether the token was first sent by this user; of a trimmed one, by the user's keyed hash.
  func isUser(_ user: Bytes, of first: FirstEvent) -> Bool {
    switch first {
    case .logged(let record): record.user.equals(user)
    case .kept(let record): !record.isFence && record.user == hashing.hash(user, .user)
    }
  }

  /// The outcome of a command that changes nothing.
  func unchanged(_ status: Status, sequence: Int64 = 0) -> Outcome {
    Outcome(remaining: books.available, sequence: sequence, status: status, fault: .none, changed: false)
  }

  func failed(_ fault: Fault) -> Outcome {
    Outcome(remaining: 0, sequence: 0, status: .unknown, fault: fault, changed: false)
  }

  // MARK: Reading the log

  /// The cursor of the event after `after`; an `epoch` of 0 fits any. Faults: `epochMismatch`, `ahead`, `trimmed`.
  func seek(after: Int64, epoch: Int64, _ cursor: inout LogCursor) -> Fault {
    if epoch != 0 && epoch != self.epoch { return .epochMismatch }
    if after > lastSequence { return .ahead }
    if after < trimmed.sequence { return .trimmed }
    if after == trimmed.sequence {
      cursor = LogCursor(position: trimmed.next, sequence: after &+ 1, kept: 0)
      return .none
    }
    var next = LogCursor(position: log.chunkStart(label: after &+ 1), sequence: 0, kept: 0)
    next.sequence = log.label(at: next.position)
    while next.sequence <= after {
      next.position &+= Record(at: log.memory(at: next.position)).units
      next.sequence &+= 1
    }
    cursor = next
    return .none
  }

  /// The event at the cursor, which moves on; nil behind the last.
  func next(_ cursor: inout LogCursor) -> Event? {
    guard cursor.sequence <= lastSequence else { return nil }
    let position = log.settled(cursor.position)
    let record = Record(at: log.memory(at: position))
    let event = record.event(sequence: cursor.sequence)
    cursor.position = position &+ record.units
    cursor.sequence &+= 1
    return event
  }

  /// The event that was made last; only where it is the last change.
  var lastEvent: Event { Record(at: log.memory(at: lastAddress)).event(sequence: lastSequence) }

  // MARK: Changing

  /// The next event, which `record` then takes.
  func makeEvent(
    _ action: Action,
    token: Bytes = .none,
    user: Bytes = .none,
    quantity: Int64 = 0,
    offSale: Bool = false,
    now: Int64
  ) -> Event {
    let from = books.available
    return Event(
      sequence: lastSequence &+ 1,
      timestamp: min(max(now, 0), Limits.time),
      from: from,
      to: from &+ action.change(quantity: quantity, offSale: offSale),
      quantity: quantity,
      token: token,
      user: user,
      action: action,
      off_sale: offSale
    )
  }

  /// Records an event that has been decided and changes the books by it. `token` is what was found of the event's
  /// token, if it has one. Faults: `overflow`, and then nothing has changed.
  mutating func record(_ event: Event, _ token: Lookup? = nil) -> Fault {
    guard let books = books.after(event), event.sequence <= Limits.number, log.hasRoom else { return .overflow }
    var place = SlotTable.Place()
    if let token, token.first == nil {
      place = token.place
      guard tokens.reserve(token.hash, &place) else { return .overflow }
    }
    if countsUsers && !countUnits(of: event, token) { return .overflow }
    self.books = books
    let entry = log.append(size: Record.size(of: event), label: event.sequence)
    let state: PurchaseState = event.action == .fence ? .cancelled : .sold
    Record.write(event, place: event.sequence &- log.label(at: entry.address), state: state, to: entry.memory)
    if let token {
      if let first = token.first {
        first.markCancelled()
      } else {
        tokens.insert(token.hash, entry.address, at: place)
        if event.action != .add { purchases &+= 1 }
      }
    }
    lastSequence = event.sequence
    lastAddress = entry.address
    log.makeRoom()
    return .none
  }

  private mutating func countUnits(of event: Event, _ token: Lookup?) -> Bool {
    switch event.action {
    case .deduct: return userUnits.add(event.quantity, to: hashing.hash(event.user, .user))
    case .cancel:
      guard let first = token?.first else { return true }
      return userUnits.add(0 &- event.quantity, to: userHash(of: first))
    case .create, .add, .fence, .schedule: return true
    }
  }

  private func userHash(of first: FirstEvent) -> UInt64 {
    switch first {
    case .logged(let record): hashing.hash(record.user, .user)
    case .kept(let record): record.user
    }
  }

  /// Starts to count the units of each user, from what is sold; false where memory can't be addressed.
  mutating func countUsers() -> Bool {
    if countsUsers { return true }
    userUnits = UserUnits()
    var position: UInt64 = 0
    var rest = kept.count
    while rest > 0 {
      let token = kept.next(&position)
      if token.action == .deduct && !token.isCancelled {
        guard userUnits.add(token.quantity, to: token.user) else { return false }
      }
      rest &-= 1
    }
    position = trimmed.next
    var sequence = trimmed.sequence
    while sequence < lastSequence {
      position = log.settled(position)
      let record = Record(at: log.memory(at: position))
      if record.isPurchase && !record.isCancelled {
        guard userUnits.add(record.quantity, to: hashing.hash(record.user, .user)) else { return false }
      }
      position &+= record.units
      sequence &+= 1
    }
    countsUsers = true
    return true
  }
}

/// What is known of a token: its hash, its place in the table, and its first event.
struct Lookup {
  let hash: UInt64
  let place: SlotTable.Place
  let first: FirstEvent?
}

/// The event that first took a token: as it lies in the log, or what is kept of it after a trim.
enum FirstEvent {
  case logged(Record)
  case kept(KeptRecord)

  /// Whether the token was marked cancelled before any deduction: it has no user.
  var isFence: Bool {
    switch self {
    case .logged(let record): record.isFence
    case .kept(let record): record.isFence
    }
  }

  var isCancelled: Bool {
    switch self {
    case .logged(let record): record.isCancelled
    case .kept(let record): record.isCancelled
    }
  }

  /// With its sign.
  var quantity: Int64 {
    switch self {
    case .logged(let record): record.quantity
    case .kept(let record): record.quantity
    }
  }

  /// No bytes where they are gone or never were.
  var user: Bytes {
    switch self {
    case .logged(let record): record.user
    case .kept: .none
    }
  }

  func markCancelled() {
    switch self {
    case .logged(let record): record.markCancelled()
    case .kept(let record): record.markCancelled()
    }
  }
}

/// The totals of a bucket. Always: `created + added = available + sold`, each of them at most 2^53.
struct Books {
  var created: Int64 = 0
  var added: Int64 = 0
  var available: Int64 = 0
  var sold: Int64 = 0
  var cancelled: Int64 = 0

  /// The totals after an event, or nil where one would pass its bounds.
  func after(_ event: Event) -> Books? {
    var next = self
    switch event.action {
    case .create: next.created = event.quantity
    case .add: next.added &+= event.quantity
    case .deduct: next.sold &+= event.quantity
    case .cancel:
      next.sold &-= event.quantity
      next.cancelled &+= event.quantity
      if event.off_sale { next.added &-= event.quantity }
    case .fence, .schedule: break
    }
    next.available = event.to
    // Each term is within 2^53 of zero and each quantity too, so no sum here can pass 2^63.
    return next.isSound ? next : nil
  }

  /// Whether each total is within its bounds and they balance.
  var isSound: Bool {
    available >= 0 && sold >= 0 && created &+ added <= Limits.number && added.magnitude <= Limits.number.magnitude
      && cancelled <= Limits.number && created &+ added == available &+ sold
  }
}
