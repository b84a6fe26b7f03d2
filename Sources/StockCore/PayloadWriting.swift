import CStockABI

// One codec serves replication, AOF, RDB and copies.
extension Bucket {
  /// What the parts of a whole bucket come in, by the phase of the cursor.
  private enum Phase {
    static let start: Int64 = 0
    static let keptTokens: Int64 = 1
    static let heldTokens: Int64 = 2
    static let transfers: Int64 = 3
    static let events: Int64 = 4
    static let settled: Int64 = 5
    static let closing: Int64 = 6
    static let end: Int64 = 7
  }

  /// The bytes that the last change needs at most.
  var changeBytes: Int {
    guard change.first != 0 else { return STOCK_CHANGE_BYTES_MAX }
    let more = Int(truncatingIfNeeded: lastSequence &- change.first)
    return STOCK_CHANGE_BYTES_MAX &+ more &* STOCK_EVENT_BYTES_MAX
  }

  /// Writes what the last command changed, for replicas and the AOF: its events with what they set, or the trim, or the
  /// closed transfer.
  func encodeChange(to buffer: UnsafeMutableRawPointer) -> Int {
    encodeOneEvent(to: buffer) ?? encodeAnyChange(to: buffer)
  }

  /// Writes what nearly every change is: one event of a token or transfer, which sets nothing else; nil if it is more.
  @inline(__always)
  func encodeOneEvent(to buffer: UnsafeMutableRawPointer) -> Int? {
    guard change.first == lastSequence, change.trimmedFrom == 0, change.settled == 0 else { return nil }
    let record = Record(at: log.memory(at: change.address))
    guard record.effect.subject != .none else { return nil }
    var writer = ByteWriter(buffer)
    writer.byte(UInt8(truncatingIfNeeded: STOCK_PAYLOAD_VERSION))
    writer.event(record.event(sequence: change.first))
    return writer.count
  }

  /// Writes a deduction that is all of the change, from the arguments of its command, which must still be there; nil if the
  /// change is another.
  @inline(__always)
  func encodeDeduction(to buffer: UnsafeMutableRawPointer) -> Int? {
    guard change.first == lastSequence, deduction.sequence == lastSequence else { return nil }
    var writer = ByteWriter(buffer)
    writer.byte(UInt8(truncatingIfNeeded: STOCK_PAYLOAD_VERSION))
    writer.event(deduction)
    return writer.count
  }

  func encodeAnyChange(to buffer: UnsafeMutableRawPointer) -> Int {
    var writer = ByteWriter(buffer)
    writer.byte(UInt8(truncatingIfNeeded: STOCK_PAYLOAD_VERSION))
    if change.trimmedFrom != 0 {
      writer.byte(PayloadTag.trim)
      writer.number(change.trimmedFrom)
      writer.number(trimmed.sequence)
    }
    if change.first != 0 {
      var cursor = Cursor()
      cursor.position = change.address
      cursor.sequence = change.first
      while let event = next(&cursor) { writeChange(event, &writer) }
    }
    if change.settled != 0 { writeSettled(change.settled, &writer) }
    return writer.count
  }

  private func writeChange(_ event: Event, _ writer: inout ByteWriter) {
    switch event.effect {
    case .create: writeHeader(&writer, awaitsEnd: false)
    case .schedule:
      writer.byte(PayloadTag.settings)
      writer.settings(settings)
    case .freeze, .thaw:
      writer.byte(PayloadTag.freezing)
      writer.freezing(freezing)
    case .add, .deduct, .hold, .confirm, .cancelHeld, .cancelSold, .rejectHeld, .rejectSold, .expire, .fence, .withdraw,
      .deposit, .rebalanceOut, .rebalanceIn, .recordHeld, .recordSold, .recordCancelled, .recordRejected,
      .recordConfirm,
      .recordCancelHeld, .recordCancelSold, .recordRejectHeld, .recordRejectSold, .recordOut, .recordIn, .recordRestock:
      break
    }
    writer.event(event)
  }

  /// Writes the next part of the bucket from the cursor, the first time with the header; 0 bytes behind the last.
  func encode(from cursor: inout Cursor, to buffer: UnsafeMutableRawPointer, capacity: Int) -> Int {
    var writer = ByteWriter(buffer)
    writer.byte(UInt8(truncatingIfNeeded: STOCK_PAYLOAD_VERSION))
    let empty = writer.count
    if cursor.phase == Phase.start {
      writeHeader(&writer, awaitsEnd: true)
      if trimmed.sequence > 0 { writeTrimmedLog(&writer) }
      begin(Phase.keptTokens, &cursor)
    }
    while cursor.phase < Phase.end, capacity &- writer.count >= STOCK_EVENT_BYTES_MAX {
      if !writeNext(&cursor, &writer) { begin(cursor.phase &+ 1, &cursor) }
    }
    return writer.count == empty ? 0 : writer.count
  }

  private func begin(_ phase: Int64, _ cursor: inout Cursor) {
    cursor = Cursor()
    cursor.phase = phase
    if phase == Phase.keptTokens { cursor.rest = kept.count }
    if phase == Phase.heldTokens { cursor.rest = held.count }
    if phase == Phase.transfers { cursor.rest = transfers.trimmedCount }
    if phase == Phase.transfers || phase == Phase.settled {
      cursor.position = transfers.address(after: 0, openOnly: false)
    }
    if phase == Phase.closing { cursor.rest = 1 }
    if phase == Phase.events {
      _ = seek(after: trimmed.sequence, epoch: 0, &cursor)
      cursor.phase = phase
    }
  }

  /// Writes the next item of the cursor's phase; false where there is none.
  private func writeNext(_ cursor: inout Cursor, _ writer: inout ByteWriter) -> Bool {
    if cursor.phase == Phase.events {
      guard let event = next(&cursor) else { return false }
      writer.event(event)
      return true
    }
    if cursor.phase == Phase.settled { return writeNextSettled(&cursor, &writer) }
    guard cursor.rest > 0 else { return false }
    cursor.rest &-= 1
    if cursor.phase == Phase.closing {
      writer.byte(PayloadTag.end)
      writer.number(lastSequence)
      writer.number(transfers.openCount)
    } else if cursor.phase == Phase.keptTokens {
      writer.token(kept.next(&cursor.position))
    } else if cursor.phase == Phase.heldTokens {
      guard let address = held.next(&cursor.position) else { return false }
      writer.held(held.record(at: address).event(sequence: held.sequence(at: address)))
    } else {
      writer.transfer(transfers.transfer(at: cursor.position))
      cursor.position = transfers.address(after: cursor.position, openOnly: false)
    }
    return true
  }

  /// Writes the next transfer that was made in the log and is closed.
  private func writeNextSettled(_ cursor: inout Cursor, _ writer: inout ByteWriter) -> Bool {
    while cursor.position != 0 {
      let address = cursor.position
      cursor.position = transfers.address(after: address, openOnly: false)
      let transfer = transfers.transfer(at: address)
      if transfer.is_settled && transfer.sequence > trimmed.sequence {
        writeSettled(address, &writer)
        return true
      }
    }
    return false
  }

  private func writeSettled(_ address: UInt64, _ writer: inout ByteWriter) {
    writer.byte(PayloadTag.settled)
    writer.name(transfers.transfer(at: address).name)
  }

  private func writeTrimmedLog(_ writer: inout ByteWriter) {
    writer.byte(PayloadTag.trimmedLog)
    writer.number(trimmed.sequence)
    writer.books(trimmed.books)
    writer.number(kept.count)
    writer.number(held.count)
    writer.number(transfers.trimmedCount)
  }

  private func writeHeader(_ writer: inout ByteWriter, awaitsEnd: Bool) {
    writer.byte(PayloadTag.header)
    writer.number(epoch)
    writer.key(hashing)
    writer.number(settings.buckets)
    writer.settings(settings)
    writer.byte((countsUsers ? PayloadTag.countsUsers : 0) | (awaitsEnd ? PayloadTag.awaitsEnd : 0))
    writer.freezing(freezing)
  }

  // MARK: Freezing all buckets of a server

  static func encodeFreeze(_ reason: FreezeReason, seed: UInt64, to buffer: UnsafeMutableRawPointer) -> Int {
    var writer = ByteWriter(buffer)
    writer.byte(UInt8(truncatingIfNeeded: STOCK_PAYLOAD_VERSION))
    writer.byte(PayloadTag.freezeAnew)
    writer.byte(reason.rawValue)
    writer.word(seed)
    return writer.count
  }

  static func decodeFreeze(_ payload: Bytes) -> (reason: FreezeReason, seed: UInt64)? {
    var reader = ByteReader(payload)
    guard reader.byte() == UInt8(truncatingIfNeeded: STOCK_PAYLOAD_VERSION), reader.byte() == PayloadTag.freezeAnew,
      let reason = FreezeReason.known(reader.byte()), reason != .no
    else { return nil }
    let seed = reader.word()
    return reader.failed || !reader.isAtEnd ? nil : (reason, seed)
  }

  // MARK: Digesting

  /// Two sums over what lies before the log, and all transfers, the same in whatever order these lie: the events of the log
  /// and the books tell the rest.
  func digest() -> (UInt64, UInt64) {
    var sums = DigestSums(hashing: hashing)
    var cursor = Cursor()
    begin(Phase.keptTokens, &cursor)
    while cursor.phase <= Phase.settled {
      if cursor.phase == Phase.events || !sums.add({ writeNext(&cursor, &$0) }) { begin(cursor.phase &+ 1, &cursor) }
    }
    return (sums.first, sums.second)
  }
}

/// Adds keyed hashes of encoded items up.
private struct DigestSums {
  let hashing: KeyedHash
  var first: UInt64 = 0
  var second: UInt64 = 0

  /// Adds the item that `write` writes; false where it writes none.
  mutating func add(_ write: (inout ByteWriter) -> Bool) -> Bool {
    withUnsafeTemporaryAllocation(byteCount: STOCK_EVENT_BYTES_MAX, alignment: 8) { memory in
      guard let start = memory.baseAddress else { return false }
      var writer = ByteWriter(start)
      guard write(&writer) else { return false }
      let item = Bytes(start: start, count: writer.count)
      first &+= hashing.hash(item, .purchase)
      second &+= hashing.secondHash(item, .purchase)
      return true
    }
  }
}
