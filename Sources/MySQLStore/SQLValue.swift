import Stock

/// A parameter of a statement.
enum SQLValue {
  case integer(Int64)
  case bytes([UInt8])
  case null

  static func text(_ text: String) -> SQLValue { .bytes(Array(text.utf8)) }

  static func optional(_ value: Int64?) -> SQLValue { value.map { .integer($0) } ?? .null }
}

extension SKU {
  var value: SQLValue { .text(text) }
}

extension Token {
  var value: SQLValue { .bytes(bytes) }
}

extension UserID {
  var value: SQLValue { .bytes(bytes) }
}

/// Rows for one statement, by column: what the library takes as arrays of parameters.
struct RowBatch {
  enum Kind { case bytes, integer }

  enum Column {
    /// Places in the heap.
    case bytes(starts: [Int], lengths: [UInt])
    case integers([Int64], isNull: [CChar])
  }

  private(set) var columns: [Column]
  private(set) var heap: [UInt8] = []
  private(set) var count = 0
  private var longestRow = 0
  private var rowStart = 0

  init(_ kinds: [Kind], capacity: Int) {
    columns = kinds.map { kind in
      switch kind {
      case .bytes: .bytes(starts: Self.empty(capacity), lengths: Self.empty(capacity))
      case .integer: .integers(Self.empty(capacity), isNull: Self.empty(capacity))
      }
    }
    heap.reserveCapacity(capacity * 64)
  }

  private static func empty<Element>(_ capacity: Int) -> [Element] {
    var array: [Element] = []
    array.reserveCapacity(capacity)
    return array
  }

  /// The next row's value of a column; each row gives each column its value once, and is then counted.
  mutating func put(_ bytes: [UInt8], _ column: Int) {
    guard case .bytes(var starts, var lengths) = columns[column] else { return }
    // Taken out and put back, so that the arrays are not copied.
    columns[column] = .integers([], isNull: [])
    starts.append(heap.count)
    lengths.append(UInt(bytes.count))
    heap.append(contentsOf: bytes)
    columns[column] = .bytes(starts: starts, lengths: lengths)
  }

  mutating func put(_ number: Int64?, _ column: Int) {
    guard case .integers(var values, var isNull) = columns[column] else { return }
    columns[column] = .integers([], isNull: [])
    values.append(number ?? 0)
    isNull.append(number == nil ? 1 : 0)
    columns[column] = .integers(values, isNull: isNull)
  }

  mutating func endRow() {
    count += 1
    longestRow = max(longestRow, heap.count - rowStart)
    rowStart = heap.count
  }

  /// No row takes more in a message: besides its bytes each value has its type and its length.
  var rowBytesMax: Int { longestRow + columns.count * Self.valueBytes }

  static let valueBytes = 12
}
