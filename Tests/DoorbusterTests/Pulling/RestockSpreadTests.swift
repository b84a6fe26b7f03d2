import Orders
import Stock
import Testing

@testable import Doorbuster

@Suite("Restocks of many buckets")
struct RestockSpreadTests {
  let sku: SKU
  init() throws { sku = try Sample.sku() }

  private func open(units: Int64, buckets: Int) async throws -> (CoreServers, ModelServers, Doorbuster) {
    let stock = CoreServers()
    let servers = ModelServers()
    let doorbuster = try Doorbuster(stock: stock, broker: servers, orders: servers, logger: Sample.logger)
    _ = try await doorbuster.createSale(sku, stock: units, terms: SaleTerms(buckets: buckets), path: .combined)
    return (stock, servers, doorbuster)
  }

  private func bucket(_ index: Int) -> BucketID { BucketID(sku: sku, index: index) }

  /// Brings all units of the sale into one bucket.
  private func gather(_ stock: CoreServers, into target: Int) async throws {
    for index in stock.infos(of: sku).indices where index != target {
      let name = try TransferName("gather/\(index)")
      guard
        case .withdrawn(let units, _) = try await stock.withdraw(
          name,
          quantity: 1 << 40,
          from: bucket(index),
          to: target
        )
      else { continue }
      _ = try await stock.deposit(Deposit(name: name, source: index, quantity: units), into: bucket(target))
      _ = try await stock.settle(name, in: bucket(index))
      _ = try await stock.settle(name, in: bucket(target))
    }
  }

  private func available(_ stock: CoreServers) -> Int64 { stock.infos(of: sku).reduce(0) { $0 + $1.available } }

  @Test("go up by shares that differ by one at most, and once", .timeLimit(.minutes(10)))
  func up() async throws {
    let (stock, _, doorbuster) = try await open(units: 0, buckets: 12)
    for _ in 0..<2 { try await doorbuster.restock(sku, token: Token("r1"), quantity: 31) }
    #expect(stock.infos(of: sku).map(\.available) == [3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2])
  }

  @Test("go down by their shares wherever the units are, and once", .timeLimit(.minutes(10)), arguments: [0, 5, 11])
  func down(gathered: Int) async throws {
    let (stock, servers, doorbuster) = try await open(units: 60, buckets: 12)
    try await gather(stock, into: gathered)
    for _ in 0..<2 { try await doorbuster.restock(sku, token: Token("r1"), quantity: -50) }
    let infos = stock.infos(of: sku)
    #expect(infos.map(\.added) == [-5, -5] + Array(repeating: -4, count: 10))
    #expect(available(stock) == 10 && infos.allSatisfy { $0.transfers == 0 })
    #expect(servers.with { $0.orders.stock[sku] } == 10)
    try await doorbuster.restock(sku, token: Token("r2"), quantity: -10)
    #expect(available(stock) == 0)
  }

  @Test("take nothing where all buckets together have too little", .timeLimit(.minutes(10)))
  func short() async throws {
    let (stock, servers, doorbuster) = try await open(units: 60, buckets: 12)
    try await gather(stock, into: 3)
    for _ in 0..<2 {
      await #expect {
        try await doorbuster.restock(sku, token: Token("r1"), quantity: -61)
      } throws: {
        ($0 as? DoorbusterError)?.code == .restockShort || ($0 as? DoorbusterError)?.code == .restockMismatch
      }
    }
    #expect(available(stock) == 60 && servers.with { $0.orders.stock[sku] } == 60)
    #expect(stock.infos(of: sku).allSatisfy { $0.transfers == 0 })
  }

  @Test(
    "are completed by the same call wherever they were cut off",
    .timeLimit(.minutes(10)),
    arguments: [false, true]
  )
  func cutOff(carriedOut: Bool) async throws {
    var cut = 0
    while true {
      let (stock, servers, doorbuster) = try await open(units: 24, buckets: 4)
      try await gather(stock, into: 2)
      stock.resetCounts()
      let limit = cut
      stock.onCommand { [unowned stock] _, _ in
        stock.commands < limit ? nil : stock.commands == limit && carriedOut ? .silent : .refused
      }
      let wasCut: Bool
      do {
        try await doorbuster.restock(sku, token: Token("r1"), quantity: -22)
        wasCut = false
      } catch {
        wasCut = true
      }
      stock.onCommand { _, _ in nil }
      try await doorbuster.restock(sku, token: Token("r1"), quantity: -22)
      #expect(available(stock) == 2 && servers.with { $0.orders.stock[sku] } == 2, "cut at \(cut)")
      guard wasCut else { break }
      cut += cut < 12 ? 1 : 9
    }
    #expect(cut > 12)
  }

  @Test("close every bucket that can be asked, and say which can't", .timeLimit(.minutes(10)))
  func close() async throws {
    let (stock, _, doorbuster) = try await open(units: 24, buckets: 4)
    stock.onCommand { _, bucket in bucket.index == 1 ? .refused : nil }
    await #expect(throws: DoorbusterError.self) { try await doorbuster.closeSale(sku) }
    #expect(stock.infos(of: sku).map { $0.closesMs != 0 } == [true, false, true, true])
    stock.onCommand { _, _ in nil }
    try await doorbuster.closeSale(sku)
    #expect(Set(stock.infos(of: sku).map(\.closesMs)).count == 1)
  }
}
