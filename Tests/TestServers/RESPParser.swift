/// Reads replies out of bytes that come in pieces.
struct RESPParser {
  private var bytes: [UInt8] = []
  private var start = 0

  mutating func append(_ more: UnsafeRawBufferPointer) {
    if start > 65_536, start * 2 > bytes.count {
      bytes.removeFirst(start)
      start = 0
    }
    bytes.append(contentsOf: more)
  }

  /// The next whole reply, or null while some of it is missing.
  mutating func next() throws -> RESP? {
    var cursor = start
    guard let reply = try parse(&cursor) else { return nil }
    start = cursor
    return reply
  }

  /// Takes the next line that ends in `\n`, without its end; null while it is not whole.
  mutating func nextLine() -> String? {
    guard let end = bytes[start...].firstIndex(of: 0x0a) else { return nil }
    let line = String(decoding: bytes[start..<end], as: UTF8.self)
    start = end + 1
    return line.hasSuffix("\r") ? String(line.dropLast()) : line
  }

  /// Drops that many bytes; false, and nothing dropped, while there are fewer.
  mutating func skip(_ count: Int) -> Bool {
    guard bytes.count - start >= count else { return false }
    start += count
    return true
  }

  private func line(_ cursor: inout Int) throws -> String? {
    var end = cursor
    while end + 1 < bytes.count, !(bytes[end] == 0x0d && bytes[end + 1] == 0x0a) { end += 1 }
    guard end + 1 < bytes.count else { return nil }
    defer { cursor = end + 2 }
    return String(decoding: bytes[cursor..<end], as: UTF8.self)
  }

  private func number(_ text: some StringProtocol) throws -> Int64 {
    guard let value = Int64(text) else { throw TestServerError.malformed("the number \(text)") }
    return value
  }

  private func parse(_ cursor: inout Int) throws -> RESP? {
    guard let head = try line(&cursor), let kind = head.first else { return nil }
    let rest = head.dropFirst()
    switch kind {
    case "+": return .simple(String(rest))
    case "-": return .error(String(rest))
    case ":": return .integer(try number(rest))
    case "_": return .null
    case "(": return .bigNumber(String(rest))
    case "#": return .boolean(rest == "t")
    case ",":
      guard let value = Double(String(rest)) else { throw TestServerError.malformed("the double \(rest)") }
      return .double(value)
    case "$", "=": return try text(kind, Int(number(rest)), &cursor)
    case "*", "~", ">":
      let count = Int(try number(rest))
      guard count >= 0 else { return .null }
      guard let all = try elements(count, &cursor) else { return nil }
      return kind == "*" ? .array(all) : kind == "~" ? .set(all) : .push(all)
    case "%":
      let count = Int(try number(rest))
      guard let all = try elements(count * 2, &cursor) else { return nil }
      return .map((0..<count).map { RESPPair(all[2 * $0], all[2 * $0 + 1]) })
    default: throw TestServerError.malformed("a reply that starts with \(head.prefix(40))")
    }
  }

  private func text(_ kind: Character, _ count: Int, _ cursor: inout Int) throws -> RESP? {
    guard count >= 0 else { return .null }
    guard bytes.count - cursor >= count + 2 else { return nil }
    let text = Array(bytes[cursor..<cursor + count])
    cursor += count + 2
    guard kind == "=" else { return .bulk(text) }
    return .verbatim(format: String(decoding: text.prefix(3), as: UTF8.self), text: Array(text.dropFirst(4)))
  }

  private func elements(_ count: Int, _ cursor: inout Int) throws -> [RESP]? {
    var all: [RESP] = []
    for _ in 0..<count {
      guard let element = try parse(&cursor) else { return nil }
      all.append(element)
    }
    return all
  }
}
