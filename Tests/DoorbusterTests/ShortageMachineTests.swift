import Orders
import Stock
import Testing

@testable import Doorbuster

@Suite("Orders for which the stock is short, step by step")
struct ShortageMachineTests {
  let sku: SKU
  let orders: [Order]
  init() throws {
    sku = try Sample.sku()
    orders = try (1...2).map { Sample.order(try Sample.purchase("t\($0)")) }
  }

  private let short = RecordOutcome.short(stock: 1)

  private func position(_ sequence: Int64) -> LogPosition { LogPosition(epoch: 7, sequence: sequence) }

  private func bucket(_ index: Int) -> BucketID { BucketID(sku: sku, index: index) }

  /// A machine whose buckets' logs are about to be read.
  private func reading(readMax: Int = 100) -> ShortageMachine {
    var machine = ShortageMachine(sku, orders, as: .sold, readMax: readMax)
    #expect(machine.start() == .load(sku))
    #expect(machine.loaded(buckets: 2, [0: position(10), 1: position(20)]) == .read(bucket(0), after: position(10)))
    return machine
  }

  @Test("are rejected where two readings of all logs tell of no units that came back")
  func rejects() {
    var machine = reading()
    #expect(machine.read([]) == .read(bucket(1), after: position(20)))
    #expect(machine.read([]) == .record(orders, as: .sold, rejecting: false))
    #expect(machine.recorded([.recorded, short]) == .read(bucket(0), after: position(10)))
    #expect(machine.read([]) == .read(bucket(1), after: position(20)))
    #expect(machine.read([]) == .record([orders[1]], as: .sold, rejecting: true))
    #expect(machine.recorded([.rejected]) == .finish([.recorded, .rejected]))
  }

  @Test("are recorded after the units that came back have been brought in early")
  func bringsBack() throws {
    var machine = reading(readMax: 2)
    let first = [Sample.event(11, .cancel, "v1", user: "bob", change: 2), Sample.event(12, .fence, "f")]
    #expect(machine.read(first) == .read(bucket(0), after: position(12)))
    #expect(
      machine.read([Sample.event(13, .expire, "v2", user: "bob", change: 2)]) == .read(bucket(1), after: position(20))
    )
    let second = [
      Sample.event(21, .hold, "v3", user: "eve", change: -2), Sample.event(22, .expire, "v3", user: "eve", change: 2),
    ]
    #expect(machine.read(second) == .read(bucket(1), after: position(22)))
    guard case .find(sku, let tokens) = machine.read([]) else {
      Issue.record("nothing found")
      return
    }
    #expect(try Set(tokens) == Set(["v1", "v2", "v3"].map { try Token($0) }))
    // v1's order is there, v2's token is another bucket's, v3's message is on its way.
    let mine = StoredOrder(order: Sample.order(try Sample.purchase("v1", user: "bob")), state: .sold)
    let other = StoredOrder(order: Sample.order(try Sample.purchase("v2", user: "bob"), bucket: 1), state: .sold)
    let missing = Sample.order(try Sample.purchase("v3", user: "eve"), bucket: 1, sequence: 21)
    let repairs: [OrderRepair] = [.move(sku, try Token("v1"), to: .cancelled), .record(missing, as: .cancelled)]
    #expect(machine.found([mine, other]) == .repair(repairs))
    #expect(machine.repaired([.repaired, .repaired]) == .record(orders, as: .sold, rejecting: false))
    #expect(machine.recorded([.recorded, .recorded]) == .finish([.recorded, .recorded]))
  }

  @Test("are looked after once more where the order of what came back appeared meanwhile")
  func looksAgain() throws {
    var machine = reading()
    let events = [
      Sample.event(11, .hold, "v", user: "eve", change: -2), Sample.event(12, .cancel, "v", user: "eve", change: 2),
    ]
    _ = machine.read(events)
    _ = machine.read([])
    let order = Sample.order(try Sample.purchase("v", user: "eve"), sequence: 11)
    #expect(machine.found([]) == .repair([.record(order, as: .cancelled)]))
    #expect(machine.repaired([.unchanged]) == .record(orders, as: .sold, rejecting: false))
    #expect(machine.recorded([short, short]) == .read(bucket(0), after: position(12)))
    #expect(machine.read([]) == .read(bucket(1), after: position(20)))
    #expect(machine.read([]) == .find(sku, [try Token("v")]))
    let row = StoredOrder(order: order, state: .held)
    #expect(machine.found([row]) == .repair([.move(sku, try Token("v"), to: .cancelled)]))
    #expect(machine.repaired([.repaired]) == .record(orders, as: .sold, rejecting: false))
  }

  @Test("do not wait for ever for a bucket that was never set up, and do for what one has given back before")
  func neverFollowed() throws {
    var machine = ShortageMachine(sku, orders, as: .held, readMax: 10)
    #expect(machine.loaded(buckets: 4, [1: position(10)]) == .locate(bucket(0)))
    #expect(machine.located(position(3)) == .locate(bucket(2)))
    #expect(machine.located(nil) == .locate(bucket(3)))
    #expect(machine.located(nil) == .read(bucket(0), after: position(3)))
    #expect(
      machine.read([Sample.event(4, .cancel, "v", user: "bob", change: 2)]) == .read(bucket(1), after: position(10))
    )
    #expect(machine.read([]) == .find(sku, [try Token("v")]))
    let row = StoredOrder(order: Sample.order(try Sample.purchase("v", user: "bob")), state: .sold)
    #expect(machine.found([row]) == .repair([.move(sku, try Token("v"), to: .cancelled)]))
    #expect(machine.repaired([.repaired]) == .record(orders, as: .held, rejecting: false))
    #expect(machine.recorded([short, short]) == .read(bucket(0), after: position(4)))
    #expect(machine.read([]) == .read(bucket(1), after: position(10)))
    #expect(machine.read([]) == .record(orders, as: .held, rejecting: true))
  }

  @Test("wait where more comes back again and again, where a bucket is away, and where the sale is unknown")
  func waits() throws {
    var machine = reading()
    for round in 0..<ShortageMachine.roundsMax {
      let cancel = Sample.event(Int64(11 + round), .cancel, "v\(round)", user: "bob", change: 2)
      #expect(machine.read([cancel]) == .read(bucket(1), after: position(20)))
      guard case .find = machine.read([]) else {
        Issue.record("round \(round) finds nothing")
        return
      }
      #expect(machine.found([]) == .record(orders, as: .sold, rejecting: false))
      let next = machine.recorded([short, short])
      let isLast = round == ShortageMachine.roundsMax - 1
      #expect(next == (isLast ? .finish([short, short]) : .read(bucket(0), after: position(Int64(11 + round)))))
    }
    machine = reading()
    #expect(machine.failed() == .finish([.short(stock: 0), .short(stock: 0)]))
    machine = ShortageMachine(sku, orders, as: .held, readMax: 10)
    #expect(machine.loaded(buckets: nil, [0: position(1)]) == .finish([.short(stock: 0), .short(stock: 0)]))
  }
}
