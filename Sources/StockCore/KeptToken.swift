import CStockABI

/// What stays of a token when the event that first took it is trimmed, for as long as the bucket exists.
struct KeptToken {
  /// The keyed fingerprint that stands for the token: its hash in the table, and as many bits again.
  var low: UInt64
  var high: UInt64
  /// The keyed hash of a purchase's user, else 0.
  var user: UInt64
  /// The sequence of the event that first took the token.
  var sequence: Int64
  /// Of a purchase or, with its sign, of a restock; else 0.
  var quantity: Int64
  /// `deduct`, `fence` or `add`.
  var action: Action
  var isCancelled: Bool
  /// Whether the cancellation's event is gone as well. Until then the log still tells it to whoever reads a payload.
  var isCancelTrimmed: Bool
}

/// A kept token as it lies in memory: 25 bytes (fingerprint, user, flags), then how far its sequence lies above that of
/// its chunk's first and its quantity, in two bytes and one unless they need more. Mostly that is 28 bytes.
struct KeptRecord {
  private static let flagsOffset = 24
  private static let headerBytes = 25
  private static let actionMask: UInt8 = 0x03
  private static let negativeFlag: UInt8 = 0x04
  private static let cancelledFlag: UInt8 = 0x08
  private static let cancelTrimmedFlag: UInt8 = 0x10
  private static let farFlag: UInt8 = 0x20
  private static let largeFlag: UInt8 = 0x40
  private static let wideBytes = 7
  /// No record takes more, rounded up to units of `ChunkList`.
  static let bytesMax = 40

  private let base: UnsafeMutableRawPointer

  init(at base: UnsafeMutableRawPointer) { self.base = base }

  /// The bytes that a token takes whose sequence lies `distance` above its chunk's first.
  static func size(of token: KeptToken, distance: Int64) -> Int {
    headerBytes &+ (isFar(distance) ? wideBytes : 2) &+ (isLarge(token) ? wideBytes : 1)
  }

  /// Writes a token into memory of its size. `distance` may be less than it was for the size.
  static func write(_ token: KeptToken, distance: Int64, isFar: Bool, to base: UnsafeMutableRawPointer) {
    var flags = actionBits(token.action)
    if token.quantity < 0 { flags |= negativeFlag }
    if token.isCancelled { flags |= cancelledFlag }
    if token.isCancelTrimmed { flags |= cancelTrimmedFlag }
    if isFar { flags |= farFlag }
    if isLarge(token) { flags |= largeFlag }
    base.store(number: token.low, width: 8)
    (base + 8).store(number: token.high, width: 8)
    (base + 16).store(number: token.user, width: 8)
    base.storeBytes(of: flags, toByteOffset: flagsOffset, as: UInt8.self)
    let next = base + headerBytes
    let far = isFar ? wideBytes : 2
    next.store(number: UInt64(truncatingIfNeeded: distance), width: far)
    (next + far).store(number: token.quantity.magnitude, width: isLarge(token) ? wideBytes : 1)
  }

  static func isFar(_ distance: Int64) -> Bool { distance > 0xffff }

  private static func isLarge(_ token: KeptToken) -> Bool { token.quantity.magnitude > 0xff }

  private static func actionBits(_ action: Action) -> UInt8 {
    switch action {
    case .deduct, .create, .cancel, .schedule: 0
    case .fence: 1
    case .add: 2
    }
  }

  var low: UInt64 { UnsafeRawPointer(base).word(at: 0) }
  var high: UInt64 { UnsafeRawPointer(base).word(at: 8) }
  var user: UInt64 { UnsafeRawPointer(base).word(at: 16) }
  var size: Int { Self.headerBytes &+ distanceWidth &+ quantityWidth }
  var isFence: Bool { flags & Self.actionMask == 1 }
  var isRestock: Bool { flags & Self.actionMask == 2 }
  var isCancelled: Bool { flags & Self.cancelledFlag != 0 }

  /// How far its sequence lies above that of its chunk's first.
  var distance: Int64 {
    Int64(truncatingIfNeeded: UnsafeRawPointer(base + Self.headerBytes).number(width: distanceWidth))
  }

  /// With its sign.
  var quantity: Int64 {
    let start = UnsafeRawPointer(base + (Self.headerBytes &+ distanceWidth))
    let magnitude = Int64(truncatingIfNeeded: start.number(width: quantityWidth))
    return flags & Self.negativeFlag == 0 ? magnitude : 0 &- magnitude
  }

  func markCancelled() { mark(Self.cancelledFlag) }

  func markCancelTrimmed() { mark(Self.cancelTrimmedFlag) }

  /// The token of this record, whose chunk begins with the sequence `label`.
  func token(label: Int64) -> KeptToken {
    KeptToken(
      low: low,
      high: high,
      user: user,
      sequence: label &+ distance,
      quantity: quantity,
      action: isFence ? .fence : isRestock ? .add : .deduct,
      isCancelled: isCancelled,
      isCancelTrimmed: flags & Self.cancelTrimmedFlag != 0
    )
  }

  private var flags: UInt8 { base.load(fromByteOffset: Self.flagsOffset, as: UInt8.self) }
  private var distanceWidth: Int { flags & Self.farFlag == 0 ? 2 : Self.wideBytes }
  private var quantityWidth: Int { flags & Self.largeFlag == 0 ? 1 : Self.wideBytes }

  private func mark(_ flag: UInt8) {
    base.storeBytes(of: flags | flag, toByteOffset: Self.flagsOffset, as: UInt8.self)
  }
}

/// The kept tokens of a bucket in order of their sequences.
struct KeptTokens: ~Copyable {
  /// Set in the table's address of a kept token, which no address in a list has.
  static let addressFlag = ChunkList.addressEnd

  private var records = ChunkList()
  private(set) var count: Int64 = 0
  private(set) var lastSequence: Int64 = 0

  /// Bytes allocated.
  var bytes: Int { records.bytes }
  var pieces: Int { records.count }

  static func isKept(_ address: UInt64) -> Bool { address & addressFlag != 0 }

  /// Whether so many more tokens can have an address, whatever their sizes.
  func hasRoom(for more: Int64) -> Bool {
    // A chunk takes more than a thousand tokens.
    records.hasRoom(for: more / 1024 &+ 1)
  }

  /// Adds a token that is later than all before it; its address in the table.
  mutating func append(_ token: KeptToken) -> UInt64 {
    let distance = records.count == 0 ? 0 : token.sequence &- records.lastLabel
    let entry = records.append(size: KeptRecord.size(of: token, distance: distance), label: token.sequence)
    KeptRecord.write(
      token,
      distance: token.sequence &- records.label(at: entry.address),
      isFar: KeptRecord.isFar(distance),
      to: entry.memory
    )
    count &+= 1
    lastSequence = token.sequence
    records.makeRoom()
    return entry.address | Self.addressFlag
  }

  func record(at address: UInt64) -> KeptRecord { KeptRecord(at: records.memory(at: address)) }

  /// The sequence of the event that first took the token at an address.
  func sequence(at address: UInt64) -> Int64 { records.label(at: address) &+ record(at: address).distance }

  /// The token at a position, which moves on to the next one. The first is at 0; the caller knows how many there are.
  func next(_ position: inout UInt64) -> KeptToken {
    let address = position == 0 ? records.firstAddress : records.settled(position)
    let record = KeptRecord(at: records.memory(at: address))
    position = address &+ UInt64(truncatingIfNeeded: (record.size &+ 3) &>> 2)
    return record.token(label: records.label(at: address))
  }
}
