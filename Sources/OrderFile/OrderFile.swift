import Stock

/// Purchases in a CSV file with a header that names at least `token`, `user`, `product` and `quantity`, in any order.
/// Further columns are ignored.
public struct OrderFile: Sequence, Sendable {
  public enum Line: Hashable, Sendable {
    case purchase(Purchase, line: Int)
    case bad(line: Int, reason: String)
  }

  /// A file that holds no purchases at all.
  public struct HeaderError: Error, Hashable, CustomStringConvertible {
    public let description: String
  }

  fileprivate struct Columns: Sendable {
    var token: Int, user: Int, product: Int, quantity: Int
    var count: Int
  }

  private let records: CSVRecords
  private let columns: Columns

  /// - Throws: ``HeaderError`` where the header is missing, or lacks a column or has it twice.
  public init(_ bytes: [UInt8]) throws(HeaderError) {
    var records = CSVRecords(bytes)
    guard let header = records.next() else {
      throw HeaderError(description: "the file is empty; its first line must name token,user,product,quantity")
    }
    let names: [[UInt8]]
    switch header.content {
    case .success(let fields): names = fields
    case .failure(let fault): throw HeaderError(description: "line \(header.line), the header: \(fault)")
    }
    func column(_ name: String) throws(HeaderError) -> Int {
      let places = names.indices.filter { names[$0] == Array(name.utf8) }
      guard places.count == 1 else {
        let fault = places.isEmpty ? "has no column" : "has more than one column"
        let found = InvalidInput(
          argument: "the header",
          value: names.joined(separator: ",".utf8),
          requirement: "one that names token,user,product,quantity, each once"
        )
        throw HeaderError(description: "line \(header.line), the header, \(fault) '\(name)': \(found)")
      }
      return places[0]
    }
    columns = Columns(
      token: try column("token"),
      user: try column("user"),
      product: try column("product"),
      quantity: try column("quantity"),
      count: names.count
    )
    self.records = records
  }

  public func makeIterator() -> Lines { Lines(records: records, columns: columns) }

  /// The lines after the header, in the file's order.
  public struct Lines: IteratorProtocol, Sendable {
    fileprivate var records: CSVRecords
    fileprivate let columns: Columns

    public mutating func next() -> Line? {
      guard let record = records.next() else { return nil }
      switch record.content {
      case .success(let fields): return read(fields, line: record.line)
      case .failure(let fault): return .bad(line: record.line, reason: fault.description)
      }
    }

    private func read(_ fields: [[UInt8]], line: Int) -> Line {
      guard fields.count == columns.count else {
        return .bad(line: line, reason: "it has \(fields.count) fields; the header has \(columns.count)")
      }
      do {
        let purchase = try Purchase(
          sku: SKU(String(decoding: fields[columns.product], as: UTF8.self)),
          user: UserID(bytes: fields[columns.user]),
          token: Token(bytes: fields[columns.token]),
          quantity: DecimalNumber.parse(fields[columns.quantity], argument: "quantity", in: 1...StockLimits.quantityMax)
        )
        return .purchase(purchase, line: line)
      } catch {
        return .bad(line: line, reason: error.description)
      }
    }
  }
}
