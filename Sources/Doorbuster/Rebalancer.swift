import Logging
import Orders
import ServiceLifecycle
import Stock

/// The service that keeps the stock of sales of several buckets where it is bought: it moves few, large parts ahead of demand,
/// spreads them over more buckets as the heat rises, draws them together as the stock runs low, and finishes transfers that
/// a process which died has left open.
///
/// Any number of processes may run one: a lease for each sale keeps them from doing the same work at the same time. Nothing
/// depends on it, since each transfer is known by its name.
public final class Rebalancer: Service {
  private let stock: any StockService
  private let clock: any SaleClock
  private let sales: SaleWatch
  private let logger: Logger
  private let skus: Set<SKU>?
  private let holder = "rebalancer-\(UInt64.random(in: 0...UInt64.max))"

  /// How often a sale is looked at, and for how long a process that has stopped keeps the others from it.
  static let intervalMs: Int64 = 500
  static let leaseMs: Int64 = 3000

  /// - Parameter skus: the sales to see to; nil for all that the database knows.
  init(stock: any StockService, clock: any SaleClock, sales: SaleWatch, logger: Logger, skus: [SKU]? = nil) {
    self.stock = stock
    self.clock = clock
    self.sales = sales
    self.logger = logger
    self.skus = skus.map(Set.init)
  }

  /// Works until the task is cancelled or the process shuts down gracefully; what is being moved then is finished first.
  public func run() async {
    await cancelWhenGracefulShutdown { await self.work() }
  }

  /// Works until the task is cancelled.
  func work() async {
    await withDiscardingTaskGroup { group in
      var served: Set<SKU> = []
      await sales.withEach { known throws(OrderStoreError) in
        for sale in known where sale.isSpread && (skus?.contains(sale.sku) ?? true) {
          guard served.insert(sale.sku).inserted else { continue }
          group.addTask { await self.serve(KnownSale(sale)) }
        }
      }
    }
  }

  private func serve(_ sale: KnownSale) async {
    var rebalancer = SaleRebalancer(sale: sale, stock: stock, clock: clock, logger: logger)
    while await clock.wait(ms: Self.intervalMs.jittered) {
      guard await isOurs(sale) else { continue }
      let before = rebalancer
      rebalancer = await uncancelled { [logger] in
        var next = before
        let round = await next.round()
        if let problem = round.problem { logger.debug("\(sale.sku): \(problem)") }
        return next
      }
    }
  }

  /// Without an answer it goes on: two at work cost commands and nothing else.
  private func isOurs(_ sale: KnownSale) async -> Bool {
    let answer = await clock.bounded(by: clock.now.advanced(by: .milliseconds(Self.leaseMs))) {
      [stock, holder] () async throws(StockError) in
      try await stock.lease("rebalance", of: sale.sku, for: holder, ms: Self.leaseMs)
    }
    switch answer {
    case .success(let isOurs): return isOurs
    case .failure(let error):
      logger.debug("the lease of \(sale.sku) can't be had: \(error.message)")
      return true
    }
  }
}

extension Sale {
  /// Whether its stock lies in several buckets, and so can move.
  var isSpread: Bool { path.courier != nil && terms.buckets > 1 }
}

/// What one look at a sale's stock found and did.
public struct RebalanceReport: Hashable, Sendable {
  public struct Move: Hashable, Sendable {
    public var source: Int
    public var target: Int
    public var quantity: Int64
  }

  public var sku: SKU
  /// Groups of buckets that share what they have in one step.
  public var shared: [[Int]]
  public var moves: [Move]
  /// Transfers that were open for too long, and how many of them are finished now.
  public var overdue: Int
  public var finished: Int
  /// Why not all buckets could be looked at; nil where they could.
  public var problem: String?
}

extension Doorbuster {
  /// The service that keeps stock where it is bought. Each call makes a new one.
  /// - Parameter skus: the sales to see to; nil for all that the database knows, new ones included.
  public func rebalancer(of skus: [SKU]? = nil) -> Rebalancer {
    Rebalancer(stock: stock, clock: clock, sales: saleWatch, logger: logger, skus: skus)
  }

  /// Looks at the sales once, and does what there is to be done.
  ///
  /// Demand shows between two looks, so this one takes as long as a reading of the buckets and `demandFor` together.
  /// - Parameters:
  ///   - isDry: only to say what would be done.
  ///   - demandFor: how long demand is watched.
  /// - Throws: ``DoorbusterError`` `unknownSale`, `orders`, `stock` where a sale that is named was created on another list of
  ///   servers; where none is named, such sales are left out.
  public func rebalance(
    _ skus: [SKU]? = nil,
    isDry: Bool = false,
    demandFor: Duration = .seconds(1)
  ) async throws(DoorbusterError) -> [RebalanceReport] {
    var rebalancers = try await salesOfSeveralBuckets(skus)
      .map { SaleRebalancer(sale: $0, stock: stock, clock: clock, logger: logger) }
    for index in rebalancers.indices { _ = await rebalancers[index].round(isDry: true) }
    _ = await clock.wait(ms: demandFor.wholeMs)
    var reports: [RebalanceReport] = []
    for index in rebalancers.indices {
      let round = await rebalancers[index].round(isDry: isDry)
      reports.append(
        RebalanceReport(
          sku: rebalancers[index].sale.sku,
          shared: round.plan.shares.map(\.buckets),
          moves: round.plan.moves.map { .init(source: $0.source, target: $0.target, quantity: $0.quantity) },
          overdue: round.overdue.count,
          finished: round.finished,
          problem: round.problem
        )
      )
    }
    return reports
  }

  /// Of all that the database knows, those that are on these servers.
  /// - Throws: ``DoorbusterError`` `unknownSale` for one that is named and not known, `orders`, `stock`.
  func salesOfSeveralBuckets(_ skus: [SKU]?) async throws(DoorbusterError) -> [KnownSale] {
    var sales: [Sale] = []
    if let skus {
      for sku in skus { sales.append(try await knownSale(sku)) }
    } else {
      sales = try await asking(orders: orders) { orders throws(OrderStoreError) in try await orders.sales() }
        .filter { $0.servers.map { $0 == stock.serversText } ?? true }
    }
    return sales.filter(\.isSpread).map(KnownSale.init)
  }
}
