import Messaging
import Stock
import Testing

@testable import Doorbuster

@Suite("A cart's check-back, step by step")
struct CartCheckMachineTests {
  let cart: Cart
  let buckets: [BucketID]
  private var machine: CartCheckMachine

  init() throws {
    cart = try Sample.cart()
    let message = try Sample.message(cart)
    buckets = message.bucketIDs
    machine = CartCheckMachine(message)
    #expect(machine.start() == .fence(cart.token, buckets[0]))
  }

  /// Answers for both lines: nil for one that was fenced or over.
  private mutating func ask(_ records: [PurchaseRecord?]) -> CartCheckMachine.Action {
    var action = CartCheckMachine.Action.decide(.commit)
    for (line, record) in records.enumerated() {
      guard let record else {
        action = machine.fenced(line == 0 ? .fenced : .alreadyCancelled)
        continue
      }
      #expect(machine.fenced(.live) == .lookUp(cart.token, buckets[line]))
      action = machine.found(record)
    }
    return action
  }

  private func record(_ line: Int, _ state: PurchaseState, user: String? = nil) throws -> PurchaseRecord {
    Sample.record(cart.purchases[line], state, user: try user.map { try UserID($0) })
  }

  @Test("commits where all lines are live", arguments: [PurchaseState.held, .sold], [PurchaseState.held, .sold])
  mutating func commits(hat: PurchaseState, shoe: PurchaseState) throws {
    #expect(ask([try record(0, hat), try record(1, shoe)]) == .decide(.commit))
  }

  @Test("takes a line that its bucket keeps in its compact form for sold")
  mutating func compact() throws {
    #expect(machine.fenced(.live) == .lookUp(cart.token, buckets[0]))
    #expect(machine.found(nil) == .fence(cart.token, buckets[1]))
    #expect(machine.fenced(.live) == .lookUp(cart.token, buckets[1]))
    #expect(machine.found(try record(1, .held)) == .decide(.commit))
  }

  @Test("gives back what is held and rolls back where a line is not live")
  mutating func rollsBack() throws {
    #expect(ask([nil, try record(1, .held)]) == .giveBack(cart.token, buckets[1]))
    #expect(machine.gaveBack(.cancelled) == .decide(.rollBack))
  }

  @Test("asks all lines, so that a hold on its way to a later one is refused too")
  mutating func fencesAll() throws {
    #expect(machine.fenced(.fenced) == .fence(cart.token, buckets[1]))
    #expect(machine.fenced(.fenced) == .decide(.rollBack))
  }

  @Test("gives a hold back whose other line ended between the two questions")
  mutating func endedMeanwhile() throws {
    #expect(ask([try record(0, .held), try record(1, .cancelled)]) == .giveBack(cart.token, buckets[0]))
  }

  @Test("gives nothing back where a line is sold: another message has decided the cart")
  mutating func leavesSold() throws {
    #expect(ask([try record(0, .sold), nil]) == .decide(.rollBack))
  }

  @Test("gives nothing back where a line is another purchase's")
  mutating func leavesForeign() throws {
    #expect(ask([try record(0, .held), try record(1, .held, user: "bob")]) == .decide(.rollBack))
  }

  @Test("decides nothing while a bucket can't be asked")
  mutating func undecided() throws {
    #expect(machine.fenced(.live) == .lookUp(cart.token, buckets[0]))
    #expect(machine.stockFailed(Sample.stockGone) == .decide(.undecided(Sample.stockGone.message)))
  }
}
