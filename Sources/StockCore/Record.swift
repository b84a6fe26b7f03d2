import CStockABI

/// An event as it lies in the log; the first event of a token carries the token's state as well.
///
/// Thirteen bytes (action, flags and state, lengths of token and user, place in the chunk, widths, time), then quantity
/// and `from` in as many bytes as they need, token, and user. `to` and the sequence follow from the rest.
struct Record {
  private static let headerBytes = 13
  private static let stateMask: UInt8 = 0x0f
  private static let offSaleFlag: UInt8 = 0x10
  private static let negativeFlag: UInt8 = 0x20

  private let base: UnsafeMutableRawPointer

  init(at base: UnsafeMutableRawPointer) { self.base = base }

  /// The bytes that an event takes.
  static func size(of event: Event) -> Int {
    headerBytes &+ width(of: event.quantity.magnitude) &+ width(of: event.from.magnitude) &+ event.token.count
      &+ event.user.count
  }

  /// Writes an event into memory of its size. `place` is its number in the chunk.
  static func write(_ event: Event, place: Int64, state: PurchaseState, to base: UnsafeMutableRawPointer) {
    let quantityWidth = width(of: event.quantity.magnitude)
    let fromWidth = width(of: event.from.magnitude)
    let flags = (event.off_sale ? offSaleFlag : 0) | (event.quantity < 0 ? negativeFlag : 0)
    base.storeBytes(of: event.action.rawValue, as: UInt8.self)
    base.storeBytes(of: flags | state.rawValue, toByteOffset: 1, as: UInt8.self)
    base.storeBytes(of: UInt8(truncatingIfNeeded: event.token.count), toByteOffset: 2, as: UInt8.self)
    base.storeBytes(of: UInt8(truncatingIfNeeded: event.user.count), toByteOffset: 3, as: UInt8.self)
    base.storeBytes(of: UInt16(truncatingIfNeeded: place), toByteOffset: 4, as: UInt16.self)
    base.storeBytes(
      of: UInt8(truncatingIfNeeded: quantityWidth | fromWidth &<< 4),
      toByteOffset: 6,
      as: UInt8.self
    )
    (base + 7).store(number: UInt64(truncatingIfNeeded: event.timestamp), width: 6)
    var next = base + headerBytes
    next.store(number: event.quantity.magnitude, width: quantityWidth)
    next += quantityWidth
    next.store(number: event.from.magnitude, width: fromWidth)
    next += fromWidth
    next.store(bytes: event.token)
    (next + event.token.count).store(bytes: event.user)
  }

  /// Its number in the chunk, from 0.
  var place: Int64 { Int64(base.loadUnaligned(fromByteOffset: 4, as: UInt16.self)) }

  var size: Int { Self.headerBytes &+ quantityWidth &+ fromWidth &+ tokenCount &+ userCount }

  /// Its size in the units of `ChunkList`.
  var units: UInt64 { UInt64(truncatingIfNeeded: (size &+ 3) &>> 2) }

  var isRestock: Bool { base.load(as: UInt8.self) == Action.add.rawValue }

  var isPurchase: Bool { base.load(as: UInt8.self) == Action.deduct.rawValue }

  /// Whether the record's token was marked cancelled before any deduction: it has no user.
  var isFence: Bool { base.load(as: UInt8.self) == Action.fence.rawValue }

  var isCancelled: Bool { flags & Self.stateMask == PurchaseState.cancelled.rawValue }

  func markCancelled() {
    let kept = flags & ~Self.stateMask
    base.storeBytes(of: kept | PurchaseState.cancelled.rawValue, toByteOffset: 1, as: UInt8.self)
  }

  /// With its sign.
  var quantity: Int64 {
    let magnitude = Int64(truncatingIfNeeded: UnsafeRawPointer(base + Self.headerBytes).number(width: quantityWidth))
    return flags & Self.negativeFlag == 0 ? magnitude : 0 &- magnitude
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
    let offSale = flags & Self.offSaleFlag != 0
    let fromStart = UnsafeRawPointer(base + (Self.headerBytes &+ quantityWidth))
    let from = Int64(truncatingIfNeeded: fromStart.number(width: fromWidth))
    let timestamp = UnsafeRawPointer(base + 7).number(width: 6)
    let action = Action.known(base.load(as: UInt8.self)) ?? .schedule
    return Event(
      sequence: sequence,
      timestamp: Int64(truncatingIfNeeded: timestamp),
      from: from,
      to: from &+ action.change(quantity: quantity, offSale: offSale),
      quantity: quantity,
      token: token,
      user: user,
      action: action,
      off_sale: offSale
    )
  }

  private var flags: UInt8 { base.load(fromByteOffset: 1, as: UInt8.self) }
  private var tokenCount: Int { Int(base.load(fromByteOffset: 2, as: UInt8.self)) }
  private var userCount: Int { Int(base.load(fromByteOffset: 3, as: UInt8.self)) }
  private var widths: UInt8 { base.load(fromByteOffset: 6, as: UInt8.self) }
  private var quantityWidth: Int { Int(widths & 0x0f) }
  private var fromWidth: Int { Int(widths &>> 4) }
  private var names: UnsafeRawPointer {
    UnsafeRawPointer(base + (Self.headerBytes &+ quantityWidth &+ fromWidth))
  }
}

extension Action {
  /// The action of a number, if there is one: an imported enum takes any number unasked.
  static func known(_ number: UInt8) -> Action? {
    number <= Action.schedule.rawValue ? Action(rawValue: number) : nil
  }

  /// What an event of this action does to the available stock.
  func change(quantity: Int64, offSale: Bool) -> Int64 {
    switch self {
    case .create, .add: quantity
    case .deduct: 0 &- quantity
    case .cancel: offSale ? 0 : quantity
    case .fence, .schedule: 0
    }
  }
}
