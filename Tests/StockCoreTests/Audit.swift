import Testing

@testable import StockCore

/// Counts a bucket's whole memory over again: everything in it must agree with everything else, wherever it came from.
struct Audit {
  /// What does not agree.
  private(set) var findings: [String] = []

  private var held: Int64 = 0
  private var sold: Int64 = 0
  private var cancelled: Int64 = 0
  private var purchases: Int64 = 0
  private var timed = 0
  private var units: [UInt64: Int64] = [:]

  init(_ bucket: borrowing Bucket) {
    guard bucket.restoration.isDone else {
      findings.append("something is still to come")
      return
    }
    countKept(bucket)
    countHeld(bucket)
    countLog(bucket)
    checkTotals(bucket)
    checkQueue(bucket)
    checkTransfers(bucket)
    checkUsers(bucket)
  }

  private mutating func note(_ holds: Bool, _ what: @autoclosure () -> String) {
    if !holds { findings.append(what()) }
  }

  private mutating func count(_ state: PurchaseState, _ quantity: Int64, _ user: UInt64?) {
    purchases += 1
    switch state {
    case .held: held += quantity
    case .sold: sold += quantity
    case .cancelled: cancelled += quantity
    }
    if let user, state != .cancelled { units[user, default: 0] += quantity }
  }

  // MARK: Tokens

  private mutating func countKept(_ bucket: borrowing Bucket) {
    var position: UInt64 = 0
    for _ in 0..<bucket.kept.count {
      let token = bucket.kept.next(&position)
      note(token.sequence >= 1 && token.sequence <= bucket.trimmed.sequence, "a kept token of \(token.sequence)")
      let place = bucket.tokens.find(token.low) { address in
        KeptTokens.isKept(address) && bucket.kept.record(at: address).high == token.high
      }
      note(place.address != 0 && bucket.sequence(at: place.address) == token.sequence, "a kept token has no slot")
      if token.kind == .restock { continue }
      count(token.isCancelled ? .cancelled : .sold, token.quantity, token.kind == .purchase ? token.user : nil)
    }
  }

  private mutating func countHeld(_ bucket: borrowing Bucket) {
    var position: UInt64 = 0
    var found: Int64 = 0
    while let address = bucket.held.next(&position) {
      found += 1
      let record = bucket.record(at: address)
      count(record, at: address, bucket.sequence(at: address), bucket)
      note(bucket.sequence(at: address) <= bucket.trimmed.sequence, "a held token of \(bucket.sequence(at: address))")
    }
    note(found == bucket.held.count, "\(found) held tokens instead of \(bucket.held.count)")
  }

  private mutating func countLog(_ bucket: borrowing Bucket) {
    var cursor = Cursor()
    var available = bucket.trimmed.books.available
    note(bucket.seek(after: bucket.trimmed.sequence, epoch: 0, &cursor) == .none, "the log can't be read")
    var sequence = bucket.trimmed.sequence
    while let event = bucket.next(&cursor) {
      sequence += 1
      note(event.sequence == sequence, "event \(event.sequence) after \(sequence - 1)")
      note(event.from == available && event.to >= 0, "event \(sequence) goes from \(event.from) to \(event.to)")
      available = event.to
      let isFirst = event.effect.stateBefore == nil
      if event.effect.subject == .purchase && isFirst { countLogged(event, bucket) }
    }
    note(sequence == bucket.lastSequence, "the log ends with \(sequence)")
    note(available == bucket.books.available, "the log leaves \(available)")
  }

  private mutating func countLogged(_ event: Event, _ bucket: borrowing Bucket) {
    let known = bucket.find(event.token, .purchase)
    guard case .whole(let record)? = known.first, bucket.sequence(of: known) == event.sequence else {
      return note(false, "the token of event \(event.sequence) is not found")
    }
    count(record, at: known.place.address, event.sequence, bucket)
  }

  private mutating func count(_ record: Record, at address: UInt64, _ sequence: Int64, _ bucket: borrowing Bucket) {
    let user = record.isFence ? nil : bucket.hashing.hash(record.user, .user)
    count(record.state, record.quantity, user)
    let known = bucket.find(record.token, .purchase)
    note(known.place.address == address, "the token of event \(sequence) lies elsewhere")
    let isTimed = record.isHold && record.state == .held
    if isTimed { timed += 1 }
    guard record.queuePlace != Record.unqueued else { return note(!isTimed, "hold \(sequence) is not queued") }
    let place = Int(record.queuePlace)
    guard isTimed, place < bucket.holds.count else { return note(false, "event \(sequence) is queued") }
    note(
      bucket.holds[place].address == address && bucket.holds[place].sequence == sequence,
      "hold \(sequence) is not where it says"
    )
  }

  // MARK: The rest

  private mutating func checkTotals(_ bucket: borrowing Bucket) {
    let books = bucket.books
    note(books.isSound, "the books are not sound")
    let found = [held, sold, cancelled, purchases]
    let expected = [books.held, books.sold, books.cancelled, bucket.purchases]
    note(found == expected, "held, sold, cancelled and tokens are \(found) instead of \(expected)")
    note(bucket.trimmed.books.isSound, "the books where the log begins are not sound")
  }

  private mutating func checkQueue(_ bucket: borrowing Bucket) {
    let timed = timed
    note(timed == bucket.holds.count, "\(timed) holds instead of \(bucket.holds.count)")
    for place in 0..<bucket.holds.count {
      let hold = bucket.holds[place]
      if place > 0 { note(!hold.isBefore(bucket.holds[(place - 1) / 2]), "hold \(place) is before its parent") }
      note(hold.expires >= bucket.record(at: hold.address).expires, "hold \(place) is due too early")
    }
  }

  private mutating func checkTransfers(_ bucket: borrowing Bucket) {
    var open: [UInt64] = []
    var (count, incoming, outgoing) = (Int64(0), Int64(0), Int64(0))
    var address = bucket.transfers.address(after: 0, openOnly: false)
    while address != 0 {
      let transfer = bucket.transfers.transfer(at: address)
      count += 1
      if transfer.direction == .incoming { incoming += transfer.quantity } else { outgoing += transfer.quantity }
      if !transfer.is_settled { open.append(address) }
      note(bucket.findTransfer(transfer.name).place.address == address, "a transfer is not found")
      let isTrimmed = transfer.sequence <= bucket.trimmed.sequence
      note(isTrimmed == (count <= bucket.transfers.trimmedCount), "a transfer is on the wrong side of the log's begin")
      address = bucket.transfers.address(after: address, openOnly: false)
    }
    var listed: [UInt64] = []
    address = bucket.transfers.address(after: 0, openOnly: true)
    while address != 0 {
      listed.append(address)
      address = bucket.transfers.address(after: address, openOnly: true)
    }
    note(listed == open && bucket.transfers.openCount == Int64(open.count), "the open transfers are \(listed)")
    note(count == bucket.transfers.count, "\(count) transfers instead of \(bucket.transfers.count)")
    note(incoming <= bucket.books.transferredIn && outgoing <= bucket.books.transferredOut, "transfers of \(incoming)")
  }

  private mutating func checkUsers(_ bucket: borrowing Bucket) {
    guard bucket.countsUsers else { return note(bucket.settings.limit == 0, "a limit without counting") }
    for (user, expected) in units {
      let found = bucket.userUnits.units(of: user)
      note(found == expected, "a user has \(found) instead of \(expected)")
    }
  }
}

/// Audits a bucket, and what comes of its payloads, which must be the same.
func audit(_ bucket: borrowing Bucket, _ comment: @autoclosure () -> Comment = "") {
  for finding in Audit(bucket).findings { Issue.record("\(comment()): \(finding)") }
  let payloads = bucket.payloads(partBytes: 700)
  guard let copy = try? Bucket.restored(from: payloads) else {
    Issue.record("\(comment()): its payloads can't be read")
    return
  }
  for finding in Audit(copy).findings { Issue.record("\(comment()): restored: \(finding)") }
  if copy.digestSums != bucket.digestSums { Issue.record("\(comment()): restored with another digest") }
  if copy.payloads(partBytes: 700) != payloads { Issue.record("\(comment()): restored with other payloads") }
}
