import Testing

@testable import StockCore

@Suite("The queue of holds")
struct HoldQueueTests {
  private static let step = 24
  private static let pieceCount = 2048

  /// Whether no hold comes before its parent, and each record knows its place.
  private func isHeap(_ bucket: borrowing Bucket) -> Bool {
    for place in 0..<bucket.holds.count {
      let hold = bucket.holds[place]
      if place > 0 && hold.isBefore(bucket.holds[(place - 1) / 2]) { return false }
      let record = bucket.record(at: hold.address)
      if record.queuePlace != UInt32(place) || record.expires > hold.expires || record.state != .held { return false }
      if bucket.sequence(at: hold.address) != hold.sequence { return false }
    }
    return true
  }

  @Test(
    "It stays a heap whose records know their places, whatever is added, ended, trimmed, in any order",
    arguments: 0..<8
  )
  func order(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var bucket = Bucket.sample(1_000_000)
    var live: [String] = []
    var now: Int64 = 1000
    for index in 0..<3000 {
      now += .random(in: 0...2, using: &random)
      let choice = Int.random(in: 0..<100, using: &random)
      if choice < 60 || live.isEmpty {
        live.append("t\(index)")
        let hold = Int64.random(in: 1...4000, using: &random)
        bucket.play(.deduct(user: "u", token: "t\(index)", quantity: 1, hold: hold), now: now)
      } else if choice < 97 {
        let token = live.remove(at: .random(in: live.indices, using: &random))
        bucket.play(choice % 2 == 0 ? .confirm(token: token) : .cancel(token: token), now: now)
      } else if choice < 99 {
        bucket.play(.trim(keeping: .random(in: 0...500, using: &random)))
      } else {
        bucket.play(.expire(count: 3), now: now)
      }
      if index % 50 == 0 && !isHeap(bucket) { Issue.record("no heap after step \(index) of seed \(seed)") }
    }
    let isStillHeap = isHeap(bucket)
    #expect(isStillHeap)
    #expect(Int64(bucket.holds.count) == bucket.figures.held)
    // They end in order of their deadlines, the older first of equal ones.
    let first = bucket.figures.log_last
    _ = bucket.expire(count: .max, now: .max)
    var ended: [QueuedHold] = []
    for event in try bucket.events(after: first, count: .max) {
      let known = bucket.known(token: event.token ?? [])
      let whole = known?.first.sequence ?? 0
      let record = (event.token ?? []).withBytes { bucket.find($0, .purchase).first?.expires ?? 0 }
      ended.append(QueuedHold(expires: record, sequence: whole, address: 0))
    }
    #expect(zip(ended, ended.dropFirst()).allSatisfy { $0.isBefore($1) })
    #expect(bucket.holds.count == 0 && bucket.figures.held == 0 && bucket.nextExpiry == 0)
  }

  @Test("Its memory grows and shrinks by pieces, and no piece that is full-grown is ever moved")
  func pieces() {
    var queue = HoldQueue()
    let hold = QueuedHold(expires: 1, sequence: 1, address: 4)
    #expect(queue.pieceTotal == 0 && queue.bytes == 0)
    queue.append(hold)
    #expect(queue.pieceTotal == 1 && queue.bytes <= 16 * Self.step + 16)
    while queue.count < 10 * Self.pieceCount {
      let before = queue.bytes
      queue.append(hold)
      // Only the first piece is copied as it grows, to one of its full size at most.
      #expect(queue.bytes - before <= Self.pieceCount * Self.step + 256)
    }
    #expect(queue.pieceTotal == 10)
    queue.append(hold)
    #expect(queue.pieceTotal == 11)
    // A piece stays while no other is free, so that no border is crossed back and forth at a cost.
    queue.removeLast()
    queue.append(hold)
    #expect(queue.pieceTotal == 11)
    while queue.count > 0 {
      queue.removeLast()
      #expect(queue.pieceTotal * Self.pieceCount <= queue.count + 2 * Self.pieceCount)
    }
    #expect(queue.pieceTotal == 1 && queue.bytes <= Self.pieceCount * Self.step + 256)
  }

  @Test("100,000 holds that are due at once end in portions of the size asked for, and their units are all back")
  func manyDue() {
    var bucket = Bucket.sample(200_000)
    for index in 0..<100_000 { bucket.play(.deduct(user: "u", token: "t\(index)", quantity: 1, hold: 1000)) }
    let moved = bucket.slotsMoved
    #expect(bucket.nextExpiry == 2000)
    var portions = 0
    while bucket.nextExpiry != 0 && bucket.nextExpiry <= 2000 {
      let before = bucket.figures.log_last
      let outcome = bucket.play(.expire(count: 500), now: 2000)
      #expect(outcome.changed && bucket.figures.log_last - before == 500)
      portions += 1
    }
    #expect(portions == 200 && bucket.slotsMoved == moved)
    expectBooks(bucket, available: 200_000, cancelled: 100_000)
  }

  @Test("With 100,000 holds due at once, a deduction expires those that it needs alone")
  func manyDueAndNeed() {
    var bucket = Bucket.sample(100_000)
    for index in 0..<100_000 { bucket.play(.deduct(user: "u", token: "t\(index)", quantity: 1, hold: 1000)) }
    expect(&bucket, .deduct(user: "v", token: "x", quantity: 3), .soldOut, 0, 0, now: 1999)
    expect(&bucket, .deduct(user: "v", token: "x", quantity: 3), .ok, 0, 100_005, now: 2000)
    expect(&bucket, .deduct(user: "v", token: "y", quantity: 100_000), .soldOut, 0, 0, now: 2000)
    expectBooks(bucket, available: 0, held: 99_997, sold: 3, cancelled: 3)
    #expect(bucket.lastChange.count < 100)
  }

  @Test("With a limit, a user who is not among the first that are due is refused for the time being, at a bounded cost")
  func manyDueAndLimit() {
    var bucket = Bucket.sample(100_000, limit: 1)
    for index in 0..<1000 { bucket.play(.deduct(user: "u\(index)", token: "t\(index)", quantity: 1, hold: 1000)) }
    // Those that are due are looked through from the root of the heap, its left half before its right one.
    let late = bucket.play(.deduct(user: "u2", token: "x", quantity: 1), now: 2000)
    #expect(late.status == .limit && !late.changed)
    expect(&bucket, .deduct(user: "u0", token: "x", quantity: 1), .ok, 99_000, 1003, now: 2000)
    bucket.play(.expire(count: 999), now: 2000)
    #expect(bucket.play(.deduct(user: "u2", token: "y", quantity: 1), now: 2000).status == .ok)
  }
}
