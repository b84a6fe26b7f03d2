import CStockABI

/// What a payload may contain behind its version byte: a header, which makes a bucket, and if its log was trimmed the books
/// and tokens of what is gone; the settings of the schedule event behind them; events; trims.
private enum PayloadTag {
  static let header: UInt8 = 0xf1
  static let settings: UInt8 = 0xf2
  /// Since version 2: what was trimmed before the events; a token of it; a trim.
  static let trimmedLog: UInt8 = 0xf8
  static let keptToken: UInt8 = 0xf9
  static let trim: UInt8 = 0xfa
  static let countsUsers: UInt8 = 0x01
  static let cancelled: UInt8 = 0x80
  static let actionMask: UInt8 = 0x1f
  static let offSale: UInt8 = 0x20
  static let negative: UInt8 = 0x40
}

// One codec serves replication, AOF, RDB and copies. Reading applies the events again, by the rules: whatever the bytes
// are, the bucket that comes of them keeps its books.
extension Bucket {
  // MARK: Writing

  /// Writes the last event with what it set, or the trim after it, for replicas and the AOF.
  func encodeChange(to buffer: UnsafeMutableRawPointer) -> Int {
    var writer = ByteWriter(buffer)
    writer.byte(UInt8(truncatingIfNeeded: STOCK_PAYLOAD_VERSION))
    guard lastAddress != 0 else {
      writer.byte(PayloadTag.trim)
      writer.number(trimmed.lastFrom)
      writer.number(trimmed.sequence)
      return writer.count
    }
    let event = lastEvent
    switch event.action {
    case .create: writeHeader(&writer)
    case .schedule:
      writer.byte(PayloadTag.settings)
      writer.number(settings.limit)
      writer.number(settings.opens)
      writer.number(settings.closes)
    case .add, .deduct, .cancel, .fence: break
    }
    writer.event(event)
    return writer.count
  }

  /// Writes as many events from the cursor as fit, the first time with the header; 0 bytes behind the last.
  func encode(from cursor: inout LogCursor, to buffer: UnsafeMutableRawPointer, capacity: Int) -> Int {
    var writer = ByteWriter(buffer)
    writer.byte(UInt8(truncatingIfNeeded: STOCK_PAYLOAD_VERSION))
    if cursor.sequence == 0 {
      writeHeader(&writer)
      if trimmed.sequence > 0 { writeTrimmedLog(&writer) }
      cursor = LogCursor(position: 0, sequence: 1, kept: kept.count)
      if kept.count == 0 { _ = seek(after: trimmed.sequence, epoch: 0, &cursor) }
    }
    let empty = 1
    while capacity &- writer.count >= STOCK_EVENT_BYTES_MAX, cursor.kept > 0 {
      writer.token(kept.next(&cursor.position))
      cursor.kept &-= 1
      if cursor.kept == 0 { _ = seek(after: trimmed.sequence, epoch: 0, &cursor) }
    }
    if cursor.kept > 0 { return writer.count }
    while capacity &- writer.count >= STOCK_EVENT_BYTES_MAX, let event = next(&cursor) {
      writer.event(event)
    }
    return writer.count == empty ? 0 : writer.count
  }

  /// Writes the kept token at the cursor, which moves on; 0 bytes behind the last.
  func encodeKept(from cursor: inout LogCursor, to buffer: UnsafeMutableRawPointer) -> Int {
    guard cursor.kept < kept.count else { return 0 }
    var writer = ByteWriter(buffer)
    writer.token(kept.next(&cursor.position))
    cursor.kept &+= 1
    return writer.count
  }

  private func writeTrimmedLog(_ writer: inout ByteWriter) {
    let books = trimmed.books
    writer.byte(PayloadTag.trimmedLog)
    writer.number(trimmed.sequence)
    writer.number(books.created)
    writer.byte(books.added < 0 ? PayloadTag.negative : 0)
    writer.number(Int64(truncatingIfNeeded: books.added.magnitude))
    writer.number(books.available)
    writer.number(books.sold)
    writer.number(books.cancelled)
    writer.number(kept.count)
  }

  private func writeHeader(_ writer: inout ByteWriter) {
    writer.byte(PayloadTag.header)
    writer.number(epoch)
    writer.key(hashing)
    writer.number(settings.buckets)
    writer.number(settings.limit)
    writer.number(settings.opens)
    writer.number(settings.closes)
    writer.byte(countsUsers ? PayloadTag.countsUsers : 0)
  }

  // MARK: Reading

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
    var reader = ByteReader(payload)
    let fault = Bucket.checkVersion(&reader)
    return fault == .none ? apply(&reader) : fault
  }

  /// Reads the payload's version. Faults: `version`, `damaged`.
  private static func checkVersion(_ reader: inout ByteReader) -> Fault {
    let version = reader.byte()
    if reader.failed || version == 0 { return .damaged }
    // Version 1 is without trims, else the same.
    return version <= UInt8(truncatingIfNeeded: STOCK_PAYLOAD_VERSION) ? .none : .version
  }

  /// An empty bucket by the header that comes next; nil if that is not a valid header.
  private static func readHeader(_ reader: inout ByteReader) -> Bucket? {
    guard reader.byte() == PayloadTag.header else { return nil }
    let epoch = reader.number()
    guard let key = reader.bytes(STOCK_HASH_KEY_BYTES).start else { return nil }
    let settings = Settings(
      buckets: reader.number(),
      limit: reader.number(),
      opens: reader.number(),
      closes: reader.number()
    )
    let flags = reader.byte()
    guard !reader.failed, epoch >= 1, settings.buckets >= 1, settings.buckets <= Limits.buckets,
      flags & ~PayloadTag.countsUsers == 0
    else { return nil }
    return Bucket(
      settings: settings,
      epoch: epoch,
      hashing: KeyedHash(key: key),
      countsUsers: flags & PayloadTag.countsUsers != 0
    )
  }

  /// Applies the events of a payload behind version and header. Faults: `damaged`, `outOfStep`, `overflow`; the events
  /// before the faulty one stay applied.
  private mutating func apply(_ reader: inout ByteReader) -> Fault {
    var scheduled: Settings?
    while !reader.isAtEnd {
      let tag = reader.byte()
      if tag == PayloadTag.header { return .outOfStep }
      if tag == PayloadTag.settings {
        scheduled = Settings(
          buckets: settings.buckets,
          limit: reader.number(),
          opens: reader.number(),
          closes: reader.number()
        )
        continue
      }
      if tag >= PayloadTag.trimmedLog {
        guard scheduled == nil else { return .damaged }
        let fault = applyTrim(&reader, tag: tag)
        if fault != .none { return fault }
        continue
      }
      guard let event = reader.event(tag: tag, from: books.available) else { return .damaged }
      let fault = apply(event, scheduled)
      if fault != .none { return fault }
      scheduled = nil
    }
    return reader.failed || scheduled != nil ? .damaged : .none
  }

  /// Applies what a payload says of trims: the books and tokens of a log that was trimmed, or a trim.
  private mutating func applyTrim(_ reader: inout ByteReader, tag: UInt8) -> Fault {
    switch tag {
    case PayloadTag.trimmedLog:
      let sequence = reader.number()
      let created = reader.number()
      let sign = reader.byte()
      let added = reader.number()
      let books = Books(
        created: created,
        added: sign == 0 ? added : 0 &- added,
        available: reader.number(),
        sold: reader.number(),
        cancelled: reader.number()
      )
      let count = reader.number()
      guard !reader.failed, sign == 0 || sign == PayloadTag.negative else { return .damaged }
      if lastSequence != 0 { return .outOfStep }
      return begin(after: sequence, books: books, awaiting: count) ? .none : .damaged
    case PayloadTag.keptToken:
      guard let token = reader.token() else { return .damaged }
      return restore(token)
    case PayloadTag.trim:
      let first = reader.number()
      let last = reader.number()
      if reader.failed { return .damaged }
      guard awaitedTokens == 0, first == trimmed.sequence &+ 1, last >= first, last <= lastSequence else {
        return .outOfStep
      }
      var dropped: Int64 = 0
      return trim(to: last, epoch: 0, dropped: &dropped)
    default: return .damaged
    }
  }

  /// Applies an event if it follows from the bucket as it is.
  private mutating func apply(_ event: Event, _ scheduled: Settings?) -> Fault {
    let change = event.action.change(quantity: event.quantity, offSale: event.off_sale)
    let isScheduling = scheduled == nil || event.action == .schedule
    guard awaitedTokens == 0, event.sequence == lastSequence &+ 1, event.to == event.from &+ change, isScheduling,
      (event.action == .create) == (lastSequence == 0)
    else { return .outOfStep }
    switch event.action {
    case .create: return record(event)
    case .schedule:
      if let scheduled {
        guard scheduled.limit == 0 || countUsers() else { return .overflow }
        let fault = record(event)
        if fault == .none { settings = scheduled }
        return fault
      }
      return record(event)
    case .add:
      let known = find(event.token, .restock)
      return known.first == nil ? record(event, known) : .outOfStep
    case .deduct, .fence:
      let known = find(event.token, .purchase)
      return known.first == nil ? record(event, known) : .outOfStep
    case .cancel:
      let known = find(event.token, .purchase)
      guard let first = known.first, !first.isCancelled, first.quantity == event.quantity,
        event.user.count == 0 ? first.user.count == 0 : isUser(event.user, of: first)
      else { return .outOfStep }
      return record(event, known)
    }
  }
}

extension ByteWriter {
  mutating func event(_ event: Event) {
    let flags = (event.off_sale ? PayloadTag.offSale : 0) | (event.quantity < 0 ? PayloadTag.negative : 0)
    byte(event.action.rawValue | flags)
    number(event.sequence)
    number(event.timestamp)
    number(event.to)
    number(Int64(truncatingIfNeeded: event.quantity.magnitude))
    name(event.token)
    name(event.user)
  }

  /// A kept token as it stood where the log begins.
  fileprivate mutating func token(_ token: KeptToken) {
    let flags = (token.isCancelTrimmed ? PayloadTag.cancelled : 0) | (token.quantity < 0 ? PayloadTag.negative : 0)
    byte(PayloadTag.keptToken)
    byte(token.action.rawValue | flags)
    word(token.low)
    word(token.high)
    if token.action == .deduct { word(token.user) }
    number(token.sequence)
    if token.action != .fence { number(Int64(truncatingIfNeeded: token.quantity.magnitude)) }
  }

  fileprivate mutating func key(_ hashing: KeyedHash) {
    var key = (UInt64(0), UInt64(0))
    withUnsafeMutableBytes(of: &key) { memory in
      guard let start = memory.baseAddress else { return }
      hashing.store(to: start)
      bytes(Bytes(start: start, count: memory.count))
    }
  }
}

extension ByteReader {
  /// A kept token, well formed by itself; nil if it is not.
  fileprivate mutating func token() -> KeptToken? {
    let flags = byte()
    let isCancelled = flags & PayloadTag.cancelled != 0
    let isNegative = flags & PayloadTag.negative != 0
    guard flags & PayloadTag.offSale == 0, let action = Action.known(flags & PayloadTag.actionMask) else { return nil }
    let low = word()
    let high = word()
    let user = action == .deduct ? word() : 0
    let sequence = number()
    let magnitude = action == .fence ? 0 : number()
    guard !failed else { return nil }
    switch action {
    case .deduct: guard magnitude >= 1, !isNegative else { return nil }
    case .fence: guard isCancelled, !isNegative else { return nil }
    case .add: guard magnitude >= 1, !isCancelled else { return nil }
    case .create, .cancel, .schedule: return nil
    }
    return KeptToken(
      low: low,
      high: high,
      user: user,
      sequence: sequence,
      quantity: isNegative ? 0 &- magnitude : magnitude,
      action: action,
      isCancelled: isCancelled,
      isCancelTrimmed: isCancelled
    )
  }

  /// The event behind a tag, well formed by itself; nil if it is not.
  fileprivate mutating func event(tag: UInt8, from: Int64) -> Event? {
    guard let action = Action.known(tag & PayloadTag.actionMask), tag & 0x80 == 0 else { return nil }
    let sequence = number()
    let timestamp = number()
    let to = number()
    let magnitude = number()
    let event = Event(
      sequence: sequence,
      timestamp: timestamp,
      from: from,
      to: to,
      quantity: tag & PayloadTag.negative == 0 ? magnitude : 0 &- magnitude,
      token: name(),
      user: name(),
      action: action,
      off_sale: tag & PayloadTag.offSale != 0
    )
    return !failed && event.isWellFormed ? event : nil
  }
}

extension Event {
  /// Whether the event has the fields of its action, within their bounds.
  fileprivate var isWellFormed: Bool {
    guard timestamp <= Limits.time, !off_sale || action == .cancel else { return false }
    switch action {
    case .create: return token.count == 0 && user.count == 0 && quantity >= 0
    case .schedule: return token.count == 0 && user.count == 0 && quantity == 0
    case .add: return token.isName && user.count == 0 && quantity != 0
    case .deduct: return token.isName && user.isName && quantity >= 1
    // The user is gone where the purchase's event was trimmed.
    case .cancel: return token.isName && (user.count == 0 || user.isName) && quantity >= 1
    case .fence: return token.isName && user.count == 0 && quantity == 0
    }
  }
}
