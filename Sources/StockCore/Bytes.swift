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
  /// A little-endian number of `width` bytes, 0 to 8, at any alignment.
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

  @inline(__always)
  func word(at offset: Int) -> UInt64 {
    UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}

extension UnsafeMutableRawPointer {
  @inline(__always)
  func store(number: UInt64, width: Int) {
    var rest = number
    var index = 0
    while index < width {
      storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: index, as: UInt8.self)
      rest &>>= 8
      index &+= 1
    }
  }

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

  /// A number of 0 to 2^53, in seven bits a byte, the lowest first.
  mutating func number() -> Int64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while shift < 56 {
      let next = byte()
      value |= UInt64(next & 0x7f) &<< shift
      if next & 0x80 == 0 {
        guard value <= UInt64(truncatingIfNeeded: Limits.number) else { break }
        return Int64(truncatingIfNeeded: value)
      }
      shift &+= 7
    }
    fail()
    return 0
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

/// Writes a payload into memory that the caller knows to be large enough.
struct ByteWriter {
  private let start: UnsafeMutableRawPointer
  private(set) var count = 0

  init(_ start: UnsafeMutableRawPointer) { self.start = start }

  mutating func byte(_ value: UInt8) {
    start.storeBytes(of: value, toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  mutating func word(_ value: UInt64) {
    (start + count).store(number: value, width: 8)
    count &+= 8
  }

  mutating func number(_ value: Int64) {
    var rest = UInt64(truncatingIfNeeded: value)
    while rest >= 0x80 {
      byte(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest &>>= 7
    }
    byte(UInt8(truncatingIfNeeded: rest))
  }

  mutating func bytes(_ value: Bytes) {
    (start + count).store(bytes: value)
    count &+= value.count
  }

  mutating func name(_ value: Bytes) {
    byte(UInt8(truncatingIfNeeded: value.count))
    bytes(value)
  }
}
