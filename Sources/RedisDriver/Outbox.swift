/// The commands of one connection that have no reply yet, in order, with their bytes: first those in flight, then
/// those that wait. It decides what becomes of them when a connection is lost. It does no I/O and reads no clock.
///
/// Bytes stay until their reply, so sending again means no more than starting again from the front.
struct Outbox<Ticket>: ~Copyable {
  struct Entry {
    let id: UInt64
    /// The size of all its bytes.
    let bytes: Int
    /// More than one for commands that are sent as a block and answered together.
    let replies: Int
    let retry: CallOptions.Retry
    let whenUnreachable: CallOptions.WhenUnreachable
    /// Nanoseconds that a sending may stay without reply.
    let timeout: Int64
    /// Not sent from then on.
    let deadline: MonotonicTime
    /// When it was given to the present connection.
    var queuedAt = MonotonicTime.distantFuture
    var lostSendings = 0
    /// Whom to tell; nil once its caller has gone.
    var ticket: Ticket?
  }

  /// Why a command ends without reply.
  enum Failure: Equatable {
    case notSent, replyLost, timedOut, protocolViolation
    /// It has not run; the error is the one that keeps the connection from being made.
    case unreachable
  }

  struct Failed {
    let ticket: Ticket
    let failure: Failure
    let lostSendings: Int
  }

  /// Why a connection ended.
  enum Loss: Equatable {
    case disconnected
    /// The oldest command in flight got no reply in time.
    case timedOut
    /// The reply to the oldest command in flight could not be understood.
    case protocolViolation
  }

  var writer = CommandWriter()
  private var entries = Queue<Entry>()
  /// How many of the bytes, from the front, the present connection has taken.
  private(set) var bytesSent = 0
  /// Entries, from the front, whose last byte the present connection has taken; and the bytes of those.
  private var entriesSent = 0
  private var bytesOfEntriesSent = 0
  /// No entry's deadline is earlier.
  private var earliestDeadline = MonotonicTime.distantFuture

  var isEmpty: Bool { entries.isEmpty }
  var count: Int { entries.count }
  var hasUnsent: Bool { bytesSent < writer.buffer.count }
  var inFlight: Int { entriesSent }

  /// Valid until the next change.
  var unsent: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: writer.buffer.bytes[bytesSent...]) }

  var oldest: Entry? { entries.isEmpty ? nil : entries[0] }

  /// Since when the oldest command waits for the present connection; nil while there is none.
  var oldestQueuedAt: MonotonicTime? {
    guard !entries.isEmpty, entries[0].queuedAt != .distantFuture else { return nil }
    return entries[0].queuedAt
  }

  /// The oldest command, if a reply to it may come: it has been sent, or is a block of which some has.
  var oldestInFlight: Entry? { entriesSent > 0 || isBlockUnderWay ? entries[0] : nil }

  /// When the oldest command has waited long enough for its reply, or for its next byte to be taken.
  /// Means something only while there is a connection.
  var replyDue: MonotonicTime? {
    entries.isEmpty ? nil : entries[0].queuedAt.advanced(by: entries[0].timeout)
  }

  /// When, at the earliest, a command that waits has waited long enough. May be earlier than the true one.
  var waitingDue: MonotonicTime? { entriesSent < entries.count ? earliestDeadline : nil }

  /// True while somebody still waits for an outcome.
  var hasListeners: Bool {
    for index in 0..<entries.count where entries[index].ticket != nil { return true }
    return false
  }

  /// Adds an entry whose bytes have just been written.
  mutating func append(_ entry: Entry) {
    if entry.deadline < earliestDeadline { earliestDeadline = entry.deadline }
    entries.append(entry)
  }

  /// The connection has taken that many more bytes.
  mutating func markSent(_ bytes: Int, now: MonotonicTime) {
    // A huge command on a slow line is not late as long as it moves.
    if entriesSent == 0, !entries.isEmpty { entries[0].queuedAt = now }
    bytesSent += bytes
    while entriesSent < entries.count, bytesOfEntriesSent + entries[entriesSent].bytes <= bytesSent {
      bytesOfEntriesSent += entries[entriesSent].bytes
      entriesSent += 1
    }
  }

  /// The oldest command in flight has its reply.
  mutating func removeOldest() {
    guard entriesSent > 0 else { return }
    let entry = entries.removeFirst()
    writer.buffer.dropFirst(entry.bytes)
    bytesSent -= entry.bytes
    bytesOfEntriesSent -= entry.bytes
    entriesSent -= 1
    if entries.isEmpty { earliestDeadline = .distantFuture }
  }

  /// The caller of a command goes. In flight, or on its way in part, it keeps its place in the order of replies, and may
  /// be carried out: such a sending counts as one without reply.
  /// Returns what to tell the caller, and nil if the command is not here (any more).
  mutating func abandon(_ id: UInt64) -> (ticket: Ticket, lostSendings: Int)? {
    for index in 0..<entries.count where entries[index].id == id {
      guard let ticket = entries[index].ticket else { return nil }
      let lost = entries[index].lostSendings + (index < firstUntouched ? 1 : 0)
      entries[index].ticket = nil
      if index >= firstUntouched {
        keep { candidate, _ in candidate.id != id }
      }
      return (ticket, lost)
    }
    return nil
  }
}

extension Outbox {
  /// The connection is gone: what may be sent again stays, in order, to be sent from the front on; the rest fails.
  mutating func lose(_ loss: Loss, now: MonotonicTime) -> [Failed] {
    var failed: [Failed] = []
    let sent = entriesBegun
    bytesSent = 0
    entriesSent = 0
    bytesOfEntriesSent = 0
    keep { entry, index in
      if index < sent { entry.lostSendings += 1 }
      entry.queuedAt = .distantFuture
      guard let ticket = entry.ticket else { return false }
      guard let failure = Self.fate(of: entry, wasSent: index < sent, oldest: index == 0, after: loss, now: now) else {
        return true
      }
      failed.append(Failed(ticket: ticket, failure: failure, lostSendings: entry.lostSendings))
      return false
    }
    return failed
  }

  /// Nil if the command is to be sent again.
  private static func fate(of entry: Entry, wasSent: Bool, oldest: Bool, after loss: Loss, now: MonotonicTime)
    -> Failure?
  {
    if oldest, wasSent, loss == .protocolViolation { return .protocolViolation }
    if now < entry.deadline, !wasSent || entry.retry == .always { return nil }
    if oldest, wasSent, loss == .timedOut { return .timedOut }
    return entry.lostSendings > 0 ? .replyLost : .notSent
  }

  /// Takes out the commands past their deadline that the present connection has no byte of.
  mutating func expire(now: MonotonicTime) -> [Failed] {
    guard earliestDeadline <= now else { return [] }
    return removeUnsent { entry in
      guard entry.deadline <= now else { return nil }
      return entry.lostSendings > 0 ? .replyLost : .notSent
    }
  }

  /// An attempt to connect has failed: takes out the commands that don't want to wait for another.
  mutating func failImpatient() -> [Failed] {
    removeUnsent { entry in
      guard entry.whenUnreachable == .fail else { return nil }
      return entry.lostSendings > 0 ? .replyLost : .unreachable
    }
  }

  /// Takes out all commands.
  mutating func failAll(_ failure: Failure) -> [Failed] {
    let sent = entriesBegun
    bytesSent = 0
    entriesSent = 0
    bytesOfEntriesSent = 0
    var failed: [Failed] = []
    keep { entry, index in
      guard let ticket = entry.ticket else { return false }
      let lost = entry.lostSendings + (index < sent ? 1 : 0)
      failed.append(Failed(ticket: ticket, failure: lost > 0 ? .replyLost : failure, lostSendings: lost))
      return false
    }
    return failed
  }

  /// A connection is ready: from now on the time of all commands here runs.
  mutating func restart(now: MonotonicTime) {
    for index in 0..<entries.count { entries[index].queuedAt = now }
  }

  /// The first entry that the present connection has no byte of. One that is on its way in part must follow whole.
  private var firstUntouched: Int { entriesSent + (bytesSent > bytesOfEntriesSent ? 1 : 0) }

  /// Whether a block is on its way in part: the server may answer its first commands, and have carried them out.
  private var isBlockUnderWay: Bool { bytesSent > bytesOfEntriesSent && entries[entriesSent].replies > 1 }

  /// Entries, from the front, of which something may have been carried out.
  private var entriesBegun: Int { entriesSent + (isBlockUnderWay ? 1 : 0) }

  private mutating func removeUnsent(_ judge: (Entry) -> Failure?) -> [Failed] {
    let first = firstUntouched
    var failed: [Failed] = []
    keep { entry, index in
      guard index >= first, let failure = judge(entry) else { return true }
      if let ticket = entry.ticket {
        failed.append(Failed(ticket: ticket, failure: failure, lostSendings: entry.lostSendings))
      }
      return false
    }
    return failed
  }

  /// Goes over all entries and drops, with their bytes, those that `decide` does not keep. None of those is in flight.
  private mutating func keep(_ decide: (inout Entry, Int) -> Bool) {
    var kept = Queue<Entry>()
    var keptBytes = ByteBuffer(capacity: writer.buffer.count)
    var offset = 0
    let firstUntouched = firstUntouched
    earliestDeadline = .distantFuture
    for index in 0..<entries.count {
      var entry = entries[index]
      let bytes = UnsafeRawBufferPointer(rebasing: writer.buffer.bytes[offset..<offset + entry.bytes])
      offset += entry.bytes
      guard decide(&entry, index) else { continue }
      keptBytes.append(bytes)
      kept.append(entry)
      if index >= firstUntouched { earliestDeadline = min(earliestDeadline, entry.deadline) }
    }
    entries = kept
    writer.buffer = keptBytes
  }
}

/// First in, first out, with a look at all in between.
struct Queue<Element> {
  private var storage: [Element] = []
  private var head = 0

  var count: Int { storage.count - head }
  var isEmpty: Bool { storage.count == head }

  subscript(index: Int) -> Element {
    get { storage[head + index] }
    _modify { yield &storage[head + index] }
  }

  mutating func append(_ element: Element) { storage.append(element) }

  /// There must be one.
  mutating func removeFirst() -> Element {
    let element = storage[head]
    head += 1
    if head == storage.count {
      storage.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= 1024, head * 2 >= storage.count {
      // Moving what is left costs no more than what was taken.
      storage.removeFirst(head)
      head = 0
    }
    return element
  }
}
