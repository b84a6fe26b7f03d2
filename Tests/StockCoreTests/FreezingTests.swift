import StockCore
import Testing

@Suite("Freezing and recording")
struct FreezingTests {
  @Test("A frozen bucket refuses what is new and tells of what it knows")
  func refusals() {
    var bucket = Bucket.sample(9)
    bucket.play(.deduct(user: "u", token: "sold", quantity: 1))
    bucket.play(.deduct(user: "u", token: "held", quantity: 1, hold: 5))
    bucket.play(.fence(token: "fenced"))
    bucket.play(.add(token: "more", quantity: -1))
    expect(&bucket, .freeze, .ok, 6, 6)
    expect(&bucket, .freeze, .ok, 6, 0)
    for play: Play in [
      .deduct(user: "u", token: "new", quantity: 1), .confirm(token: "new"), .cancel(token: "new"),
      .cancel(token: "new", fence: true), .fence(token: "new"), .add(token: "less", quantity: -1),
    ] { expect(&bucket, play, .frozen, 6, 0) }
    expect(&bucket, .withdraw(transfer: "T", quantity: 1, to: 1), .frozen, 0, 0)
    expect(&bucket, .deduct(user: "u", token: "sold", quantity: 1), .duplicate, 6, 2)
    expect(&bucket, .deduct(user: "u", token: "sold", quantity: 2), .tokenMismatch)
    expect(&bucket, .deduct(user: "u", token: "fenced", quantity: 2), .cancelled, 6, 0)
    expect(&bucket, .add(token: "more", quantity: -1), .duplicate, 6, 5)
    expect(&bucket, .confirm(token: "held"), .ok, 6, 7)
    expect(&bucket, .cancel(token: "sold"), .ok, 7, 8)
    expect(&bucket, .add(token: "plus", quantity: 2), .ok, 9, 9)
    expect(&bucket, .schedule(limit: 0, opens: 5, closes: 0), .ok, 9, 10)
  }

  @Test("FROZEN comes after the token and before the window")
  func precedence() {
    var bucket = Bucket.sample(9, opens: 5000)
    expect(&bucket, .deduct(user: "u", token: "t", quantity: 1), .early, 9, 0)
    bucket.play(.freeze)
    expect(&bucket, .deduct(user: "u", token: "t", quantity: 1), .frozen, 9, 0)
  }

  @Test("An operator's freeze hides the other reason, which comes back when it is taken away")
  func reasons() {
    var bucket = Bucket.sample(9, isFrozen: true)
    #expect(bucket.figures.frozen == .create)
    bucket.play(.freezeAnew(.promotion, seed: 1))
    #expect(bucket.figures.frozen == .promotion)
    bucket.play(.freeze)
    #expect(bucket.figures.frozen == .byOperator)
    bucket.play(.freezeAnew(.load, seed: 2))
    #expect(bucket.figures.frozen == .byOperator)
    expect(&bucket, .thaw(.right), .frozenByOperator)
    expect(&bucket, .thaw(.wrong), .epochMismatch)
    expect(&bucket, .thaw(), .ok, 9, 3)
    #expect(bucket.figures.frozen == .load)
    expect(&bucket, .thaw(.wrong), .epochMismatch)
    expect(&bucket, .thaw(.right), .ok, 9, 4)
    #expect(bucket.figures.frozen == .no)
    expect(&bucket, .thaw(.right), .ok, 9, 0)
    expect(&bucket, .thaw(), .ok, 9, 0)
    expect(&bucket, .thaw(.wrong), .epochMismatch)
  }

  @Test("Freezing, thawing and both reasons come through a change and through the payloads")
  func propagated() throws {
    var bucket = Bucket.sample(9, isFrozen: true)
    var replica = try Bucket.restored(from: bucket.payloads())
    for play: Play in [.freeze, .thaw(), .thaw(), .freeze] {
      bucket.play(play)
      #expect(replica.apply(bucket.lastChange) == .none)
      #expect(replica.figures.frozen == bucket.figures.frozen)
      let restored = try Bucket.restored(from: bucket.payloads())
      #expect(restored.figures.frozen == bucket.figures.frozen)
    }
    bucket.play(.freezeAnew(.load, seed: 9))
    var restored = try Bucket.restored(from: bucket.payloads())
    #expect(restored.figures.frozen == .byOperator && restored.figures.epoch == bucket.figures.epoch)
    restored.play(.thaw())
    #expect(restored.figures.frozen == .load)
  }

  @Test("A new epoch follows from the seed and the hash key, differs from all before, and makes no event")
  func epochs() {
    var seen: Set<Int64> = [7]
    var bucket = Bucket.sample(9)
    let (settings, key) = (bucket.figures.settings, [UInt8](0..<16))
    for seed: UInt64 in 0..<500 {
      var copy = Bucket(quantity: 1, settings: settings, epoch: Int64(seed) + 1, hashKey: key, now: 5)
      var other = Bucket(quantity: 1, settings: settings, epoch: bucket.figures.epoch, hashKey: [9], now: 5)
      bucket.play(.freezeAnew(.load, seed: seed))
      copy.play(.freezeAnew(.load, seed: seed))
      other.play(.freezeAnew(.load, seed: seed))
      let epoch = bucket.figures.epoch
      #expect(epoch >= 1 && epoch <= Limits.number && epoch == copy.figures.epoch)
      let areNew = [epoch, other.figures.epoch].map { seen.insert($0).inserted }
      #expect(areNew == [true, true])
    }
    #expect(bucket.figures.log_last == 1)
  }

  @Test("A freeze that a copy of the bucket already has changes nothing when it comes again")
  func twice() throws {
    var bucket = Bucket.sample(9)
    bucket.play(.deduct(user: "u", token: "t", quantity: 1))
    bucket.play(.freezeAnew(.promotion, seed: 77))
    var copy = try Bucket.restored(from: bucket.payloads())
    copy.play(.freezeAnew(.promotion, seed: 77))
    #expect(copy.payloads() == bucket.payloads())
  }

  @Test("RECORD takes a purchase forward and never back, frozen or not, without limit and window")
  func record() {
    var bucket = Bucket.sample(9, limit: 1, closes: 500, isFrozen: true)
    expect(&bucket, .record(user: "u", token: "a", quantity: 2, as: .held), .ok, 7, 2)
    expect(&bucket, .record(user: "u", token: "a", quantity: 2, as: .held), .duplicate, 7, 2)
    expect(&bucket, .record(user: "v", token: "a", quantity: 2, as: .sold), .tokenMismatch)
    expect(&bucket, .record(user: "u", token: "a", quantity: 1, as: .sold), .tokenMismatch)
    expect(&bucket, .record(user: "u", token: "a", quantity: 2, as: .sold), .ok, 7, 3)
    expect(&bucket, .record(user: "u", token: "a", quantity: 2, as: .held), .duplicate, 7, 2)
    expect(&bucket, .record(user: "u", token: "a", quantity: 2, as: .cancelled), .ok, 9, 4)
    for recording in [Recording.held, .sold, .cancelled, .rejected] {
      expect(&bucket, .record(user: "u", token: "a", quantity: 2, as: recording), .duplicate, 9, 2)
    }
    expect(&bucket, .record(user: "u", token: "b", quantity: 10, as: .sold), .soldOut, 9, 0)
    expect(&bucket, .record(user: "u", token: "b", quantity: 10, as: .rejected), .soldOut, 9, 0)
    expect(&bucket, .record(user: "u", token: "b", quantity: 10, as: .cancelled), .ok, 9, 5)
    expect(&bucket, .record(user: "u", token: "c", quantity: 4, as: .rejected), .ok, 5, 6)
    expect(&bucket, .record(user: "u", token: "d", quantity: 5, as: .sold), .ok, 0, 7)
    expect(&bucket, .record(user: "u", token: "d", quantity: 5, as: .rejected), .ok, 0, 8)
    expectBooks(bucket, available: 0, cancelled: 21, added: -9)
  }

  @Test("RECORD of a fenced token is a duplicate, and a recorded hold ends by no clock")
  func recordEdges() throws {
    var bucket = Bucket.sample(9)
    bucket.play(.fence(token: "f"))
    expect(&bucket, .record(user: "u", token: "f", quantity: 3, as: .sold), .duplicate, 9, 2)
    expect(&bucket, .record(user: "u", token: "h", quantity: 9, as: .held), .ok, 0, 3)
    #expect(bucket.nextExpiry == 0)
    expect(&bucket, .deduct(user: "u", token: "x", quantity: 1), .soldOut, 0, 0, now: .max)
    expect(&bucket, .fence(token: "h"), .live, 0, 3, now: .max)
    _ = try bucket.trim(to: 3)
    bucket = try .restored(from: bucket.payloads())
    #expect(bucket.nextExpiry == 0 && bucket.known(token: bytes("h"))?.first.user == bytes("u"))
    expect(&bucket, .confirm(token: "h"), .ok, 0, 4)
  }

  @Test("RECORD takes the hold that it names forward, though that is due")
  func recordAndHolds() {
    var bucket = Bucket.sample(1)
    bucket.play(.deduct(user: "u", token: "h", quantity: 1, hold: 1))
    expect(&bucket, .record(user: "u", token: "h", quantity: 1, as: .sold), .ok, 0, 3, now: 9999)
    #expect(bucket.nextExpiry == 0)
  }

  @Test("A lost restock is written in once, up or down")
  func recordRestock() {
    var bucket = Bucket.sample(3, isFrozen: true)
    expect(&bucket, .recordRestock(token: "r", quantity: 2), .ok, 5, 2)
    expect(&bucket, .recordRestock(token: "r", quantity: 2), .duplicate, 5, 2)
    expect(&bucket, .add(token: "r", quantity: 2), .duplicate, 5, 2)
    expect(&bucket, .recordRestock(token: "r", quantity: 3), .tokenMismatch)
    expect(&bucket, .recordRestock(token: "s", quantity: -6), .soldOut, 5, 0)
    expect(&bucket, .recordRestock(token: "s", quantity: -5), .ok, 0, 3)
    expectBooks(bucket, available: 0, added: -3)
  }
}
