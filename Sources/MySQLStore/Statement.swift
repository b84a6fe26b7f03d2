import CMariaDB

/// A statement that a server has prepared, with its buffers. It belongs to one connection and its thread.
final class Statement {
  private let handle: UnsafeMutablePointer<MYSQL_STMT>
  private let binds: UnsafeMutableBufferPointer<MYSQL_BIND>
  private var reader: RowReader?

  /// - Throws: ``MySQLFailure``.
  init(_ connection: UnsafeMutablePointer<MYSQL>, _ sql: String) throws(MySQLFailure) {
    guard let handle = mysql_stmt_init(connection) else {
      throw MySQLFailure(number: UInt32(CR_OUT_OF_MEMORY), state: "HY000", message: "out of memory")
    }
    self.handle = handle
    var sql = sql
    let code = sql.withUTF8 { text in
      text.withMemoryRebound(to: CChar.self) { mysql_stmt_prepare(handle, $0.baseAddress, UInt($0.count)) }
    }
    binds = .allocate(capacity: code == 0 ? Int(mysql_stmt_param_count(handle)) : 0)
    binds.initialize(repeating: MYSQL_BIND())
    guard code == 0 else { throw failure }
  }

  deinit {
    mysql_stmt_close(handle)
    binds.deallocate()
  }

  private var failure: MySQLFailure {
    MySQLFailure(
      number: mysql_stmt_errno(handle),
      state: String(cString: mysql_stmt_sqlstate(handle)),
      message: String(cString: mysql_stmt_error(handle))
    )
  }

  private func check(_ code: some BinaryInteger) throws(MySQLFailure) {
    guard code == 0 else { throw failure }
  }

  /// - Returns: how many rows changed.
  @discardableResult
  func execute(_ parameters: [SQLValue]) throws(MySQLFailure) -> Int {
    precondition(parameters.count == binds.count)
    try setArraySize(0)
    try Parameters.with(parameters, in: binds) { () throws(MySQLFailure) in
      try check(mysql_stmt_bind_param(handle, binds.baseAddress))
      try check(mysql_stmt_execute(handle))
    }
    return Int(clamping: mysql_stmt_affected_rows(handle))
  }

  /// Executes the statement once for each of these rows, in one message.
  /// - Returns: how many rows changed.
  @discardableResult
  func execute(arrays batch: RowBatch, _ rows: Range<Int>) throws(MySQLFailure) -> Int {
    precondition(batch.columns.count == binds.count)
    try Parameters.with(arrays: batch, rows, in: binds) { () throws(MySQLFailure) in
      try setArraySize(UInt32(rows.count))
      try check(mysql_stmt_bind_param(handle, binds.baseAddress))
      try check(mysql_stmt_execute(handle))
    }
    return Int(clamping: mysql_stmt_affected_rows(handle))
  }

  /// Executes the statement, which has as many parameters as these rows have values.
  /// - Returns: how many rows changed.
  @discardableResult
  func execute(values batch: RowBatch, _ rows: Range<Int>) throws(MySQLFailure) -> Int {
    precondition(batch.columns.count * rows.count == binds.count)
    try setArraySize(0)
    try Parameters.with(values: batch, rows, in: binds) { () throws(MySQLFailure) in
      try check(mysql_stmt_bind_param(handle, binds.baseAddress))
      try check(mysql_stmt_execute(handle))
    }
    return Int(clamping: mysql_stmt_affected_rows(handle))
  }

  /// - Parameter body: called with each row in turn, which is good for that call alone.
  func query(
    _ parameters: [SQLValue],
    _ columns: [RowBatch.Kind],
    _ body: (RowReader) throws -> Void
  ) throws {
    try execute(parameters)
    defer { mysql_stmt_free_result(handle) }
    let reader = reader ?? RowReader(columns)
    self.reader = reader
    try check(mysql_stmt_bind_result(handle, reader.binds.baseAddress))
    try check(mysql_stmt_store_result(handle))
    while true {
      switch mysql_stmt_fetch(handle) {
      case 0: try body(reader)
      case MYSQL_NO_DATA: return
      case MYSQL_DATA_TRUNCATED:
        throw MySQLFailure(number: 0, state: "22001", message: "a value is longer than any that was stored")
      default: throw failure
      }
    }
  }

  private func setArraySize(_ size: UInt32) throws(MySQLFailure) {
    var size = size
    try check(mysql_stmt_attr_set(handle, STMT_ATTR_ARRAY_SIZE, &size))
  }
}

/// One row of a result.
final class RowReader {
  /// No column that is read as bytes is longer.
  private static let bytesMax = 4096

  let binds: UnsafeMutableBufferPointer<MYSQL_BIND>
  private let buffers: UnsafeMutableRawPointer
  private let lengths: UnsafeMutablePointer<UInt>
  private let nulls: UnsafeMutablePointer<my_bool>

  init(_ columns: [RowBatch.Kind]) {
    binds = .allocate(capacity: columns.count)
    binds.initialize(repeating: MYSQL_BIND())
    buffers = .allocate(byteCount: columns.count * Self.bytesMax, alignment: 16)
    lengths = .allocate(capacity: columns.count)
    nulls = .allocate(capacity: columns.count)
    lengths.initialize(repeating: 0, count: columns.count)
    nulls.initialize(repeating: 0, count: columns.count)
    for (index, kind) in columns.enumerated() {
      binds[index].buffer = buffers + index * Self.bytesMax
      binds[index].length = lengths + index
      binds[index].is_null = nulls + index
      switch kind {
      case .bytes:
        binds[index].buffer_type = MYSQL_TYPE_BLOB
        binds[index].buffer_length = UInt(Self.bytesMax)
      case .integer:
        binds[index].buffer_type = MYSQL_TYPE_LONGLONG
        binds[index].buffer_length = 8
      }
    }
  }

  deinit {
    binds.deallocate()
    buffers.deallocate()
    lengths.deallocate()
    nulls.deallocate()
  }

  /// 0 for null.
  func integer(_ column: Int) -> Int64 { optionalInteger(column) ?? 0 }

  func optionalInteger(_ column: Int) -> Int64? {
    nulls[column] != 0 ? nil : (buffers + column * Self.bytesMax).load(as: Int64.self)
  }

  /// Empty for null.
  func bytes(_ column: Int) -> [UInt8] {
    guard nulls[column] == 0 else { return [] }
    return Array(UnsafeRawBufferPointer(start: buffers + column * Self.bytesMax, count: Int(lengths[column])))
  }

  func text(_ column: Int) -> String { String(decoding: bytes(column), as: UTF8.self) }

  func isNull(_ column: Int) -> Bool { nulls[column] != 0 }
}
