import Testing

@testable import StockCore

/// Gates on the bytes that the core has allocated, slots and all, at any size of the table: it is fullest just before its
/// segments are split, and emptiest just after. Tokens have 36 bytes and users 13.
@Suite("Memory")
struct MemoryTests {
  private static let purchases = 120_000

  private func padded(_ prefix: String, _ index: Int, _ count: Int) -> [UInt8] {
    let digits = String(index)
    return Array((prefix + String(repeating: "0", count: count - prefix.utf8.count - digits.utf8.count) + digits).utf8)
  }

  private func token(_ index: Int) -> [UInt8] { padded("token-", index, 36) }
  private func user(_ index: Int) -> [UInt8] { padded("user-", index, 13) }

  /// The most bytes a purchase that a bucket took while it grew, from 30,000 purchases on. Below, the last chunks and pieces,
  /// half empty on average, weigh in.
  private func most(
    _ bucket: inout Bucket,
    _ purchase: (inout Bucket, Int) throws -> Void
  ) rethrows -> Int {
    let empty = Int(bucket.figures.bytes)
    var most = 0
    for index in 1...Self.purchases {
      try purchase(&bucket, index)
      if index >= 30_000 && index % 2500 == 0 {
        most = max(most, (Int(bucket.figures.bytes) - empty + index - 1) / index)
      }
    }
    return most
  }

  @Test("A purchase with its event takes at most 90 bytes")
  func sold() {
    var bucket = Bucket.sample(10_000_000)
    let most = most(&bucket) { bucket, index in
      _ = bucket.deduct(user: user(index), token: token(index), quantity: 1, now: 1_700_000_000_000)
    }
    #expect(most <= 90)
  }

  @Test("A purchase whose event is trimmed takes at most 48 bytes")
  func trimmed() throws {
    var bucket = Bucket.sample(10_000_000)
    let most = try most(&bucket) { bucket, index in
      _ = bucket.deduct(user: user(index), token: token(index), quantity: 1, now: 1_700_000_000_000)
      if index % 500 == 0 { _ = try bucket.trim(to: bucket.figures.log_last) }
    }
    #expect(most <= 48)
  }

  @Test("A hold, with its event and its place in the queue, takes at most 128 bytes, and 144 when its event is trimmed")
  func held() throws {
    for trims in [false, true] {
      var bucket = Bucket.sample(10_000_000)
      let most = try most(&bucket) { bucket, index in
        _ = bucket.deduct(user: user(index), token: token(index), quantity: 1, hold: 900_000, now: 1_700_000_000_000)
        if trims && index % 500 == 0 { _ = try bucket.trim(to: bucket.figures.log_last) }
      }
      #expect(most <= (trims ? 144 : 128))
      // What a hold needs beyond a purchase goes with it.
      #expect(bucket.expire(count: .max, now: .max).changed)
      _ = try bucket.trim(to: bucket.figures.log_last)
      #expect(Int(bucket.figures.bytes) / Self.purchases <= 48)
    }
  }

  @Test("A hold that was confirmed takes its second event besides, until that is trimmed")
  func confirmed() throws {
    var bucket = Bucket.sample(10_000_000)
    let most = most(&bucket) { bucket, index in
      _ = bucket.deduct(user: user(index), token: token(index), quantity: 1, hold: 900_000, now: 1_700_000_000_000)
      _ = bucket.confirm(token: token(index), now: 1_700_000_000_000)
    }
    #expect(most <= 168)
    _ = try bucket.trim(to: bucket.figures.log_last)
    #expect(Int(bucket.figures.bytes) / Self.purchases <= 48)
  }

  @Test("A limit costs at most 38 bytes more for each user")
  func limited() throws {
    var bucket = Bucket.sample(10_000_000, limit: 5)
    let most = try most(&bucket) { bucket, index in
      _ = bucket.deduct(user: user(index), token: token(index), quantity: 1, now: 1_700_000_000_000)
      if index % 500 == 0 { _ = try bucket.trim(to: bucket.figures.log_last) }
    }
    #expect(most <= 48 + 38)
  }

  @Test("A small bucket is small, and what it tells of its memory is what it has")
  func small() throws {
    var bucket = Bucket.sample(100)
    #expect(bucket.figures.bytes <= 2048)
    for index in 0..<5 { bucket.play(.deduct(user: "u", token: "t\(index)", quantity: 1, hold: 5)) }
    bucket.play(.withdraw(transfer: "T", quantity: 1, to: 1))
    #expect(bucket.figures.bytes <= 4096)
  }

  @Test("What is read from a bucket's payloads takes no more memory than the bucket, but for a chunk")
  func restored() throws {
    var random = SeededGenerator(seed: 4)
    var bucket = Bucket.sample(10_000_000, limit: 1_000_000)
    for index in 0..<20_000 {
      let now = 1000 + Int64(index)
      let hold: Int64 = index % 2 == 0 ? 0 : .random(in: 1...9000, using: &random)
      bucket.play(.deduct(user: "u\(index % 700)", token: "t\(index)", quantity: 1, hold: hold), now: now)
      if index % 5 == 0 { bucket.play(.withdraw(transfer: "move-\(index)", quantity: 1, to: 1), now: now) }
      if index % 100 == 0 { _ = try bucket.trim(to: .random(in: 0...bucket.figures.log_last, using: &random)) }
      if index % 1000 == 0 { bucket.play(.expire(count: 400), now: now) }
    }
    let copy = try Bucket.restored(from: bucket.payloads())
    #expect(copy.figures.bytes <= bucket.figures.bytes + 65_536)
  }
}
