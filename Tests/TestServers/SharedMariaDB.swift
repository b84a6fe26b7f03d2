/// A database server that tests of one process share; those that stop it have one of their own.
public enum SharedMariaDB {
  // What it holds need not outlive it.
  public static let server = Result {
    try MariaDBServer(.init(flushLogAtCommit: 0, lines: ["innodb-flush-method=nosync"]))
  }

  public static func get() async throws -> MariaDBServer { try await aside { try server.get() } }
}
