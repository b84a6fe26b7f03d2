import StockCore
import Testing

@Suite("Payloads")
struct PayloadTests {
  /// A bucket with events of every kind.
  private func sample(limit: Int64 = 0) -> Bucket {
    var bucket = Bucket.sample(100, limit: limit)
    for index in 0..<12 {
      _ = bucket.play(.deduct(user: "u\(index % 3)", token: "t\(index)", quantity: 1 + Int64(index % 2)), now: 1001)
    }
    _ = bucket.play(.cancel(token: "t3"), now: 1002)
    _ = bucket.play(.cancel(token: "t4", offSale: true), now: 1003)
    _ = bucket.play(.fence(token: "fenced"), now: 1004)
    _ = bucket.play(.add(token: "more", quantity: 300), now: 1005)
    _ = bucket.play(.add(token: "less", quantity: -20), now: 1006)
    _ = bucket.play(.schedule(limit: limit, opens: 500, closes: 5000), now: 1007)
    return bucket
  }

  @Test("A payload cut anywhere is refused: its end says that nothing is missing")
  func truncated() throws {
    let bucket = sample()
    let whole = try #require(bucket.payloads().first)
    var refused = 0
    for count in 0..<whole.count {
      do {
        try expectBalance(.restored(from: [Array(whole.prefix(count))]))
      } catch {
        refused += 1
      }
    }
    #expect(refused == whole.count)
  }

  @Test("A payload with any bit flipped is refused or gives a bucket with balanced books")
  func flipped() throws {
    for trimmed: Int64 in [0, 9, 20] {
      var bucket = sample(limit: 50)
      _ = try bucket.trim(to: min(trimmed, bucket.figures.log_last))
      try checkFlips(of: #require(bucket.payloads().first))
    }
  }

  private func checkFlips(of whole: [UInt8]) throws {
    for index in whole.indices {
      for bit in 0..<8 {
        var damaged = whole
        damaged[index] ^= 1 << bit
        guard let bucket = try? Bucket.restored(from: [damaged]) else { continue }
        expectBalance(bucket)
      }
    }
  }

  @Test("Random bytes behind a good start never bring a bucket out of its books", arguments: 0..<200)
  func garbage(index: UInt64) throws {
    var random = SeededGenerator(seed: index)
    let whole = try #require(sample().payloads().first)
    var bytes = Array(whole.prefix(.random(in: 0...whole.count, using: &random)))
    for _ in 0..<Int.random(in: 1...60, using: &random) { bytes.append(.random(in: 0...255, using: &random)) }
    guard let bucket = try? Bucket.restored(from: [bytes]) else { return }
    expectBalance(bucket)
  }

  @Test("A payload of a trimmed bucket that is cut anywhere is refused")
  func truncatedAfterTrim() throws {
    var bucket = sample()
    _ = try bucket.trim(to: 14)
    let whole = try #require(bucket.payloads().first)
    var refused = 0
    for count in 0..<whole.count {
      do {
        try expectBalance(.restored(from: [Array(whole.prefix(count))]))
      } catch {
        refused += 1
      }
    }
    #expect(refused == whole.count)
  }

  @Test("A payload of another version is told from a damaged one")
  func version() throws {
    var payload = try #require(sample().payloads().first)
    for version: UInt8 in [1, 2, payload[0] + 1, 255] {
      payload[0] = version
      #expect(throws: StockError(fault: .version)) { _ = try Bucket.restored(from: [payload]) }
    }
    payload[0] = 0
    #expect(throws: StockError(fault: .damaged)) { _ = try Bucket.restored(from: [payload]) }
    #expect(throws: StockError(fault: .damaged)) { _ = try Bucket.restored(from: []) }
  }

  @Test("A change that does not follow is refused, and leaves the replica as it was")
  func outOfStep() throws {
    var master = sample()
    var replica = try Bucket.restored(from: master.payloads())
    let again = master.lastChange
    #expect(replica.apply(again) == .outOfStep)
    _ = master.play(.deduct(user: "u", token: "skipped", quantity: 1), now: 1008)
    _ = master.play(.deduct(user: "u", token: "next", quantity: 1), now: 1008)
    #expect(replica.apply(master.lastChange) == .outOfStep)
    #expect(replica.figures.log_last == master.figures.log_last - 2)
    #expect(try replica.apply(#require(master.payloads().first)) == .outOfStep)
  }

  @Test("Parts of any size give the same bucket")
  func parts() throws {
    let bucket = sample(limit: 9)
    let events = try bucket.events(after: 0, count: .max)
    for size in [512, 513, 700, 4096, 65536] {
      let parts = bucket.payloads(partBytes: size)
      #expect(parts.allSatisfy { $0.count <= size })
      let restored = try Bucket.restored(from: parts)
      #expect(try restored.events(after: 0, count: .max) == events)
      #expect(restored.payloads(partBytes: size) == parts)
    }
  }

  @Test("Names of 1 and of 128 bytes of any value survive", arguments: [1, 128])
  func names(count: Int) throws {
    var bucket = Bucket.sample(100)
    for byte in [UInt8(0), 10, 13, 255] {
      let name = [UInt8](repeating: byte, count: count)
      #expect(bucket.deduct(user: name, token: name, quantity: 1, now: 1).status == .ok)
      #expect(bucket.add(token: name, quantity: 1, now: 1).status == .ok)
    }
    let restored = try Bucket.restored(from: bucket.payloads())
    #expect(try restored.events(after: 0, count: .max) == bucket.events(after: 0, count: .max))
    #expect(restored.known(token: [UInt8](repeating: 255, count: count))?.first.user?.count == count)
  }
}
