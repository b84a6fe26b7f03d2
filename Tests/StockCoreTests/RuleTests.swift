import StockCore
import Testing

@Suite("The rules at their bounds")
struct RuleTests {
  private static let most = Limits.number

  @Test("A deduction takes what is there, to the last unit and no further")
  func lastUnit() {
    var bucket = Bucket.sample(3)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 4), .soldOut, 3, 0)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 3), .ok, 0, 2)
    expect(&bucket, .deduct(user: "u", token: "b", quantity: 1), .soldOut, 0, 0)
  }

  @Test("The token comes before the stock, the window and the limit")
  func tokenFirst() {
    var bucket = Bucket.sample(1, limit: 1, closes: 2000)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 1), .ok, 0, 2)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 1), .duplicate, 0, 2, now: 9999)
    expect(&bucket, .deduct(user: "u", token: "b", quantity: 1), .closed, 0, 0, now: 9999)
    expect(&bucket, .deduct(user: "u", token: "b", quantity: 1), .limit, 0, 0)
    expect(&bucket, .deduct(user: "v", token: "b", quantity: 1), .soldOut, 0, 0)
  }

  @Test("A token with another user or quantity is a mismatch, cancelled or not; a fenced one has neither")
  func mismatch() {
    var bucket = Bucket.sample(9)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 2), .ok, 7, 2)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 1), .tokenMismatch)
    expect(&bucket, .deduct(user: "U", token: "a", quantity: 2), .tokenMismatch)
    expect(&bucket, .cancel(token: "a"), .ok, 9, 3)
    expect(&bucket, .deduct(user: "v", token: "a", quantity: 2), .tokenMismatch)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 2), .cancelled, 9, 0)
    expect(&bucket, .fence(token: "f"), .ok, 9, 4)
    expect(&bucket, .deduct(user: "anyone", token: "f", quantity: 5), .cancelled, 9, 0)
  }

  @Test("A refused token is not remembered and may succeed later")
  func refusedIsForgotten() {
    var bucket = Bucket.sample(1)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 2), .soldOut, 1, 0)
    expect(&bucket, .add(token: "more", quantity: 1), .ok, 2, 2)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 2), .ok, 0, 3)
  }

  @Test("The window is open from OPENS on and closed from CLOSES on")
  func window() {
    var bucket = Bucket.sample(9, opens: 2000, closes: 3000)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 1), .early, 9, 0, now: 1999)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 1), .ok, 8, 2, now: 2000)
    expect(&bucket, .deduct(user: "u", token: "b", quantity: 1), .ok, 7, 3, now: 2999)
    expect(&bucket, .deduct(user: "u", token: "c", quantity: 1), .closed, 7, 0, now: 3000)
    expect(&bucket, .cancel(token: "a"), .ok, 8, 4, now: 3000)
  }

  @Test("A limit counts what the user bought before it was set, and cancelling gives it back")
  func limit() {
    var bucket = Bucket.sample(9)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 2), .ok, 7, 2)
    expect(&bucket, .deduct(user: "u", token: "b", quantity: 1), .ok, 6, 3)
    expect(&bucket, .cancel(token: "b", offSale: true), .ok, 6, 4)
    expect(&bucket, .schedule(limit: 3, opens: 0, closes: 0), .ok, 6, 5)
    expect(&bucket, .deduct(user: "u", token: "c", quantity: 2), .limit, 6, 0)
    expect(&bucket, .deduct(user: "u", token: "c", quantity: 1), .ok, 5, 6)
    expect(&bucket, .deduct(user: "u", token: "d", quantity: 1), .limit, 5, 0)
    expect(&bucket, .deduct(user: "v", token: "d", quantity: 3), .ok, 2, 7)
    expect(&bucket, .cancel(token: "a"), .ok, 4, 8)
    expect(&bucket, .deduct(user: "u", token: "e", quantity: 2), .ok, 2, 9)
  }

  @Test("CANCEL OFFSALE takes the units off sale, and the books stay balanced")
  func offSale() {
    var bucket = Bucket.sample(5)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 2), .ok, 3, 2)
    expect(&bucket, .cancel(token: "a", offSale: true), .ok, 3, 3)
    expect(&bucket, .cancel(token: "a", offSale: true), .duplicate, 3, 2)
    #expect(bucket.figures.added == -2 && bucket.figures.cancelled == 2 && bucket.figures.sold == 0)
  }

  @Test("FENCE and CANCEL FENCE mark an unknown token, and leave a known one")
  func fences() {
    var bucket = Bucket.sample(5)
    expect(&bucket, .cancel(token: "x"), .unknown, 5, 0)
    expect(&bucket, .cancel(token: "x", fence: true, offSale: true), .ok, 5, 2)
    expect(&bucket, .fence(token: "x"), .duplicate, 5, 2)
    expect(&bucket, .cancel(token: "x"), .duplicate, 5, 2)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 1), .ok, 4, 3)
    expect(&bucket, .fence(token: "a"), .live, 4, 3)
    #expect(bucket.figures.added == 0 && bucket.figures.cancelled == 0 && bucket.figures.tokens == 2)
  }

  @Test("Restock tokens are a name space of their own")
  func restockTokens() {
    var bucket = Bucket.sample(1)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 1), .ok, 0, 2)
    expect(&bucket, .add(token: "a", quantity: 5), .ok, 5, 3)
    expect(&bucket, .add(token: "a", quantity: 5), .duplicate, 5, 3)
    expect(&bucket, .add(token: "a", quantity: 4), .tokenMismatch)
    expect(&bucket, .cancel(token: "a"), .ok, 6, 4)
    expect(&bucket, .add(token: "b", quantity: -7), .soldOut, 6, 0)
    expect(&bucket, .add(token: "b", quantity: -6), .ok, 0, 5)
    #expect(bucket.known(token: Array("b".utf8)) == nil)
    #expect(bucket.figures.tokens == 1)
  }

  @Test("A total beyond 2^53 is an overflow, and nothing changes")
  func overflow() {
    var bucket = Bucket.sample(Self.most)
    expect(&bucket, .add(token: "a", quantity: 1), .overflow)
    expect(&bucket, .deduct(user: "u", token: "t", quantity: Self.most), .ok, 0, 2)
    expect(&bucket, .add(token: "a", quantity: 1), .overflow)
    expect(&bucket, .cancel(token: "t"), .ok, Self.most, 3)
    expect(&bucket, .deduct(user: "u", token: "s", quantity: 1), .ok, Self.most - 1, 4)
    expect(&bucket, .cancel(token: "s"), .overflow)
    expect(&bucket, .add(token: "b", quantity: -(Self.most - 1)), .ok, 0, 5)
    #expect(bucket.figures.log_last == 5)

    var empty = Bucket.sample(0)
    expect(&empty, .add(token: "a", quantity: Self.most), .ok, Self.most, 2)
    expect(&empty, .add(token: "b", quantity: -Self.most), .ok, 0, 3)
    expect(&empty, .add(token: "c", quantity: -1), .soldOut, 0, 0)
  }

  @Test("Times far away neither trap nor change the rules")
  func farTimes() throws {
    var bucket = Bucket.sample(9, opens: Limits.number)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 1), .early, 9, 0, now: Limits.number - 1)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 1), .ok, 8, 2, now: .max)
    expect(&bucket, .fence(token: "b"), .ok, 8, 3, now: .min)
    let events = try bucket.events(after: 1, count: 9)
    #expect(events.map(\.timestamp) == [Limits.time, 0])
  }

  @Test("The log is read from any place, in its epoch only")
  func log() throws {
    var bucket = Bucket.sample(5000)
    for index in 1...3000 {
      expect(
        &bucket,
        .deduct(user: "user", token: "token-\(index)", quantity: 1),
        .ok,
        Int64(5000 - index),
        Int64(index + 1)
      )
    }
    for after: Int64 in [0, 1, 699, 700, 1500, 2999, 3000] {
      let events = try bucket.events(after: after, count: 5, epoch: 7)
      #expect(events.map(\.sequence) == Array((after + 1)..<min(after + 6, 3002)))
    }
    #expect(try bucket.events(after: 3001, count: 5).isEmpty)
    #expect(throws: StockError(fault: .ahead)) { try bucket.events(after: 3002, count: 5) }
    #expect(throws: StockError(fault: .epochMismatch)) { try bucket.events(after: 9999, count: 5, epoch: 8) }
  }

  @Test("The log is whole across chunks, those that records fill to the last byte among them", arguments: 1...8)
  func chunks(tokenBytes: Int) throws {
    // With tokens of eight bytes a record takes 28, and 2340 of them fill a chunk.
    var bucket = Bucket.sample(16_000_000)
    let users = (0..<3).map { Array("u0\($0)".utf8) }
    var made: [[UInt8]] = []
    for index in 0..<9000 {
      let digits = String(index, radix: 36)
      let padding = String(repeating: ".", count: max(0, tokenBytes - digits.count))
      made.append(Array((padding + digits).utf8))
      let outcome = bucket.deduct(user: users[index % 3], token: made[index], quantity: 200, now: 5)
      #expect(outcome.sequence == Int64(index + 2))
    }
    #expect(try bucket.events(after: 1, count: .max).map(\.token) == made)
    let restored = try Bucket.restored(from: bucket.payloads())
    #expect(try restored.events(after: 1, count: .max).map(\.token) == made)
    for after in stride(from: 1, to: 9000, by: 37) {
      #expect(try bucket.events(after: Int64(after), count: 1).first?.token == made[after - 1])
    }
  }

  @Test("Setting what is set already makes no event")
  func idleSchedule() {
    var bucket = Bucket.sample(5, limit: 2, opens: 10, closes: 20)
    let outcome = bucket.schedule(limit: 2, opens: 10, closes: 20, now: 1000)
    #expect(outcome.status == .ok && !outcome.changed && bucket.figures.log_last == 1)
  }
}
