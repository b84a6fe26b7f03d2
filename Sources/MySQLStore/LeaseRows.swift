import Orders
import Stock

/// Which worker follows which bucket. Time is the server's.
extension Connection {
  func claim(_ sku: SKU, worker: String, leaseMs: Int64) throws(OrderStoreError) -> BucketClaim {
    try transaction("claiming buckets of \(sku)") { _ in
      // One claim at a time, by the sale's row; nothing that sells waits for it.
      guard let sale = try sale(sku, forUpdate: true) else {
        throw OrderStoreError(.unknownProduct, "there is no sale of \(sku)")
      }
      let nowMs = try nowMs()
      for table in ["bucket_leases", "sale_workers"] {
        try execute("DELETE FROM \(table) WHERE sku = ? AND expires_at <= ?", sku.value, .integer(nowMs))
      }
      let workers = try query("SELECT worker FROM sale_workers WHERE sku = ?", [sku.value], [.bytes]) { $0.text(0) }
      let leases = try query(
        "SELECT bucket, worker FROM bucket_leases WHERE sku = ?",
        [sku.value],
        [.integer, .bytes]
      ) { (Int($0.integer(0)), $0.text(1)) }
      let plan = LeasePlan(
        worker: worker,
        workers: Set(workers),
        buckets: sale.terms.buckets,
        leases: Dictionary(leases, uniquingKeysWith: { first, _ in first })
      )
      let expires = SQLValue.integer(nowMs + leaseMs)
      try execute(
        "INSERT INTO sale_workers (sku, worker, expires_at) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE expires_at = ?",
        sku.value,
        .text(worker),
        expires,
        expires
      )
      try execute("DELETE FROM bucket_leases WHERE sku = ? AND worker = ?", sku.value, .text(worker))
      try insert(plan.buckets, of: sku, worker: worker, expiresMs: nowMs + leaseMs)
      return (BucketClaim(buckets: plan.buckets, workers: plan.workers), .commit)
    }
  }

  private func insert(_ buckets: [Int], of sku: SKU, worker: String, expiresMs: Int64) throws(MySQLFailure) {
    var rows = RowBatch([.bytes, .integer, .bytes, .integer], capacity: buckets.count)
    for bucket in buckets {
      rows.put(utf8: sku.text, 0)
      rows.put(Int64(bucket), 1)
      rows.put(utf8: worker, 2)
      rows.put(expiresMs, 3)
      rows.endRow()
    }
    try insert("INSERT INTO bucket_leases (sku, bucket, worker, expires_at)", rows)
  }

  func release(_ sku: SKU, worker: String) throws(OrderStoreError) {
    try transaction("releasing buckets of \(sku)") { _ in
      _ = try sale(sku, forUpdate: true)
      for table in ["bucket_leases", "sale_workers"] {
        try execute("DELETE FROM \(table) WHERE sku = ? AND worker = ?", sku.value, .text(worker))
      }
      return ((), .commit)
    }
  }

  func leases(of sku: SKU) throws -> [BucketLease] {
    let nowMs = try nowMs()
    return try query(
      "SELECT bucket, worker, expires_at FROM bucket_leases WHERE sku = ? AND expires_at > ? ORDER BY bucket",
      [sku.value, .integer(nowMs)],
      [.integer, .bytes, .integer]
    ) { BucketLease(bucket: Int($0.integer(0)), worker: $0.text(1), remainingMs: $0.integer(2) - nowMs) }
  }

  /// The session's time zone is UTC, so that no hour comes twice.
  private func nowMs() throws -> Int64 {
    try query("SELECT CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)", [], [.integer]) { $0.integer(0) }.first ?? 0
  }
}
