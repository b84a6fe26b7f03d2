import Foundation

/// What a command printed under `--json`. Literals stand for values, so that a test reads `report["lost"] == 0`.
enum JSON: Equatable, Decodable {
  case null
  case boolean(Bool)
  case number(Double)
  case text(String)
  case list([JSON])
  case object([String: JSON])

  /// - Throws: where the text is anything but one JSON object.
  init(_ text: String) throws {
    self = .object(try JSONDecoder().decode([String: JSON].self, from: Data(text.utf8)))
  }

  init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let boolean = try? value.decode(Bool.self) {
      self = .boolean(boolean)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else if let text = try? value.decode(String.self) {
      self = .text(text)
    } else if let list = try? value.decode([JSON].self) {
      self = .list(list)
    } else {
      self = .object(try value.decode([String: JSON].self))
    }
  }

  /// The value of a key; null where there is none.
  subscript(key: String) -> JSON {
    if case .object(let fields) = self { fields[key] ?? .null } else { .null }
  }

  subscript(index: Int) -> JSON { elements.indices.contains(index) ? elements[index] : .null }

  var keys: Set<String> {
    if case .object(let fields) = self { Set(fields.keys) } else { [] }
  }

  var elements: [JSON] {
    if case .list(let elements) = self { elements } else { [] }
  }

  var number: Int? {
    if case .number(let number) = self { Int(exactly: number) } else { nil }
  }

  var string: String? {
    if case .text(let text) = self { text } else { nil }
  }
}

extension JSON: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral
{
  init(integerLiteral value: Int) { self = .number(Double(value)) }
  init(stringLiteral value: String) { self = .text(value) }
  init(booleanLiteral value: Bool) { self = .boolean(value) }
  init(arrayLiteral elements: JSON...) { self = .list(elements) }
}
