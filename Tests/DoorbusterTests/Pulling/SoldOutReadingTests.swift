import Stock
import Testing

@testable import Doorbuster

extension Sample {
  /// A bucket's books, made to balance.
  static func info(
    available: Int64,
    sold: Int64 = 0,
    added: Int64 = 0,
    cancelled: Int64 = 0,
    out: Int64 = 0,
    in arrived: Int64 = 0,
    frozen: FrozenReason? = nil,
    epoch: Int64 = 1,
    open: Int64 = 0,
    logLast: Int64 = 1
  ) -> BucketInfo {
    BucketInfo(
      created: available + sold + out - arrived - added,
      added: added,
      available: available,
      held: 0,
      sold: sold,
      cancelled: cancelled,
      transferredIn: arrived,
      transferredOut: out,
      buckets: 3,
      limit: 0,
      opensMs: 0,
      closesMs: 0,
      frozen: frozen,
      epoch: epoch,
      tokens: 0,
      transfers: open,
      logFirst: 1,
      logLast: logLast,
      bytes: 0
    )
  }

  static let origin = ContinuousClock.now

  static func instant(_ ms: Int64) -> ContinuousClock.Instant { origin.advanced(by: .milliseconds(ms)) }

  static func reading(_ infos: [BucketInfo?], from startMs: Int64, to endMs: Int64? = nil) -> SoldOutReading {
    SoldOutReading(
      infos: infos,
      problem: infos.contains { $0 == nil } ? "a bucket can't be asked" : nil,
      startedAt: instant(startMs),
      endedAt: instant(endMs ?? startMs + 1)
    )
  }
}

@Suite("A reading of all buckets")
struct SoldOutReadingTests {
  private func proof(_ before: [BucketInfo?], _ after: [BucketInfo?]) -> Int64? {
    Sample.reading(after, from: 10).unsoldAtMost(after: Sample.reading(before, from: 0))
  }

  @Test("tells how many units are left where nothing has happened since the one before")
  func quiet() {
    let infos = [Sample.info(available: 2, sold: 5), Sample.info(available: 0, sold: 7)]
    #expect(proof(infos, infos) == 2)
  }

  @Test("counts units in transfer, whichever end they were read at")
  func inTransfer() {
    let before = [Sample.info(available: 0, out: 4, open: 1), Sample.info(available: 1)]
    let after = [Sample.info(available: 0, out: 4, open: 1), Sample.info(available: 5, in: 4, open: 1)]
    #expect(Sample.reading(before, from: 0).unsold == 5)
    #expect(Sample.reading(after, from: 0).unsold == 5)
    #expect(proof(before, after) == 5)
  }

  @Test("is proof while others sell, of what was left at first")
  func selling() {
    let before = [Sample.info(available: 3), Sample.info(available: 0)]
    let after = [Sample.info(available: 1, sold: 2), Sample.info(available: 0)]
    #expect(proof(before, after) == 3)
  }

  @Test("proves nothing where units may have come back in between")
  func comingBack() {
    let before = [Sample.info(available: 0, sold: 3)]
    #expect(proof(before, [Sample.info(available: 1, sold: 2, cancelled: 1)]) == nil)
    #expect(proof(before, [Sample.info(available: 2, sold: 3, added: 2)]) == nil)
    #expect(proof(before, [Sample.info(available: 0, sold: 3, epoch: 2)]) == nil)
  }

  @Test("proves nothing where a bucket is frozen or can't be asked")
  func flaws() {
    let good = [Sample.info(available: 0), Sample.info(available: 0)]
    #expect(proof(good, [Sample.info(available: 0), nil]) == nil)
    #expect(proof([nil, Sample.info(available: 0)], good) == nil)
    let frozen = [Sample.info(available: 0, frozen: .promotion), Sample.info(available: 0)]
    #expect(proof(good, frozen) == nil)
    #expect(proof(frozen, good) == nil)
    #expect(Sample.reading(frozen, from: 0).flaw == "bucket 0 is frozen (promotion)")
  }

  @Test("proves nothing together with one that ends after it begins")
  func overlapping() {
    let infos = [Sample.info(available: 0)]
    let before = Sample.reading(infos, from: 0, to: 11)
    #expect(Sample.reading(infos, from: 10).unsoldAtMost(after: before) == nil)
  }
}
