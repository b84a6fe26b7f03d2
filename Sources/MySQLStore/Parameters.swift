import CMariaDB

/// Fills a statement's parameters for the time of one call, so that no value is copied more than once.
enum Parameters {
  typealias Binds = UnsafeMutableBufferPointer<MYSQL_BIND>

  static func with(
    _ values: [SQLValue],
    in binds: Binds,
    _ body: () throws(MySQLFailure) -> Void
  ) throws(MySQLFailure) {
    let size = values.reduce(0) { size, value in
      switch value {
      case .integer, .null: size + 8
      case .bytes(let bytes): size + (bytes.count + 7) / 8 * 8
      }
    }
    let heap = UnsafeMutableRawPointer.allocate(byteCount: max(size, 8), alignment: 8)
    defer { heap.deallocate() }
    var next = heap
    for (index, value) in values.enumerated() {
      binds[index] = MYSQL_BIND()
      binds[index].buffer = next
      switch value {
      case .null:
        binds[index].buffer_type = MYSQL_TYPE_NULL
      case .integer(let number):
        next.storeBytes(of: number, as: Int64.self)
        binds[index].buffer_type = MYSQL_TYPE_LONGLONG
        next += 8
      case .bytes(let bytes):
        bytes.withUnsafeBytes { next.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(next), byteCount: $0.count) }
        set(&binds[index], length: UInt(bytes.count))
        next += (bytes.count + 7) / 8 * 8
      }
    }
    try body()
  }

  /// Each column an array.
  static func with(
    arrays batch: RowBatch,
    _ rows: Range<Int>,
    in binds: Binds,
    _ body: () throws(MySQLFailure) -> Void
  ) throws(MySQLFailure) {
    var arrays: [UnsafeMutableRawPointer] = []
    defer { for array in arrays { array.deallocate() } }
    func array<Element>(_ values: some Collection<Element>) -> UnsafeMutablePointer<Element> {
      let copy = UnsafeMutableBufferPointer<Element>.allocate(capacity: values.count)
      _ = copy.initialize(from: values)
      arrays.append(UnsafeMutableRawPointer(copy.baseAddress ?? UnsafeMutablePointer<Element>.allocate(capacity: 1)))
      return arrays[arrays.count - 1].assumingMemoryBound(to: Element.self)
    }
    let heap = array(batch.heap)
    for (index, column) in batch.columns.enumerated() {
      binds[index] = MYSQL_BIND()
      switch column {
      case .bytes(let starts, let lengths):
        binds[index].buffer_type = MYSQL_TYPE_BLOB
        binds[index].buffer = UnsafeMutableRawPointer(array(starts[rows].lazy.map { heap + $0 }))
        binds[index].length = array(lengths[rows])
      case .integers(let values, let isNull):
        binds[index].buffer_type = MYSQL_TYPE_LONGLONG
        binds[index].buffer = UnsafeMutableRawPointer(array(values[rows]))
        if isNull[rows].contains(1) { doorbuster_set_indicators(&binds[index], array(isNull[rows])) }
      }
    }
    try body()
  }

  /// Row by row, each value a parameter.
  static func with(
    values batch: RowBatch,
    _ rows: Range<Int>,
    in binds: Binds,
    _ body: () throws(MySQLFailure) -> Void
  ) throws(MySQLFailure) {
    let heap = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(batch.heap.count, 1))
    defer { heap.deallocate() }
    _ = heap.initialize(from: batch.heap)
    let numbers = UnsafeMutableBufferPointer<Int64>.allocate(capacity: binds.count)
    defer { numbers.deallocate() }
    let width = batch.columns.count
    for (index, column) in batch.columns.enumerated() {
      for (place, row) in rows.enumerated() {
        let parameter = place * width + index
        binds[parameter] = MYSQL_BIND()
        switch column {
        case .bytes(let starts, let lengths):
          binds[parameter].buffer = heap.baseAddress.map { UnsafeMutableRawPointer($0 + starts[row]) }
          set(&binds[parameter], length: lengths[row])
        case .integers(let values, let isNull):
          numbers.initializeElement(at: parameter, to: values[row])
          binds[parameter].buffer_type = isNull[row] == 1 ? MYSQL_TYPE_NULL : MYSQL_TYPE_LONGLONG
          binds[parameter].buffer = numbers.baseAddress.map { UnsafeMutableRawPointer($0 + parameter) }
        }
      }
    }
    try body()
  }

  /// The library reads the length from here where no pointer to one is given.
  private static func set(_ bind: inout MYSQL_BIND, length: UInt) {
    bind.buffer_type = MYSQL_TYPE_BLOB
    bind.buffer_length = length
    bind.length_value = length
  }
}
