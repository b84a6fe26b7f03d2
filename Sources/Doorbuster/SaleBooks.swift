import Orders
import Stock

/// A sale's books, held against each other purchase by purchase. Exact once the sale is settled
/// (``SaleStatus/isSettled``); while messages are on their way, ``lost`` counts what they carry.
public struct SaleBooks: Hashable, Sendable {
  /// Units created, restocked and transferred in, less those taken off sale or transferred out, over all buckets.
  public var unitsOnSale: Int64
  /// Units held and sold, over all buckets.
  public var unitsSold: Int64
  public var redisAvailable: Int64
  /// Orders held and sold, and their units.
  public var databaseOrders: Int64
  public var databaseUnitsSold: Int64
  public var databaseStock: Int64
  /// Orders that the database had no stock for.
  public var databaseRejected: Int64
  /// Units sold beyond those put on sale, in the buckets or in the database, whichever is more.
  public var oversold: Int64
  /// Purchases that stand in a bucket.
  public var purchases: Int64
  /// Of those, the ones without their order: the same bucket, user and quantity, held or sold.
  public var purchasesWithoutOrder: Int64
  /// Orders held or sold without their purchase.
  public var ordersWithoutPurchase: Int64

  /// Accepted purchases without an order, plus orders without a purchase.
  public var lost: Int64 { purchasesWithoutOrder + ordersWithoutPurchase }

  /// Nothing oversold, nothing lost, every unit accounted for, and the database ready for all that Redis would still
  /// sell.
  public var isBalanced: Bool {
    oversold == 0 && lost == 0 && unitsOnSale == unitsSold + redisAvailable && databaseUnitsSold == unitsSold
      && databaseStock == redisAvailable
  }
}

extension Doorbuster {
  /// Reads all buckets' logs and looks every standing purchase up in the database: a pass over the whole sale.
  /// - Throws: ``DoorbusterError`` `unknownSale`, `stock` (so where a log was trimmed), `orders`.
  public func books(_ sku: SKU) async throws(DoorbusterError) -> SaleBooks {
    let sale = try await knownSale(sku)
    var infos: [BucketInfo] = []
    var standing = StandingPurchases()
    for bucket in sale.buckets {
      let info = try await asking(stock: stock) { stock throws(StockError) in try await stock.info(bucket) }
      try await read(bucket, info, into: &standing)
      infos.append(info)
    }
    let found = try await countOrders(of: standing.orders)
    return SaleBooks(infos, purchases: Int64(standing.orders.count), found: found, sale, try await totals(of: sku))
  }

  private func read(
    _ bucket: BucketID,
    _ info: BucketInfo,
    into standing: inout StandingPurchases
  ) async throws(DoorbusterError) {
    var position = LogPosition(epoch: info.epoch, sequence: 0)
    while position.sequence < info.logLast {
      let from = position
      let events = try await asking(stock: stock) { stock throws(StockError) in
        try await stock.log(bucket, after: from, count: 10_000)
      }
      do throws(StockError) {
        let reading = try LogReading(bucket: bucket, from: from, events: events)
        standing.apply(reading)
      } catch {
        throw DoorbusterError(error)
      }
      guard let last = events.last else { break }
      position.sequence = last.sequence
    }
  }

  /// How many of the purchases have their order. Asked by a few lanes at a time; each answer is a read of one row.
  private func countOrders(of purchases: [Order]) async throws(DoorbusterError) -> Int64 {
    let lanes = 4
    let orders = orders
    let results = await withTaskGroup(of: Result<Int64, OrderStoreError>.self) { group in
      for lane in 0..<lanes {
        group.addTask {
          do throws(OrderStoreError) {
            var found: Int64 = 0
            for index in stride(from: lane, to: purchases.count, by: lanes) {
              let asked = purchases[index]
              let row = try await orders.order(asked.purchase.sku, token: asked.purchase.token)
              if let row, row.isOrder(of: asked) { found += 1 }
            }
            return .success(found)
          } catch {
            return .failure(error)
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    var found: Int64 = 0
    for result in results {
      switch result {
      case .success(let part): found += part
      case .failure(let error): throw DoorbusterError(error)
      }
    }
    return found
  }
}

/// The purchases that stand after the events of some logs.
private struct StandingPurchases {
  private struct Key: Hashable {
    let bucket: Int
    let token: Token
  }

  private var places: [Key: Order] = [:]

  var orders: [Order] { Array(places.values) }

  mutating func apply(_ reading: LogReading) {
    for step in reading.steps {
      switch step.entry {
      case .purchased(let order, _, _): places[Key(bucket: order.bucket, token: order.purchase.token)] = order
      case .moved(let token, _, let state):
        switch state {
        case .held, .sold: break
        case .cancelled, .rejected: places[Key(bucket: reading.bucket.index, token: token)] = nil
        }
      case nil: break
      }
    }
  }
}

extension StoredOrder {
  /// Whether it is the standing order of that purchase.
  fileprivate func isOrder(of purchase: Order) -> Bool {
    switch state {
    case .held, .sold: order.purchase == purchase.purchase && order.bucket == purchase.bucket
    case .cancelled, .rejected: false
    }
  }
}

extension SaleBooks {
  fileprivate init(
    _ infos: [BucketInfo],
    purchases: Int64,
    found: Int64,
    _ sale: Sale,
    _ totals: SaleTotals
  ) {
    unitsOnSale = 0
    unitsSold = 0
    redisAvailable = 0
    for info in infos {
      unitsOnSale += info.created + info.added + info.transferredIn - info.transferredOut
      unitsSold += info.held + info.sold
      redisAvailable += info.available
    }
    databaseOrders = (totals.orders[.held] ?? 0) + (totals.orders[.sold] ?? 0)
    databaseUnitsSold = (totals.units[.held] ?? 0) + (totals.units[.sold] ?? 0)
    databaseStock = totals.stock
    databaseRejected = totals.orders[.rejected] ?? 0
    oversold = max(0, unitsSold - unitsOnSale, databaseUnitsSold - sale.stock - totals.restocked)
    self.purchases = purchases
    purchasesWithoutOrder = purchases - found
    ordersWithoutPurchase = max(0, databaseOrders - found)
  }
}
