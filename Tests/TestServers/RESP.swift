/// One reply of a Redis server, as it came: RESP2 and RESP3, nothing converted.
///
/// Literals stand for bulk strings, integers, arrays and null, so that a test reads `reply == ["a", 1, nil]`.
public indirect enum RESP: Equatable, Hashable, Sendable {
  case simple(String)
  case error(String)
  case integer(Int64)
  case bulk([UInt8])
  case null
  case array([RESP])
  case map([RESPPair])
  case set([RESP])
  case push([RESP])
  case double(Double)
  case boolean(Bool)
  case bigNumber(String)
  case verbatim(format: String, text: [UInt8])

  /// A status as the stock commands reply it: `[status, remaining, sequence]`.
  public static func status(_ word: String, _ remaining: Int64, _ sequence: Int64) -> RESP {
    .array([.simple(word), .integer(remaining), .integer(sequence)])
  }

  public static let ok = RESP.simple("OK")

  /// The text of a simple, bulk or verbatim string or an error; null for all else.
  public var text: String? {
    switch self {
    case .simple(let text), .error(let text), .bigNumber(let text): text
    case .bulk(let bytes), .verbatim(_, let bytes): String(decoding: bytes, as: UTF8.self)
    case .integer, .null, .array, .map, .set, .push, .double, .boolean: nil
    }
  }

  public var integer: Int64? {
    if case .integer(let value) = self { value } else { nil }
  }

  public var bytes: [UInt8]? {
    if case .bulk(let bytes) = self { bytes } else { nil }
  }

  /// The elements of an array, set or push; null for all else.
  public var elements: [RESP]? {
    switch self {
    case .array(let all), .set(let all), .push(let all): all
    case .simple, .error, .integer, .bulk, .null, .map, .double, .boolean, .bigNumber, .verbatim: nil
    }
  }

  /// The first word of an error, such as `WRONGTYPE`; null where the reply is no error.
  public var errorCode: String? {
    if case .error(let text) = self { String(text.prefix { $0 != " " }) } else { nil }
  }

  /// The n-th element of an array; null where there is none.
  public subscript(index: Int) -> RESP? {
    guard let elements, elements.indices.contains(index) else { return nil }
    return elements[index]
  }

  /// The value of a text key in a map, or in the flat array that stands for a map in RESP2.
  public subscript(key: String) -> RESP? {
    if case .map(let pairs) = self { return pairs.first { $0.key.text == key }?.value }
    guard let elements else { return nil }
    let at = stride(from: 0, to: elements.count - 1, by: 2).first { elements[$0].text == key }
    return at.map { elements[$0 + 1] }
  }
}

public struct RESPPair: Equatable, Hashable, Sendable {
  public let key: RESP
  public let value: RESP

  public init(_ key: RESP, _ value: RESP) {
    self.key = key
    self.value = value
  }
}

extension RESP: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral,
  ExpressibleByNilLiteral
{
  public init(stringLiteral text: String) { self = .bulk(Array(text.utf8)) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(arrayLiteral elements: RESP...) { self = .array(elements) }
  public init(nilLiteral: ()) { self = .null }
}

extension RESP: CustomStringConvertible {
  public var description: String {
    switch self {
    case .simple(let text): "+\(text)"
    case .error(let text): "-\(text)"
    case .integer(let value): "\(value)"
    case .bulk(let bytes): "\"\(bytes.printable)\""
    case .null: "null"
    case .array(let all): "[\(all.map(\.description).joined(separator: ", "))]"
    case .map(let pairs): "{\(pairs.map { "\($0.key): \($0.value)" }.joined(separator: ", "))}"
    case .set(let all): "set\(RESP.array(all))"
    case .push(let all): "push\(RESP.array(all))"
    case .double(let value): "\(value)"
    case .boolean(let value): "\(value)"
    case .bigNumber(let text): "(\(text)"
    case .verbatim(let format, let text): "\(format):\"\(text.printable)\""
    }
  }
}

extension [UInt8] {
  fileprivate var printable: String {
    map {
      (0x20..<0x7f).contains($0)
        ? String(UnicodeScalar($0)) : "\\x" + String($0 >> 4, radix: 16) + String($0 & 15, radix: 16)
    }
    .joined()
  }
}

/// An argument of a command: text, bytes or a number in decimal.
public protocol RedisArgument: Sendable {
  var argumentBytes: [UInt8] { get }
}

extension String: RedisArgument {
  public var argumentBytes: [UInt8] { Array(utf8) }
}

extension [UInt8]: RedisArgument {
  public var argumentBytes: [UInt8] { self }
}

extension FixedWidthInteger where Self: Sendable {
  public var argumentBytes: [UInt8] { Array(String(self).utf8) }
}

extension Int: RedisArgument {}
extension Int64: RedisArgument {}
extension UInt64: RedisArgument {}
