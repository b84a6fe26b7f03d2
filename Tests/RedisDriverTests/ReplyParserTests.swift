import Testing

@testable import RedisDriver

@Suite struct ReplyParserTests {
  private func replies(_ chunks: [[UInt8]]) throws -> ([RESPValue], ReplyParser.Outcome) {
    let parser = try #require(ReplyParser())
    var values: [RESPValue] = []
    var outcome = ReplyParser.Outcome.incomplete
    for chunk in chunks {
      chunk.withUnsafeBytes { parser.feed($0) }
      outcome = parser.next()
      while outcome == .whole {
        var cursor = ReplyCursor(parser.tape)
        values.append(try cursor.value())
        expectEqual(cursor.nextKind, nil)
        parser.tape.clear()
        outcome = parser.next()
      }
    }
    return (values, outcome)
  }

  static let stream =
    "+OK\r\n:-42\r\n$-1\r\n*-1\r\n$0\r\n\r\n$5\r\na\r\nb\0\r\n-ERR no such thing\r\n*0\r\n"
    + "*3\r\n$2\r\nOK\r\n:7\r\n*2\r\n*1\r\n-X y\r\n$-1\r\n:9223372036854775807\r\n"
  static let values: [RESPValue] = [
    .simple("OK"), .integer(-42), .null, .null, .bulk([]), .bulk(Array("a\r\nb\0".utf8)), .error("ERR no such thing"),
    .array([]), .array([.bulk(Array("OK".utf8)), .integer(7), .array([.array([.error("X y")]), .null])]),
    .integer(.max),
  ]

  @Test("Replies are the same wherever the stream is split in three")
  func splits() throws {
    let bytes = Array(Self.stream.utf8)
    for first in 0...bytes.count {
      for second in first...bytes.count {
        let chunks = [bytes[..<first], bytes[first..<second], bytes[second...]].map(Array.init)
        let (values, outcome) = try replies(chunks)
        guard values == Self.values, outcome == .incomplete else {
          Issue.record("split at \(first) and \(second): \(values), \(outcome)")
          return
        }
      }
    }
  }

  @Test("Replies are the same byte by byte")
  func bytewise() throws {
    #expect(try replies(Self.stream.utf8.map { [$0] }).0 == Self.values)
  }

  @Test("A value of megabytes comes whole, and the memory for it is not kept")
  func huge() throws {
    let value = [UInt8](repeating: 7, count: 5_000_000)
    var bytes = Array("*2\r\n$\(value.count)\r\n".utf8) + value
    bytes += Array("\r\n+OK\r\n".utf8)
    let chunks = stride(from: 0, to: bytes.count, by: 4096).map { Array(bytes[$0..<min($0 + 4096, bytes.count)]) }
    #expect(try replies(chunks).0 == [.array([.bulk(value), .simple("OK")])])
  }

  @Test(
    "What is not RESP is reported, and stays so",
    arguments: ["hello\r\n", "\0", ":12a\r\n", "$x\r\n", "$-2\r\n", "*-2\r\n", "*3\r\n:1\r\n?\r\n"]
      + [String(repeating: "*1\r\n", count: 12)]
  )
  func malformed(_ text: String) throws {
    let parser = try #require(ReplyParser())
    Array(text.utf8).withUnsafeBytes { parser.feed($0) }
    var isMalformed = false
    for _ in 0..<2 {
      if case .malformed(let reason) = parser.next() { isMalformed = !reason.isEmpty } else { isMalformed = false }
      #expect(isMalformed)
    }
  }

  @Test("A cursor reads part by part, and says what it found in place of what was expected")
  func cursor() throws {
    let parser = try #require(ReplyParser())
    Array("*4\r\n+OK\r\n:7\r\n$-1\r\n*2\r\n:1\r\n:2\r\n".utf8).withUnsafeBytes { parser.feed($0) }
    #expect(parser.next() == .whole)
    var cursor = ReplyCursor(parser.tape)
    expectEqual(cursor.nextKind, .array)
    try expectEqual(cursor.array(), 4)
    try expectEqual(cursor.withBytes { Array($0) }, Array("OK".utf8))
    var other = ReplyCursor(parser.tape, at: 2)
    let mismatch = expectError { () throws(RedisError) in _ = try other.string() }
    #expect(mismatch?.code == .unexpectedReply)
    #expect(mismatch?.message == "unexpected reply: expected a string, got integer")
    try expectEqual(cursor.integer(), 7)
    expectTrue(cursor.null())
    expectTrue(!cursor.null())
    try cursor.skip()
    expectEqual(cursor.nextKind, nil)
    let missing = expectError { () throws(RedisError) in try cursor.skip() }
    #expect(missing?.code == .unexpectedReply)
  }

  @Test("Replies decode to the types of the standard library")
  func decoding() throws {
    let parser = try #require(ReplyParser())
    Array("*3\r\n:1\r\n$-1\r\n:3\r\n".utf8).withUnsafeBytes { parser.feed($0) }
    #expect(parser.next() == .whole)
    var cursor = ReplyCursor(parser.tape)
    try expectEqual([Int?](decoding: &cursor), [1, nil, 3])
    var again = ReplyCursor(parser.tape)
    let mismatch = expectError { () throws(RedisError) in _ = try [Int](decoding: &again) }
    #expect(mismatch?.code == .unexpectedReply)
  }
}
