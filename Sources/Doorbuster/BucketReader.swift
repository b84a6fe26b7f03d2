import Stock

/// Reads the books of all buckets of a sale at about the same time.
struct BucketReader: Sendable {
  let stock: any StockService
  let clock: any SaleClock

  /// A bucket that has not answered by that instant is missing from the reading.
  func read(_ sale: KnownSale, by instant: ContinuousClock.Instant) async -> SoldOutReading {
    let startedAt = clock.now
    let answers = await clock.all(Array(0..<sale.buckets), by: instant) { [stock] index async throws(StockError) in
      let bucket = BucketID(sku: sale.sku, index: index)
      let info = try await stock.info(bucket)
      try require(info, bucket, buckets: sale.buckets)
      return info
    }
    var reading = SoldOutReading(infos: [], problem: nil, startedAt: startedAt, endedAt: clock.now)
    for answer in answers {
      switch answer {
      case .success(let info): reading.infos.append(info)
      case .failure(let error):
        reading.infos.append(nil)
        reading.problem = reading.problem ?? error.message
      }
    }
    return reading
  }

  /// - Throws: ``StockError`` `bucketsMismatch` where the bucket is of another sale's making.
  private func require(_ info: BucketInfo, _ bucket: BucketID, buckets: Int) throws(StockError) {
    guard info.buckets != buckets else { return }
    throw StockError(
      .bucketsMismatch,
      "bucket \(bucket) belongs to a sale of \(info.buckets) buckets, and is asked for as one of \(buckets)"
    )
  }
}
