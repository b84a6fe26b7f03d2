import CStockABI

/// An event as it lies in the log, or among the held tokens; the first event of a purchase carries its state as well.
///
/// Thirteen bytes (effect, flags and state, lengths of token and user, place in the chunk, widths, time), then quantity
/// and `from` in as many bytes as they need, of a hold its deadline and its place in the queue, of a transfer its peer,
/// token, and user. `to` and the sequence follow from the rest.
struct Record {
  private static let headerBytes = 13
  private static let stateMask: UInt8 = 0x0f
  private static let negativeFlag: UInt8 = 0x20
  private static let expiryBytes = 7
  private static let holdBytes = 11
  private static let peerBytes = 2
  /// The place in the queue of a hold that is not in it.
  static let unqueued: UInt32 = .max

  private let base: UnsafeMutableRawPointer

  init(at base: UnsafeMutableRawPointer) { self.base = base }

  /// The bytes that an event takes.
  static func size(of event: Event) -> Int {
    headerBytes &+ width(of: event.quantity.magnitude) &+ width(of: event.from.magnitude)
      &+ detailBytes(of: event.effect) &+ event.token.count &+ event.user.count
  }

  /// Fetches what lies behind the record's first bytes into the cache, while these are being read.
  @inline(__always)
  func prefetchNames() { stock_prefetch(base + 64) }

  /// Writes an event into memory of its size with `wordSlack` bytes to spare. `place` is its number in the chunk.
  static func write(_ event: Event, place: Int64, to base: UnsafeMutableRawPointer) {
    let quantityWidth = width(of: event.quantity.magnitude)
    let fromWidth = width(of: event.from.magnitude)
    let flags = event.quantity < 0 ? negativeFlag : 0
    base.storeBytes(of: event.effect.rawValue, as: UInt8.self)
    base.storeBytes(of: flags | event.effect.stateAfter.rawValue, toByteOffset: 1, as: UInt8.self)
    base.storeBytes(of: UInt8(truncatingIfNeeded: event.token.count), toByteOffset: 2, as: UInt8.self)
    base.storeBytes(of: UInt8(truncatingIfNeeded: event.user.count), toByteOffset: 3, as: UInt8.self)
    base.storeBytes(of: UInt16(truncatingIfNeeded: place), toByteOffset: 4, as: UInt16.self)
    base.storeBytes(
      of: UInt8(truncatingIfNeeded: quantityWidth | fromWidth &<< 4),
      toByteOffset: 6,
      as: UInt8.self
    )
    // Each number is written as a word over what follows it.
    (base + 7).store(word: UInt64(truncatingIfNeeded: event.timestamp))
    var next = base + headerBytes
    next.store(word: event.quantity.magnitude)
    next += quantityWidth
    next.store(word: event.from.magnitude)
    next += fromWidth
    let details = detailBytes(of: event.effect)
    if details == holdBytes {
      next.store(word: UInt64(truncatingIfNeeded: event.expires))
      next.storeBytes(of: unqueued, toByteOffset: expiryBytes, as: UInt32.self)
    } else if details == peerBytes {
      next.storeBytes(of: event.peer, as: UInt16.self)
    }
    next += details
    next.store(bytes: event.token)
    (next + event.token.count).store(bytes: event.user)
  }

  private static func detailBytes(of effect: Effect) -> Int {
    if effect == .deduct { return 0 }
    if effect == .hold { return holdBytes }
    return effect.subject == .transfer ? peerBytes : 0
  }

  // What was written was a known effect.
  var effect: Effect { Effect.known(base.load(as: UInt8.self)) ?? .schedule }

  /// Copies the record, whose size this is, with what has been noted in it.
  func copy(size: Int, to memory: UnsafeMutableRawPointer) { stock_copy(memory, base, size) }

  /// Its number in the chunk, from 0.
  var place: Int64 { Int64(base.loadUnaligned(fromByteOffset: 4, as: UInt16.self)) }

  var size: Int {
    Self.headerBytes &+ quantityWidth &+ fromWidth &+ Self.detailBytes(of: effect) &+ tokenCount &+ userCount
  }

  /// Its size in the units of `ChunkList`.
  var units: UInt64 { UInt64(truncatingIfNeeded: (size &+ 3) &>> 2) }

  var isRestock: Bool {
    let number = base.load(as: UInt8.self)
    return number == Effect.add.rawValue || number == Effect.recordRestock.rawValue
  }

  /// Whether the record's token was marked cancelled before any deduction: it has no user.
  var isFence: Bool { base.load(as: UInt8.self) == Effect.fence.rawValue }

  var isHold: Bool { base.load(as: UInt8.self) == Effect.hold.rawValue }

  /// Of the first event of a purchase.
  var state: PurchaseState {
    let number = flags & Self.stateMask
    return number == PurchaseState.held.rawValue
      ? .held : number == PurchaseState.sold.rawValue ? .sold : .cancelled
  }

  func mark(_ state: PurchaseState) {
    base.storeBytes(of: flags & ~Self.stateMask | state.rawValue, toByteOffset: 1, as: UInt8.self)
  }

  /// With its sign.
  var quantity: Int64 {
    let magnitude = Int64(
      truncatingIfNeeded: UnsafeRawPointer(base + Self.headerBytes).number(widthOfWord: quantityWidth)
    )
    return flags & Self.negativeFlag == 0 ? magnitude : 0 &- magnitude
  }

  /// When a hold ends; 0 of any other event.
  var expires: Int64 {
    isHold ? Int64(truncatingIfNeeded: UnsafeRawPointer(details).number(widthOfWord: Self.expiryBytes)) : 0
  }

  /// The place of a hold in the queue.
  var queuePlace: UInt32 {
    isHold ? details.loadUnaligned(fromByteOffset: Self.expiryBytes, as: UInt32.self) : Self.unqueued
  }

  /// Notes the place of a hold in the queue.
  func note(queuePlace: UInt32) {
    if isHold { details.storeBytes(of: queuePlace, toByteOffset: Self.expiryBytes, as: UInt32.self) }
  }

  var token: Bytes {
    let count = tokenCount
    return count == 0 ? .none : Bytes(start: names, count: count)
  }

  var user: Bytes {
    let count = userCount
    return count == 0 ? .none : Bytes(start: names + tokenCount, count: count)
  }

  /// The event of this record, whose sequence its chunk tells.
  func event(sequence: Int64) -> Event {
    let quantity = self.quantity
    let effect = self.effect
    let fromStart = UnsafeRawPointer(base + (Self.headerBytes &+ quantityWidth))
    let from = Int64(truncatingIfNeeded: fromStart.number(widthOfWord: fromWidth))
    let timestamp = UnsafeRawPointer(base + 7).number(widthOfWord: 6)
    return Event(
      sequence: sequence,
      timestamp: Int64(truncatingIfNeeded: timestamp),
      from: from,
      to: from &+ effect.change(quantity),
      quantity: quantity,
      expires: expires,
      token: token,
      user: user,
      peer: Self.detailBytes(of: effect) == Self.peerBytes ? details.loadUnaligned(as: UInt16.self) : 0,
      effect: effect
    )
  }

  private var flags: UInt8 { base.load(fromByteOffset: 1, as: UInt8.self) }
  private var tokenCount: Int { Int(base.load(fromByteOffset: 2, as: UInt8.self)) }
  private var userCount: Int { Int(base.load(fromByteOffset: 3, as: UInt8.self)) }
  private var widths: UInt8 { base.load(fromByteOffset: 6, as: UInt8.self) }
  private var quantityWidth: Int { Int(widths & 0x0f) }
  private var fromWidth: Int { Int(widths &>> 4) }
  private var details: UnsafeMutableRawPointer { base + (Self.headerBytes &+ quantityWidth &+ fromWidth) }
  private var names: UnsafeRawPointer { UnsafeRawPointer(details + Self.detailBytes(of: effect)) }
}
