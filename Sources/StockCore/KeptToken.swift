import CStockABI

/// What a kept token names.
enum KeptKind: UInt8 {
  case purchase = 0
  case fence = 1
  case restock = 2
}

/// What stays of a token when the event that first took it is trimmed, for as long as the bucket exists. Of a purchase that
/// was held, when the event that ended the hold is trimmed as well.
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
  var kind: KeptKind
  var isCancelled: Bool
  /// Whether the cancellation's event is gone as well. Until then the log still tells it to whoever reads a payload.
  var isCancelTrimmed: Bool
}

/// A kept token as it lies in memory: 25 bytes (fingerprint, user, flags), then its sequence and its quantity. The
/// sequence is how far it lies above that of its chunk's first, in two bytes, or where that is far, itself in seven; the
/// quantity is in one byte, or in seven. Mostly that is 28 bytes.
struct KeptRecord {
  private static let flagsOffset = 24
  private static let headerBytes = 25
  private static let kindMask: UInt8 = 0x03
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

  /// The bytes that a token takes.
  static func size(of token: KeptToken, isFar: Bool) -> Int {
    headerBytes &+ (isFar ? wideBytes : 2) &+ (isLarge(token) ? wideBytes : 1)
  }

  /// Writes a token into memory of its size with `wordSlack` bytes to spare; `label` is the sequence that its chunk begins with.
  static func write(_ token: KeptToken, label: Int64, isFar: Bool, to base: UnsafeMutableRawPointer) {
    var flags = token.kind.rawValue
    if token.quantity < 0 { flags |= negativeFlag }
    if token.isCancelled { flags |= cancelledFlag }
    if token.isCancelTrimmed { flags |= cancelTrimmedFlag }
    if isFar { flags |= farFlag }
    if isLarge(token) { flags |= largeFlag }
    base.store(word: token.low)
    (base + 8).store(word: token.high)
    (base + 16).store(word: token.user)
    base.storeBytes(of: flags, toByteOffset: flagsOffset, as: UInt8.self)
    let next = base + headerBytes
    let sequenceWidth = isFar ? wideBytes : 2
    let sequence = isFar ? token.sequence : token.sequence &- label
    next.store(word: UInt64(truncatingIfNeeded: sequence))
    (next + sequenceWidth).store(word: token.quantity.magnitude)
  }

  /// Whether it was kept of a token with this hash. Never inlined: the second hash would be begun in every look-up.
  @inline(never)
  func isOf(_ token: Bytes, _ space: NameSpace, hash: UInt64, _ hashing: KeyedHash) -> Bool {
    low == hash && isRestock == (space == .restock) && high == hashing.secondHash(token, space)
  }

  /// Whether a sequence can't be told in two bytes from that of the chunk's first.
  static func isFar(_ distance: Int64) -> Bool { distance < 0 || distance > 0xffff }

  private static func isLarge(_ token: KeptToken) -> Bool { token.quantity.magnitude > 0xff }

  var low: UInt64 { UnsafeRawPointer(base).word(at: 0) }
  var high: UInt64 { UnsafeRawPointer(base).word(at: 8) }
  var user: UInt64 { UnsafeRawPointer(base).word(at: 16) }
  var size: Int { Self.headerBytes &+ sequenceWidth &+ quantityWidth }
  var kind: KeptKind { KeptKind(rawValue: flags & Self.kindMask) ?? .purchase }
  var isFence: Bool { kind == .fence }
  var isRestock: Bool { kind == .restock }
  var isCancelled: Bool { flags & Self.cancelledFlag != 0 }

  /// The sequence of the event that first took it, in a chunk that begins with the sequence `label`.
  func sequence(label: Int64) -> Int64 {
    let number = Int64(truncatingIfNeeded: UnsafeRawPointer(base + Self.headerBytes).number(widthOfWord: sequenceWidth))
    return isFar ? number : label &+ number
  }

  /// With its sign.
  var quantity: Int64 {
    let start = UnsafeRawPointer(base + (Self.headerBytes &+ sequenceWidth))
    let magnitude = Int64(truncatingIfNeeded: start.number(widthOfWord: quantityWidth))
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
      sequence: sequence(label: label),
      quantity: quantity,
      kind: kind,
      isCancelled: isCancelled,
      isCancelTrimmed: flags & Self.cancelTrimmedFlag != 0
    )
  }

  private var flags: UInt8 { base.load(fromByteOffset: Self.flagsOffset, as: UInt8.self) }
  private var isFar: Bool { flags & Self.farFlag != 0 }
  private var sequenceWidth: Int { isFar ? Self.wideBytes : 2 }
  private var quantityWidth: Int { flags & Self.largeFlag == 0 ? 1 : Self.wideBytes }

  private func mark(_ flag: UInt8) {
    base.storeBytes(of: flags | flag, toByteOffset: Self.flagsOffset, as: UInt8.self)
  }
}

/// The kept tokens of a bucket, in the order in which they came to be kept.
struct KeptTokens: ~Copyable {
  /// Set in the table's address of a kept token, which no address in the log has.
  static let addressFlag = ChunkList.addressEnd

  private var records = ChunkList(addressEnd: 1 << 32)
  private(set) var count: Int64 = 0

  /// Bytes allocated.
  var bytes: Int { records.bytes }
  var pieces: Int { records.count }

  @inline(__always)
  static func isKept(_ address: UInt64) -> Bool { address & HeldTokens.addressFlag == addressFlag }

  /// Whether so many more tokens can have an address, whatever their sizes.
  func hasRoom(for more: Int64) -> Bool {
    // A chunk takes more than a thousand tokens.
    records.hasRoom(for: more / 1024 &+ 1)
  }

  /// Adds a token; its address in the table.
  mutating func append(_ token: KeptToken) -> UInt64 {
    let isFar = records.count > 0 && KeptRecord.isFar(token.sequence &- records.lastLabel)
    let entry = records.append(size: KeptRecord.size(of: token, isFar: isFar), label: token.sequence)
    KeptRecord.write(token, label: records.label(at: entry.address), isFar: isFar, to: entry.memory)
    count &+= 1
    records.makeRoom()
    return entry.address | Self.addressFlag
  }

  func record(at address: UInt64) -> KeptRecord { KeptRecord(at: records.memory(at: address & ~Self.addressFlag)) }

  /// The sequence of the event that first took the token at an address.
  func sequence(at address: UInt64) -> Int64 {
    record(at: address).sequence(label: records.label(at: address & ~Self.addressFlag))
  }

  /// The token at a position, which moves on to the next one. The first is at 0; the caller knows how many there are.
  func next(_ position: inout UInt64) -> KeptToken {
    let address = position == 0 ? records.firstAddress : records.settled(position)
    let record = KeptRecord(at: records.memory(at: address))
    position = address &+ UInt64(truncatingIfNeeded: (record.size &+ 3) &>> 2)
    return record.token(label: records.label(at: address))
  }
}
