import CMariaDB
import Orders

/// What the server or the client library said to a statement.
struct MySQLFailure: Error {
  enum Kind {
    /// The connection is gone; what was sent last may or may not have been carried out.
    case lost
    /// Somebody else was in the way (deadlock, lock wait, a row that changed): the same transaction may go through.
    case contended
    /// The key is there already.
    case duplicate
    case other
  }

  let number: UInt32
  let state: String
  let message: String

  var kind: Kind {
    switch Int32(number) {
    case CR_SERVER_GONE_ERROR, CR_SERVER_LOST, ER_SERVER_SHUTDOWN, ER_CONNECTION_KILLED, 4031,
      ER_NET_READ_ERROR, ER_NET_READ_INTERRUPTED, ER_NET_ERROR_ON_WRITE, ER_NET_WRITE_INTERRUPTED,
      CR_MALFORMED_PACKET, CR_COMMANDS_OUT_OF_SYNC, CR_UNKNOWN_ERROR:
      .lost
    case ER_LOCK_DEADLOCK, ER_LOCK_WAIT_TIMEOUT, ER_CHECKREAD: .contended
    case ER_DUP_ENTRY: .duplicate
    default: .other
    }
  }

  /// Deadlocks and conflicting snapshots cost nothing to try again; a lock wait has already waited its time.
  var hasWaited: Bool { Int32(number) == ER_LOCK_WAIT_TIMEOUT }
}

extension OrderStoreError {
  /// What a failure means to a caller of the store. Bound values are never part of the message.
  init(_ failure: MySQLFailure, while what: String, server: MySQLURL) {
    self.init(Self.code(of: failure), "\(what): \(Self.said(failure)) (MySQL \(failure.number), \(server))")
  }

  init(_ error: any Error, while what: String, server: MySQLURL) {
    switch error {
    case let error as OrderStoreError: self = error
    case let error as MySQLFailure: self.init(error, while: what, server: server)
    default: self.init(.unavailable, "\(what): \(error) (\(server))")
    }
  }

  private static func code(of failure: MySQLFailure) -> Code {
    switch Int32(failure.number) {
    case ER_ACCESS_DENIED_ERROR, ER_DBACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR,
      ER_SPECIFIC_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR, ER_PROCACCESS_DENIED_ERROR,
      ER_HOST_NOT_PRIVILEGED, ER_MUST_CHANGE_PASSWORD, ER_MUST_CHANGE_PASSWORD_LOGIN, CR_AUTH_PLUGIN_ERR, 3118, 4151:
      return .notAuthorized
    case ER_BAD_DB_ERROR: return .unknownDatabase
    // A disk or table space is full. Server-wide error 28 is the system's "no space left".
    case ER_DISK_FULL, ER_RECORD_FILE_FULL, 1041, ER_ERROR_ON_WRITE: return .full
    case ER_GET_ERRNO, ER_ERROR_DURING_COMMIT, ER_CANT_CREATE_TABLE, ER_CANT_CREATE_FILE:
      return failure.message.contains("28") || failure.message.contains("No space left") ? .full : .unavailable
    case ER_OPTION_PREVENTS_STATEMENT, ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, 1836, 3989: return .readOnly
    case ER_NOT_KEYFILE, ER_CRASHED_ON_USAGE, ER_CRASHED_ON_REPAIR, 1712, 1714: return .corrupt
    case ER_NO_SUCH_TABLE, ER_BAD_FIELD_ERROR, ER_WRONG_OBJECT, ER_CANT_OPEN_FILE: return .notOurs
    default: break
    }
    // Data that doesn't fit, a constraint, and what a trigger of the shop's own says.
    switch failure.state.prefix(2) {
    case "22", "23", "45": return .refused
    default: break
    }
    switch Int32(failure.number) {
    case 4025, 3819, ER_WRONG_VALUE_COUNT_ON_ROW, ER_DATA_TOO_LONG, ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, 1265:
      return .refused
    default: return .unavailable
    }
  }

  /// The messages that repeat a key or a value do so behind their first quote.
  private static func said(_ failure: MySQLFailure) -> String {
    switch Int32(failure.number) {
    case ER_DUP_ENTRY, ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, 1292, 1411, 1525, 1690, ER_PARSE_ERROR:
      failure.message.prefix { $0 != "'" } + "…"
    default: failure.message
    }
  }
}
