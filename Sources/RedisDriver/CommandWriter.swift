/// Writes the arguments of one command, in RESP, straight into a connection's buffer.
///
/// The number of arguments is counted here, so that no caller can get it wrong and put the connection out of step.
public struct CommandWriter: ~Copyable {
  /// Commands written and not yet taken away.
  var buffer = ByteBuffer()
  private var start = 0
  private var arguments = 0

  /// Any bytes.
  @inline(__always)
  public mutating func argument(_ bytes: UnsafeRawBufferPointer) {
    let memory = buffer.reserve(bytes.count + Self.framing)
    var end = Self.writeLength(bytes.count, to: memory)
    if let source = bytes.baseAddress {
      UnsafeMutableRawPointer(memory + end).copyMemory(from: source, byteCount: bytes.count)
      end += bytes.count
    }
    memory[end] = UInt8(ascii: "\r")
    memory[end + 1] = UInt8(ascii: "\n")
    buffer.advance(end + 2)
    arguments += 1
  }

  @inline(__always)
  public mutating func argument(_ bytes: [UInt8]) { bytes.withUnsafeBytes { argument($0) } }

  /// A word that is known when the program is built.
  @inline(__always)
  public mutating func argument(_ word: StaticString) {
    word.withUTF8Buffer { argument(UnsafeRawBufferPointer($0)) }
  }

  @_disfavoredOverload
  @inline(__always)
  public mutating func argument(_ text: some StringProtocol) {
    // Strings of up to 15 bytes are stored in themselves; their bytes are copied to the stack, not to the heap.
    if text.utf8.withContiguousStorageIfAvailable({ argument(UnsafeRawBufferPointer($0)) }) == nil {
      argument(Array(text.utf8))
    }
  }

  /// A decimal number.
  @inline(__always)
  public mutating func argument(_ number: some FixedWidthInteger & SignedInteger) { argument(decimal: Int(number)) }

  private mutating func argument(decimal number: Int) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.digitsMax) { digits in
      let first = Self.writeDigits(of: number, backwardsInto: digits)
      argument(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[first...]))
    }
  }
}

extension CommandWriter {
  /// `-9223372036854775808` has 20 characters.
  private static let digitsMax = 20
  /// `$`, a length, and two line ends.
  private static let framing = 1 + digitsMax + 4
  /// `*n\r\n` for up to nine arguments, which is nearly every command.
  private static let shortHeader = 4

  /// Appends one command: its name, then what `encode` writes. Returns its size in bytes.
  @usableFromInline
  mutating func command(_ name: UnsafeRawBufferPointer, _ encode: (inout CommandWriter) -> Void) -> Int {
    begin(name)
    encode(&self)
    end()
    return buffer.count - start
  }

  private mutating func begin(_ name: UnsafeRawBufferPointer) {
    start = buffer.count
    arguments = 0
    _ = buffer.reserve(Self.shortHeader)
    buffer.advance(Self.shortHeader)
    argument(name)
  }

  /// Writes the header, whose room was left by `begin`. More than nine arguments need more room, so they are moved.
  private mutating func end() {
    if arguments > 9 { widenHeader() }
    let header = buffer.pointer(at: start)
    header[0] = UInt8(ascii: "*")
    var rest = arguments
    var position = Self.digits(of: arguments)
    header[position + 1] = UInt8(ascii: "\r")
    header[position + 2] = UInt8(ascii: "\n")
    while position > 0 {
      header[position] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
      position -= 1
    }
  }

  private mutating func widenHeader() {
    let extra = Self.digits(of: arguments) - 1
    let size = buffer.count - start - Self.shortHeader
    _ = buffer.reserve(extra)
    let body = buffer.pointer(at: start + Self.shortHeader)
    UnsafeMutableRawPointer(body + extra).copyMemory(from: body, byteCount: size)
    buffer.advance(extra)
  }

  @inline(__always)
  private static func writeLength(_ length: Int, to memory: UnsafeMutablePointer<UInt8>) -> Int {
    memory[0] = UInt8(ascii: "$")
    var end = 1
    if length < 10 {
      memory[end] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: length)
      end += 1
    } else if length < 100 {
      memory[end] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: length / 10)
      memory[end + 1] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: length % 10)
      end += 2
    } else {
      end += writeLongLength(length, to: memory + end)
    }
    memory[end] = UInt8(ascii: "\r")
    memory[end + 1] = UInt8(ascii: "\n")
    return end + 2
  }

  private static func writeLongLength(_ length: Int, to memory: UnsafeMutablePointer<UInt8>) -> Int {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: digitsMax) { digits in
      let first = writeDigits(of: length, backwardsInto: digits)
      for index in first..<digits.count { memory[index - first] = digits[index] }
      return digits.count - first
    }
  }

  /// Returns the index of the first character.
  private static func writeDigits(of number: Int, backwardsInto digits: UnsafeMutableBufferPointer<UInt8>) -> Int {
    var first = digits.count
    var rest = number.magnitude
    repeat {
      first -= 1
      digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    } while rest > 0
    if number < 0 {
      first -= 1
      digits[first] = UInt8(ascii: "-")
    }
    return first
  }

  private static func digits(of count: Int) -> Int {
    var digits = 1
    var rest = count / 10
    while rest > 0 {
      digits += 1
      rest /= 10
    }
    return digits
  }
}
