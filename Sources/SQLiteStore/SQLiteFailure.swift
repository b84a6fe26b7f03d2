import GRDB
import Orders

extension OrderStoreError {
  /// What SQLite's answer means to a caller of the store. Bound values are never part of the message.
  init(_ error: any Error, while what: String, path: String) {
    switch error {
    case let error as OrderStoreError:
      self = error
    case let error as DatabaseError:
      let said = error.message ?? "no message"
      self.init(
        Self.code(of: error),
        "\(what): \(said) (SQLite \(error.extendedResultCode.rawValue), database \(path))"
      )
    default:
      self.init(.unavailable, "\(what): \(error) (database \(path))")
    }
  }

  private static func code(of error: DatabaseError) -> Code {
    switch error.extendedResultCode {
    // The file was moved or removed under us: a fault of the place, not a right that is missing.
    case .SQLITE_READONLY_DBMOVED: return .unavailable
    default: break
    }
    switch error.resultCode {
    case .SQLITE_READONLY: return .readOnly
    case .SQLITE_FULL: return .full
    case .SQLITE_PERM, .SQLITE_AUTH: return .notAuthorized
    case .SQLITE_NOTADB: return .notOurs
    case .SQLITE_CORRUPT: return .corrupt
    case .SQLITE_CONSTRAINT, .SQLITE_TOOBIG, .SQLITE_MISMATCH, .SQLITE_RANGE: return .refused
    // The commit's frame may or may not have reached the disk.
    case .SQLITE_IOERR: return error.sql?.hasPrefix("COMMIT") == true ? .outcomeUnknown : .unavailable
    default: return .unavailable
    }
  }
}
