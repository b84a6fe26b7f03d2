import Stock
import Testing

@testable import StockClient

/// A driver that believes in another number of buckets than the bucket's refuses to work.
@Suite struct VerifyTests {
  @Test("A bucket is asked once for each connection")
  func asksOncePerConnection() async throws {
    try await Dialogue.run([.info(buckets: 4), .hangUp, .status("OK", 1, 1), .info(buckets: 4)]) { dialogue in
      for _ in 0..<100 { try await dialogue.client.verify(Sample.bucket, buckets: 4) }
      #expect(dialogue.peer.commands == ["STOCK.INFO"])
      // The hang-up makes a new connection, maybe to another server.
      _ = try await dialogue.deduct()
      for _ in 0..<100 { try await dialogue.client.verify(Sample.bucket, buckets: 4) }
      #expect(dialogue.peer.commands.count == 4)
    }
  }

  @Test("Another number of buckets, or a bucket beyond it, is an error each time", arguments: [1, 3, 5])
  func refusesAnotherNumber(believed: Int) async throws {
    try await Dialogue.run([.info(buckets: 4), .info(buckets: 4)]) { dialogue in
      for _ in 0..<2 {
        let error = await dialogue.error { client throws(StockError) in
          try await client.verify(Sample.bucket, buckets: believed)
        }
        #expect(error?.code == .bucketsMismatch)
        #expect(
          error?.message == "bucket X/0 belongs to a sale of 4 buckets, and is asked for as one of \(believed)"
        )
      }
    }
  }

  @Test("A verified number does not stand for another one")
  func remembersTheNumber() async throws {
    try await Dialogue.run([.info(buckets: 4), .info(buckets: 4)]) { dialogue in
      try await dialogue.client.verify(Sample.bucket, buckets: 4)
      let error = await dialogue.error { client throws(StockError) in
        try await client.verify(Sample.bucket, buckets: 5)
      }
      #expect(error?.code == .bucketsMismatch)
    }
  }

  @Test("A bucket beyond the sale's number is refused")
  func refusesABucketBeyond() async throws {
    try await Dialogue.run([.info(buckets: 4)]) { dialogue in
      let error = await dialogue.error { client throws(StockError) in
        try await client.verify(BucketID(sku: Sample.bucket.sku, index: 4), buckets: 4)
      }
      #expect(error?.code == .bucketsMismatch)
    }
  }

  @Test("What was verified over an older connection does not count for a newer one")
  func forgetsOlderConnections() {
    let verified = VerifiedBuckets()
    verified.insert(Sample.bucket, buckets: 4, connection: 2)
    #expect(verified.contains(Sample.bucket, buckets: 4, connection: 2))
    #expect(!verified.contains(Sample.bucket, buckets: 4, connection: 3))
    #expect(!verified.contains(Sample.bucket, buckets: 5, connection: 2))
    // An answer that was on its way for long is believed for its own connection, which is not the present one.
    verified.insert(Sample.bucket, buckets: 4, connection: 1)
    #expect(!verified.contains(Sample.bucket, buckets: 4, connection: 2))
    // Buckets live on different servers, each with its connection.
    let other = BucketID(sku: Sample.bucket.sku, index: 1)
    verified.insert(other, buckets: 4, connection: 7)
    #expect(verified.contains(Sample.bucket, buckets: 4, connection: 1))
    #expect(verified.contains(other, buckets: 4, connection: 7))
  }
}
