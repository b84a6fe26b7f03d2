import CStockABI

// Reading a payload applies its events again, by the rules: whatever the bytes are, the bucket that comes of them keeps its
// books.
extension Bucket {
  /// Applies a payload that makes a bucket. After a fault the bucket, if it came to be, holds the events before the
  /// faulty one.
  static func make(_ payload: Bytes, _ bucket: inout Bucket?) -> Fault {
    var reader = ByteReader(payload)
    let fault = checkVersion(&reader)
    if fault != .none { return fault }
    guard var made = readHeader(&reader) else { return .damaged }
    let applied = made.apply(&reader)
    // A bucket exists from its first event on.
    guard made.lastSequence > 0 else { return applied == .none ? .damaged : applied }
    bucket = .some(consume made)
    return applied
  }

  /// Applies a payload to this bucket; the events before a faulty one stay applied.
  mutating func applyPayload(_ payload: Bytes) -> Fault {
    beginChange()
    var reader = ByteReader(payload)
    let fault = Bucket.checkVersion(&reader)
    return fault == .none ? apply(&reader) : fault
  }

  /// Whether no part is missing of a bucket that comes in parts.
  var isWhole: Bool { restoration.isDone && !restoration.awaitsEnd }

  /// Whether the last payload left the bucket sold out, or on sale again.
  var turn: Turn { change.turn(to: books.available) }

  /// Reads the payload's version. Faults: `version`, `damaged`.
  private static func checkVersion(_ reader: inout ByteReader) -> Fault {
    let version = reader.byte()
    if reader.failed || version == 0 { return .damaged }
    return version == UInt8(truncatingIfNeeded: STOCK_PAYLOAD_VERSION) ? .none : .version
  }

  /// An empty bucket by the header that comes next; nil if that is not a valid header.
  private static func readHeader(_ reader: inout ByteReader) -> Bucket? {
    guard reader.byte() == PayloadTag.header else { return nil }
    let epoch = reader.number()
    guard let key = reader.bytes(STOCK_HASH_KEY_BYTES).start else { return nil }
    let buckets = reader.number()
    let settings = reader.settings(buckets: buckets)
    let flags = reader.byte()
    guard let freezing = reader.freezing(), !reader.failed, epoch >= 1, settings.buckets >= 1,
      settings.buckets <= Limits.buckets, flags & ~(PayloadTag.countsUsers | PayloadTag.awaitsEnd) == 0
    else { return nil }
    var bucket = Bucket(
      settings: settings,
      freezing: freezing,
      epoch: epoch,
      hashing: KeyedHash(key: key),
      countsUsers: flags & PayloadTag.countsUsers != 0
    )
    bucket.restoration.awaitsEnd = flags & PayloadTag.awaitsEnd != 0
    return bucket
  }

  /// Applies what stands behind version and header. Faults: `damaged`, `outOfStep`, `overflow`; what is before the faulty
  /// item stays applied.
  private mutating func apply(_ reader: inout ByteReader) -> Fault {
    var set = SetByEvent()
    while !reader.isAtEnd {
      let tag = reader.byte()
      if tag == PayloadTag.settings {
        set.settings = reader.settings(buckets: settings.buckets)
        continue
      }
      if tag == PayloadTag.freezing {
        guard let freezing = reader.freezing() else { return .damaged }
        set.freezing = freezing
        continue
      }
      var fault = Fault.damaged
      if tag & PayloadTag.event != 0 {
        if set.isNothing { fault = applyItem(tag, &reader) }
      } else if let event = reader.event(tag: tag, from: books.available) {
        fault = apply(event, set)
        set = SetByEvent()
      }
      if fault != .none { return fault }
    }
    return reader.failed || !set.isNothing ? .damaged : .none
  }

  /// Applies an item that is no event.
  private mutating func applyItem(_ tag: UInt8, _ reader: inout ByteReader) -> Fault {
    switch tag {
    case PayloadTag.header: return .outOfStep
    case PayloadTag.trimmedLog: return applyTrimmedLog(&reader)
    case PayloadTag.keptToken:
      guard let token = reader.token() else { return .damaged }
      return restore(token)
    case PayloadTag.heldToken:
      guard let event = reader.held() else { return .damaged }
      return restore(held: event)
    case PayloadTag.transfer:
      guard let transfer = reader.transfer() else { return .damaged }
      return restore(transfer)
    case PayloadTag.settled:
      let name = reader.name()
      guard !reader.failed, name.isTransferName else { return .damaged }
      let address = findTransfer(name).place.address
      return restoration.isDone && address != 0 && transfers.settle(at: address) ? .none : .outOfStep
    case PayloadTag.end:
      let last = reader.number()
      let open = reader.number()
      if reader.failed { return .damaged }
      guard restoration.isDone, restoration.awaitsEnd, last == lastSequence, open == transfers.openCount else {
        return .outOfStep
      }
      restoration.awaitsEnd = false
      return .none
    case PayloadTag.trim:
      let first = reader.number()
      let last = reader.number()
      if reader.failed { return .damaged }
      guard restoration.isDone, first == trimmed.sequence &+ 1, last >= first, last <= lastSequence else {
        return .outOfStep
      }
      var dropped: Int64 = 0
      return trim(to: last, epoch: 0, dropped: &dropped)
    default: return .damaged
    }
  }

  private mutating func applyTrimmedLog(_ reader: inout ByteReader) -> Fault {
    let sequence = reader.number()
    guard let books = reader.books() else { return .damaged }
    var awaited = restoration
    awaited.awaitedTokens = reader.number()
    awaited.awaitedHeld = reader.number()
    awaited.awaitedTransfers = reader.number()
    if reader.failed { return .damaged }
    if lastSequence != 0 { return .outOfStep }
    return begin(after: sequence, books: books, awaiting: awaited) ? .none : .damaged
  }

  /// Applies an event if it follows from the bucket as it is.
  private mutating func apply(_ event: Event, _ set: SetByEvent) -> Fault {
    guard restoration.isDone, event.sequence == lastSequence &+ 1,
      event.to == event.from &+ event.effect.change(event.quantity), set.belongs(to: event.effect),
      (event.effect == .create) == (lastSequence == 0)
    else { return .outOfStep }
    switch event.effect.subject {
    case .purchase: return apply(purchase: event)
    case .restock:
      let known = find(event.token, .restock)
      return known.first == nil ? record(event, known) : .outOfStep
    case .transfer:
      var known = findTransfer(event.token)
      return known.transfer == nil ? record(event, transfer: &known) : .outOfStep
    case .none:
      if let limit = set.settings?.limit, limit != 0, !countUsers() { return .overflow }
      let fault = record(event)
      if fault != .none { return fault }
      settings = set.settings ?? settings
      freezing = set.freezing ?? freezing
      return .none
    }
  }

  private mutating func apply(purchase event: Event) -> Fault {
    let known = find(event.token, .purchase)
    guard let before = event.effect.stateBefore else {
      return known.first == nil ? record(event, known) : .outOfStep
    }
    guard let first = known.first, !first.isFence, first.state == before, first.quantity == event.quantity,
      event.user.count == 0 ? first.user.count == 0 : isUser(event.user, of: first)
    else { return .outOfStep }
    return record(event, known)
  }
}

/// What the event that comes next sets, by the items before it.
private struct SetByEvent {
  var settings: Settings?
  var freezing: Freezing?

  var isNothing: Bool { settings == nil && freezing == nil }

  func belongs(to effect: Effect) -> Bool {
    (settings == nil || effect == .schedule) && (freezing == nil || effect == .freeze || effect == .thaw)
  }
}
