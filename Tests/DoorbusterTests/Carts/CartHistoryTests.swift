import Messaging
import Orders
import Stock
import Testing

@testable import Doorbuster

/// The stories that carts are broken by, each told once, in a world where only what a test says goes wrong.
@Suite("Histories of carts")
struct CartHistoryTests {
  let world = World(seed: 1)
  let carts = CartAuditor()
  let purchases = Auditor()
  let cart: Cart
  let orchestrator = Process("orchestrator")
  private let worker = Process("worker")

  init() throws {
    cart = try Sample.cart()
    world.slowness = 0
    for line in cart.purchases { world.open(line.sku, units: 5) }
    world.afterEvent = { [purchases] in purchases.watch($0) }
  }

  private var hat: Purchase { cart.purchases[0] }
  private var shoe: Purchase { cart.purchases[1] }

  private func buy(afterMs: Int64 = 0, in process: Process? = nil) {
    let process = process ?? orchestrator
    world.after(afterMs) { [carts, cart, world] in
      carts.asked(cart)
      world.attempt(cart, in: process) { carts.heard($0, of: cart) }
    }
  }

  /// Of a cart that is accepted, call 0 is the half message, 1 and 2 the holds, 3 the commit, 4 and 5 the confirmations;
  /// where the second line is refused, 3 is its fence and 4 the first line's cancel.
  private func call(_ number: Int, _ fate: World.Fate) { world.fates["orchestrator", default: [:]][number] = fate }

  private func change(_ line: Purchase, _ body: (inout ModelBucket) throws(StockError) -> Void) throws {
    try world.stock.with(world.home(of: line), body)
  }

  /// All shoes are taken by somebody, and back later.
  private func takeShoes(untilMs: Int64) throws {
    let other = try Sample.purchase("other", user: "bob", quantity: 5)
    let nowMs = world.nowMs
    try change(other) { bucket throws(StockError) in
      _ = try bucket.deduct(other, holdMs: untilMs, nowMs: nowMs)
    }
  }

  private func state(_ line: Purchase) -> OrderState? {
    world.orders.orders[.init(sku: line.sku, token: line.token)]?.state
  }

  private func settle(sourceLocation: SourceLocation = #_sourceLocation) {
    for process in [orchestrator, worker] where !process.isUp {
      process.dies = nil
      process.restart()
    }
    world.work(in: worker)
    _ = world.run(forMs: 200_000)
    #expect(world.run(forMs: 600_000) { $0.isAtRest }, "\(world.broker.status)", sourceLocation: sourceLocation)
    carts.audit(world)
    for line in cart.purchases { purchases.audit(world, initialDatabaseStock: 5, sku: line.sku) }
    #expect(carts.findings + purchases.findings == [], sourceLocation: sourceLocation)
  }

  @Test("A cart becomes an order of each line")
  func plain() {
    buy()
    world.work(in: worker)
    settle()
    #expect(carts.accepted(cart))
    #expect(state(hat) == .sold && state(shoe) == .sold)
  }

  @Test("A hold that ends between the commit and its confirmation ends the whole cart")
  func holdEnds() {
    // Nobody works for longer than a hold lasts.
    orchestrator.dies = (4, .beforeCall)
    buy()
    _ = world.run(forMs: 130_000)
    settle()
    #expect(state(hat) == .cancelled && state(shoe) == .cancelled)
  }

  @Test("A cancel that arrives late takes no line out of a cart whose token was tried again")
  func lateCancel() throws {
    try takeShoes(untilMs: 2_000)
    call(4, .late(ms: 15_000))
    buy()
    buy(afterMs: 4_000, in: Process("another"))
    _ = world.run(forMs: 6_000)
    world.work(in: worker)
    settle()
    // The fence came before the cancel, so the second attempt could not be accepted.
    #expect(!carts.accepted(cart))
    #expect(state(hat) == .cancelled)
  }

  @Test("A line that its buyer gives back later leaves the others sold, whatever half message is left to be checked")
  func givenBack() throws {
    // The commit's answer is lost, so the message goes out as a plain one and its half is left over.
    call(3, .refused)
    world.work(in: worker)
    buy()
    _ = world.run(forMs: 2_000) { [cart] world in
      cart.purchases.allSatisfy { world.orders.orders[.init(sku: $0.sku, token: $0.token)]?.state == .sold }
    }
    #expect(carts.accepted(cart) && !world.broker.halves.isEmpty)
    carts.cancelAsked(cart.token)
    purchases.cancelAsked(cart.token)
    let nowMs = world.nowMs
    try change(shoe) { bucket throws(StockError) in
      _ = try bucket.cancel(shoe.token, fence: false, offSale: false, nowMs: nowMs)
    }
    settle()
    #expect(state(hat) == .sold && state(shoe) == .cancelled)
  }

  @Test(
    "A sold line of a cart that is sent again stays sold, though the reply of its hold was lost and another is back"
  )
  func sentAgain() throws {
    world.work(in: worker)
    buy()
    _ = world.run(forMs: 2_000) { [cart] world in
      cart.purchases.allSatisfy { world.orders.orders[.init(sku: $0.sku, token: $0.token)]?.state == .sold }
    }
    carts.cancelAsked(cart.token)
    purchases.cancelAsked(cart.token)
    let nowMs = world.nowMs
    try change(shoe) { bucket throws(StockError) in
      _ = try bucket.cancel(shoe.token, fence: false, offSale: false, nowMs: nowMs)
    }
    world.fates["another", default: [:]][1] = .silent
    buy(in: Process("another"))
    settle()
    #expect(carts.heard[cart]?.last == .cancelled(shoe))
    #expect(state(hat) == .sold && state(shoe) == .cancelled)
    #expect(world.stock.buckets[world.home(of: hat)]?.sold == 1)
  }

  @Test("A hold whose reply was lost is given back by the check of its half message, long before it ends")
  func lostHold() throws {
    try takeShoes(untilMs: 200_000)
    call(1, .silent)
    world.work(in: worker)
    buy()
    _ = world.run(forMs: 9_000)
    #expect(carts.heard[cart] == [.refused(.soldOut, shoe, remaining: 0)])
    #expect(world.stock.buckets[world.home(of: hat)]?.held == 1 && !world.broker.halves.isEmpty)
    _ = world.run(forMs: 10_000)
    #expect(world.stock.buckets[world.home(of: hat)]?.available == 5)
    settle()
    #expect(state(hat) == .cancelled && state(shoe) == nil)
  }

  @Test("Units that the database does not have leave the sale, and the cart's other lines go back on sale")
  func short() {
    world.orders.stock[shoe.sku] = 1
    buy()
    world.work(in: worker)
    _ = world.run(forMs: 60_000)
    #expect(carts.accepted(cart))
    #expect(state(hat) == .cancelled && state(shoe) == .rejected)
    #expect(world.stock.buckets[world.home(of: hat)]?.available == 5)
    #expect(world.stock.buckets[world.home(of: shoe)]?.added == -2)
  }

  @Test("A hold of an orchestrator that died is no order while it is undecided, and given back by the check")
  func undecided() {
    orchestrator.dies = (2, .beforeCall)
    world.broker.firstCheckMs = 60_000
    world.work(in: worker)
    buy()
    _ = world.run(forMs: 50_000)
    #expect(state(hat) == nil)
    #expect(world.stock.buckets[world.home(of: hat)]?.held == 1)
    _ = world.run(forMs: 20_000)
    #expect(world.stock.buckets[world.home(of: hat)]?.held == 0)
    settle()
    #expect(state(hat) == .cancelled && state(shoe) == nil)
  }
}
