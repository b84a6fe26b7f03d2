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
  private var lastAddress: UInt64 = 0
  private var log = ChunkList()
  private var tokens = SlotTable()
  private(set) var userUnits = UserUnits()
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
      log_first: 1,
      log_last: lastSequence,
      settings: settings,
      bytes: UInt64(truncatingIfNeeded: MemoryLayout<Bucket>.size &+ log.bytes &+ tokens.bytes &+ userUnits.bytes),
      allocations: UInt64(truncatingIfNeeded: 2 &+ log.count &+ tokens.pieces &+ userUnits.pieces)
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
      let record = Record(at: log.memory(at: address))
      return record.isRestock == (space == .restock) && record.token.equals(token)
    }
    let record = place.address == 0 ? nil : Record(at: log.memory(at: place.address))
    return Lookup(hash: hash, place: place, first: record)
  }

  /// The sequence of the event that first took the token, 0 if none did.
  func sequence(of token: Lookup) -> Int64 {
    guard let first = token.first else { return 0 }
    return log.label(at: token.place.address) &+ first.place
  }

  /// The outcome of a command that changes nothing.
  func unchanged(_ status: Status, sequence: Int64 = 0) -> Outcome {
    Outcome(remaining: books.available, sequence: sequence, status: status, fault: .none, changed: false)
  }

  func failed(_ fault: Fault) -> Outcome {
    Outcome(remaining: 0, sequence: 0, status: .unknown, fault: fault, changed: false)
  }

  // MARK: Reading the log

  /// The cursor of the event after `after`; an `epoch` of 0 fits any. Faults: `epochMismatch`, `ahead`.
  func seek(after: Int64, epoch: Int64, _ cursor: inout LogCursor) -> Fault {
    if epoch != 0 && epoch != self.epoch { return .epochMismatch }
    if after > lastSequence { return .ahead }
    var next = LogCursor(position: log.chunkStart(label: after &+ 1), sequence: 0)
    next.sequence = log.label(at: next.position)
    while next.sequence <= after {
      next.position &+= units(at: next.position)
      next.sequence &+= 1
    }
    cursor = next
    return .none
  }

  /// The event at the cursor, which moves on; nil behind the last.
  func next(_ cursor: inout LogCursor) -> Event? {
    guard cursor.sequence <= lastSequence else { return nil }
    let position = log.settled(cursor.position)
    let event = Record(at: log.memory(at: position)).event(sequence: cursor.sequence)
    cursor.position = position &+ units(at: position)
    cursor.sequence &+= 1
    return event
  }

  /// The event that was made last.
  var lastEvent: Event { Record(at: log.memory(at: lastAddress)).event(sequence: lastSequence) }

  private func units(at position: UInt64) -> UInt64 {
    UInt64(truncatingIfNeeded: (Record(at: log.memory(at: position)).size &+ 3) &>> 2)
  }

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
    if countsUsers && !countUnits(of: event) { return .overflow }
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

  private mutating func countUnits(of event: Event) -> Bool {
    guard event.user.count > 0 else { return true }
    let hash = hashing.hash(event.user, .user)
    guard userUnits.reserve(event.user, hash) else { return false }
    userUnits.change(event.user, hash, by: event.action == .deduct ? event.quantity : 0 &- event.quantity)
    return true
  }

  /// Starts to count the units of each user, from what the log tells; false where memory can't be addressed.
  mutating func countUsers() -> Bool {
    if countsUsers { return true }
    var cursor = LogCursor(position: ChunkList.start, sequence: 1)
    userUnits = UserUnits()
    while let event = next(&cursor) {
      guard countUnits(of: event) else { return false }
    }
    countsUsers = true
    return true
  }
}

/// What is known of a token: its hash, its place in the table, and the record of its first event.
struct Lookup {
  let hash: UInt64
  let place: SlotTable.Place
  let first: Record?
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
    guard next.available >= 0, next.sold >= 0, next.created &+ next.added <= Limits.number,
      next.added.magnitude <= Limits.number.magnitude, next.cancelled <= Limits.number,
      next.created &+ next.added == next.available &+ next.sold
    else { return nil }
    return next
  }
}
