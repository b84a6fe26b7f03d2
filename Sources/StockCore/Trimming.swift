import CStockABI

/// Where a bucket's log begins: the last event that is gone, the books after it, and the place of the next.
struct TrimmedLog {
  var sequence: Int64 = 0
  var books = Books()
  var next: UInt64 = ChunkList.start
}

extension Bucket {
  /// Drops the events up to `sequence`; their tokens and transfers stay known. An `epoch` of 0 fits any. In order: faults
  /// `epochMismatch`, `ahead`, `overflow` (no address is left for the tokens), and then nothing has changed.
  mutating func trim(to sequence: Int64, epoch: Int64, dropped: inout Int64) -> Fault {
    beginChange()
    dropped = 0
    if epoch != 0 && epoch != self.epoch { return .epochMismatch }
    if sequence > lastSequence { return .ahead }
    let count = sequence &- trimmed.sequence
    guard count > 0 else { return .none }
    guard kept.hasRoom(for: count) else { return .overflow }
    guard held.hasRoom(for: count) || held.hasRoom(for: holds(to: sequence)) else { return .overflow }
    change.trimmedFrom = trimmed.sequence &+ 1
    while trimmed.sequence < sequence {
      let address = log.settled(trimmed.next)
      let record = Record(at: log.memory(at: address))
      trimmed.next = address &+ record.units
      trimmed.sequence &+= 1
      drop(record.event(sequence: trimmed.sequence), record, at: address)
    }
    if sequence == lastSequence {
      log.dropAll()
      trimmed.next = log.firstAddress
    } else {
      trimmed.next = log.settled(trimmed.next)
      log.drop(before: trimmed.next)
    }
    dropped = count
    return .none
  }

  /// How many of the events up to `sequence` have held a purchase: so many at most are held at once.
  private func holds(to sequence: Int64) -> Int64 {
    var cursor = Cursor()
    cursor.position = log.settled(trimmed.next)
    cursor.sequence = trimmed.sequence &+ 1
    var holds: Int64 = 0
    while cursor.sequence <= sequence, let event = next(&cursor) {
      if event.effect == .hold || event.effect == .recordHeld { holds &+= 1 }
    }
    return holds
  }

  private mutating func drop(_ event: Event, _ record: Record, at address: UInt64) {
    // What was recorded once was within its bounds.
    trimmed.books = trimmed.books.after(event) ?? trimmed.books
    switch event.effect {
    case .deduct, .recordSold, .recordCancelled, .recordRejected: keep(event, .purchase, record.state, from: address)
    case .fence: keep(event, .fence, .cancelled, from: address)
    case .add, .recordRestock: keep(event, .restock, .sold, from: address)
    case .hold, .recordHeld: hold(event, record, from: address)
    case .confirm, .recordConfirm, .cancelHeld, .rejectHeld, .expire, .recordCancelHeld, .recordRejectHeld:
      release(event.token, event.effect.stateAfter)
    case .cancelSold, .rejectSold, .recordCancelSold, .recordRejectSold:
      // The event that took the token came before and is kept already.
      if case .kept(let record)? = find(event.token, .purchase).first { record.markCancelTrimmed() }
    case .withdraw, .deposit, .recordOut, .recordIn: transfers.trimNext()
    case .create, .rebalanceOut, .rebalanceIn, .schedule, .freeze, .thaw: break
    }
  }

  /// Keeps what must stay of the first event of a token that is not held where the log begins.
  private mutating func keep(_ event: Event, _ kind: KeptKind, _ state: PurchaseState, from address: UInt64) {
    let space: NameSpace = kind == .restock ? .restock : .purchase
    let hash = hashing.hash(event.token, space)
    let place = tokens.find(hash) { $0 == address }
    let token = KeptToken(
      low: hash,
      high: hashing.secondHash(event.token, space),
      user: event.user.count == 0 ? 0 : hashing.hash(event.user, .user),
      sequence: event.sequence,
      quantity: event.quantity,
      kind: kind,
      isCancelled: state == .cancelled,
      isCancelTrimmed: event.effect.stateAfter == .cancelled
    )
    tokens.replace(hash, kept.append(token), at: place)
  }

  /// Moves the record of a purchase that is held where the log begins out of the log.
  private mutating func hold(_ event: Event, _ record: Record, from address: UInt64) {
    let hash = hashing.hash(event.token, .purchase)
    let place = tokens.find(hash) { $0 == address }
    let size = record.size
    let entry = held.append(size: size, sequence: event.sequence)
    record.copy(size: size, to: entry.memory)
    tokens.replace(hash, entry.address, at: place)
    if record.queuePlace != Record.unqueued { move(holdAt: Int(record.queuePlace), to: entry.address) }
  }

  /// Makes a kept token of a held one, whose end is trimmed now: it was sold then, or cancelled.
  private mutating func release(_ token: Bytes, _ end: PurchaseState) {
    let known = find(token, .purchase)
    // The hold's event came before, so it is trimmed.
    guard HeldTokens.isHeld(known.place.address), case .whole(let record)? = known.first else { return }
    let kept = KeptToken(
      low: known.hash,
      high: hashing.secondHash(record.token, .purchase),
      user: hashing.hash(record.user, .user),
      sequence: held.sequence(at: known.place.address),
      quantity: record.quantity,
      kind: .purchase,
      isCancelled: record.state == .cancelled,
      isCancelTrimmed: end == .cancelled
    )
    tokens.replace(known.hash, self.kept.append(kept), at: known.place)
    held.remove(at: known.place.address)
  }
}
