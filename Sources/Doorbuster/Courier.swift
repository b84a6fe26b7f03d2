import Orders

/// How accepted purchases reach the database.
enum Courier: Hashable, Sendable {
  /// By transactional messages; the log makes good what they lose.
  case messages
  /// By the buckets' logs alone.
  case log
}

extension SalePath {
  /// Nil where the database itself decides, and nothing is to be delivered.
  var courier: Courier? {
    switch self {
    case .database: nil
    case .redisMQ, .combined: .messages
    case .buckets: .log
    }
  }
}
