import Stock

/// What all buckets of a sale said of their books, asked at about the same time.
struct SoldOutReading: Hashable, Sendable {
  /// By bucket; nil where it could not be asked, and ``problem`` says why of one of them.
  var infos: [BucketInfo?]
  var problem: String?
  /// Before the first bucket was asked, and after the last had answered.
  var startedAt: ContinuousClock.Instant
  var endedAt: ContinuousClock.Instant

  /// Units on sale and in transfer, as far as the buckets could be asked.
  var unsold: Int64 { infos.reduce(0) { $0 + ($1?.unsold ?? 0) } }

  /// Whether some units are in transfer, or were while the buckets were read.
  var isInTransfer: Bool {
    infos.contains { ($0?.transfers ?? 0) > 0 }
      || infos.reduce(0) { $0 + ($1.map { $0.transferredOut - $0.transferredIn } ?? 0) } != 0
  }

  /// Why it proves nothing of the sale as a whole; nil where it may.
  var flaw: String? {
    if let problem { return problem }
    for (index, info) in infos.enumerated() {
      guard let info else { return "bucket \(index) was not asked" }
      // A frozen bucket may have lost what happened to it; recovery may bring units back.
      if let frozen = info.frozen { return "bucket \(index) is frozen (\(frozen.rawValue))" }
    }
    return nil
  }

  /// The most units that were unsold at the instant ``startedAt``, on sale and in transfer over all buckets; nil where the
  /// two readings don't tell.
  ///
  /// A bucket's unsold units are what was put on sale there less what is held and sold there. Moving units between
  /// buckets changes no bucket's number, so it matters little what is in transfer. Selling makes it fall. It rises only by
  /// cancels, expiries and restocks, and each of these shows in the books. Where no bucket's books show one between two
  /// readings, no bucket had more at any instant between them than in the first, however busy the sale was.
  ///
  /// (A restock taken off sale again between the two would escape notice.)
  func unsoldAtMost(after earlier: SoldOutReading) -> Int64? {
    guard flaw == nil, earlier.flaw == nil, infos.count == earlier.infos.count, earlier.endedAt <= startedAt else {
      return nil
    }
    for case (let before?, let now?) in zip(earlier.infos, infos) {
      guard before.epoch == now.epoch, before.cancelled == now.cancelled, before.added == now.added else { return nil }
    }
    return earlier.unsold
  }
}

extension BucketInfo {
  /// Units put on sale here that nobody holds or has bought, wherever they have been moved.
  var unsold: Int64 { created + added - held - sold }
}
