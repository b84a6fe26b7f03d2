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
  /// Units held and sold in the buckets without an order of the same bucket, user and quantity.
  public var unitsWithoutOrder: Int64
  /// Orders held or sold without their purchase.
  public var ordersWithoutPurchase: Int64

  /// Accepted units without an order, plus orders without a purchase.
  public var lost: Int64 { unitsWithoutOrder + ordersWithoutPurchase }

  /// Nothing oversold, nothing lost, every unit accounted for, and the database ready for all that Redis would still
  /// sell.
  public var isBalanced: Bool {
    oversold == 0 && lost == 0 && unitsOnSale == unitsSold + redisAvailable && databaseUnitsSold == unitsSold
      && databaseStock == redisAvailable
  }
}

extension Doorbuster {
  /// Looks the purchase of every standing order up in its bucket: a pass over the whole sale.
  /// - Throws: ``DoorbusterError`` `unknownSale`, `stock`, `orders`.
  public func books(_ sku: SKU) async throws(DoorbusterError) -> SaleBooks {
    let sale = try await knownSale(sku)
    var infos: [BucketInfo] = []
    for bucket in sale.buckets {
      infos.append(try await asking(stock: stock) { stock throws(StockError) in try await stock.info(bucket) })
    }
    var found = Standing()
    var last: Token?
    repeat {
      let after = last
      let page = try await asking(orders: orders) { orders throws(OrderStoreError) in
        try await orders.orders(of: sku, bucket: nil, after: after, limit: 10_000)
      }
      last = page.count < 10_000 ? nil : page.last?.order.purchase.token
      try await look(up: page.filter { $0.state == .held || $0.state == .sold }, on: sale, &found)
    } while last != nil
    return SaleBooks(infos, found, sale, try await totals(of: sku))
  }

  /// Asks the buckets for the orders' purchases, a few lanes at a time. Without buckets an order is its purchase.
  private func look(up rows: [StoredOrder], on sale: Sale, _ found: inout Standing) async throws(DoorbusterError) {
    guard sale.path != .database else { return rows.forEach { found.add($0) } }
    let lanes = min(64, rows.count)
    let stock = stock
    let results = await withTaskGroup(of: Result<Standing, StockError>.self) { group in
      for lane in 0..<lanes {
        group.addTask {
          do throws(StockError) {
            var found = Standing()
            for index in stride(from: lane, to: rows.count, by: lanes) {
              let order = rows[index].order
              let bucket = BucketID(sku: order.purchase.sku, index: order.bucket)
              let record = try await stock.purchase(order.purchase.token, in: bucket)
              if let record, record.isStanding(as: order) { found.add(rows[index]) }
            }
            return .success(found)
          } catch {
            return .failure(error)
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    for result in results {
      switch result {
      case .success(let part): found.add(part)
      case .failure(let error): throw DoorbusterError(error)
      }
    }
  }
}

/// Orders whose purchase stands.
private struct Standing {
  var orders: Int64 = 0
  var units: Int64 = 0

  mutating func add(_ row: StoredOrder) {
    orders += 1
    units += row.order.purchase.quantity
  }

  mutating func add(_ part: Standing) {
    orders += part.orders
    units += part.units
  }
}

extension PurchaseRecord {
  fileprivate func isStanding(as order: Order) -> Bool {
    let isLive =
      switch state {
      case .held, .sold: true
      case .cancelled: false
      }
    return isLive && (user == nil || user == order.purchase.user)
      && (quantity == nil || quantity == order.purchase.quantity)
  }
}

extension SaleBooks {
  fileprivate init(_ infos: [BucketInfo], _ found: Standing, _ sale: Sale, _ totals: SaleTotals) {
    databaseOrders = (totals.orders[.held] ?? 0) + (totals.orders[.sold] ?? 0)
    databaseUnitsSold = (totals.units[.held] ?? 0) + (totals.units[.sold] ?? 0)
    databaseStock = totals.stock
    databaseRejected = totals.orders[.rejected] ?? 0
    if sale.path == .database {
      unitsOnSale = sale.stock + totals.restocked
      unitsSold = databaseUnitsSold
      redisAvailable = totals.stock
    } else {
      unitsOnSale = infos.reduce(0) { $0 + $1.created + $1.added + $1.transferredIn - $1.transferredOut }
      unitsSold = infos.reduce(0) { $0 + $1.held + $1.sold }
      redisAvailable = infos.reduce(0) { $0 + $1.available }
    }
    oversold = max(0, unitsSold - unitsOnSale, databaseUnitsSold - sale.stock - totals.restocked)
    unitsWithoutOrder = max(0, unitsSold - found.units)
    ordersWithoutPurchase = max(0, databaseOrders - found.orders)
  }
}
