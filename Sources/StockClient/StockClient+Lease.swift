import RedisDriver
import Stock

/// Leases of a sale's work. They lie beside the sale's first bucket.
extension StockClient {
  public func lease(_ work: String, of sku: SKU, for holder: String, ms: Int64) async throws(StockError) -> Bool {
    let bucket = BucketID(sku: sku, index: 0)
    let key = "\(bucket.key):\(work)"
    let known = try await read("SET", Bytes?.self, bucket) { writer in
      writer.argument(key)
      writer.argument(holder)
      writer.argument("NX")
      writer.argument("GET")
      writer.option("PX", ms)
    }
    // Nobody had it, so it is ours now.
    guard let known else { return true }
    guard known.bytes == Array(holder.utf8) else { return false }
    // Where it has ended meanwhile, the next call takes it anew.
    _ = try await read("SET", Bytes?.self, bucket) { writer in
      writer.argument(key)
      writer.argument(holder)
      writer.argument("XX")
      writer.option("PX", ms)
    }
    return true
  }
}
