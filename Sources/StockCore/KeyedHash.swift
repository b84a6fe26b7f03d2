import CStockABI

/// The name spaces of a bucket's keyed hash: equal bytes of different name spaces are different names.
enum NameSpace: UInt64 {
  case purchase = 0
  case restock = 1
  case user = 2
  case transfer = 3
  case epoch = 4
}

/// SipHash-1-3 under a key that only the server knows, so that nobody can choose tokens that collide.
struct KeyedHash {
  let low: UInt64
  let high: UInt64

  init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  init(key: UnsafeRawPointer) {
    self.init(low: key.word(at: 0), high: key.word(at: 8))
  }

  func store(to key: UnsafeMutableRawPointer) {
    key.store(word: low)
    (key + 8).store(word: high)
  }

  func hash(_ bytes: Bytes, _ space: NameSpace) -> UInt64 { hash(bytes, high ^ space.rawValue) }

  /// Another hash of the same name: both together are its fingerprint of 128 bits.
  func secondHash(_ bytes: Bytes, _ space: NameSpace) -> UInt64 {
    hash(bytes, high ^ space.rawValue ^ 0xa5a5_a5a5_a5a5_a500)
  }

  /// The hash of a number's eight bytes.
  func hash(number: UInt64, _ space: NameSpace) -> UInt64 {
    var state = SipState(low, high ^ space.rawValue)
    state.absorb(number)
    return state.finish(8 &<< 56)
  }

  @inline(__always)
  private func hash(_ bytes: Bytes, _ key: UInt64) -> UInt64 {
    var state = SipState(low, key)
    guard let start = bytes.start else { return state.finish(0) }
    let count = bytes.count
    var offset = 0
    while count &- offset >= 8 {
      state.absorb(start.word(at: offset))
      offset &+= 8
    }
    let rest = count &- offset
    // The last bytes of a longer string are the top of the word that ends with them.
    let tail =
      count >= 8 && rest > 0
      ? start.word(at: count &- 8) &>> UInt64(truncatingIfNeeded: 64 &- rest &* 8)
      : (start + offset).number(width: rest)
    return state.finish(tail | UInt64(truncatingIfNeeded: count) &<< 56)
  }
}

private struct SipState {
  var a: UInt64
  var b: UInt64
  var c: UInt64
  var d: UInt64

  @inline(__always)
  init(_ low: UInt64, _ high: UInt64) {
    a = low ^ 0x736f_6d65_7073_6575
    b = high ^ 0x646f_7261_6e64_6f6d
    c = low ^ 0x6c79_6765_6e65_7261
    d = high ^ 0x7465_6462_7974_6573
  }

  @inline(__always)
  mutating func absorb(_ word: UInt64) {
    d ^= word
    round()
    a ^= word
  }

  @inline(__always)
  mutating func finish(_ last: UInt64) -> UInt64 {
    absorb(last)
    c ^= 0xff
    round()
    round()
    round()
    return a ^ b ^ c ^ d
  }

  @inline(__always)
  private mutating func round() {
    a = a &+ b
    c = c &+ d
    b = b.rotated(13) ^ a
    d = d.rotated(16) ^ c
    a = a.rotated(32)
    c = c &+ b
    a = a &+ d
    b = b.rotated(17) ^ c
    d = d.rotated(21) ^ a
    c = c.rotated(32)
  }
}

extension UInt64 {
  @inline(__always)
  fileprivate func rotated(_ count: UInt64) -> UInt64 {
    (self &<< count) | (self &>> (64 &- count))
  }
}
