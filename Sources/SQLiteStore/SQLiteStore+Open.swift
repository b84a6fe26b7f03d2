import Dispatch
import Foundation
import GRDB
import Logging
import Orders

extension SQLiteStore {
  /// Opens the file, or makes it, and brings its tables up to this program's version.
  ///
  /// - Parameters:
  ///   - path: the file; its directory must be there, and take the `-wal` and `-shm` files beside it.
  ///   - strategy: `rowLock` or `groupCommit`; SQLite has no inventory hint.
  ///   - busyTimeoutMs: how long a call waits for another process's transaction.
  /// - Throws: ``OrderStoreError`` `notOurs` for a file that is no database or another program's, which is left as it
  ///   was; `schemaTooNew`; `corrupt`; `readOnly`, `notAuthorized` or `unavailable` where it can't be written; `full`.
  public static func open(
    path: String,
    strategy: HotRowStrategy = .groupCommit,
    busyTimeoutMs: Int = 5_000,
    logger: Logger = Logger(label: "doorbuster.sqlite")
  ) async throws(OrderStoreError) -> SQLiteStore {
    try await open(path: path, strategy: strategy, busyTimeoutMs: busyTimeoutMs, logger: logger) { _ in }
  }

  /// As above; `prepare` sees each connection before its first use.
  package static func open(
    path: String,
    strategy: HotRowStrategy,
    busyTimeoutMs: Int,
    logger: Logger,
    prepare: @escaping @Sendable (Database) throws -> Void
  ) async throws(OrderStoreError) -> SQLiteStore {
    guard strategy != .inventoryHint else {
      throw OrderStoreError(.refused, "the strategy is inventoryHint; with SQLite it must be rowLock or groupCommit")
    }
    guard !path.isEmpty else { throw OrderStoreError(.refused, "the database's path is empty") }
    // Absolute, so that SQLite takes no name for something else (`:memory:`, `file:…`).
    let file = DatabaseFile(
      path: URL(fileURLWithPath: path).path,
      busyTimeoutMs: max(busyTimeoutMs, 1),
      prepare: prepare
    )
    let result = await withCheckedContinuation {
      (done: CheckedContinuation<Result<DatabasePool, any Error>, Never>) in
      DispatchQueue.global().async { done.resume(returning: Result { try file.open() }) }
    }
    switch result {
    case .success(let pool):
      logger.debug("Opened the database", metadata: ["path": "\(file.path)", "strategy": "\(strategy.rawValue)"])
      return SQLiteStore(path: file.path, strategy: strategy, pool: pool, logger: logger)
    case .failure(let error):
      throw OrderStoreError(error, while: "opening the database", path: file.path)
    }
  }
}

/// The way from a path to a file that is known to be ours, writable, and of this program's schema.
struct DatabaseFile: Sendable {
  let path: String
  let busyTimeoutMs: Int
  let prepare: @Sendable (Database) throws -> Void

  func open() throws -> DatabasePool {
    try checkPlace()
    let deadline = ContinuousClock.now + .milliseconds(busyTimeoutMs)
    while true {
      do {
        try claim()
        return try openPool()
      } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY && ContinuousClock.now < deadline {
        // Changing to WAL, and recovery after a crash, don't wait for other processes by themselves.
        usleep(5_000)
      }
    }
  }

  /// SQLite says "unable to open" to all of these; an operator wants to know which.
  private func checkPlace() throws(OrderStoreError) {
    var isDirectory: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) {
      if isDirectory.boolValue { throw OrderStoreError(.notOurs, "database \(path) is a directory") }
      return
    }
    let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
    guard FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory), isDirectory.boolValue else {
      throw OrderStoreError(.unavailable, "database \(path) can't be made: there is no directory \(directory)")
    }
    if access(directory, W_OK) != 0 {
      let isReadOnly = errno == EROFS
      throw OrderStoreError(
        isReadOnly ? .readOnly : .notAuthorized,
        "database \(path) can't be made: the directory \(directory) can't be written"
      )
    }
  }

  /// - Throws: `notOurs` for a file that isn't SQLite's. (SQLite itself takes over files shorter than its header.)
  private func hasContent() throws -> Bool {
    guard let file = FileHandle(forReadingAtPath: path) else { return false }
    defer { try? file.close() }
    guard let start = try file.read(upToCount: 16), !start.isEmpty else { return false }
    guard start == Data("SQLite format 3\0".utf8) else {
      throw OrderStoreError(.notOurs, "database \(path) is no SQLite database; it was left as it is")
    }
    return true
  }

  private enum Owner { case nobody, us, another }

  /// Makes an empty file ours. Another program's file is only read.
  private func claim() throws {
    if try hasContent() {
      var configuration = configuration
      configuration.readonly = true
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      defer { try? queue.close() }
      if try queue.read(checkOwner) == .us { return }
    }
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    defer { try? queue.close() }
    try queue.writeWithoutTransaction { db in
      try db.writeImmediately { db in
        if try checkOwner(db) == .nobody {
          try db.execute(sql: "PRAGMA application_id = \(Schema.applicationID)")
        }
      }
    }
  }

  /// - Throws: `notOurs` for another program's file.
  private func checkOwner(_ db: Database) throws -> Owner {
    let owner = try owner(db)
    if owner == .another {
      throw OrderStoreError(.notOurs, "database \(path) is another program's; it was left as it is")
    }
    return owner
  }

  private func owner(_ db: Database) throws -> Owner {
    let id = try Int32.fetchOne(db, sql: "PRAGMA application_id") ?? 0
    if id == Schema.applicationID { return .us }
    let objects = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") ?? 0
    let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    return id == 0 && objects == 0 && version == 0 ? .nobody : .another
  }

  private func openPool() throws -> DatabasePool {
    let pool = try DatabasePool(path: path, configuration: configuration)
    do {
      try pool.writeWithoutTransaction { db in
        // GRDB sets NORMAL for WAL, which may lose the last commits when the power fails.
        try db.execute(sql: "PRAGMA synchronous = FULL")
        // Tokens are random, so each order dirties a page of its own; the longer the WAL, the more orders share the
        // page that a checkpoint copies. 8,000 pages are 32 MB and a pause of some 50 ms.
        try db.execute(sql: "PRAGMA wal_autocheckpoint = 8000")
        try db.execute(sql: "PRAGMA journal_size_limit = 67108864")
        try db.execute(sql: "PRAGMA cache_size = -65536")
      }
      try migrate(pool)
      // On a file that can't be written SQLite falls back to reading, even where a transaction begins as a writer.
      // Only a statement that may write finds out, and a store must know at once.
      try pool.writeWithoutTransaction { db in try db.execute(sql: "DELETE FROM products WHERE FALSE") }
      return pool
    } catch {
      try? pool.close()
      throw error
    }
  }

  private func migrate(_ pool: DatabasePool) throws {
    let migrator = Schema.migrator
    if try pool.read(migrator.hasBeenSuperseded) {
      throw OrderStoreError(.schemaTooNew, "database \(path) is of a newer version than this program knows")
    }
    while true {
      let before = try pool.read(migrator.appliedIdentifiers)
      do {
        return try migrator.migrate(pool)
      } catch {
        // Another process may have brought some of the tables in between the look and the leap.
        if try pool.read(migrator.hasCompletedMigrations) { return }
        guard try pool.read(migrator.appliedIdentifiers) != before else { throw error }
      }
    }
  }

  private var configuration: Configuration {
    var configuration = Configuration()
    configuration.label = "doorbuster.sqlite"
    configuration.maximumReaderCount = 4
    // SQLite's own time-out looks every 100 ms, and starves beside a process that writes batch after batch.
    configuration.busyMode = .callback { [busyTimeoutMs] tries in
      guard tries < busyTimeoutMs else { return false }
      usleep(1_000)
      return true
    }
    configuration.prepareDatabase(prepare)
    return configuration
  }
}
