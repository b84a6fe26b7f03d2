import Stock
import Synchronization

/// Which buckets were found to believe in the caller's number of buckets, since the connection was made.
///
/// Another server may answer after a reconnection, so all is forgotten then.
final class VerifiedBuckets: Sendable {
  private struct State {
    var connection: UInt64 = 0
    var buckets: [BucketID: Int] = [:]
  }

  private let state = Mutex(State())
  /// Far more than one client works with; beyond it the table starts anew.
  private static let entriesMax = 65_536

  func contains(_ bucket: BucketID, buckets: Int, connection: UInt64) -> Bool {
    state.withLock { $0.connection == connection && $0.buckets[bucket] == buckets }
  }

  /// - Parameter connection: The one that was there **before** the bucket was asked, so that an answer that came over
  ///   an older connection can't count for a newer one.
  func insert(_ bucket: BucketID, buckets: Int, connection: UInt64) {
    state.withLock { state in
      if state.connection != connection {
        guard state.connection < connection else { return }
        state.connection = connection
        state.buckets.removeAll()
      }
      if state.buckets.count >= Self.entriesMax { state.buckets.removeAll() }
      state.buckets[bucket] = buckets
    }
  }
}
