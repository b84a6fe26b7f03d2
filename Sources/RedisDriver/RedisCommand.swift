/// A command as a value: a name and arguments, for code that builds commands at run time.
///
/// Where every nanosecond counts, ``RedisClient/call(_:as:options:_:)`` writes the arguments without this detour.
public struct RedisCommand: Sendable, Hashable, ExpressibleByArrayLiteral {
  /// One argument: text, bytes or a decimal number.
  public struct Argument: Sendable, Hashable, ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral {
    public let bytes: [UInt8]

    public init(_ bytes: [UInt8]) { self.bytes = bytes }
    public init(_ text: some StringProtocol) { bytes = Array(text.utf8) }
    public init(_ number: Int) { bytes = Array(String(number).utf8) }
    public init(stringLiteral text: String) { self.init(text) }
    public init(integerLiteral number: Int) { self.init(number) }
  }

  public var name: String
  public var arguments: [Argument]

  public init(_ name: String, _ arguments: [Argument] = []) {
    self.name = name
    self.arguments = arguments
  }

  public init(_ name: String, _ arguments: Argument...) { self.init(name, arguments) }

  /// `["SET", "key", 5]`.
  public init(arrayLiteral elements: Argument...) {
    self.init(String(decoding: elements.first?.bytes ?? [], as: UTF8.self), Array(elements.dropFirst()))
  }

  /// Commands that change what a connection is, or how it replies, which its other users can't know.
  private static let connectionCommands: Set<String> = [
    "ASKING", "AUTH", "DISCARD", "EXEC", "HELLO", "MONITOR", "MULTI", "PSUBSCRIBE", "PSYNC", "PUNSUBSCRIBE", "QUIT",
    "READONLY", "READWRITE", "RESET", "SELECT", "SSUBSCRIBE", "SUBSCRIBE", "SUNSUBSCRIBE", "SYNC", "UNSUBSCRIBE",
    "UNWATCH", "WATCH",
  ]

  /// Why the command can't be sent on a connection that others use too; nil if it can.
  var refusal: RedisError? {
    guard !name.isEmpty else { return RedisError(.invalidCommand, "a command without a name") }
    let word = name.uppercased()
    let silencesReplies =
      word == "CLIENT" && arguments.first?.bytes.elementsEqual("REPLY".utf8, by: Self.sameLetter) == true
    guard !silencesReplies, !Self.connectionCommands.contains(word) else {
      return RedisError(.invalidCommand, "\(word) changes the connection, which other commands share")
    }
    return nil
  }

  private static func sameLetter(_ left: UInt8, _ right: UInt8) -> Bool { left & 0xDF == right }
}

extension CommandWriter {
  /// Appends a command value. Returns its size in bytes.
  @usableFromInline
  mutating func command(_ command: RedisCommand) -> Int {
    var name = command.name
    return name.withUTF8 { name in
      self.command(UnsafeRawBufferPointer(name)) { writer in
        for argument in command.arguments { writer.argument(argument.bytes) }
      }
    }
  }
}
