import TestServers

/// One command as it goes over the wire, with places for a token and a user that differ in each request.
///
/// A token is a UUID of 36 bytes made from a number that goes up, mixed so that it falls anywhere; a user is 12 bytes.
struct RequestTemplate {
  static let tokenPlace = "________-____-____-____-____________"
  static let userPlace = "<<<<<<<<<<<<"

  private let bytes: [UInt8]
  private let tokenAt: Int?
  private let userAt: Int?

  /// Words that contain the places once at most each.
  init(_ words: [any RedisArgument]) {
    bytes = RawRedis.encode(words)
    tokenAt = Self.place(of: Self.tokenPlace, in: bytes)
    userAt = Self.place(of: Self.userPlace, in: bytes)
  }

  private static func place(of text: String, in bytes: [UInt8]) -> Int? {
    let wanted = Array(text.utf8)
    guard bytes.count >= wanted.count else { return nil }
    return (0...bytes.count - wanted.count).first { bytes[$0..<$0 + wanted.count].elementsEqual(wanted) }
  }

  /// Appends the request of a number: the same number gives the same token and user.
  @inline(__always)
  func append(_ number: UInt64, to buffer: inout [UInt8]) {
    let start = buffer.count
    buffer.append(contentsOf: bytes)
    let high = Self.mixed(number &* 2 &+ 1)
    if let tokenAt {
      let at = start + tokenAt
      Self.writeHex(high >> 32, digits: 8, to: &buffer, at: at)
      Self.writeHex(high >> 16, digits: 4, to: &buffer, at: at + 9)
      Self.writeHex(high, digits: 4, to: &buffer, at: at + 14)
      let low = Self.mixed(number &* 2)
      Self.writeHex(low >> 48, digits: 4, to: &buffer, at: at + 19)
      Self.writeHex(low, digits: 12, to: &buffer, at: at + 24)
    }
    if let userAt { Self.writeHex(high, digits: 12, to: &buffer, at: start + userAt) }
  }

  private static let digits = Array("0123456789abcdef".utf8)

  @inline(__always)
  private static func writeHex(_ number: UInt64, digits count: Int, to buffer: inout [UInt8], at: Int) {
    var rest = number
    for index in stride(from: at + count - 1, through: at, by: -1) {
      buffer[index] = digits[Int(rest & 15)]
      rest >>= 4
    }
  }

  private static func mixed(_ number: UInt64) -> UInt64 {
    var mixer = SplitMix64(seed: number)
    return mixer.next()
  }
}
