import CStockABI

extension Bucket {
  /// The cursor of the event after `after`; an `epoch` of 0 fits any. Faults: `epochMismatch`, `ahead`, `trimmed`.
  func seek(after: Int64, epoch: Int64, _ cursor: inout Cursor) -> Fault {
    if epoch != 0 && epoch != self.epoch { return .epochMismatch }
    if after > lastSequence { return .ahead }
    if after < trimmed.sequence { return .trimmed }
    cursor = Cursor()
    if after == trimmed.sequence {
      cursor.position = trimmed.next
      cursor.sequence = after &+ 1
      return .none
    }
    cursor.position = log.chunkStart(label: after &+ 1)
    cursor.sequence = log.label(at: cursor.position)
    while cursor.sequence <= after {
      cursor.position &+= Record(at: log.memory(at: cursor.position)).units
      cursor.sequence &+= 1
    }
    return .none
  }

  /// The event at the cursor, which moves on; nil behind the last.
  func next(_ cursor: inout Cursor) -> Event? {
    guard cursor.sequence <= lastSequence else { return nil }
    let position = log.settled(cursor.position)
    let record = Record(at: log.memory(at: position))
    let event = record.event(sequence: cursor.sequence)
    cursor.position = position &+ record.units
    cursor.sequence &+= 1
    return event
  }

  /// What is known of a token, nil if nothing.
  func purchase(token: Bytes) -> Purchase? {
    let known = find(token, .purchase)
    guard let first = known.first else { return nil }
    switch first {
    case .whole(let record):
      var event = record.event(sequence: sequence(of: known))
      if record.state != .held { event.expires = 0 }
      return Purchase(event: event, state: record.state, is_trimmed: false, is_fence: record.isFence)
    case .kept(let record):
      var event = Event()
      event.sequence = sequence(of: known)
      event.effect = record.isFence ? .fence : .deduct
      event.quantity = record.quantity
      event.token = token
      return Purchase(event: event, state: first.state, is_trimmed: true, is_fence: record.isFence)
    }
  }

  /// The cursor of the first transfer made after another, or of the first of all: of the open ones or of all. False where
  /// the other is unknown.
  func seekTransfers(after name: Bytes, all: Bool, _ cursor: inout Cursor) -> Bool {
    var address: UInt64 = 0
    if name.count > 0 {
      address = transfers.find(name, hashing.hash(name, .transfer)).address
      guard address != 0 else { return false }
    }
    cursor = Cursor()
    cursor.phase = all ? 1 : 0
    cursor.position = transfers.address(after: address, openOnly: !all)
    return true
  }

  /// The transfer at the cursor, which moves on; nil behind the last.
  func nextTransfer(_ cursor: inout Cursor) -> Transfer? {
    guard cursor.position != 0 else { return nil }
    let transfer = transfers.transfer(at: cursor.position)
    cursor.position = transfers.address(after: cursor.position, openOnly: cursor.phase == 0)
    return transfer
  }
}
