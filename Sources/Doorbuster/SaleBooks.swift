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
  /// Holds every order against its bucket, and what the buckets' logs list against the orders: a pass over the whole sale.
  /// Purchases without an order that a bucket no longer lists are counted by their units.
  /// - Throws: ``DoorbusterError`` `unknownSale`, `bucketLost`, `stock`, `orders`.
  public func books(_ sku: SKU) async throws(DoorbusterError) -> SaleBooks {
    let access = try await access(to: sku, BooksSettings())
    guard access.sale.path != .database else { return SaleBooks(access.sale, try await access.totals()) }
    var count = StandingCount()
    var infos: [BucketInfo] = []
    var sums: [BucketSums] = []
    for bucket in access.sale.buckets {
      infos.append(try await access.info(bucket.index))
      sums.append(try await access.cut(bucket.index).0)
    }
    try await access.eachOrderPage { looked throws(DoorbusterError) in
      for compared in looked {
        count.add(compared)
        if let record = compared.record { sums[compared.bucket].count(record) }
      }
    }
    for (index, info) in infos.enumerated() {
      try await access.eachOrphanPage(index, upTo: info.logLast) { _, orphans throws(DoorbusterError) in
        for orphan in orphans {
          count.add(orphan)
          sums[index].count(orphan.record)
        }
      }
      count.add(sums[index].rest(try await access.info(index)))
    }
    return SaleBooks(access.sale, infos, count, try await access.totals())
  }
}

/// What stands in the buckets and in the database.
private struct StandingCount {
  var purchases: Int64 = 0
  var purchasesWithoutOrder: Int64 = 0
  var ordersWithoutPurchase: Int64 = 0

  mutating func add(_ compared: ComparedOrder) {
    let isRecorded = compared.isOfStandingPurchase
    if compared.record?.state.isLive ?? false {
      purchases += 1
      if !isRecorded { purchasesWithoutOrder += 1 }
    }
    if compared.order.state.takesStock, !isRecorded { ordersWithoutPurchase += 1 }
  }

  mutating func add(_ orphan: OrphanPurchase) {
    guard orphan.record.state.isLive else { return }
    purchases += 1
    purchasesWithoutOrder += 1
  }

  mutating func add(_ rest: BucketSums.Rest) {
    switch rest {
    case .nothing, .open: break
    case .missing(let units):
      purchases += units
      purchasesWithoutOrder += units
    }
  }
}

extension SaleBooks {
  fileprivate init(_ sale: Sale, _ infos: [BucketInfo], _ count: StandingCount, _ totals: SaleTotals) {
    self.init(sale, totals)
    unitsOnSale = 0
    unitsSold = 0
    redisAvailable = 0
    for info in infos {
      unitsOnSale += info.created + info.added + info.transferredIn - info.transferredOut
      unitsSold += info.held + info.sold
      redisAvailable += info.available
    }
    oversold = max(oversold, unitsSold - unitsOnSale)
    purchases = count.purchases
    purchasesWithoutOrder = count.purchasesWithoutOrder
    ordersWithoutPurchase = count.ordersWithoutPurchase
  }

  /// A sale that the database decides has no buckets: theirs are the database's own numbers.
  fileprivate init(_ sale: Sale, _ totals: SaleTotals) {
    databaseOrders = (totals.orders[.held] ?? 0) + (totals.orders[.sold] ?? 0)
    databaseUnitsSold = (totals.units[.held] ?? 0) + (totals.units[.sold] ?? 0)
    databaseStock = totals.stock
    databaseRejected = totals.orders[.rejected] ?? 0
    oversold = max(0, databaseUnitsSold - sale.stock - totals.restocked)
    unitsOnSale = sale.stock + totals.restocked
    unitsSold = databaseUnitsSold
    redisAvailable = databaseStock
    purchases = databaseOrders
    purchasesWithoutOrder = 0
    ordersWithoutPurchase = 0
  }
}
