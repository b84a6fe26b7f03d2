import GRDB
import TestServers

/// The database of a shop, read and changed past the product.
public enum AuditedDatabase: Sendable {
  case sqlite(path: String)
  case mariaDB(MariaDBServer, database: String)

  /// The file's path, or the server's URL.
  public var place: String {
    switch self {
    case .sqlite(let path): path
    case .mariaDB(let server, let database): server.url(database: database)
    }
  }

  /// The rows of a statement, their columns as text; null is `NULL`. Names are to be asked for by `HEX(…)`.
  public func rows(_ sql: String) throws -> [[String]] {
    switch self {
    case .sqlite:
      try withFile { db in
        try Row.fetchAll(db, sql: sql).map { row in row.databaseValues.map(Self.text) }
      }
    case .mariaDB(let server, let database):
      try server.sql(sql, database: database).split(separator: "\n")
        .map { $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init) }
    }
  }

  public func execute(_ sql: String) throws {
    switch self {
    case .sqlite: try withFile { db in try db.execute(sql: sql) }
    case .mariaDB(let server, let database): try server.sql(sql, database: database)
    }
  }

  /// The one number that a statement asks for.
  public func number(_ sql: String) throws -> Int64 {
    guard let text = try rows(sql).first?.first, let number = Int64(text) else {
      throw TestServerError.launch("no number: \(sql)")
    }
    return number
  }

  private func withFile<Value>(_ body: (Database) throws -> Value) throws -> Value {
    guard case .sqlite(let path) = self else { throw TestServerError.launch("not a file") }
    var configuration = Configuration()
    configuration.busyMode = .timeout(10)
    return try DatabaseQueue(path: path, configuration: configuration).writeWithoutTransaction(body)
  }

  private static func text(_ value: DatabaseValue) -> String {
    switch value.storage {
    case .null: "NULL"
    case .int64(let number): String(number)
    case .double(let number): String(number)
    case .string(let text): text
    case .blob: "a blob"
    }
  }

  /// A name as both databases take it, and compare it byte by byte.
  public static func literal(_ name: String) -> String {
    "X'" + name.utf8.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined() + "'"
  }

  /// What `HEX(…)` gave.
  public static func name(hex: String) -> String {
    let digits = Array(hex.utf8)
    let bytes = stride(from: 0, to: digits.count - 1, by: 2).compactMap { index in
      UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
