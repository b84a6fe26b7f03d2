import Messaging
import Orders
import ServiceLifecycle
import Stock
import Testing

@testable import Doorbuster

/// The services themselves, run as they are, against the model servers.
@Suite("Services and carts", .serialized)
struct CartServiceTests {
  let hat: SKU
  let shoe: SKU

  init() throws { (hat, shoe) = (try SKU("hat"), try SKU("shoe")) }

  private func shop(hats: Int64 = 5, shoes: Int64 = 5) async throws -> (ModelServers, Doorbuster) {
    let servers = ModelServers()
    servers.with { $0.broker.firstCheckMs = 10 }
    var configuration = DoorbusterConfiguration()
    configuration.firstCheck = .seconds(3)
    configuration.purchaseDeadline = .seconds(2)
    configuration.storeFromLogAfter = .seconds(3)
    configuration.logInterval = .milliseconds(5)
    configuration.upkeepInterval = .milliseconds(5)
    let doorbuster = try servers.orchestrator(configuration)
    _ = try await doorbuster.createSale(hat, stock: hats, terms: SaleTerms(buckets: 3), path: .combined)
    _ = try await doorbuster.createSale(shoe, stock: shoes)
    return (servers, doorbuster)
  }

  /// Runs worker and check-back until nothing is on its way, 60 s at most.
  private func finish(_ doorbuster: Doorbuster) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for service in [doorbuster, doorbuster.worker(), doorbuster.checkBack()] as [any Service] {
        group.addTask { try await service.run() }
      }
      let deadline = RunningClock().now.advanced(by: .seconds(60))
      for sku in [hat, shoe] {
        while try await !doorbuster.status(sku).isSettled {
          try #require(RunningClock().now < deadline, "the sale does not come to rest")
          // Not by yielding alone: other tests want the processor too.
          try await Task.sleep(for: .milliseconds(2))
        }
      }
      group.cancelAll()
      try await group.waitForAll()
    }
  }

  private func sold(_ doorbuster: Doorbuster) async throws -> [Int64] {
    var sold: [Int64] = []
    for sku in [hat, shoe] {
      let books = try await doorbuster.books(sku)
      #expect(books.isBalanced)
      sold.append(books.databaseUnitsSold)
    }
    return sold
  }

  @Test("sell a cart once, and bring all its lines into the database", .timeLimit(.minutes(10)))
  func plain() async throws {
    let (servers, doorbuster) = try await shop()
    let cart = try Sample.cart()
    for isRepeat in [false, true] {
      guard case .accepted(let lines, isRepeat) = await doorbuster.purchase(cart: cart) else {
        Issue.record("not accepted")
        return
      }
      #expect(lines.map(\.purchase) == cart.purchases)
    }
    try await finish(doorbuster)
    #expect(try await sold(doorbuster) == [1, 2])
    #expect(servers.with { $0.orders.carts.count } == 1)
  }

  @Test("leave nothing behind of a cart that is refused, and answer a sold-out line of a first attempt in process")
  func refused() async throws {
    let (servers, doorbuster) = try await shop(shoes: 1)
    let cart = try Sample.cart()
    #expect(await doorbuster.purchase(cart: cart) == .refused(.soldOut, cart.purchases[1], remaining: 1))
    #expect(servers.with { $0.broker.halves.isEmpty })
    #expect(await doorbuster.purchase(cart: cart) == .cancelled(cart.purchases[0]))
    let calls = servers.calls
    let next = try Sample.cart("t2")
    #expect(
      await doorbuster.purchase(cart: next, isFirstAttempt: true) == .refused(.soldOut, next.purchases[1], remaining: 0)
    )
    #expect(servers.calls == calls)
    try await finish(doorbuster)
    #expect(try await sold(doorbuster) == [0, 0])
  }

  @Test("leave a cart's hold to the cart, whoever wants to confirm it alone")
  func confirmedAlone() async throws {
    let (servers, doorbuster) = try await shop()
    let cart = try Sample.cart()
    // Its orchestrator dies when both lines are held: after a look at each, the half message and two holds.
    for number in 0... {
      servers.cutOff(at: number)
      _ = await doorbuster.purchase(cart: cart)
      servers.cutOff(at: nil)
      if servers.with({ $0.stock.buckets.values.filter { $0.held > 0 }.count }) == 2 { break }
    }
    for line in cart.purchases {
      do {
        let outcome = try await doorbuster.confirm(line.sku, token: line.token)
        Issue.record("\(line.sku): \(outcome)")
      } catch {
        #expect(error.code == .cartUndecided, "\(error)")
      }
    }
    try await finish(doorbuster)
    #expect(try await sold(doorbuster) == [1, 2])
    for line in cart.purchases {
      #expect(try await doorbuster.confirm(line.sku, token: line.token) == .alreadyConfirmed)
    }
  }

  @Test("name the product whose path takes no carts, or that is not on sale")
  func paths() async throws {
    let (_, doorbuster) = try await shop()
    for (name, path) in [("a", SalePath.database), ("b", .buckets)] {
      let sku = try SKU(name)
      _ = try await doorbuster.createSale(sku, stock: 5, path: path)
      let cart = try Cart(user: UserID("u"), token: Token("t"), lines: [CartLine(sku: hat), CartLine(sku: sku)])
      guard case .failed(let error, let line?) = await doorbuster.purchase(cart: cart) else {
        Issue.record("not refused")
        return
      }
      #expect(error.code == .pathWithoutCarts && line.sku == sku)
    }
    let unknown = try Cart(user: UserID("u"), token: Token("t"), lines: [CartLine(sku: SKU("x"))])
    guard case .failed(.unknownSale(try SKU("x")), _) = await doorbuster.purchase(cart: unknown) else {
      Issue.record("not unknown")
      return
    }
  }

  @Test(
    "make it a whole order or none where its orchestrator is cut off at any of its calls",
    .timeLimit(.minutes(10)),
    arguments: 0..<10,
    [false, true]
  )
  func cutOff(at number: Int, carriesOut: Bool) async throws {
    for shoes in [5, 1] as [Int64] {
      let (servers, doorbuster) = try await shop(shoes: shoes)
      let cart = try Sample.cart()
      servers.cutOff(at: number, carriesOut: carriesOut)
      let outcome = await doorbuster.purchase(cart: cart)
      servers.cutOff(at: nil)
      try await finish(doorbuster)
      let sold = try await sold(doorbuster)
      #expect(sold == [0, 0] || (sold == [1, 2] && shoes == 5), "\(outcome)")
      if case .accepted = outcome { #expect(sold == [1, 2]) }
      let again = await doorbuster.purchase(cart: cart)
      if sold == [1, 2] {
        guard case .accepted(_, isRepeat: true) = again else {
          Issue.record("sold, and not accepted again: \(again)")
          return
        }
      }
    }
  }
}
