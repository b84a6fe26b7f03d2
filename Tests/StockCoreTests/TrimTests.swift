import Testing

@testable import StockCore

@Suite("Trimming")
struct TrimTests {
  private static func token(_ index: Int) -> [UInt8] {
    let number = String(index)
    return Array((String(repeating: "0", count: 36 - number.count) + number).utf8)
  }

  private static func sold(_ count: Int, limit: Int64 = 0) -> Bucket {
    var bucket = Bucket.sample(10_000_000, limit: limit)
    for index in 1...count {
      _ = bucket.deduct(user: Array("user-\(index)".utf8), token: token(index), quantity: 1, now: 1_700_000_000_000)
    }
    return bucket
  }

  @Test("A trim is refused for want of addresses by the holds among its events alone")
  func addresses() throws {
    var bucket = Self.sold(1000)
    bucket.held = HeldTokens(pieceMax: 3)
    #expect(try bucket.trim(to: 1001) == 1001)
    for index in 0..<400 { bucket.play(.deduct(user: "u", token: "h\(index)", quantity: 1, hold: 10)) }
    #expect(throws: StockError(fault: .overflow)) { try bucket.trim(to: 1401) }
    #expect(try bucket.trim(to: 1200) == 199)
  }

  @Test("A trimmed purchase is known by its user and quantity, wherever it lies in a large table")
  func known() throws {
    var bucket = Self.sold(70_000)
    #expect(try bucket.trim(to: 70_001) == 70_001)
    #expect(bucket.figures.log_first == 70_002 && bucket.figures.tokens == 70_000)
    for index in [1, 2, 5555, 69_999, 70_000] {
      let user = Array("user-\(index)".utf8)
      let again = bucket.deduct(user: user, token: Self.token(index), quantity: 1, now: 2)
      #expect(again.status == .duplicate && again.sequence == Int64(index) + 1)
      #expect(bucket.deduct(user: user, token: Self.token(index), quantity: 2, now: 2).fault == .tokenMismatch)
      let other = bucket.deduct(user: Array("user-0".utf8), token: Self.token(index), quantity: 1, now: 2)
      #expect(other.fault == .tokenMismatch)
    }
    audit(bucket)
  }

  @Test("Trimming moves no slot, and frees the chunks that are wholly trimmed as it goes")
  func steps() throws {
    var bucket = Self.sold(50_000)
    let moved = bucket.slotsMoved
    let allocations = bucket.figures.allocations
    for sequence in stride(from: Int64(500), through: 50_000, by: 500) {
      #expect(try bucket.trim(to: sequence) == 500)
      #expect(bucket.slotsMoved == moved)
    }
    #expect(bucket.figures.allocations < allocations)
    #expect(try bucket.events(after: 50_000, count: 9).map(\.sequence) == [50_001])
  }

  @Test("A trim is refused ahead of the log and in another epoch, and one of nothing changes nothing")
  func refusals() throws {
    var bucket = Self.sold(10)
    #expect(throws: StockError(fault: .ahead)) { _ = try bucket.trim(to: 12) }
    #expect(throws: StockError(fault: .epochMismatch)) { _ = try bucket.trim(to: 99, epoch: 8) }
    #expect(try bucket.trim(to: 0) == 0)
    #expect(try bucket.trim(to: 5, epoch: 7) == 5)
    #expect(try bucket.trim(to: 5) == 0)
    #expect(try bucket.trim(to: 4) == 0)
    #expect(try bucket.trim(to: 11) == 6)
    #expect(bucket.figures.log_first == 12 && bucket.figures.log_last == 11)
    #expect(try bucket.events(after: 11, count: 1).isEmpty)
    #expect(throws: StockError(fault: .trimmed)) { try bucket.events(after: 10, count: 1) }
  }

  @Test("A trim that does not follow is refused by a replica, which stays as it was")
  func outOfStep() throws {
    var master = Self.sold(10)
    var replica = try Bucket.restored(from: master.payloads())
    _ = try master.trim(to: 3)
    let first = master.lastChange
    _ = try master.trim(to: 6)
    #expect(replica.apply(master.lastChange) == .outOfStep)
    #expect(replica.apply(first) == .none)
    #expect(replica.apply(first) == .outOfStep)
    #expect(replica.apply(master.lastChange) == .none)
    #expect(replica.payloads() == master.payloads())
  }

  @Test("A first limit counts what trimmed purchases hold, and cancelling one gives it back")
  func limit() throws {
    var bucket = Bucket.sample(100)
    for index in 0..<4 { _ = bucket.play(.deduct(user: "u", token: "t\(index)", quantity: 1), now: 1001) }
    _ = bucket.play(.cancel(token: "t0"), now: 1001)
    _ = try bucket.trim(to: 4)
    _ = bucket.play(.schedule(limit: 3, opens: 0, closes: 0), now: 1001)
    var restored = try Bucket.restored(from: bucket.payloads(partBytes: 512))
    #expect(restored.play(.deduct(user: "u", token: "x", quantity: 1), now: 1002).status == .limit)
    #expect(restored.play(.cancel(token: "t1"), now: 1002).status == .ok)
    #expect(restored.play(.deduct(user: "u", token: "x", quantity: 1), now: 1002).status == .ok)
    #expect(restored.play(.deduct(user: "u", token: "y", quantity: 1), now: 1002).status == .limit)
    #expect(try restored.events(after: 7, count: 1).first?.user == nil)
  }
}
