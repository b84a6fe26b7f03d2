import Stock
import Testing

@testable import Doorbuster

@Suite("The desk where buyers of a short home queue")
struct PullDeskTests {
  typealias Duty = PullDesk.Duty
  typealias Assignment = PullDesk.Assignment

  private func enter(
    _ desk: inout PullDesk,
    _ quantity: Int64 = 1,
    home: Int = 0,
    remaining: Int64 = 0,
    atMs: Int64 = 0,
    deadlineMs: Int64 = 1000
  ) -> (PullDesk.BuyerID, [Assignment]) {
    desk.enter(
      quantity: quantity,
      home: home,
      remaining: remaining,
      deadline: Sample.instant(deadlineMs),
      now: Sample.instant(atMs)
    )
  }

  private func pulled(
    _ desk: inout PullDesk,
    _ buyer: Int,
    _ drafts: [PullDesk.Draft],
    _ deduction: DeductOutcome?,
    moved: [PullMachine.Moved],
    isSettled: Bool = true,
    atMs: Int64 = 10
  ) -> [Assignment] {
    let result = PullMachine.Result(
      deduction: deduction.map { .success($0) },
      moved: moved,
      isSettled: isSettled
    )
    return desk.pulled(buyer, drafts, result, now: Sample.instant(atMs))
  }

  private func read(
    _ desk: inout PullDesk,
    _ buyer: Int,
    _ infos: [BucketInfo?],
    atMs: Int64
  ) -> [Assignment] {
    desk.read(buyer, Sample.reading(infos, from: atMs), now: Sample.instant(atMs + 1))
  }

  private func accepted(remaining: Int64 = 0) -> DeductOutcome {
    .accepted(remaining: remaining, sequence: 1, isRepeat: false)
  }

  private func infos(_ available: Int64...) -> [BucketInfo?] { available.map { Sample.info(available: $0) } }

  @Test("pulls no more than there is, whatever a long queue wants in all")
  func greatQuantities() {
    var desk = PullDesk(buckets: 2)
    let most = StockLimits.quantityMax
    let (first, _) = enter(&desk, most)
    for _ in 0..<1100 { _ = enter(&desk, most) }
    let duties = read(&desk, first, infos(0, most), atMs: 1)
    #expect(duties == [Assignment(buyer: first, duty: .pull([.init(source: 1, quantity: most)], attempt: 1))])
  }

  @Test("lets the first read, and the others wait for it")
  func reading() {
    var desk = PullDesk(buckets: 3)
    #expect(enter(&desk).1 == [Assignment(buyer: 1, duty: .read)])
    #expect(enter(&desk).1 == [])
    #expect(enter(&desk, home: 1).1 == [])
    #expect(
      read(&desk, 1, infos(0, 0, 9), atMs: 5) == [
        Assignment(buyer: 1, duty: .pull([.init(source: 2, quantity: 5)], attempt: 1)),
        Assignment(buyer: 3, duty: .pull([.init(source: 2, quantity: 2)], attempt: 1)),
      ]
    )
  }

  @Test("pulls for all that wait, and lets those that the home can serve then try again")
  func pullsForAll() {
    var desk = PullDesk(buckets: 3)
    _ = enter(&desk)
    for _ in 0..<3 { _ = enter(&desk) }
    let drafts = [PullDesk.Draft(source: 1, quantity: 4)]
    #expect(
      read(&desk, 1, infos(0, 7, 0), atMs: 5) == [Assignment(buyer: 1, duty: .pull(drafts, attempt: 1))]
    )
    #expect(
      pulled(&desk, 1, drafts, accepted(remaining: 2), moved: [.units(4)]) == [
        Assignment(buyer: 2, duty: .tryAgain), Assignment(buyer: 3, duty: .tryAgain),
        Assignment(buyer: 4, duty: .pull([.init(source: 1, quantity: 2)], attempt: 1)),
      ]
    )
  }

  @Test("asks several buckets for an order that none of them can fill, the fullest first")
  func several() {
    var desk = PullDesk(buckets: 4)
    _ = enter(&desk, 8, remaining: 1)
    #expect(
      read(&desk, 1, infos(1, 2, 4, 3), atMs: 5) == [
        Assignment(
          buyer: 1,
          duty: .pull(
            [.init(source: 2, quantity: 4), .init(source: 3, quantity: 3)],
            attempt: 1
          )
        )
      ]
    )
  }

  @Test("goes on with the next attempt where others were faster, and begins none where the last is open")
  func attempts() {
    var desk = PullDesk(buckets: 3)
    _ = enter(&desk, 2)
    _ = read(&desk, 1, infos(0, 2, 2), atMs: 5)
    let first = [PullDesk.Draft(source: 1, quantity: 2)]
    let second = [PullDesk.Draft(source: 2, quantity: 2)]
    #expect(
      pulled(&desk, 1, first, .refused(.soldOut, remaining: 1), moved: [.units(1)]) == [
        Assignment(buyer: 1, duty: .pull([.init(source: 2, quantity: 1)], attempt: 2))
      ]
    )
    let end = pulled(&desk, 1, second, nil, moved: [.unknown(Sample.stockSilent)], isSettled: false)
    #expect(end == [Assignment(buyer: 1, duty: .giveUp(Sample.stockSilent.message))])
    #expect(desk.count == 0)
  }

  @Test("says sold out after two readings that prove it, to all that ask for more than is left")
  func soldOut() {
    var desk = PullDesk(buckets: 3)
    _ = enter(&desk, 3, remaining: 1)
    _ = enter(&desk, 2, home: 1)
    _ = enter(&desk, 4, home: 2)
    #expect(
      read(&desk, 1, infos(1, 1, 0), atMs: 5) == [
        // The second can be helped.
        Assignment(buyer: 1, duty: .read),
        Assignment(buyer: 2, duty: .pull([.init(source: 0, quantity: 1)], attempt: 1)),
      ]
    )
    #expect(
      read(&desk, 1, infos(1, 1, 0), atMs: 15) == [
        Assignment(buyer: 1, duty: .refuse(left: 2)), Assignment(buyer: 3, duty: .refuse(left: 2)),
      ]
    )
    #expect(desk.takeDeclaration() == .init(left: 2, asOf: Sample.instant(15)))
    #expect(desk.takeDeclaration() == nil)
    // The latest reading serves as the first of the next two.
    _ = enter(&desk, 5, home: 2, atMs: 20)
    #expect(read(&desk, 4, infos(1, 1, 0), atMs: 25) == [Assignment(buyer: 4, duty: .refuse(left: 2))])
  }

  @Test("waits while units are in transfer, and has them finished when that lasts")
  func inTransfer() {
    var desk = PullDesk(buckets: 2)
    _ = enter(&desk)
    let infos = [Sample.info(available: 0), Sample.info(available: 0, out: 3, open: 1)]
    #expect(read(&desk, 1, infos, atMs: 5) == [Assignment(buyer: 1, duty: .wait(ms: 1))])
    #expect(desk.woke(1, now: Sample.instant(10)) == [Assignment(buyer: 1, duty: .read)])
    #expect(read(&desk, 1, infos, atMs: 10) == [Assignment(buyer: 1, duty: .wait(ms: 2))])
    _ = desk.woke(1, now: Sample.instant(500))
    #expect(read(&desk, 1, infos, atMs: 500) == [Assignment(buyer: 1, duty: .finishTransfers([1]))])
    _ = desk.woke(1, now: Sample.instant(510))
    #expect(
      read(&desk, 1, [Sample.info(available: 3, in: 3), Sample.info(available: 0, out: 3)], atMs: 510) == [
        Assignment(buyer: 1, duty: .tryAgain)
      ]
    )
  }

  @Test("gives up at the deadline, and says what was in the way")
  func deadline() {
    var desk = PullDesk(buckets: 2)
    _ = enter(&desk, deadlineMs: 100)
    _ = enter(&desk, deadlineMs: 5000)
    let wait = read(&desk, 1, [Sample.info(available: 0), nil], atMs: 5)
    #expect(wait == [Assignment(buyer: 1, duty: .wait(ms: 1))])
    #expect(
      desk.woke(1, now: Sample.instant(100)) == [
        Assignment(buyer: 1, duty: .giveUp("a bucket can't be asked")), Assignment(buyer: 2, duty: .read),
      ]
    )
  }

  @Test("leaves a bucket alone that gave an error, for a while")
  func avoids() {
    var desk = PullDesk(buckets: 3)
    _ = enter(&desk)
    _ = read(&desk, 1, infos(0, 8, 2), atMs: 5)
    let first = [PullDesk.Draft(source: 1, quantity: 4)]
    #expect(
      pulled(&desk, 1, first, nil, moved: [.nothing(Sample.stockGone)]) == [
        Assignment(buyer: 1, duty: .pull([.init(source: 2, quantity: 1)], attempt: 2))
      ]
    )
    _ = pulled(&desk, 1, [.init(source: 2, quantity: 1)], accepted(), moved: [.units(1)])
    _ = enter(&desk, 2, atMs: 20)
    #expect(read(&desk, 2, infos(0, 8, 1), atMs: 20) == [Assignment(buyer: 2, duty: .wait(ms: 1))])
    _ = desk.woke(2, now: Sample.instant(700))
    #expect(
      read(&desk, 2, infos(0, 8, 1), atMs: 700) == [
        Assignment(buyer: 2, duty: .pull([.init(source: 1, quantity: 4)], attempt: 1))
      ]
    )
  }

  @Test("finds another leader, and another reader, where one goes away")
  func leaving() {
    var desk = PullDesk(buckets: 2)
    _ = enter(&desk)
    _ = enter(&desk)
    _ = enter(&desk, home: 1)
    #expect(desk.leave(1, now: Sample.instant(1)) == [Assignment(buyer: 2, duty: .read)])
    #expect(desk.leave(2, now: Sample.instant(1)) == [Assignment(buyer: 3, duty: .read)])
    #expect(desk.leave(3, now: Sample.instant(1)) == [])
    #expect(desk.count == 0)
  }
}
