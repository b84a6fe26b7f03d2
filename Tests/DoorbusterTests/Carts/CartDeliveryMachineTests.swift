import Messaging
import Orders
import Stock
import Testing

@testable import Doorbuster

@Suite("A cart's delivery, step by step")
struct CartDeliveryMachineTests {
  let cart: Cart
  let order: CartOrder
  let buckets: [BucketID]
  private var machine: CartDeliveryMachine

  init() throws {
    cart = try Sample.cart()
    let message = try Sample.message(cart)
    order = message.order
    buckets = message.bucketIDs
    machine = CartDeliveryMachine(message)
    #expect(machine.start() == .confirm(cart.token, buckets[0]))
  }

  private mutating func confirmAll() {
    #expect(machine.confirmed(.confirmed) == .confirm(cart.token, buckets[1]))
    #expect(machine.confirmed(.alreadyConfirmed) == .record(CartRecording(order, as: .sold)))
  }

  @Test("confirms all lines, records them, and is acknowledged")
  mutating func plain() {
    confirmAll()
    #expect(machine.recorded(.sold) == .done(.acknowledge))
  }

  @Test("of which a line is over ends the cart and gives all lines back")
  mutating func lineOver() {
    #expect(machine.confirmed(.confirmed) == .confirm(cart.token, buckets[1]))
    #expect(machine.confirmed(.cancelled) == .record(CartRecording(order, as: .cancelled)))
    #expect(machine.recorded(.over([.cancelled, .cancelled])) == .cancel(cart.token, buckets[0], offSale: false))
    #expect(machine.cancelled(.cancelled) == .cancel(cart.token, buckets[1], offSale: false))
    #expect(machine.cancelled(.alreadyCancelled) == .done(.acknowledge))
  }

  @Test("of a cart that is recorded leaves a line alone that was given back since")
  mutating func givenBack() {
    #expect(machine.confirmed(.cancelled) == .record(CartRecording(order, as: .cancelled)))
    #expect(machine.recorded(.sold) == .done(.acknowledge))
  }

  @Test("looks for units on their way where the database is short, then ends the cart: what it lacks leaves the sale")
  mutating func short() throws {
    confirmAll()
    let shoes = try SKU("shoe")
    let shortage = ShortageMachine(order, short: order.lines[1], readMax: Reliever.readMax)
    #expect(machine.recorded(.short(shoes, stock: 1)) == .relieve(shortage))
    var again = machine
    #expect(machine.recorded(.over([.cancelled, .rejected])) == .cancel(cart.token, buckets[0], offSale: false))
    #expect(machine.cancelled(.cancelled) == .cancel(cart.token, buckets[1], offSale: true))
    #expect(machine.cancelled(.cancelled) == .done(.acknowledge))
    guard case .done(.retry(_, countsAsAttempt: false)) = again.recorded(.short(shoes, stock: 1)) else {
      Issue.record("not tried again")
      return
    }
  }

  @Test("that finds a bucket or the database out of reach is tried again without counting")
  mutating func faults() {
    let retry = CartDeliveryMachine.Action.done(.retry(Sample.stockGone.message, countsAsAttempt: false))
    #expect(machine.confirmFailed(Sample.stockGone) == retry)
    confirmAll()
    #expect(
      machine.recordFailed(Sample.databaseGone)
        == .done(.retry(Sample.databaseGone.message, countsAsAttempt: false))
    )
    #expect(machine.recorded(.over([.cancelled, .cancelled])) == .cancel(cart.token, buckets[0], offSale: false))
    #expect(machine.cancelFailed(Sample.stockGone) == retry)
  }

  @Test("of a line that its bucket has lost is recorded, as a lost purchase is", arguments: [true, false])
  mutating func lostLine(isFrozen: Bool) {
    let next = isFrozen ? machine.confirmFailed(StockError(.frozen, "frozen")) : machine.confirmed(.unknownToken)
    #expect(next == .confirm(cart.token, buckets[1]))
  }

  @Test("of a cart that can't be written counts as an attempt")
  mutating func refused() {
    confirmAll()
    var other = machine
    #expect(machine.recorded(.refused("no")) == .done(.retry("no", countsAsAttempt: true)))
    guard
      case .done(.retry(let reason, countsAsAttempt: true)) = other.recorded(
        .unknownProduct(order.lines[1].purchase.sku)
      )
    else {
      Issue.record("not counted")
      return
    }
    #expect(reason.contains("shoe"))
  }

  @Test("of another cart than the database has of its token is dead, and gives back what the two don't share")
  mutating func mismatch() throws {
    confirmAll()
    let stored = StoredCart(
      lead: order.lead,
      token: cart.token,
      user: cart.user,
      text: "hat=1 sock=1",
      state: .sold,
      createdAtMs: 5
    )
    #expect(machine.recorded(.mismatch(stored)) == .cancel(cart.token, buckets[1], offSale: false))
    guard case .done(.deadLetter(let reason)) = machine.cancelled(.cancelled) else {
      Issue.record("not dead")
      return
    }
    #expect(reason.contains("hat=1 sock=1") && reason.contains("hat=1 shoe=2"))
  }

  @Test("whose line's token is another order gives the line back where it is this cart's, and is dead")
  mutating func conflict() throws {
    confirmAll()
    let other = StoredOrder(order: Sample.order(try Sample.purchase(user: "bob")), state: .sold)
    let settlement = SettlementMachine(order: order.lines[1], outcome: .conflict(other))
    #expect(
      machine.recorded(.over([.cancelled, .conflict(other)])) == .cancel(cart.token, buckets[0], offSale: false)
    )
    #expect(machine.cancelled(.cancelled) == .settle(settlement))
    #expect(machine.settled(.deadLetter("conflict")) == .done(.deadLetter("conflict")))
  }
}
