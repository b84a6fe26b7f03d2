import GRDB
import Orders
import Stock

/// Which worker follows which bucket.
enum LeaseRows {
  static func claim(_ sku: SKU, worker: String, leaseMs: Int64, db: Database) throws -> BucketClaim {
    guard let sale = try SaleRows.fetch(sku, db: db) else {
      throw OrderStoreError(.unknownProduct, "there is no sale of \(sku)")
    }
    let nowMs = try nowMs(db)
    for table in ["bucket_leases", "sale_workers"] {
      try db.execute(sql: "DELETE FROM \(table) WHERE sku = ? AND expires_at <= ?", arguments: [sku.text, nowMs])
    }
    let workers = try String.fetchSet(db, sql: "SELECT worker FROM sale_workers WHERE sku = ?", arguments: [sku.text])
    let leases = try Row.fetchAll(
      db,
      sql: "SELECT bucket, worker FROM bucket_leases WHERE sku = ?",
      arguments: [sku.text]
    )
    let plan = LeasePlan(
      worker: worker,
      workers: workers,
      buckets: sale.terms.buckets,
      leases: leases.reduce(into: [:]) { $0[$1[0]] = $1[1] }
    )
    let expiresMs = nowMs + leaseMs
    try db.execute(
      sql: "INSERT OR REPLACE INTO sale_workers (sku, worker, expires_at) VALUES (?, ?, ?)",
      arguments: [sku.text, worker, expiresMs]
    )
    try db.execute(sql: "DELETE FROM bucket_leases WHERE sku = ? AND worker = ?", arguments: [sku.text, worker])
    for bucket in plan.buckets {
      let statement = try db.cachedStatement(
        sql: "INSERT INTO bucket_leases (sku, bucket, worker, expires_at) VALUES (?, ?, ?, ?)"
      )
      try statement.execute(arguments: [sku.text, bucket, worker, expiresMs])
    }
    return BucketClaim(buckets: plan.buckets, workers: plan.workers)
  }

  static func release(_ sku: SKU, worker: String, db: Database) throws {
    for table in ["bucket_leases", "sale_workers"] {
      try db.execute(sql: "DELETE FROM \(table) WHERE sku = ? AND worker = ?", arguments: [sku.text, worker])
    }
  }

  static func fetchAll(_ sku: SKU, db: Database) throws -> [BucketLease] {
    let nowMs = try nowMs(db)
    let rows = try Row.fetchAll(
      db,
      sql: "SELECT bucket, worker, expires_at FROM bucket_leases WHERE sku = ? AND expires_at > ? ORDER BY bucket",
      arguments: [sku.text, nowMs]
    )
    return rows.map { BucketLease(bucket: $0[0], worker: $0[1], remainingMs: ($0[2] as Int64) - nowMs) }
  }

  /// SQLite's clock: the machine's, which all processes that share the file have in common.
  private static func nowMs(_ db: Database) throws -> Int64 {
    try Int64.fetchOne(db, sql: "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)") ?? 0
  }
}
