import CStockABI

extension Bytes {
  /// No bytes at all: an event without token or user.
  static var none: Bytes { Bytes(start: nil, count: 0) }

  /// Whether this can be a token or user of a request.
  var isName: Bool { count >= 1 && count <= Limits.name }

  /// Whether this can be the name of a transfer.
  var isTransferName: Bool { count >= 1 && count <= Limits.transfer }

  func equals(_ other: Bytes) -> Bool {
    count == other.count && stock_equal(start, other.start, count)
  }
}

extension UnsafeRawPointer {
  /// A little-endian number of `width` bytes, 0 to 8, at any alignment; reads no byte beyond.
  @inline(__always)
  func number(width: Int) -> UInt64 {
    var value: UInt64 = 0
    var index = 0
    while index < width {
      value |= UInt64(load(fromByteOffset: index, as: UInt8.self)) &<< UInt64(truncatingIfNeeded: index &* 8)
      index &+= 1
    }
    return value
  }

  /// The same, where eight bytes can be read.
  @inline(__always)
  func number(widthOfWord width: Int) -> UInt64 {
    // A shift by 64 has to give 0: hence in two steps.
    let unused = UInt64(truncatingIfNeeded: 64 &- width &* 8)
    return width == 0 ? 0 : (word(at: 0) &<< unused) &>> unused
  }

  @inline(__always)
  func word(at offset: Int) -> UInt64 {
    UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}

/// By how many bytes a number's word may be written or read beyond the number. What holds numbers has so many to spare at
/// its end.
let wordSlack = 8

extension UnsafeMutableRawPointer {
  /// Writes a number's low bytes, little-endian, as a word: what is behind them is to be written afterwards.
  @inline(__always)
  func store(word number: UInt64) { storeBytes(of: number.littleEndian, as: UInt64.self) }

  @inline(__always)
  func store(bytes: Bytes) {
    if let start = bytes.start { stock_copy(self, start, bytes.count) }
  }
}

/// The bytes that a number needs, 0 (for zero) to 8.
@inline(__always)
func width(of number: UInt64) -> Int {
  (64 &- number.leadingZeroBitCount &+ 7) &>> 3
}

/// Reads a payload from start to end; after the first read that does not fit, `failed` stays set and all reads give zero.
struct ByteReader {
  private var next: UnsafeRawPointer?
  private var rest: Int
  private(set) var failed = false

  init(_ bytes: Bytes) {
    next = bytes.start
    rest = bytes.count
  }

  var isAtEnd: Bool { rest == 0 }

  mutating func bytes(_ count: Int) -> Bytes {
    guard let start = next, count >= 0, count <= rest else {
      fail()
      return .none
    }
    next = start + count
    rest &-= count
    return Bytes(start: start, count: count)
  }

  mutating func byte() -> UInt8 {
    guard let start = bytes(1).start else { return 0 }
    return start.load(as: UInt8.self)
  }

  mutating func word() -> UInt64 {
    guard let start = bytes(8).start else { return 0 }
    return start.word(at: 0)
  }

  /// A number of 0 to 2^53: the bytes it needs, the lowest first, behind their number.
  mutating func number() -> Int64 {
    let width = Int(byte())
    guard width <= 7, let start = width == 0 ? next : bytes(width).start else {
      fail()
      return 0
    }
    let value = start.number(width: width)
    guard value <= UInt64(truncatingIfNeeded: Limits.number) else {
      fail()
      return 0
    }
    return Int64(truncatingIfNeeded: value)
  }

  /// A byte string of at most 255 bytes behind its length; no start where it is empty.
  mutating func name() -> Bytes {
    let count = Int(byte())
    return count == 0 ? .none : bytes(count)
  }

  private mutating func fail() {
    failed = true
    rest = 0
    next = nil
  }
}

/// Writes a payload into memory that the caller knows to be large enough, with `wordSlack` bytes to spare.
struct ByteWriter {
  private let start: UnsafeMutableRawPointer
  private(set) var count = 0

  init(_ start: UnsafeMutableRawPointer) { self.start = start }

  @inline(__always)
  mutating func byte(_ value: UInt8) {
    start.storeBytes(of: value, toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  @inline(__always)
  mutating func word(_ value: UInt64) {
    (start + count).store(word: value)
    count &+= 8
  }

  @inline(__always)
  mutating func number(_ value: Int64) {
    let bits = UInt64(truncatingIfNeeded: value)
    let width = width(of: bits)
    byte(UInt8(truncatingIfNeeded: width))
    (start + count).store(word: bits)
    count &+= width
  }

  @inline(__always)
  mutating func bytes(_ value: Bytes) {
    (start + count).store(bytes: value)
    count &+= value.count
  }

  @inline(__always)
  mutating func name(_ value: Bytes) {
    byte(UInt8(truncatingIfNeeded: value.count))
    bytes(value)
  }
}
