import Testing

@testable import StockCore

@Suite("Payloads")
struct PayloadTests {
  @Test("The sample has every kind of state and event")
  func sample() throws {
    let bucket = Bucket.richSample()
    audit(bucket)
    var cursor = Cursor()
    _ = bucket.seek(after: 0, epoch: 0, &cursor)
    var effects: Set<UInt8> = []
    while let event = bucket.next(&cursor) { effects.insert(event.effect.rawValue) }
    #expect(effects == Set(Effect.create.rawValue...Effect.thaw.rawValue))
    let figures = bucket.figures
    #expect(figures.held > 0 && figures.sold > 0 && figures.cancelled > 0 && figures.transfers > 0)
  }

  @Test("A bucket comes out of its payloads as it went in, trimmed anywhere")
  func roundTrip() throws {
    let last = Bucket.richSample().figures.log_last
    for limit: Int64 in [0, 1000] {
      for sequence in 0...last {
        var bucket = Bucket.richSample(limit: limit)
        _ = try bucket.trim(to: sequence)
        audit(bucket, "trimmed to \(sequence)")
        let restored = try Bucket.restored(from: bucket.payloads())
        #expect(try restored.events(after: sequence, count: .max) == bucket.events(after: sequence, count: .max))
        #expect(restored.transfers(all: true, count: .max) == bucket.transfers(all: true, count: .max))
        #expect(restored.nextExpiry == bucket.nextExpiry)
        for token in Bucket.richTokens {
          #expect(restored.known(token: bytes(token)) == bucket.known(token: bytes(token)), "\(token), \(sequence)")
        }
      }
    }
  }

  @Test("A trim after a restart leaves what a trim before it leaves")
  func trimLater() throws {
    let last = Bucket.richSample().figures.log_last
    for sequence in stride(from: 1, to: last, by: 3) {
      var early = Bucket.richSample(limit: 1000)
      _ = try early.trim(to: sequence)
      var late = try Bucket.restored(from: early.payloads())
      _ = try early.trim(to: last)
      _ = try late.trim(to: last)
      audit(late, "restarted at \(sequence)")
      #expect(late.digestSums == early.digestSums)
    }
  }

  @Test("A payload of another version is told from a damaged one")
  func version() throws {
    var payload = try #require(Bucket.richSample().payloads().first)
    for version: UInt8 in [1, 2, payload[0] + 1, 255] {
      payload[0] = version
      #expect(throws: StockError(fault: .version)) { _ = try Bucket.restored(from: [payload]) }
    }
    payload[0] = 0
    #expect(throws: StockError(fault: .damaged)) { _ = try Bucket.restored(from: [payload]) }
    #expect(throws: StockError(fault: .damaged)) { _ = try Bucket.restored(from: []) }
    #expect(throws: StockError(fault: .damaged)) { _ = try Bucket.restored(from: [[]]) }
  }

  @Test("A change that does not follow is refused, and leaves the replica as it was")
  func outOfStep() throws {
    var master = Bucket.richSample()
    var replica = try Bucket.restored(from: master.payloads())
    let again = master.lastChange
    #expect(replica.apply(again) == .outOfStep)
    master.play(.add(token: "skipped", quantity: 1), now: 1708)
    master.play(.add(token: "next", quantity: 1), now: 1708)
    #expect(replica.apply(master.lastChange) == .outOfStep)
    #expect(replica.figures.log_last == master.figures.log_last - 2)
    #expect(try replica.apply(#require(master.payloads().first)) == .outOfStep)
    #expect(replica.play(.settle(transfer: "out")).status == .duplicate)
    audit(replica)
  }

  @Test("A settling that comes twice, or before its transfer, is refused by a replica")
  func settledOutOfStep() throws {
    var master = Bucket.sample(9)
    var replica = try Bucket.restored(from: master.payloads())
    master.play(.withdraw(transfer: "T", quantity: 1, to: 1))
    let withdrawal = master.lastChange
    master.play(.settle(transfer: "T"))
    #expect(replica.apply(master.lastChange) == .outOfStep)
    #expect(replica.apply(withdrawal) == .none)
    #expect(replica.apply(master.lastChange) == .none)
    #expect(replica.apply(master.lastChange) == .outOfStep)
    #expect(replica.digestSums == master.digestSums)
  }

  @Test("Parts of any size give the same bucket", arguments: [0, 20, 45, 1000] as [Int64])
  func parts(trimmed: Int64) throws {
    var bucket = Bucket.richSample(limit: 500)
    _ = try bucket.trim(to: min(trimmed, bucket.figures.log_last))
    for size in [512, 513, 700, 1024, 4096, 65536] {
      let parts = bucket.payloads(partBytes: size)
      #expect(parts.allSatisfy { $0.count <= size })
      // A part is not left half empty.
      #expect(parts.dropLast().allSatisfy { $0.count > size - 320 })
      let restored = try Bucket.restored(from: parts)
      #expect(restored.payloads(partBytes: size) == parts)
      #expect(restored.digestSums == bucket.digestSums)
      // Without its last part, or with its parts in another order, it is refused.
      guard parts.count > 1 else { continue }
      var swapped = parts
      swapped.swapAt(0, 1)
      #expect(throws: StockError.self) { _ = try Bucket.restored(from: swapped) }
      #expect(throws: StockError.self) { _ = try Bucket.restored(from: parts + [parts[parts.count - 1]]) }
    }
  }

  @Test("Names of 1 and of the most bytes of any value survive, trimmed or not", arguments: [1, 128])
  func names(count: Int) throws {
    var bucket = Bucket.sample(100)
    for byte in [UInt8(0), 10, 13, 255] {
      let name = [UInt8](repeating: byte, count: count)
      let held = [UInt8](repeating: byte ^ 1, count: count)
      let transfer = [UInt8](repeating: byte, count: count == 1 ? 1 : Limits.transfer)
      #expect(bucket.deduct(user: name, token: name, quantity: 1, now: 1).status == .ok)
      #expect(bucket.deduct(user: name, token: held, quantity: 1, hold: Limits.number - 1, now: 1).status == .ok)
      #expect(bucket.add(token: name, quantity: 1, now: 1).status == .ok)
      #expect(bucket.withdraw(transfer: transfer, quantity: 1, to: 16383, now: 1).status == .ok)
    }
    let events = try bucket.events(after: 0, count: .max)
    for sequence in 0...bucket.figures.log_last {
      _ = try bucket.trim(to: sequence)
      let parts = bucket.payloads(partBytes: 512)
      #expect(parts.allSatisfy { $0.count <= 512 })
      let restored = try Bucket.restored(from: parts)
      #expect(try restored.events(after: sequence, count: .max) == Array(events.dropFirst(Int(sequence))))
      #expect(restored.known(token: [UInt8](repeating: 254, count: count))?.first.user?.count == count)
      let names = restored.transfers(all: true, count: .max)?.map(\.name)
      #expect(names == events.filter { $0.action == .withdraw }.map { $0.token ?? [] })
    }
  }

  @Test("A change tells how large it is at most, for one event and for many")
  func changeBytes() throws {
    let name = [UInt8](repeating: 255, count: 128)
    var bucket = Bucket.sample(Limits.number)
    #expect(bucket.lastChange.count <= bucket.changeBytes)
    for index in 0..<50 {
      _ = bucket.deduct(user: name, token: Array(name.dropLast()) + [UInt8(index)], quantity: 1, hold: 10, now: 1000)
      #expect(bucket.lastChange.count <= bucket.changeBytes && bucket.changeBytes == 512)
    }
    _ = bucket.withdraw(transfer: [UInt8](repeating: 1, count: 192), quantity: Limits.number, to: 1, now: 5000)
    #expect(bucket.figures.held == 0)
    #expect(bucket.lastChange.count <= bucket.changeBytes && bucket.lastChange.count > 50 * 270)
  }

  @Test("The freeze of all buckets of a server goes into bytes and comes back")
  func freezeAnew() {
    var buffer = [UInt8](repeating: 0, count: 64)
    for reason in [FreezeReason.create, .promotion, .load] {
      for seed in [0, 1, UInt64.max] {
        let count = buffer.withUnsafeMutableBytes { memory in
          memory.baseAddress.map { Bucket.encodeFreeze(reason, seed: seed, to: $0) } ?? 0
        }
        let payload = Array(buffer.prefix(count))
        let decoded = payload.withBytes { Bucket.decodeFreeze($0) }
        #expect(decoded?.reason == reason && decoded?.seed == seed)
        for cut in 0..<count { #expect(Array(payload.prefix(cut)).withBytes { Bucket.decodeFreeze($0) } == nil) }
        #expect((payload + [0]).withBytes { Bucket.decodeFreeze($0) } == nil)
        // To a bucket it is no change.
        var bucket = Bucket.sample(1)
        #expect(bucket.apply(payload) == .damaged)
        #expect(throws: StockError.self) { _ = try Bucket.restored(from: [payload]) }
      }
    }
    for reason: UInt8 in [0, 1, 5, 255] {
      let payload: [UInt8] = [3, 0xfd, reason] + [UInt8](repeating: 7, count: 8)
      #expect(payload.withBytes { Bucket.decodeFreeze($0) } == nil)
    }
  }
}
