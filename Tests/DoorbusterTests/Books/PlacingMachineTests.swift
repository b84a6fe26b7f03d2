import Orders
import Stock
import Testing

@testable import Doorbuster

@Suite("Placing an order whose purchase is lost")
struct PlacingMachineTests {
  typealias Action = PlacingMachine.Action

  private let order: StoredOrder
  private let entry: LostEntry
  init() throws {
    let purchase = try Sample.purchase("t", quantity: 5)
    order = StoredOrder(order: Sample.order(purchase, bucket: 1), state: .held)
    entry = .purchase(purchase, .held)
  }

  private func machine() -> PlacingMachine { PlacingMachine(order, in: 1) }

  private func infos(_ available: Int64...) -> [BucketInfo?] {
    available.map {
      var bucket = ModelBucket(created: $0, terms: SaleTerms(buckets: available.count), epoch: 1, nowMs: 0)
      bucket.held = 0
      return bucket.info
    }
  }

  private func half(_ move: Int, _ direction: Transfer.Direction, source: Int, _ units: Int64) throws -> LostEntry {
    let token = try Token("t")
    let name = try #require(PlacingMachine.name(token, move: move, from: source, units: units))
    return .transfer(Transfer(name: name, direction: direction, peer: direction == .out ? 1 : source, quantity: units))
  }

  private func name(_ move: Int, source: Int, _ units: Int64) throws -> TransferName {
    try #require(PlacingMachine.name(try Token("t"), move: move, from: source, units: units))
  }

  @Test(
    "Where its bucket has the units, it is written in, once",
    arguments: [LostEntryOutcome.recorded, .alreadyThere]
  )
  func placed(outcome: LostEntryOutcome) {
    var machine = machine()
    #expect(machine.start() == .record(entry, in: 1))
    #expect(machine.recorded(outcome) == .done(.placed))
  }

  @Test("What is missing comes from the bucket that has most, and the transfer is closed at both ends")
  func moves() throws {
    var machine = machine()
    _ = machine.start()
    #expect(machine.recorded(.short(remaining: 2)) == .look)
    #expect(machine.looked(infos(1, 2, 7)) == .record(try half(0, .out, source: 2, 3), in: 2))
    #expect(machine.recorded(.recorded) == .record(try half(0, .in, source: 2, 3), in: 1))
    #expect(machine.recorded(.recorded) == .settle(try name(0, source: 2, 3), in: 2))
    #expect(machine.settled() == .settle(try name(0, source: 2, 3), in: 1))
    #expect(machine.settled() == .record(entry, in: 1))
    #expect(machine.recorded(.recorded) == .done(.placed))
  }

  @Test("Several buckets give what one has not, and units that were taken meanwhile are looked for elsewhere")
  func movesFromSeveral() throws {
    var machine = machine()
    _ = machine.start()
    _ = machine.recorded(.short(remaining: 0))
    #expect(machine.looked(infos(2, 0, 4)) == .record(try half(0, .out, source: 2, 4), in: 2))
    #expect(machine.recorded(.short(remaining: 1)) == .look)
    #expect(machine.looked(infos(2, 3, 0)) == .record(try half(1, .out, source: 0, 2), in: 0))
    _ = machine.recorded(.alreadyThere)
    _ = machine.recorded(.alreadyThere)
    _ = machine.settled()
    #expect(machine.settled() == .record(entry, in: 1))
  }

  @Test("Units that are there by now are taken")
  func arrived() throws {
    var machine = machine()
    _ = machine.start()
    _ = machine.recorded(.short(remaining: 0))
    #expect(machine.looked(infos(0, 5, 0)) == .record(entry, in: 1))
  }

  private func givenUp(_ machine: inout PlacingMachine) {
    _ = machine.start()
    var action = machine.recorded(.short(remaining: 1))
    for _ in 1..<PlacingMachine.emptyLooksMax {
      #expect(action == .look)
      action = machine.looked(infos(1, 1, 2))
    }
    #expect(machine.looked(infos(1, 1, 2)) == .fence(order.order.purchase.token, in: 1))
  }

  @Test("Units of an open transfer are waited for")
  func waits() {
    var machine = machine()
    _ = machine.start()
    _ = machine.recorded(.short(remaining: 1))
    var infos = infos(1, 1, 2)
    infos[0]?.transfers = 1
    #expect(machine.looked(infos) == .wait)
    #expect(machine.woke() == .look)
  }

  @Test("Only when no bucket has units for it, again and again, is its token spent")
  func withoutUnits() {
    for (outcome, result) in [
      (FenceOutcome.fenced, PlacingMachine.Result.withoutUnits), (.alreadyCancelled, .withoutUnits), (.live, .placed),
    ] {
      var machine = machine()
      givenUp(&machine)
      #expect(machine.fenced(outcome) == .done(result))
    }
  }

  @Test("A frozen bucket fences no unknown token, and is told that it is cancelled")
  func frozen() {
    var machine = machine()
    givenUp(&machine)
    #expect(machine.fenceRefusedByFreeze() == .record(.purchase(order.order.purchase, .cancelled), in: 1))
    #expect(machine.recorded(.recorded) == .done(.withoutUnits))
  }

  @Test("A token that is another purchase's is left alone, and a name that is taken is passed over")
  func mismatches() throws {
    var machine = machine()
    _ = machine.start()
    #expect(machine.mismatched() == .done(.mismatch))
    machine = self.machine()
    _ = machine.start()
    _ = machine.recorded(.short(remaining: 0))
    _ = machine.looked(infos(9, 0, 0))
    #expect(machine.mismatched() == .look)
    #expect(machine.looked(infos(9, 0, 0)) == .record(try half(1, .out, source: 0, 5), in: 0))
  }

  @Test("Every token makes a name that transfers can have")
  func names() throws {
    let longest = try Token(bytes: [UInt8](repeating: 7, count: 128))
    let name = PlacingMachine.name(longest, move: PlacingMachine.movesMax, from: 16_383, units: StockLimits.quantityMax)
    #expect(name != nil)
  }
}
