/// Finds where replies of RESP2 end, without taking them apart.
enum ReplyScanner {
  /// The end of the reply that begins at `start`, or nil while some of it is missing.
  static func end(of bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
    guard start < bytes.count else { return nil }
    let kind = bytes[start]
    guard let line = lineEnd(bytes, start + 1) else { return nil }
    switch kind {
    case UInt8(ascii: "$"):
      let count = number(bytes, start + 1)
      guard count >= 0 else { return line }
      return line + count + 2 <= bytes.count ? line + count + 2 : nil
    case UInt8(ascii: "*"):
      var next = line
      var rest = number(bytes, start + 1)
      while rest > 0 {
        guard let end = end(of: bytes, from: next) else { return nil }
        next = end
        rest -= 1
      }
      return next
    default: return line
    }
  }

  /// Behind the line end that comes next.
  private static func lineEnd(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int? {
    var at = start
    while at < bytes.count {
      if bytes[at] == 0x0a { return at + 1 }
      at += 1
    }
    return nil
  }

  private static func number(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
    var (at, value, sign) = (start, 0, 1)
    if bytes[at] == UInt8(ascii: "-") { (at, sign) = (at + 1, -1) }
    while at < bytes.count, bytes[at] >= UInt8(ascii: "0"), bytes[at] <= UInt8(ascii: "9") {
      value = value * 10 + Int(bytes[at] - UInt8(ascii: "0"))
      at += 1
    }
    return value * sign
  }
}
