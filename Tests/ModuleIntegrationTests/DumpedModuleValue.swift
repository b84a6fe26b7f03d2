/// The value of a module's key inside a `DUMP` payload, taken apart by Redis' own framing, so that a test can damage what
/// the module wrote and keep the frame around it right.
struct DumpedModuleValue {
  enum Item: Equatable {
    case unsigned(UInt64)
    case string([UInt8])
  }

  private enum Opcode {
    static let end: UInt64 = 0
    static let unsigned: UInt64 = 2
    static let string: UInt64 = 5
  }

  /// The type byte and the module's identity.
  private let head: [UInt8]
  var items: [Item] = []
  /// The RDB version and the checksum.
  private let foot: [UInt8]

  /// Null where the payload is not framed as expected, for example because a string is compressed.
  init?(_ payload: [UInt8]) {
    guard payload.count > 20 else { return nil }
    foot = Array(payload.suffix(10))
    let body = payload.dropLast(10)
    var at = 1
    guard Self.length(body, &at) != nil else { return nil }
    head = Array(body[..<at])
    while let opcode = Self.length(body, &at), opcode != Opcode.end {
      guard let number = Self.length(body, &at) else { return nil }
      switch opcode {
      case Opcode.unsigned: items.append(.unsigned(number))
      case Opcode.string:
        guard number <= body.count - at else { return nil }
        items.append(.string(Array(body[at..<at + Int(number)])))
        at += Int(number)
      default: return nil
      }
    }
    guard at == body.count else { return nil }
  }

  /// The payload again. Its checksum is the old one.
  var payload: [UInt8] {
    var bytes = head
    for item in items {
      switch item {
      case .unsigned(let number): bytes += Self.encode(Opcode.unsigned) + Self.encode(number)
      case .string(let text): bytes += Self.encode(Opcode.string) + Self.encode(UInt64(text.count)) + text
      }
    }
    return bytes + Self.encode(Opcode.end) + foot
  }

  private static func length(_ body: ArraySlice<UInt8>, _ at: inout Int) -> UInt64? {
    guard at < body.endIndex else { return nil }
    let first = body[at]
    let bytes: Int
    switch first {
    case 0..<0x40: (at, bytes) = (at + 1, 0)
    case 0x40..<0x80: (at, bytes) = (at + 1, 1)
    case 0x80: (at, bytes) = (at + 1, 4)
    case 0x81: (at, bytes) = (at + 1, 8)
    default: return nil
    }
    guard at + bytes <= body.endIndex else { return nil }
    let start: UInt64 = first < 0x80 ? UInt64(first & 0x3f) : 0
    defer { at += bytes }
    return body[at..<at + bytes].reduce(start) { $0 << 8 | UInt64($1) }
  }

  private static func encode(_ number: UInt64) -> [UInt8] {
    if number < 0x40 { return [UInt8(number)] }
    if number < 0x4000 { return [0x40 | UInt8(number >> 8), UInt8(number & 0xff)] }
    let bytes = (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
    return number <= UInt32.max ? [0x80] + bytes.suffix(4) : [0x81] + bytes
  }
}
