import StockCore
import Testing

@Suite("Holds")
struct HoldTests {
  private func hold(_ token: String, _ quantity: Int64 = 1, user: String = "u", for ms: Int64 = 10) -> Play {
    .deduct(user: user, token: token, quantity: quantity, hold: ms)
  }

  @Test("A hold takes its units, is confirmed once, and is cancelled at any time")
  func life() {
    var bucket = Bucket.sample(5)
    expect(&bucket, hold("a", 2), .ok, 3, 2)
    expectBooks(bucket, available: 3, held: 2)
    expect(&bucket, hold("a", 2), .duplicate, 3, 2)
    expect(&bucket, .deduct(user: "u", token: "a", quantity: 2), .duplicate, 3, 2)
    expect(&bucket, .fence(token: "a"), .live, 3, 2)
    #expect(bucket.known(token: bytes("a"))?.expires == 1010)
    expect(&bucket, .confirm(token: "a"), .ok, 3, 3)
    #expect(bucket.known(token: bytes("a"))?.expires == 0)
    expect(&bucket, .confirm(token: "a"), .duplicate, 3, 2)
    expectBooks(bucket, available: 3, sold: 2)
    expect(&bucket, .cancel(token: "a"), .ok, 5, 4)
    expect(&bucket, .confirm(token: "a"), .cancelled, 5, 0)
    expect(&bucket, .confirm(token: "b"), .unknown, 5, 0)
    expect(&bucket, hold("c", 5), .ok, 0, 5)
    expect(&bucket, .cancel(token: "c", offSale: true), .ok, 0, 6)
    expectBooks(bucket, available: 0, cancelled: 7, added: -5)
    #expect(bucket.nextExpiry == 0)
  }

  @Test("A hold is due from its deadline on, not before")
  func deadline() {
    var bucket = Bucket.sample(1)
    expect(&bucket, hold("a"), .ok, 0, 2)
    #expect(bucket.nextExpiry == 1010)
    expect(&bucket, hold("b"), .soldOut, 0, 0, now: 1009)
    #expect(!bucket.play(.expire(count: 9), now: 1009).changed)
    expect(&bucket, hold("b"), .ok, 0, 4, now: 1010)
    #expect(bucket.known(token: bytes("a"))?.state == .cancelled)
  }

  @Test("A command expires what it needs and no more, the oldest first")
  func need() throws {
    var bucket = Bucket.sample(6)
    for (index, token) in ["a", "b", "c", "d"].enumerated() {
      bucket.play(hold(token, 1, for: 40 - Int64(index) * 10))
    }
    // Two are available and d, c, b, a come due in this order.
    expect(&bucket, .deduct(user: "v", token: "e", quantity: 3), .soldOut, 2, 0, now: 1009)
    expect(&bucket, .deduct(user: "v", token: "e", quantity: 4), .ok, 0, 8, now: 1040)
    #expect(try bucket.events(after: 5, count: 9).map { $0.token.map(text) } == ["d", "c", "e"])
    expect(&bucket, .add(token: "less", quantity: -1), .ok, 0, 10, now: 1040)
    expect(&bucket, .withdraw(transfer: "T", quantity: 9, to: 3), .ok, 1, 12, now: 1040)
    expectBooks(bucket, available: 0, sold: 4, cancelled: 4, added: -1, transferredOut: 1)
  }

  private func records(_ quantity: Int64) -> [Play] {
    let purchases = [Recording.held, .sold, .rejected].map { state in
      Play.record(user: "v", token: "lost", quantity: quantity, as: state)
    }
    return purchases + [
      .recordTransfer(transfer: "T", direction: .outgoing, peer: 1, quantity: quantity),
      .recordRestock(token: "r", quantity: -quantity),
    ]
  }

  @Test("A record of what took units expires what it needs; in a frozen bucket it is sold out instead")
  func recorded() throws {
    for play in records(2) {
      var bucket = Bucket.sample(2)
      for token in ["a", "b"] { bucket.play(hold(token)) }
      expect(&bucket, play, .soldOut, 0, 0, now: 1009)
      bucket.play(.freeze)
      expect(&bucket, play, .soldOut, 0, 0, now: 1010)
      bucket.play(.thaw())
      expect(&bucket, play, .ok, 0, 8, now: 1010)
      #expect(try bucket.events(after: 5, count: 9).map(\.action) == [.expire, .expire, .record], "\(play)")
      expectBalance(bucket)
    }
    var bucket = Bucket.sample(1)
    bucket.play(hold("a"))
    expect(&bucket, .record(user: "v", token: "lost", quantity: 1, as: .cancelled), .ok, 0, 3, now: 1010)
    expect(&bucket, .recordTransfer(transfer: "T", direction: .incoming, peer: 1, quantity: 1), .ok, 1, 4, now: 1010)
    #expect(bucket.known(token: bytes("a"))?.state == .held)
  }

  @Test("What holds that are due can't make up for is refused without expiring any")
  func vain() {
    var bucket = Bucket.sample(3)
    bucket.play(hold("a", 1))
    bucket.play(hold("b", 1, for: 99))
    for play in [.deduct(user: "v", token: "c", quantity: 3), .add(token: "r", quantity: -3)] + records(3) {
      let outcome = bucket.play(play, now: 1010)
      #expect(outcome.status == .soldOut && !outcome.changed && outcome.remaining == 1)
    }
    expectBooks(bucket, available: 1, held: 2)
  }

  @Test("A withdrawal takes what there is, with all that is due")
  func withdrawal() {
    var bucket = Bucket.sample(3)
    bucket.play(hold("a", 2))
    bucket.play(hold("b", 1, for: 99))
    expect(&bucket, .withdraw(transfer: "T", quantity: 2, to: 1), .soldOut, 0, 0, now: 1009)
    expect(&bucket, .withdraw(transfer: "T", quantity: 1, to: 1), .ok, 1, 5, now: 1010)
    expectBooks(bucket, available: 1, held: 1, cancelled: 2, transferredOut: 1)
  }

  @Test("A withdrawal ends a thousand holds at most, and moves what is there then")
  func boundedWithdrawal() {
    var bucket = Bucket.sample(3000)
    for index in 0..<3000 { bucket.play(hold("h\(index)")) }
    let outcome = bucket.play(.withdraw(transfer: "T", quantity: 3000, to: 1), now: 1010)
    #expect(outcome.status == .ok && outcome.remaining == 1000 && outcome.events == 1001)
    #expect(bucket.play(.withdraw(transfer: "U", quantity: 700, to: 1), now: 1010).events == 701)
    // What needs more gets it.
    #expect(bucket.play(.deduct(user: "v", token: "all", quantity: 1300), now: 1010).events == 1301)
    expectBooks(bucket, available: 0, sold: 1300, cancelled: 3000, transferredOut: 1700)
  }

  @Test("A hold of its own that is due is over for DEDUCT, CONFIRM and FENCE, and CANCEL cancels it")
  func ownHold() throws {
    for play in [hold("a"), .confirm(token: "a")] {
      var bucket = Bucket.sample(1)
      bucket.play(hold("a"))
      let outcome = bucket.play(play, now: 1010)
      #expect(outcome.status == .cancelled && outcome.changed && outcome.turn == .onSale)
      #expect(outcome.remaining == 1 && outcome.sequence == 0)
    }
    var bucket = Bucket.sample(1)
    bucket.play(hold("a"))
    expect(&bucket, .fence(token: "a"), .duplicate, 1, 2, now: 1010)
    #expect(try bucket.events(after: 2, count: 9).map(\.action) == [.expire])
    bucket.play(hold("b"))
    expect(&bucket, .cancel(token: "b"), .ok, 1, 5, now: 2000)
    #expect(try bucket.events(after: 4, count: 9).map(\.action) == [.cancel])
    // A mismatch tells nothing and ends nothing.
    bucket.play(hold("c"))
    expect(&bucket, hold("c", 1, user: "v"), .tokenMismatch, now: 2000)
  }

  @Test("A limit counts what is held, and gets it back when the hold is due")
  func limit() {
    var bucket = Bucket.sample(9, limit: 3)
    bucket.play(hold("a", 1))
    bucket.play(hold("b", 2, for: 20))
    expect(&bucket, hold("c", 1), .limit, 6, 0, now: 1009)
    expect(&bucket, hold("c", 4), .limit, 6, 0, now: 5000)
    expect(&bucket, hold("d", 3, user: "v"), .ok, 3, 4)
    expect(&bucket, .deduct(user: "u", token: "c", quantity: 1), .ok, 3, 6, now: 1010)
    expect(&bucket, .deduct(user: "u", token: "e", quantity: 2), .ok, 3, 8, now: 1020)
    expectBooks(bucket, available: 3, held: 3, sold: 3, cancelled: 3)
    expect(&bucket, .expire(count: 9), .ok, 6, 0, now: 2000)
    expectBooks(bucket, available: 6, sold: 3, cancelled: 6)
  }

  @Test("The timer ends the holds that are due, as many as it is told to, the oldest first")
  func timer() throws {
    var bucket = Bucket.sample(9)
    for (token, ms) in [("a", 30), ("b", 10), ("c", 20), ("d", 10)] as [(String, Int64)] {
      bucket.play(hold(token, 1, for: ms))
    }
    #expect(bucket.nextExpiry == 1010)
    #expect(bucket.play(.expire(count: 3), now: 1020).changed)
    #expect(try bucket.events(after: 5, count: 9).map { $0.token.map(text) } == ["b", "d", "c"])
    #expect(bucket.nextExpiry == 1030)
    #expect(!bucket.play(.expire(count: 3), now: 1029).changed)
    #expect(bucket.play(.expire(count: 3), now: .max).changed)
    #expect(bucket.nextExpiry == 0)
  }

  @Test("A frozen bucket's holds don't end, whatever is asked, and are due again when it thaws")
  func frozen() {
    var bucket = Bucket.sample(2)
    bucket.play(hold("a"))
    bucket.play(hold("b"))
    bucket.play(.freeze)
    #expect(bucket.nextExpiry == 0)
    #expect(!bucket.play(.expire(count: 9), now: 2000).changed)
    expect(&bucket, hold("a"), .duplicate, 0, 2, now: 2000)
    expect(&bucket, .fence(token: "a"), .live, 0, 2, now: 2000)
    expect(&bucket, .confirm(token: "a"), .ok, 0, 5, now: 2000)
    bucket.play(.thaw())
    #expect(bucket.nextExpiry == 1010)
    expect(&bucket, hold("c"), .ok, 0, 8, now: 2000)
    expectBooks(bucket, available: 0, held: 1, sold: 1, cancelled: 1)
  }

  @Test("Holds outlive trimming and reloading, with user and deadline, until their end is trimmed as well")
  func trimmed() throws {
    var bucket = Bucket.sample(9, limit: 4)
    bucket.play(hold("a", 2))
    bucket.play(hold("b", 2, for: 20))
    #expect(try bucket.trim(to: 3) == 3)
    bucket = try .restored(from: bucket.payloads(partBytes: 512))
    let known = bucket.known(token: bytes("a"))
    #expect(known?.isTrimmed == false && known?.first.user == bytes("u") && known?.expires == 1010)
    #expect(known?.first.from == 9 && known?.first.to == 7 && known?.first.sequence == 2)
    expect(&bucket, hold("c", 1), .limit, 5, 0, now: 1009)
    expect(&bucket, hold("a", 2), .cancelled, 7, 0, now: 1010)
    expect(&bucket, .confirm(token: "b"), .ok, 7, 5, now: 1010)
    #expect(try bucket.events(after: 3, count: 9).map { $0.user.map(text) } == ["u", "u"])
    #expect(bucket.known(token: bytes("b"))?.isTrimmed == false)
    #expect(try bucket.trim(to: 4) == 1)
    #expect(bucket.known(token: bytes("a"))?.isTrimmed == true && bucket.known(token: bytes("b"))?.isTrimmed == false)
    #expect(try bucket.trim(to: 5) == 1)
    #expect(bucket.known(token: bytes("b"))?.isTrimmed == true)
    expect(&bucket, .cancel(token: "b", offSale: true), .ok, 7, 6)
    expect(&bucket, hold("c", 4), .ok, 3, 7)
  }
}
