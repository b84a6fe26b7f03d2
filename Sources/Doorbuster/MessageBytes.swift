/// Writes a message's body: names behind their lengths (1 byte), numbers as unsigned LEB128 in their shortest form.
struct MessageWriter {
  private(set) var bytes: [UInt8] = []

  init(version: UInt8, capacity: Int) {
    bytes.reserveCapacity(capacity)
    bytes.append(version)
  }

  /// - Parameter name: 255 bytes at most.
  mutating func name(_ name: some Collection<UInt8>) {
    bytes.append(UInt8(truncatingIfNeeded: name.count))
    bytes.append(contentsOf: name)
  }

  mutating func number(_ number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }
}

/// Reads within bounds, whatever the bytes are.
struct MessageReader {
  let bytes: [UInt8]
  private var position = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { position == bytes.count }

  mutating func byte(_ what: String) throws(PurchaseMessageError) -> UInt8 {
    guard position < bytes.count else { throw .malformed("it ends before its \(what)") }
    defer { position += 1 }
    return bytes[position]
  }

  mutating func name(_ what: String) throws(PurchaseMessageError) -> ArraySlice<UInt8> {
    let count = Int(try byte(what))
    guard bytes.count - position >= count else { throw .malformed("it ends within its \(what)") }
    defer { position += count }
    return bytes[position..<position + count]
  }

  mutating func number(_ what: String, max: UInt64) throws(PurchaseMessageError) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 56, by: 7) {
      let next = try byte(what)
      value |= UInt64(next & 0x7F) << shift
      if next & 0x80 == 0 {
        guard next != 0 || shift == 0 else { throw .malformed("its \(what) is not in its shortest form") }
        guard value <= max else { throw .malformed("its \(what) is \(value); it must be \(max) at most") }
        return value
      }
    }
    throw .malformed("its \(what) is too long")
  }
}
