import Logging
import Messaging
import Orders
import ServiceLifecycle
import Stock

/// The orchestrator: sells on each sale's path, carries purchases from the buckets to the database, sets sales up, and says
/// how they stand.
///
/// A sale on the path `database` needs neither stock nor broker: nothing is asked of them for it.
///
/// Its ``run()`` rolls the half messages of refused purchases back behind the buyers' answers. It is optional: while it
/// does not run, those answers wait for the roll-back.
public final class Doorbuster: Service {
  let stock: any StockService
  let broker: any MessageBroker
  let orders: any OrderStore
  let clock: any SaleClock
  let configuration: DoorbusterConfiguration
  let logger: Logger
  let directory = SaleDirectory()
  let puller: Puller
  private let rollBacks: RollBackQueue
  private let elsewhere = SalesElsewhere()

  /// - Throws: ``InvalidInput`` for a setting outside its bounds; so for a purchase deadline that is not shorter than
  ///   the broker's first check.
  public init(
    stock: any StockService,
    broker: any MessageBroker,
    orders: any OrderStore,
    clock: any SaleClock = SystemSaleClock(),
    configuration: DoorbusterConfiguration = DoorbusterConfiguration(),
    logger: Logger
  ) throws(InvalidInput) {
    try configuration.validate()
    self.stock = stock
    self.broker = broker
    self.orders = orders
    self.clock = clock
    self.configuration = configuration
    self.logger = logger
    puller = Puller(stock: stock, clock: clock, logger: logger)
    rollBacks = RollBackQueue(pendingMax: configuration.rollBacksMax)
  }

  /// The service that brings purchases into the database. Each call makes a new one, with its own counters.
  public func worker() -> Worker {
    Worker(
      stock: stock,
      broker: broker,
      orders: orders,
      sales: saleWatch,
      clock: clock,
      configuration: configuration,
      logger: logger
    )
  }

  /// The service that answers the broker's check-backs.
  public func checkBack() -> CheckBack {
    CheckBack(
      stock: stock,
      broker: broker,
      sales: saleWatch,
      clock: clock,
      topic: configuration.topic,
      logger: logger
    )
  }

  /// Which sales there are, for one of its services.
  var saleWatch: SaleWatch {
    SaleWatch(
      orders: orders,
      servers: stock.serversText,
      clock: clock,
      intervalMs: configuration.upkeepInterval.wholeMs,
      logger: logger,
      elsewhere: elsewhere
    )
  }

  /// Rolls back behind the answers until the task is cancelled or the process shuts down gracefully; what is pending
  /// then is finished first.
  public func run() async throws {
    rollBacks.open()
    await withDiscardingTaskGroup { group in
      for _ in 0..<configuration.rollBackLanes {
        group.addTask {
          while let half = await self.rollBacks.next() { await self.rollBack(half) }
        }
      }
      // Until cancellation or graceful shutdown, whichever comes first; both end the wait alike.
      try? await gracefulShutdown()
      rollBacks.close()
    }
  }

  /// Buys, on the path of the product's sale. Sent again with the same token, it hears the first outcome and takes
  /// nothing.
  /// - Parameter holdMs: how long the units are kept for the buyer until ``confirm(_:token:)``, 1 to 2^53 ms; nil to buy
  ///   at once. A token that was taken before stays as it is: a held one is not sold by it, nor its hold prolonged.
  /// - Parameter isFirstAttempt: whether the caller knows that this token was never sent before. Then a product that is known
  ///   to be sold out (``StockService/soldOut``) is answered in process, without asking anybody. A token sent again must
  ///   hear its first outcome, which a bucket alone knows.
  public nonisolated(nonsending) func purchase(
    _ purchase: Purchase,
    holdMs: Int64? = nil,
    isFirstAttempt: Bool = false
  ) async -> PurchaseOutcome {
    if isFirstAttempt, isSoldOut(purchase) { return .refused(.soldOut, remaining: 0) }
    do throws(DoorbusterError) {
      try Self.check(holdMs: holdMs)
      let sale = try await lookUp(purchase.sku)
      guard let courier = sale.path.courier else { return await sell(purchase, holdMs: holdMs) }
      var call = PurchaseCall(purchase, of: sale, holdMs: configuration.toldFromCarts(holdMs), courier, at: self)
      return await call.run()
    } catch {
      return .failed(error)
    }
  }

  /// - Throws: ``DoorbusterError`` `invalid`.
  private static func check(holdMs: Int64?) throws(DoorbusterError) {
    guard let holdMs, !(1...StockLimits.quantityMax).contains(holdMs) else { return }
    throw DoorbusterError(
      InvalidInput(argument: "hold", value: String(holdMs).utf8, requirement: "1 to 2^53 ms")
    )
  }

  /// What never changes about the product's sale; asked of the database the first time.
  /// - Throws: as ``knownSale(_:)``.
  nonisolated(nonsending) func lookUp(_ sku: SKU) async throws(DoorbusterError) -> KnownSale {
    if let sale = directory[sku] { return sale }
    return KnownSale(try await knownSale(sku))
  }

  /// The sale as the database has it now.
  /// - Throws: ``DoorbusterError`` `unknownSale`, `orders`, `stock` where it was created on another list of servers.
  nonisolated(nonsending) func knownSale(_ sku: SKU) async throws(DoorbusterError) -> Sale {
    let sale = try await asking(orders: orders) { orders throws(OrderStoreError) in try await orders.sale(sku) }
    guard let sale else { throw .unknownSale(sku) }
    try verifyServers(of: sale)
    directory.note(sale)
    return sale
  }

  /// Behind the caller's back, as long as there is room for it.
  nonisolated(nonsending) func rollBackSoon(_ half: HalfMessage) async {
    if !rollBacks.offer(half) { await rollBack(half) }
  }

  private nonisolated(nonsending) func rollBack(_ half: HalfMessage) async {
    do throws(MessagingError) {
      try await broker.rollBack(half)
    } catch {
      logger.debug("half message \(half.id) is left to the check-back: \(error.message)")
    }
  }
}

extension Int64 {
  func addingClamped(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
