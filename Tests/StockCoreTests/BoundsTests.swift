import Testing

@testable import StockCore

@Suite("Arithmetic at its bounds")
struct BoundsTests {
  private static let most = Limits.number

  /// A bucket whose total of cancelled units is full.
  private func full(_ quantity: Int64 = 9, limit: Int64 = 0) -> Bucket {
    var bucket = Bucket.sample(quantity, limit: limit)
    expect(&bucket, .record(user: "x", token: "full", quantity: Self.most, as: .cancelled), .ok, quantity, 2)
    return bucket
  }

  /// A bucket whose log begins behind a sequence.
  private func after(_ sequence: Int64, available: Int64) throws -> Bucket {
    var payload = PayloadBuilder()
    payload.header()
    payload.trimmedLog(sequence, created: available, available: available)
    return try .restored(from: [payload.bytes])
  }

  // MARK: Holds

  @Test("A hold that can't be ended is put off for a minute, and is refused to those who need it")
  func postponed() {
    var bucket = full(1)
    bucket.play(.deduct(user: "u", token: "h", quantity: 1, hold: 10))
    let outcome = bucket.play(.expire(count: 100), now: 1010)
    #expect(outcome.status == .ok && !outcome.changed)
    #expect(bucket.nextExpiry == 61_010)
    expect(&bucket, .deduct(user: "v", token: "x", quantity: 1), .soldOut, 0, 0, now: 1010)
    expect(&bucket, .fence(token: "h"), .live, 0, 3, now: 1010)
    expect(&bucket, .cancel(token: "h"), .overflow, now: 1010)
    expect(&bucket, .confirm(token: "h"), .ok, 0, 4, now: 1010)
    expectBooks(bucket, available: 0, sold: 1, cancelled: Self.most)
  }

  @Test("Of many holds that can't be ended each is tried once, by commands and by the timer", arguments: [2, 300])
  func postponedMany(count: Int) {
    var bucket = full(Int64(count), limit: 1)
    for index in 0..<count { bucket.play(.deduct(user: "u\(index)", token: "h\(index)", quantity: 1, hold: 10)) }
    expect(&bucket, .deduct(user: "u1", token: "x", quantity: 1), .limit, 0, 0, now: 1010)
    expect(&bucket, .withdraw(transfer: "T", quantity: 5, to: 1), .soldOut, 0, 0, now: 1010)
    #expect(bucket.nextExpiry == 61_010)
    #expect(!bucket.play(.expire(count: .max), now: 100_000).changed)
    #expect(bucket.nextExpiry == 160_000)
  }

  @Test("At the end of time too, what can't be ended is tried once", arguments: [Limits.time, Limits.number, .max])
  func postponedForever(now: Int64) {
    var bucket = full(2, limit: 2)
    bucket.play(.deduct(user: "u", token: "h", quantity: 2, hold: 10))
    expect(&bucket, .deduct(user: "v", token: "x", quantity: 1), .soldOut, 0, 0, now: now)
    expect(&bucket, .deduct(user: "u", token: "y", quantity: 1), .limit, 0, 0, now: now)
    expect(&bucket, .withdraw(transfer: "T", quantity: 1, to: 1), .soldOut, 0, 0, now: now)
    #expect(!bucket.play(.expire(count: .max), now: now).changed)
    expectBooks(bucket, available: 0, held: 2, cancelled: Self.most)
  }

  @Test("The latest deadline is 2^53, one later is an overflow, and a clock before 1970 is read as 1970")
  func deadlines() throws {
    var bucket = Bucket.sample(9)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 1, hold: Self.most - 999), .holdTooLong)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 1, hold: Self.most - 1000), .ok, 8, 2)
    expect(&bucket, .deduct(user: "u", token: "b", quantity: 1, hold: Self.most), .ok, 7, 3, now: .min)
    expect(&bucket, .deduct(user: "u", token: "c", quantity: 1, hold: 5), .ok, 6, 4, now: -1)
    #expect(bucket.nextExpiry == 5)
    #expect(!bucket.play(.expire(count: 9), now: .min).changed)
    expect(&bucket, .deduct(user: "u", token: "d", quantity: 1, hold: 1), .ok, 5, 5, now: .max)
    _ = try bucket.trim(to: 3)
    bucket = try .restored(from: bucket.payloads())
    let expires = ["a", "b", "c", "d"].map { bucket.known(token: bytes($0))?.expires }
    #expect(expires == [Self.most, Self.most, 5, Limits.time + 1])
    // Deadlines beyond the last time never come.
    #expect(bucket.play(.expire(count: 9), now: .max).changed)
    #expect(bucket.figures.held == 3 && bucket.nextExpiry == Limits.time + 1)
    expect(&bucket, .confirm(token: "d"), .ok, 6, 7, now: .max)
  }

  @Test("An overflow after holds have ended tells that something has changed")
  func overflowAfterExpiry() throws {
    var bucket = Bucket.sample(1)
    bucket.play(.deduct(user: "u", token: "h", quantity: 1, hold: 10))
    let outcome = bucket.play(.deduct(user: "v", token: "x", quantity: 1, hold: Self.most), now: 1010)
    #expect(outcome.fault == .holdTooLong && outcome.changed && outcome.turn == .onSale)
    var replica = try Bucket.restored(from: Bucket.sample(1).payloads())
    #expect(replica.play(.deduct(user: "u", token: "h", quantity: 1, hold: 10)).status == .ok)
    #expect(replica.apply(bucket.lastChange) == .none)
    #expect(replica.digestSums == bucket.digestSums && replica.figures.available == 1)
  }

  // MARK: Totals

  @Test("Each total stops at 2^53, and what would pass it changes nothing")
  func totals() {
    var bucket = Bucket.sample(Self.most)
    expect(&bucket, .deposit(transfer: "I", quantity: 1, from: 1), .overflow)
    expect(&bucket, .recordTransfer(transfer: "I", direction: .incoming, peer: 1, quantity: 1), .overflow)
    expect(&bucket, .withdraw(transfer: "O", quantity: Self.most, to: 1), .ok, Self.most, 2)
    expect(&bucket, .deposit(transfer: "I", quantity: Self.most, from: 1), .ok, Self.most, 3)
    expect(&bucket, .withdraw(transfer: "P", quantity: 1, to: 1), .overflow)
    expect(&bucket, .recordTransfer(transfer: "P", direction: .outgoing, peer: 1, quantity: 1), .overflow)
    expect(&bucket, .add(token: "r", quantity: -Self.most), .ok, 0, 4)
    expect(&bucket, .add(token: "s", quantity: 1), .ok, 1, 5)
    expect(&bucket, .recordRestock(token: "t", quantity: -1), .ok, 0, 6)
    expect(&bucket, .deposit(transfer: "J", quantity: 1, from: 1), .overflow)
    expectBooks(bucket, available: 0, added: -Self.most, transferredIn: Self.most, transferredOut: Self.most)
  }

  @Test("What is added can fall to -2^53 by restocks, cancellations and recordings off sale, and no further")
  func offSale() {
    var bucket = Bucket.sample(Self.most)
    expect(&bucket, .add(token: "r", quantity: 1 - Self.most), .ok, 1, 2)
    expect(&bucket, .record(user: "u", token: "a", quantity: 1, as: .rejected), .ok, 0, 3)
    expect(&bucket, .deposit(transfer: "I", quantity: 2, from: 1), .ok, 2, 4)
    expect(&bucket, .record(user: "u", token: "b", quantity: 1, as: .rejected), .overflow)
    expect(&bucket, .deduct(user: "u", token: "b", quantity: 1), .ok, 1, 5)
    expect(&bucket, .cancel(token: "b", offSale: true), .overflow)
    expect(&bucket, .record(user: "u", token: "b", quantity: 1, as: .rejected), .overflow)
    expect(&bucket, .add(token: "s", quantity: -1), .overflow)
    expect(&bucket, .cancel(token: "b"), .ok, 2, 6)
  }

  @Test("What is cancelled stops at 2^53 for every way of cancelling")
  func cancelled() {
    var bucket = full(9)
    bucket.play(.deduct(user: "u", token: "s", quantity: 1))
    bucket.play(.deduct(user: "u", token: "h", quantity: 1, hold: 9999))
    for token in ["s", "h"] {
      expect(&bucket, .cancel(token: token), .overflow)
      expect(&bucket, .cancel(token: token, offSale: true), .overflow)
      expect(&bucket, .record(user: "u", token: token, quantity: 1, as: .cancelled), .overflow)
      expect(&bucket, .record(user: "u", token: token, quantity: 1, as: .rejected), .overflow)
    }
    expect(&bucket, .record(user: "u", token: "n", quantity: 1, as: .cancelled), .overflow)
    expect(&bucket, .record(user: "u", token: "n", quantity: 1, as: .rejected), .overflow)
    // A fence cancels no unit.
    expect(&bucket, .fence(token: "f"), .ok, 7, 5)
  }

  @Test("A limit of 2^53 and a user who has that much")
  func limit() throws {
    var bucket = Bucket.sample(Self.most, limit: Self.most)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: Self.most), .ok, 0, 2)
    expect(&bucket, .deduct(user: "u", token: "b", quantity: Self.most), .limit, 0, 0)
    expect(&bucket, .deduct(user: "u", token: "b", quantity: 1), .limit, 0, 0)
    expect(&bucket, .deduct(user: "v", token: "b", quantity: Self.most), .soldOut, 0, 0)
    _ = try bucket.trim(to: 2)
    bucket = try .restored(from: bucket.payloads())
    expect(&bucket, .deduct(user: "u", token: "b", quantity: 1), .limit, 0, 0)
    expect(&bucket, .cancel(token: "a"), .ok, Self.most, 3)
    expect(&bucket, .schedule(limit: 1, opens: 0, closes: 0), .ok, Self.most, 4)
    expect(&bucket, .deduct(user: "u", token: "b", quantity: 1), .ok, Self.most - 1, 5)
  }

  // MARK: Sequences

  @Test("The last event has the number 2^53; what would make another is an overflow, and the rest still works")
  func lastSequence() throws {
    var bucket = try after(Self.most - 3, available: 9)
    let last = Self.most
    expect(&bucket, .withdraw(transfer: "T", quantity: 1, to: 1), .ok, 1, last - 2)
    expect(&bucket, .deduct(user: "u", token: "h", quantity: 1, hold: 10), .ok, 7, last - 1)
    expect(&bucket, .deduct(user: "u", token: "s", quantity: 1), .ok, 6, last)
    for play: Play in [
      .deduct(user: "u", token: "x", quantity: 1), .deduct(user: "u", token: "x", quantity: 1, hold: 5),
      .confirm(token: "h"), .cancel(token: "s"), .cancel(token: "x", fence: true), .fence(token: "x"),
      .add(token: "r", quantity: 1), .add(token: "r", quantity: -1), .schedule(limit: 0, opens: 5, closes: 0),
      .schedule(limit: 5, opens: 0, closes: 0), .withdraw(transfer: "U", quantity: 1, to: 1),
      .deposit(transfer: "U", quantity: 1, from: 1), .record(user: "u", token: "x", quantity: 1, as: .sold),
      .record(user: "u", token: "s", quantity: 1, as: .cancelled), .recordRestock(token: "r", quantity: 1),
      .recordTransfer(transfer: "U", direction: .incoming, peer: 1, quantity: 1), .freeze,
    ] { expect(&bucket, play, .overflow) }
    expect(&bucket, .thaw(), .ok, 6, 0)
    expect(&bucket, .deduct(user: "u", token: "s", quantity: 1), .duplicate, 6, last)
    #expect(!bucket.play(.expire(count: 9), now: 5000).changed && bucket.nextExpiry == 65_000)
    expect(&bucket, .settle(transfer: "T"), .ok, 6, 0)
    #expect(bucket.figures.log_last == last)
    bucket = try .restored(from: bucket.payloads())
    #expect(try bucket.events(after: last - 1, count: 9).map(\.sequence) == [last])
    #expect(try bucket.trim(to: last) == 3)
    #expect(throws: StockError(fault: .ahead)) { _ = try bucket.trim(to: .max) }
    bucket = try .restored(from: bucket.payloads(partBytes: 512))
    #expect(bucket.figures.log_first == last + 1 && bucket.figures.log_last == last)
    #expect(try bucket.events(after: last, count: 9).isEmpty)
    #expect(throws: StockError(fault: .ahead)) { try bucket.events(after: last + 1, count: 9) }
    #expect(bucket.known(token: bytes("s"))?.first.sequence == last)
    #expect(bucket.known(token: bytes("h"))?.first.sequence == last - 1)
    expect(&bucket, .freeze, .overflow)
  }

  @Test("Buckets at their last sequence are not rebalanced, and keep the others from it")
  func lastSequenceOfOne() throws {
    let places = UnsafeMutablePointer<Bucket>.allocate(capacity: 2)
    defer {
      places.deinitialize(count: 2)
      places.deallocate()
    }
    places.initialize(to: .sample(5))
    (places + 1).initialize(to: try after(Self.most, available: 1))
    #expect(throws: StockError(fault: .overflow)) {
      _ = try Bucket.rebalance([places, places + 1], now: 1)
    }
    #expect(places.pointee.figures.available == 5 && places[1].figures.available == 1)
    // Where it has its share already it need not change.
    let outcomes = try Bucket.rebalance([places, places + 1], weights: [5, 1], now: 1)
    #expect(outcomes.allSatisfy { $0.status == .ok && !$0.changed })
  }

  @Test("Tokens far from each other's sequences are told apart when trimmed")
  func farSequences() throws {
    var bucket = try after(Self.most - 5000, available: 9_000)
    for index in 0..<4000 {
      bucket.play(.deduct(user: "u", token: "t\(index)", quantity: 1, hold: index % 2 == 0 ? 99 : 0))
    }
    _ = try bucket.trim(to: Self.most - 1000)
    for index in stride(from: 0, to: 900, by: 2) { bucket.play(.confirm(token: "t\(index)")) }
    _ = try bucket.trim(to: bucket.figures.log_last)
    bucket = try .restored(from: bucket.payloads())
    for index in 0..<4000 {
      #expect(bucket.known(token: bytes("t\(index)"))?.first.sequence == Self.most - 4999 + Int64(index))
    }
  }
}
