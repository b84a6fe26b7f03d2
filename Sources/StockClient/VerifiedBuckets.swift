import Stock
import Synchronization

/// Which buckets were found to believe in the caller's number of buckets, over the present connection to their server.
///
/// Another server may answer after a reconnection or a failover, so what was found before does not count then.
final class VerifiedBuckets: Sendable {
  private struct Finding {
    var buckets: Int
    var connection: UInt64
  }

  private let findings = Mutex<[BucketID: Finding]>([:])
  /// Far more than one client works with; beyond it the table starts anew.
  private static let entriesMax = 65_536

  func contains(_ bucket: BucketID, buckets: Int, connection: UInt64) -> Bool {
    findings.withLock { findings in
      guard let finding = findings[bucket] else { return false }
      return finding.buckets == buckets && finding.connection == connection
    }
  }

  /// Whether the sale is known to have this one bucket.
  func isOnly(_ bucket: BucketID) -> Bool { findings.withLock { $0[bucket]?.buckets == 1 } }

  /// - Parameter connection: The one that was there **before** the bucket was asked, so that an answer that came over
  ///   an older connection can't count for a newer one.
  func insert(_ bucket: BucketID, buckets: Int, connection: UInt64) {
    findings.withLock { findings in
      if findings.count >= Self.entriesMax { findings.removeAll() }
      findings[bucket] = Finding(buckets: buckets, connection: connection)
    }
  }
}
