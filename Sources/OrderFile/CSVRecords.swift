/// The records of a CSV text (RFC 4180: CRLF or LF, quoted fields with `""` for a quote and line breaks inside).
///
/// A record that breaks the rules is one bad record: reading goes on with the line after the one it began on, so
/// that a stray quote can't swallow the rest of the file. Blank lines are passed over.
public struct CSVRecords: Sequence, IteratorProtocol, Sendable {
  public struct Record: Hashable, Sendable {
    /// The number of the line on which the record begins, from 1.
    public let line: Int
    public let content: Result<[[UInt8]], Fault>
  }

  public enum Fault: Error, Hashable, Sendable, CustomStringConvertible {
    case unterminatedQuote
    case quoteInsideField(column: Int)
    case textAfterQuote(column: Int)
    case tooLong

    public var description: String {
      switch self {
      case .unterminatedQuote: "a quoted field is not closed"
      case .quoteInsideField(let column): "field \(column) has a quote but does not begin with one"
      case .textAfterQuote(let column): "field \(column) goes on after its closing quote"
      case .tooLong: "the record is longer than \(CSVRecords.bytesMax) bytes"
      }
    }
  }

  /// The longest record, in bytes.
  public static let bytesMax = 65_536

  private let bytes: [UInt8]
  private var index: Int
  private var line = 1

  /// A byte order mark at the beginning is passed over.
  public init(_ bytes: [UInt8]) {
    self.bytes = bytes
    index = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
  }

  public mutating func next() -> Record? {
    skipBlankLines()
    guard index < bytes.count else { return nil }
    let start = index
    let startLine = line
    let content = readRecord()
    if case .failure = content {
      index = start
      line = startLine
      skipLine()
    }
    return Record(line: startLine, content: content)
  }

  private mutating func readRecord() -> Result<[[UInt8]], Fault> {
    let limit = Swift.min(bytes.count, index + Self.bytesMax)
    var fields: [[UInt8]] = []
    while true {
      switch readField(column: fields.count + 1, limit: limit) {
      case .failure(let fault): return .failure(fault)
      case .success(let field): fields.append(field)
      }
      guard index < limit else { return index == bytes.count ? .success(fields) : .failure(.tooLong) }
      if bytes[index] == UInt8(ascii: ",") {
        index += 1
        continue
      }
      endLine()
      return .success(fields)
    }
  }

  /// Leaves `index` at the comma, at the line's end, or at the limit.
  private mutating func readField(column: Int, limit: Int) -> Result<[UInt8], Fault> {
    guard index < limit, bytes[index] == UInt8(ascii: "\"") else {
      let start = index
      while index < limit, bytes[index] != UInt8(ascii: ","), !isLineEnd(index) {
        if bytes[index] == UInt8(ascii: "\"") { return .failure(.quoteInsideField(column: column)) }
        index += 1
      }
      return .success(Array(bytes[start..<index]))
    }
    index += 1
    var field: [UInt8] = []
    while index < limit {
      let byte = bytes[index]
      index += 1
      if byte != UInt8(ascii: "\"") {
        if byte == UInt8(ascii: "\n") { line += 1 }
        field.append(byte)
      } else if index < limit, bytes[index] == UInt8(ascii: "\"") {
        field.append(byte)
        index += 1
      } else if index == limit || bytes[index] == UInt8(ascii: ",") || isLineEnd(index) {
        return .success(field)
      } else {
        return .failure(.textAfterQuote(column: column))
      }
    }
    return .failure(limit == bytes.count ? .unterminatedQuote : .tooLong)
  }

  private func isLineEnd(_ at: Int) -> Bool {
    bytes[at] == UInt8(ascii: "\n")
      || (bytes[at] == UInt8(ascii: "\r") && at + 1 < bytes.count && bytes[at + 1] == UInt8(ascii: "\n"))
  }

  private mutating func endLine() {
    index += bytes[index] == UInt8(ascii: "\r") ? 2 : 1
    line += 1
  }

  private mutating func skipLine() {
    while index < bytes.count, bytes[index] != UInt8(ascii: "\n") { index += 1 }
    if index < bytes.count {
      index += 1
      line += 1
    }
  }

  private mutating func skipBlankLines() {
    while index < bytes.count, isLineEnd(index) { endLine() }
  }
}
