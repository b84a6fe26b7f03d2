import Testing

@testable import RedisDriver

@Suite struct CommandWriterTests {
  private func written(_ name: StaticString, _ encode: (inout CommandWriter) -> Void) -> String {
    var writer = CommandWriter()
    let size = name.withUTF8Buffer { writer.command(UnsafeRawBufferPointer($0), encode) }
    expectEqual(size, writer.buffer.count)
    return String(decoding: writer.buffer.bytes, as: UTF8.self)
  }

  @Test("A command is an array of bulk strings")
  func command() {
    let text = written("STOCK.DEDUCT") { command in
      command.argument("k")
      command.argument([0, 13, 10])
      command.argument(5)
      command.argument(String("user"))
    }
    #expect(text == "*5\r\n$12\r\nSTOCK.DEDUCT\r\n$1\r\nk\r\n$3\r\n\0\r\n\r\n$1\r\n5\r\n$4\r\nuser\r\n")
  }

  @Test("Any number of arguments is counted right", arguments: [0, 1, 8, 9, 10, 98, 99, 100, 998, 999, 1000, 12345])
  func counts(_ count: Int) {
    let text = written("X") { command in for _ in 0..<count { command.argument("ab") } }
    #expect(text == "*\(count + 1)\r\n$1\r\nX\r\n" + String(repeating: "$2\r\nab\r\n", count: count))
  }

  @Test("Any length is written right", arguments: [0, 1, 9, 10, 99, 100, 101, 999, 1000, 65536, 3_000_000])
  func lengths(_ length: Int) {
    let value = String(repeating: "v", count: length)
    #expect(written("X") { $0.argument(value) } == "*2\r\n$1\r\nX\r\n$\(length)\r\n\(value)\r\n")
  }

  @Test("Numbers are decimal", arguments: [0, 1, -1, 9, 10, 1 << 53, Int.max, Int.min])
  func numbers(_ number: Int) {
    let digits = String(number)
    #expect(written("X") { $0.argument(number) } == "*2\r\n$1\r\nX\r\n$\(digits.utf8.count)\r\n\(digits)\r\n")
  }

  @Test("A command with more than nine arguments leaves its neighbours alone")
  func neighbours() {
    var writer = CommandWriter()
    let long = RedisCommand("L", (0..<12).map { .init($0) })
    let sizes = [RedisCommand("PING"), long, RedisCommand("GET", "k")].map { writer.command($0) }
    let text = String(decoding: writer.buffer.bytes, as: UTF8.self)
    #expect(sizes.reduce(0, +) == text.utf8.count)
    #expect(text.hasPrefix("*1\r\n$4\r\nPING\r\n*13\r\n$1\r\nL\r\n$1\r\n0\r\n"))
    #expect(text.hasSuffix("$2\r\n11\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"))
  }

  @Test("A buffer gives back what was put in, however it is filled and emptied")
  func buffer() {
    let seed = UInt64.random(in: 1...UInt64.max)
    var generator = SeededGenerator(seed)
    var buffer = ByteBuffer(capacity: 64)
    var model: [UInt8] = []
    for _ in 0..<3000 {
      switch Int.random(in: 0..<5, using: &generator) {
      case 0, 1, 2:
        let bytes = (0..<Int.random(in: 0..<200, using: &generator)).map { _ in
          UInt8.random(in: 0...255, using: &generator)
        }
        bytes.withUnsafeBytes { buffer.append($0) }
        model += bytes
      case 3:
        let count = Int.random(in: 0...model.count, using: &generator)
        buffer.dropFirst(count)
        model.removeFirst(count)
      default:
        let count = Int.random(in: 0...min(model.count, 50), using: &generator)
        buffer.dropLast(count)
        model.removeLast(count)
      }
      guard Array(buffer.bytes) == model else {
        Issue.record("differs, seed \(seed)")
        return
      }
    }
  }

  static let refused: [RedisCommand] = [
    RedisCommand(""), RedisCommand("multi"), ["SUBSCRIBE", "c"], ["Select", 1], ["CLIENT", "reply", "OFF"], [],
  ]

  @Test("A command that changes the connection is refused", arguments: refused)
  func refusals(_ command: RedisCommand) { #expect(command.refusal?.code == .invalidCommand) }

  @Test(
    "Other commands are not refused",
    arguments: [["GET", "MULTI"], ["CLIENT", "ID"], ["CLIENT"], ["XREADGROUP"]] as [RedisCommand]
  )
  func accepted(_ command: RedisCommand) { #expect(command.refusal == nil) }
}
