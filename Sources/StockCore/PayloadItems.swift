import CStockABI

/// What a payload may contain behind its version byte: a header, which makes a bucket, and if its log was trimmed the books
/// and then the tokens and transfers of what is gone; events, a schedule's, freeze's or thaw's behind what it set; closed
/// transfers; trims; an end. Numbers below 0x80 are the effects of events.
enum PayloadTag {
  static let header: UInt8 = 0xf1
  static let settings: UInt8 = 0xf2
  static let freezing: UInt8 = 0xf3
  static let settled: UInt8 = 0xf4
  static let trimmedLog: UInt8 = 0xf8
  static let keptToken: UInt8 = 0xf9
  static let trim: UInt8 = 0xfa
  static let heldToken: UInt8 = 0xfb
  static let transfer: UInt8 = 0xfc
  /// The end of a whole bucket, behind which nothing of it is missing.
  static let end: UInt8 = 0xfe
  /// The freeze of all buckets of a server, the only item of its payload.
  static let freezeAnew: UInt8 = 0xfd

  static let event: UInt8 = 0x80
  static let effectMask: UInt8 = 0x1f
  static let negative: UInt8 = 0x40
  static let unused: UInt8 = 0x20
  static let countsUsers: UInt8 = 0x01
  /// In the header of a whole bucket: an end is to come.
  static let awaitsEnd: UInt8 = 0x02
  static let byOperator: UInt8 = 0x08
  static let reasonMask: UInt8 = 0x07
  static let kindMask: UInt8 = 0x03
  static let cancelled: UInt8 = 0x08
  static let incoming: UInt8 = 0x01
  static let isSettled: UInt8 = 0x02
}

extension ByteWriter {
  mutating func event(_ event: Event) {
    byte(event.effect.rawValue | (event.quantity < 0 ? PayloadTag.negative : 0))
    number(event.sequence)
    number(event.timestamp)
    number(event.to)
    number(Int64(truncatingIfNeeded: event.quantity.magnitude))
    if event.effect == .hold { number(event.expires) }
    if event.effect.subject == .transfer { number(Int64(event.peer)) }
    name(event.token)
    name(event.user)
  }

  mutating func settings(_ settings: Settings) {
    number(settings.limit)
    number(settings.opens)
    number(settings.closes)
  }

  mutating func freezing(_ freezing: Freezing) {
    byte(freezing.reason.rawValue | (freezing.isByOperator ? PayloadTag.byOperator : 0))
  }

  /// A kept token as it stood where the log begins.
  mutating func token(_ token: KeptToken) {
    byte(PayloadTag.keptToken)
    let isCancelled = token.isCancelTrimmed && token.kind == .purchase
    byte(
      token.kind.rawValue | (isCancelled ? PayloadTag.cancelled : 0) | (token.quantity < 0 ? PayloadTag.negative : 0)
    )
    word(token.low)
    word(token.high)
    if token.kind == .purchase { word(token.user) }
    number(token.sequence)
    if token.kind != .fence { number(Int64(truncatingIfNeeded: token.quantity.magnitude)) }
  }

  /// A purchase that was held where the log begins: its first event, with what can't be told there.
  mutating func held(_ event: Event) {
    byte(PayloadTag.heldToken)
    self.event(event)
    number(event.from)
  }

  mutating func transfer(_ transfer: Transfer) {
    byte(PayloadTag.transfer)
    byte(
      (transfer.direction == .incoming ? PayloadTag.incoming : 0) | (transfer.is_settled ? PayloadTag.isSettled : 0)
    )
    number(Int64(transfer.peer))
    number(transfer.sequence)
    number(transfer.timestamp)
    number(transfer.quantity)
    name(transfer.name)
  }

  mutating func books(_ books: Books) {
    number(books.created)
    byte(books.added < 0 ? PayloadTag.negative : 0)
    number(Int64(truncatingIfNeeded: books.added.magnitude))
    number(books.available)
    number(books.held)
    number(books.sold)
    number(books.cancelled)
    number(books.transferredIn)
    number(books.transferredOut)
  }

  mutating func key(_ hashing: KeyedHash) {
    var key = (UInt64(0), UInt64(0))
    withUnsafeMutableBytes(of: &key) { memory in
      guard let start = memory.baseAddress else { return }
      hashing.store(to: start)
      bytes(Bytes(start: start, count: memory.count))
    }
  }
}

// Each reads an item that is well formed by itself, or gives nil.
extension ByteReader {
  /// The event behind a tag; `from` is the stock available before it.
  mutating func event(tag: UInt8, from: Int64) -> Event? {
    guard tag & (PayloadTag.event | PayloadTag.unused) == 0, let effect = Effect.known(tag & PayloadTag.effectMask)
    else { return nil }
    let sequence = number()
    let timestamp = number()
    let to = number()
    let magnitude = number()
    let expires = effect == .hold ? number() : 0
    let peer = effect.subject == .transfer ? number() : 0
    let event = Event(
      sequence: sequence,
      timestamp: timestamp,
      from: from,
      to: to,
      quantity: tag & PayloadTag.negative == 0 ? magnitude : 0 &- magnitude,
      expires: expires,
      token: name(),
      user: name(),
      peer: UInt16(truncatingIfNeeded: peer),
      effect: effect
    )
    return !failed && peer < Limits.buckets && event.isWellFormed ? event : nil
  }

  /// Limit and window, for a bucket of so many buckets.
  mutating func settings(buckets: Int64) -> Settings {
    Settings(buckets: buckets, limit: number(), opens: number(), closes: number())
  }

  mutating func freezing() -> Freezing? {
    let flags = byte()
    let reason = flags & PayloadTag.reasonMask
    guard flags & ~(PayloadTag.reasonMask | PayloadTag.byOperator) == 0, let reason = FreezeReason.known(reason) else {
      return nil
    }
    return Freezing(reason: reason, isByOperator: flags & PayloadTag.byOperator != 0)
  }

  mutating func token() -> KeptToken? {
    let flags = byte()
    let isCancelled = flags & PayloadTag.cancelled != 0
    let isNegative = flags & PayloadTag.negative != 0
    guard flags & ~(PayloadTag.kindMask | PayloadTag.cancelled | PayloadTag.negative) == 0,
      let kind = KeptKind(rawValue: flags & PayloadTag.kindMask)
    else { return nil }
    let low = word()
    let high = word()
    let user = kind == .purchase ? word() : 0
    let sequence = number()
    let magnitude = kind == .fence ? 0 : number()
    guard !failed, kind == .fence || magnitude >= 1, !isNegative || kind == .restock,
      !isCancelled || kind == .purchase
    else { return nil }
    return KeptToken(
      low: low,
      high: high,
      user: user,
      sequence: sequence,
      quantity: isNegative ? 0 &- magnitude : magnitude,
      kind: kind,
      isCancelled: isCancelled || kind == .fence,
      isCancelTrimmed: isCancelled || kind == .fence
    )
  }

  mutating func held() -> Event? {
    let tag = byte()
    guard var event = event(tag: tag, from: 0), event.effect.stateAfter == .held, event.effect.stateBefore == nil else {
      return nil
    }
    event.from = number()
    return !failed && event.to == event.from &+ event.effect.change(event.quantity) ? event : nil
  }

  mutating func transfer() -> Transfer? {
    let flags = byte()
    guard flags & ~(PayloadTag.incoming | PayloadTag.isSettled) == 0 else { return nil }
    let peer = number()
    let sequence = number()
    let timestamp = number()
    let quantity = number()
    let name = name()
    guard !failed, peer < Limits.buckets, timestamp <= Limits.time, quantity >= 1, name.isTransferName else {
      return nil
    }
    return Transfer(
      name: name,
      quantity: quantity,
      timestamp: timestamp,
      sequence: sequence,
      peer: UInt16(truncatingIfNeeded: peer),
      direction: flags & PayloadTag.incoming != 0 ? .incoming : .outgoing,
      is_settled: flags & PayloadTag.isSettled != 0
    )
  }

  mutating func books() -> Books? {
    let created = number()
    let sign = byte()
    let added = number()
    let books = Books(
      created: created,
      added: sign == 0 ? added : 0 &- added,
      available: number(),
      held: number(),
      sold: number(),
      cancelled: number(),
      transferredIn: number(),
      transferredOut: number()
    )
    return !failed && (sign == 0 || sign == PayloadTag.negative) ? books : nil
  }
}

extension FreezeReason {
  /// The reason of a number that can stand under an operator's freeze.
  static func known(_ number: UInt8) -> FreezeReason? {
    number == FreezeReason.byOperator.rawValue || number > FreezeReason.load.rawValue
      ? nil : FreezeReason(rawValue: number)
  }
}

extension Event {
  /// Whether the event has the fields of its effect, within their bounds.
  fileprivate var isWellFormed: Bool {
    guard timestamp <= Limits.time, expires >= 0 else { return false }
    switch effect {
    case .create: return token.count == 0 && user.count == 0 && quantity >= 0
    case .schedule, .freeze, .thaw: return token.count == 0 && user.count == 0 && quantity == 0
    case .rebalanceOut, .rebalanceIn: return token.count == 0 && user.count == 0 && quantity >= 1
    case .add, .recordRestock: return token.isName && user.count == 0 && quantity != 0
    case .withdraw, .deposit, .recordOut, .recordIn:
      return token.isTransferName && user.count == 0 && quantity >= 1
    case .hold: return token.isName && user.isName && quantity >= 1 && expires >= 1
    case .deduct, .confirm, .cancelHeld, .rejectHeld, .expire, .recordHeld, .recordSold, .recordCancelled,
      .recordRejected, .recordConfirm, .recordCancelHeld, .recordRejectHeld:
      return token.isName && user.isName && quantity >= 1
    // The user is gone where the purchase's event was trimmed.
    case .cancelSold, .rejectSold, .recordCancelSold, .recordRejectSold:
      return token.isName && (user.count == 0 || user.isName) && quantity >= 1
    case .fence: return token.isName && user.count == 0 && quantity == 0
    }
  }
}
