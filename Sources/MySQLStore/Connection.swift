import CMariaDB
import Logging
import Orders

/// A connection to the server, made when it is needed and made anew when it was lost. It belongs to one thread.
final class Connection {
  let url: MySQLURL
  let options: MySQLStoreOptions
  let logger: Logger
  private var handle: UnsafeMutablePointer<MYSQL>?
  private var statements = StatementCache()
  private(set) var takesArrays = false
  /// No message that carries rows or keys is larger; a larger one than the server's `max_allowed_packet` ends the connection.
  private var messageBytesMax = 0

  init(_ url: MySQLURL, _ options: MySQLStoreOptions, _ logger: Logger) {
    self.url = url
    self.options = options
    self.logger = logger
  }

  deinit { disconnect() }

  /// - Throws: ``MySQLFailure``.
  func connect() throws(MySQLFailure) {
    if handle != nil { return }
    guard Library.isReady, let fresh = mysql_init(nil) else {
      throw MySQLFailure(number: UInt32(CR_OUT_OF_MEMORY), state: "HY000", message: "the client library did not start")
    }
    do throws(MySQLFailure) {
      try open(fresh)
      handle = fresh
      takesArrays = options.usesArrays && doorbuster_takes_arrays(fresh) != 0
      try setUp()
    } catch {
      statements = StatementCache()
      handle = nil
      mysql_close(fresh)
      throw error
    }
  }

  func disconnect() {
    // Statements first: closing them after their connection would touch what is gone.
    statements = StatementCache()
    if let handle { mysql_close(handle) }
    handle = nil
  }

  private func open(_ fresh: UnsafeMutablePointer<MYSQL>) throws(MySQLFailure) {
    // The library counts in whole seconds.
    func set(_ option: mysql_option, seconds ms: Int) {
      var seconds = UInt32((ms + 999) / 1_000)
      mysql_options(fresh, option, &seconds)
    }
    func set(_ option: mysql_option, _ text: String) { mysql_options(fresh, option, text) }
    func set(_ option: mysql_option, _ flag: Bool) {
      var flag: my_bool = flag ? 1 : 0
      mysql_options(fresh, option, &flag)
    }
    set(MYSQL_OPT_CONNECT_TIMEOUT, seconds: options.connectTimeoutMs)
    set(MYSQL_OPT_READ_TIMEOUT, seconds: options.readTimeoutMs)
    set(MYSQL_OPT_WRITE_TIMEOUT, seconds: options.writeTimeoutMs)
    set(MYSQL_SET_CHARSET_NAME, "utf8mb4")
    // A server could ask for any of our files.
    var none: UInt32 = 0
    mysql_options(fresh, MYSQL_OPT_LOCAL_INFILE, &none)
    switch url.tls {
    case .off: break
    case .required, .verify:
      set(MYSQL_OPT_SSL_ENFORCE, true)
      set(MYSQL_OPT_SSL_VERIFY_SERVER_CERT, url.tls == .verify || url.authority != nil)
      if let authority = url.authority { set(MYSQL_OPT_SSL_CA, authority) }
      if let certificate = url.certificate { set(MYSQL_OPT_SSL_CERT, certificate) }
      if let key = url.key { set(MYSQL_OPT_SSL_KEY, key) }
    }
    let connected: UnsafeMutablePointer<MYSQL>?
    switch url.endpoint {
    case .tcp(let host, let port):
      var tcp = MYSQL_PROTOCOL_TCP.rawValue
      mysql_options(fresh, MYSQL_OPT_PROTOCOL, &tcp)
      connected = mysql_real_connect(fresh, host, url.user, url.password, url.database, UInt32(port), nil, 0)
    case .unix(let path):
      var socket = MYSQL_PROTOCOL_SOCKET.rawValue
      mysql_options(fresh, MYSQL_OPT_PROTOCOL, &socket)
      connected = mysql_real_connect(fresh, nil, url.user, url.password, url.database, 0, path, 0)
    }
    guard connected != nil else { throw Self.failure(fresh) }
    // Without a certificate to check, the library goes on in plain text where the server offers nothing else.
    guard url.tls == .off || mysql_get_ssl_cipher(fresh) != nil else {
      throw MySQLFailure(
        number: UInt32(CR_SSL_CONNECTION_ERROR),
        state: "08000",
        message: "TLS is required, and the server does not offer it"
      )
    }
  }

  private func setUp() throws(MySQLFailure) {
    let seconds = max(1, (options.lockWaitMs + 999) / 1_000)
    try run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    try run(
      """
      SET SESSION autocommit = 1, time_zone = '+00:00', innodb_lock_wait_timeout = \(seconds), lock_wait_timeout = \
      \(seconds), sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'
      """
    )
    let packetMax = Int(clamping: try number("SELECT @@max_allowed_packet"))
    // The statement's own text has its room, too.
    messageBytesMax = max(packetMax - 8_192, packetMax / 2)
  }

  /// The one number that a query answers.
  private func number(_ sql: String) throws(MySQLFailure) -> Int64 {
    do {
      return try query(sql, [], [.integer]) { $0.integer(0) }.first ?? 0
    } catch let failure as MySQLFailure {
      throw failure
    } catch {
      throw MySQLFailure(number: UInt32(CR_UNKNOWN_ERROR), state: "HY000", message: "\(error)")
    }
  }

  private static func failure(_ handle: UnsafeMutablePointer<MYSQL>) -> MySQLFailure {
    MySQLFailure(
      number: mysql_errno(handle),
      state: String(cString: mysql_sqlstate(handle)),
      message: String(cString: mysql_error(handle))
    )
  }
}

// MARK: - Statements

extension Connection {
  private var live: UnsafeMutablePointer<MYSQL> {
    get throws(MySQLFailure) {
      guard let handle else {
        throw MySQLFailure(number: UInt32(CR_SERVER_GONE_ERROR), state: "HY000", message: "there is no connection")
      }
      return handle
    }
  }

  /// A statement without parameters and rows, as text.
  /// - Returns: how many rows changed.
  @discardableResult
  func run(_ sql: String) throws(MySQLFailure) -> Int {
    let handle = try live
    var sql = sql
    let code = sql.withUTF8 { text in
      text.withMemoryRebound(to: CChar.self) { mysql_real_query(handle, $0.baseAddress, UInt($0.count)) }
    }
    guard code == 0 else { throw Self.failure(handle) }
    return Int(clamping: mysql_affected_rows(handle))
  }

  /// Whether the server was in a transaction when it answered last.
  var isInTransaction: Bool { handle.map { doorbuster_in_transaction($0) != 0 } ?? false }

  private func prepared(_ sql: String) throws(MySQLFailure) -> Statement {
    if let known = statements.find(sql) { return known }
    let statement = try Statement(live, sql)
    statements.keep(statement, sql)
    return statement
  }

  /// A statement with parameters.
  /// - Returns: how many rows changed.
  @discardableResult
  func execute(_ sql: String, _ parameters: SQLValue...) throws(MySQLFailure) -> Int {
    try prepared(sql).execute(parameters)
  }

  @discardableResult
  func execute(_ sql: String, with parameters: [SQLValue]) throws(MySQLFailure) -> Int {
    try prepared(sql).execute(parameters)
  }

  func query<Value>(
    _ sql: String,
    _ parameters: [SQLValue],
    _ columns: [RowBatch.Kind],
    _ body: (RowReader) throws -> Value
  ) throws -> [Value] {
    var values: [Value] = []
    try prepared(sql).query(parameters, columns) { values.append(try body($0)) }
    return values
  }

  /// Inserts these rows: in one message where the server takes arrays, else some rows to a statement.
  /// - Parameters:
  ///   - sql: everything up to `VALUES`.
  ///   - suffix: what follows the values.
  func insert(_ sql: String, _ batch: RowBatch, suffix: String = "") throws(MySQLFailure) {
    guard takesArrays, batch.count > 1 else {
      try insertTogether(sql, batch, suffix: suffix)
      return
    }
    try execute("\(sql) VALUES \(Self.marks(batch)) \(suffix)", arrays: batch)
  }

  /// As ``insert(_:_:suffix:)``, some rows to a statement on every server. What a suffix does to rows that are there is several
  /// times as fast so.
  /// - Returns: how many rows changed, as the server counts: 2 for one that was there.
  @discardableResult
  func insertTogether(_ sql: String, _ batch: RowBatch, suffix: String) throws(MySQLFailure) -> Int {
    var changed = 0
    var start = 0
    while start < batch.count {
      let size = Self.rowsTogether(min(batch.count - start, itemsMax(of: batch.rowBytesMax)))
      let values = repeatElement(Self.marks(batch), count: size).joined(separator: ", ")
      changed += try prepared("\(sql) VALUES \(values) \(suffix)").execute(values: batch, start..<start + size)
      start += size
    }
    return changed
  }

  private static func marks(_ batch: RowBatch) -> String {
    "(" + repeatElement("?", count: batch.columns.count).joined(separator: ", ") + ")"
  }

  /// Executes a statement once for each row of parameters. Only where the server takes arrays.
  /// - Returns: how many rows changed.
  @discardableResult
  func execute(_ sql: String, arrays batch: RowBatch) throws(MySQLFailure) -> Int {
    let statement = try prepared(sql)
    let rowsMax = min(Self.arrayRowsMax, itemsMax(of: batch.rowBytesMax))
    var changed = 0
    for start in stride(from: 0, to: batch.count, by: rowsMax) {
      changed += try statement.execute(arrays: batch, start..<min(start + rowsMax, batch.count))
    }
    return changed
  }

  /// How many of that size one message may carry.
  private func itemsMax(of bytes: Int) -> Int { max(messageBytesMax / max(bytes, 1), 1) }

  /// Keys of one message. They are filled up to a power of two.
  private func keysMax(_ keys: [[UInt8]]) -> Int {
    let longest = keys.reduce(0) { max($0, $1.count) }
    let most = min(Self.keysMax, itemsMax(of: longest + RowBatch.valueBytes))
    return 1 << (Int.bitWidth - 1 - most.leadingZeroBitCount)
  }

  /// Executes a statement for a list of keys, filled up as ``query(keys:before:_:sql:_:)`` does.
  func execute(keys: [[UInt8]], before first: [SQLValue], sql: (_ marks: String) -> String) throws(MySQLFailure) {
    let keysMax = keysMax(keys)
    for start in stride(from: 0, to: keys.count, by: keysMax) {
      let (marks, parameters) = Self.list(keys[start..<min(start + keysMax, keys.count)])
      try prepared(sql(marks)).execute(first + parameters)
    }
  }

  /// Rows of one message, as far as the server's bound lets them.
  private static let arrayRowsMax = 8_192

  /// Few different sizes, so that each statement is prepared once: up to 16, then powers of two. A statement has at most
  /// 65,535 parameters.
  private static func rowsTogether(_ count: Int) -> Int {
    count <= 16 ? count : min(1 << (Int.bitWidth - 1 - count.leadingZeroBitCount), 1_024)
  }

  /// Runs a query for a list of keys, some hundreds at a time; a list is filled up by its last key, so that few different
  /// statements do for all lengths.
  func query<Value>(
    keys: [[UInt8]],
    before first: [SQLValue],
    _ columns: [RowBatch.Kind],
    sql: (_ marks: String) -> String,
    _ body: (RowReader) throws -> Value
  ) throws -> [Value] {
    var values: [Value] = []
    let keysMax = keysMax(keys)
    for start in stride(from: 0, to: keys.count, by: keysMax) {
      let (marks, parameters) = Self.list(keys[start..<min(start + keysMax, keys.count)])
      try prepared(sql(marks)).query(first + parameters, columns) { values.append(try body($0)) }
    }
    return values
  }

  private static let keysMax = 1_024

  private static func list(_ keys: ArraySlice<[UInt8]>) -> (marks: String, parameters: [SQLValue]) {
    var size = 1
    while size < keys.count { size *= 2 }
    let filler = repeatElement(SQLValue.bytes(keys[keys.endIndex - 1]), count: size - keys.count)
    let marks = repeatElement("?", count: size).joined(separator: ", ")
    return (marks, keys.map { .bytes($0) } + filler)
  }
}

/// The library's own start, once for the process.
private enum Library {
  static let isReady = mysql_server_init(0, nil, nil) == 0
}

/// The statements that a connection has prepared; those that were not used for longest go first.
private struct StatementCache {
  private static let max = 128
  private var statements: [String: (statement: Statement, used: Int)] = [:]
  private var clock = 0

  mutating func find(_ sql: String) -> Statement? {
    clock += 1
    statements[sql]?.used = clock
    return statements[sql]?.statement
  }

  mutating func keep(_ statement: Statement, _ sql: String) {
    if statements.count >= Self.max, let oldest = statements.min(by: { $0.value.used < $1.value.used }) {
      statements[oldest.key] = nil
    }
    statements[sql] = (statement, clock)
  }
}
