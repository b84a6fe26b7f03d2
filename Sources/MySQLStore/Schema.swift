import Orders

/// The tables, in the order in which versions of the program brought them.
///
/// SKUs, tokens and users are `VARBINARY`: as text, every collation would take some different ones for the same. A
/// product's totals stand in its own row, which each order's transaction locks and changes anyway; triggers, as in
/// SQLite, would cost a statement for each order, and the right to make them is often not the application's.
enum Schema {
  /// One for each version; each may be run again after a crash in its midst.
  static let versions: [[String]] = [sales + orders + leases + selling, carts, servers]

  static var version: Int { versions.count }

  /// Ours alone; where another program has a table of such a name, the database is not ours.
  static let tables = [
    "products", "sales", "buckets", "restocks", "log_positions", "orders", "bucket_leases", "sale_workers", "buyers",
    "holds", "recorded_carts", "sale_servers",
  ]

  static let versionTable = """
    CREATE TABLE IF NOT EXISTS doorbuster_schema (
      id TINYINT NOT NULL PRIMARY KEY,
      version INT NOT NULL
    ) ENGINE = InnoDB
    """

  private static func table(_ name: String, _ columns: String) -> String {
    "CREATE TABLE IF NOT EXISTS \(name) (\(columns)) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4"
  }

  private static let sales = [
    table(
      "products",
      """
      sku VARBINARY(64) NOT NULL PRIMARY KEY,
      stock BIGINT NOT NULL CHECK (stock >= 0),
      held_orders BIGINT NOT NULL DEFAULT 0, held_units BIGINT NOT NULL DEFAULT 0,
      sold_orders BIGINT NOT NULL DEFAULT 0, sold_units BIGINT NOT NULL DEFAULT 0,
      cancelled_orders BIGINT NOT NULL DEFAULT 0, cancelled_units BIGINT NOT NULL DEFAULT 0,
      rejected_orders BIGINT NOT NULL DEFAULT 0, rejected_units BIGINT NOT NULL DEFAULT 0,
      terms_version BIGINT NOT NULL DEFAULT 0
      """
    ),
    table(
      "sales",
      """
      sku VARBINARY(64) NOT NULL PRIMARY KEY,
      stock BIGINT NOT NULL,
      buckets INT NOT NULL,
      purchase_limit BIGINT NOT NULL,
      opens_ms BIGINT NOT NULL,
      closes_ms BIGINT NOT NULL,
      path VARBINARY(16) NOT NULL,
      created_at BIGINT NOT NULL
      """
    ),
    // The share is what the bucket was created with.
    table(
      "buckets",
      "sku VARBINARY(64) NOT NULL, bucket INT NOT NULL, share BIGINT NOT NULL, PRIMARY KEY (sku, bucket)"
    ),
    table(
      "restocks",
      "sku VARBINARY(64) NOT NULL, token VARBINARY(128) NOT NULL, quantity BIGINT NOT NULL, PRIMARY KEY (sku, token)"
    ),
    table(
      "log_positions",
      """
      sku VARBINARY(64) NOT NULL, bucket INT NOT NULL, epoch BIGINT NOT NULL, sequence BIGINT NOT NULL,
      PRIMARY KEY (sku, bucket)
      """
    ),
  ]

  private static let orders = [
    table(
      "orders",
      """
      sku VARBINARY(64) NOT NULL,
      token VARBINARY(128) NOT NULL,
      user VARBINARY(128) NOT NULL,
      quantity BIGINT UNSIGNED NOT NULL CHECK (quantity BETWEEN 1 AND 9007199254740992),
      bucket INT UNSIGNED NOT NULL,
      sequence BIGINT,
      state ENUM ('held', 'sold', 'cancelled', 'rejected') NOT NULL,
      created_at BIGINT NOT NULL,
      PRIMARY KEY (sku, token)
      """
    )
  ]

  /// Who follows which bucket, and until when (ms since 1970).
  private static let leases = [
    table(
      "bucket_leases",
      """
      sku VARBINARY(64) NOT NULL, bucket INT NOT NULL, worker VARBINARY(64) NOT NULL, expires_at BIGINT NOT NULL,
      PRIMARY KEY (sku, bucket)
      """
    ),
    table(
      "sale_workers",
      """
      sku VARBINARY(64) NOT NULL, worker VARBINARY(64) NOT NULL, expires_at BIGINT NOT NULL, PRIMARY KEY (sku, worker)
      """
    ),
  ]

  /// What decides on which server a sale's buckets lie; without a row for sales that have none, and for older ones. A table,
  /// as MySQL can't be told to add a column only where it is missing.
  private static let servers = [
    table("sale_servers", "sku VARBINARY(64) NOT NULL PRIMARY KEY, servers VARBINARY(4096) NOT NULL")
  ]

  /// For sales on the path `database`: units held and sold by buyer, for the limit; and the orders that are held. Both
  /// are tables of their own, so that no other sale's orders pay for them.
  private static let selling = [
    table(
      "buyers",
      "sku VARBINARY(64) NOT NULL, user VARBINARY(128) NOT NULL, units BIGINT NOT NULL, PRIMARY KEY (sku, user)"
    ),
    table(
      "holds",
      """
      sku VARBINARY(64) NOT NULL, token VARBINARY(128) NOT NULL, expires_at BIGINT NOT NULL, PRIMARY KEY (sku, token),
      KEY holds_by_end (sku, expires_at)
      """
    ),
  ]

  /// Carts that were recorded or ended, by their first line. A cart's orders alone don't tell whether it was: a buyer may
  /// have given one of them back since.
  private static let carts = [
    table(
      "recorded_carts",
      """
      sku VARBINARY(64) NOT NULL,
      token VARBINARY(128) NOT NULL,
      user VARBINARY(128) NOT NULL,
      cart VARBINARY(4096) NOT NULL,
      state ENUM ('sold', 'cancelled') NOT NULL,
      created_at BIGINT NOT NULL,
      PRIMARY KEY (sku, token)
      """
    )
  ]
}

extension Connection {
  /// Makes the tables, or brings them up to this program's version.
  /// - Throws: `notOurs`, `schemaTooNew`, or what the server says.
  func migrate() throws(OrderStoreError) {
    try read("opening the database") {
      if try schemaVersion() == Schema.version { return }
      // One store at a time, of any process; the lock goes with the connection.
      let lock = "CONCAT('doorbuster/', SHA1(DATABASE()))"
      let isLocked = try query("SELECT GET_LOCK(\(lock), 30)", [], [.integer]) { $0.integer(0) == 1 }
      guard isLocked == [true] else {
        throw OrderStoreError(.unavailable, "another program has been making the tables of \(url) for 30 s")
      }
      defer { _ = try? query("SELECT RELEASE_LOCK(\(lock))", [], [.integer]) { _ in true } }
      try claim()
      for version in try (schemaVersion() ?? 0)..<Schema.version {
        for statement in Schema.versions[version] { try run(statement) }
        try run("UPDATE doorbuster_schema SET version = \(version + 1) WHERE id = 1")
      }
    }
  }

  /// nil where the version's table is missing.
  private func schemaVersion() throws -> Int? {
    guard try tables(["doorbuster_schema"]) == 1 else { return nil }
    let version = try query("SELECT version FROM doorbuster_schema WHERE id = 1", [], [.integer]) { Int($0.integer(0)) }
    guard let version = version.first, version > Schema.version else { return version.first ?? 0 }
    throw OrderStoreError(
      .schemaTooNew,
      "the tables of \(url) are of version \(version); this program knows \(Schema.version)"
    )
  }

  /// The version's table comes first, so that tables that are ours are never found without it.
  private func claim() throws {
    if try schemaVersion() == nil {
      guard try tables(Schema.tables) == 0 else {
        throw OrderStoreError(.notOurs, "the database of \(url) has another program's tables; it was left as it is")
      }
      try run(Schema.versionTable)
    }
    try run("INSERT IGNORE INTO doorbuster_schema (id, version) VALUES (1, 0)")
  }

  private func tables(_ names: [String]) throws -> Int {
    let list = names.map { "'\($0)'" }.joined(separator: ", ")
    let sql = """
      SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN (\(list))
      """
    return try query(sql, [], [.integer]) { Int($0.integer(0)) }.first ?? 0
  }
}
