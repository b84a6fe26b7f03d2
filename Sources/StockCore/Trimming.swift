import CStockABI

/// Where a bucket's log begins: the last event that is gone, the books after it, and the place of the next.
struct TrimmedLog {
  var sequence: Int64 = 0
  var books = Books()
  var next: UInt64 = ChunkList.start
  /// The first event that the last trim dropped.
  var lastFrom: Int64 = 0
}

extension Bucket {
  /// Drops the events up to `sequence`; their tokens stay known. An `epoch` of 0 fits any. In order: faults
  /// `epochMismatch`, `ahead`, `overflow` (no address is left for the tokens), and then nothing has changed.
  mutating func trim(to sequence: Int64, epoch: Int64, dropped: inout Int64) -> Fault {
    dropped = 0
    if epoch != 0 && epoch != self.epoch { return .epochMismatch }
    if sequence > lastSequence { return .ahead }
    let count = sequence &- trimmed.sequence
    guard count > 0 else { return .none }
    guard kept.hasRoom(for: count) else { return .overflow }
    trimmed.lastFrom = trimmed.sequence &+ 1
    while trimmed.sequence < sequence {
      let address = log.settled(trimmed.next)
      let record = Record(at: log.memory(at: address))
      drop(record.event(sequence: trimmed.sequence &+ 1), isCancelled: record.isCancelled, at: address)
      trimmed.next = address &+ record.units
      trimmed.sequence &+= 1
    }
    if sequence == lastSequence {
      log.dropAll()
      trimmed.next = log.firstAddress
    } else {
      trimmed.next = log.settled(trimmed.next)
      log.drop(before: trimmed.next)
    }
    // No event is the last change any more.
    lastAddress = 0
    dropped = count
    return .none
  }

  private mutating func drop(_ event: Event, isCancelled: Bool, at address: UInt64) {
    // What was recorded once was within its bounds.
    trimmed.books = trimmed.books.after(event) ?? trimmed.books
    switch event.action {
    case .deduct, .fence: keep(event, .purchase, isCancelled: isCancelled, at: address)
    case .add: keep(event, .restock, isCancelled: false, at: address)
    case .cancel:
      // The event that took the token came before and is kept already.
      if case .kept(let record)? = find(event.token, .purchase).first { record.markCancelTrimmed() }
    case .create, .schedule: break
    }
  }

  private mutating func keep(_ event: Event, _ space: NameSpace, isCancelled: Bool, at address: UInt64) {
    let hash = hashing.hash(event.token, space)
    let place = tokens.find(hash) { $0 == address }
    let token = KeptToken(
      low: hash,
      high: hashing.secondHash(event.token, space),
      user: event.user.count == 0 ? 0 : hashing.hash(event.user, .user),
      sequence: event.sequence,
      quantity: event.quantity,
      action: event.action,
      isCancelled: isCancelled,
      isCancelTrimmed: event.action == .fence
    )
    tokens.replace(hash, kept.append(token), at: place)
  }

  // MARK: Loading

  /// Begins a bucket without events after those that a payload says were trimmed; `count` tokens are to follow, by
  /// `restore`. False where no bucket can have come to this.
  mutating func begin(after sequence: Int64, books: Books, awaiting count: Int64) -> Bool {
    guard lastSequence == 0, sequence >= 1, count < sequence, books.isSound else { return false }
    lastSequence = sequence
    trimmed.sequence = sequence
    trimmed.books = books
    self.books = books
    awaitedTokens = count
    return count > 0 || keptFitsBooks
  }

  /// Takes in the next token that was kept at the log's beginning. Faults: `outOfStep`, `overflow`, `damaged`.
  mutating func restore(_ token: KeptToken) -> Fault {
    guard awaitedTokens > 0, token.sequence > kept.lastSequence, token.sequence <= trimmed.sequence else {
      return .outOfStep
    }
    var place = tokens.find(token.low) { address in
      let known = kept.record(at: address)
      return known.low == token.low && known.high == token.high
    }
    guard place.address == 0 else { return .outOfStep }
    guard kept.hasRoom(for: 1), tokens.reserve(token.low, &place) else { return .overflow }
    if countsUsers && token.action == .deduct && !token.isCancelled {
      guard userUnits.add(token.quantity, to: token.user) else { return .overflow }
    }
    tokens.insert(token.low, kept.append(token), at: place)
    if token.action != .add { purchases &+= 1 }
    awaitedTokens &-= 1
    return awaitedTokens > 0 || keptFitsBooks ? .none : .damaged
  }

  /// Whether the kept tokens, as they stood where the log begins, make up the books there.
  private var keptFitsBooks: Bool {
    var sold: Int64 = 0
    var cancelled: Int64 = 0
    var added: Int64 = 0
    var position: UInt64 = 0
    var rest = kept.count
    while rest > 0 {
      let token = kept.next(&position)
      if token.action == .add {
        added &+= token.quantity
      } else if token.isCancelTrimmed {
        cancelled &+= token.quantity
      } else {
        sold &+= token.quantity
      }
      // What was taken off sale on cancelling is in `added` too, at most all that was cancelled.
      guard sold <= Limits.number, cancelled <= Limits.number, added.magnitude <= 2 &* Limits.number.magnitude else {
        return false
      }
      rest &-= 1
    }
    let offSale = added &- trimmed.books.added
    return sold == trimmed.books.sold && cancelled == trimmed.books.cancelled && offSale >= 0 && offSale <= cancelled
  }
}
