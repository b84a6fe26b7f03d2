import Messaging
import Orders
import Stock
import Testing

@testable import Doorbuster

/// Checks a run of the world from outside: it knows what buyers asked and heard, and reads the servers' books.
final class Auditor {
  private(set) var heard: [Purchase: [PurchaseOutcome]] = [:]
  private(set) var unanswered: [Purchase: Int] = [:]
  private(set) var cancelsAsked: Set<Token> = []
  private(set) var confirmsAsked: Set<Token> = []
  private(set) var confirmed: Set<Token> = []
  private(set) var findings: [String] = []

  func asked(_ purchase: Purchase) { unanswered[purchase, default: 0] += 1 }

  func heard(_ outcome: PurchaseOutcome, of purchase: Purchase) {
    unanswered[purchase, default: 0] -= 1
    heard[purchase, default: []].append(outcome)
  }

  func cancelAsked(_ token: Token) { cancelsAsked.insert(token) }

  func confirmAsked(_ token: Token) { confirmsAsked.insert(token) }

  func heardConfirmed(_ token: Token) { confirmed.insert(token) }

  func accepted(_ purchase: Purchase) -> Bool {
    heard[purchase, default: []].contains {
      if case .accepted = $0 { true } else { false }
    }
  }

  func held(_ purchase: Purchase) -> Bool {
    heard[purchase, default: []].contains {
      if case .held = $0 { true } else { false }
    }
  }

  // MARK: At every instant

  /// Nothing is oversold, in any bucket or in the database, and no unit is missing.
  func watch(_ world: World) {
    for (id, bucket) in world.stock.buckets where !bucket.isConserved {
      find(world, "bucket \(id) is not conserved: \(bucket.info)")
    }
    for (sku, stock) in world.orders.stock where stock < 0 { find(world, "the database's stock of \(sku) is \(stock)") }
  }

  // MARK: At rest

  func audit(_ world: World, initialDatabaseStock: Int64, sku: SKU) {
    let live = auditBuckets(world, sku)
    if initialDatabaseStock >= world.orders.sales[sku]?.stock ?? 0 { auditRejections(world, sku) }
    auditOrders(world, sku, live)
    auditAnswers(world, live)
    let totals = world.orders.totals(of: sku)
    let soldUnits = (totals?.units[.sold] ?? 0) + (totals?.units[.held] ?? 0)
    let expected = initialDatabaseStock + (totals?.restocked ?? 0) - soldUnits
    if totals?.stock != expected {
      find(world, "the database's stock is \(String(describing: totals?.stock)); by its orders it is \(expected)")
    }
  }

  private struct Key: Hashable {
    let bucket: Int
    let token: Token
  }

  /// The purchases that stand in the buckets; each must be the order of its token.
  private func auditBuckets(_ world: World, _ sku: SKU) -> Set<Key> {
    var live: Set<Key> = []
    for (id, bucket) in world.stock.buckets where id.sku == sku {
      var units: Int64 = 0
      for (token, entry) in bucket.entries where entry.state != .cancelled {
        live.insert(Key(bucket: id.index, token: token))
        units += entry.quantity ?? 0
        let row = world.orders.orders[.init(sku: sku, token: token)]
        let isOrder =
          row.map {
            $0.state == entry.state.ofOrder && $0.order.bucket == id.index && $0.order.purchase.user == entry.user
              && $0.order.purchase.quantity == entry.quantity
          } ?? false
        if !isOrder {
          find(world, "\(id) has \(token) \(entry.state) and its order is \(row.map { "\($0)" } ?? "missing")")
        }
      }
      let taken = bucket.held + bucket.sold
      if units != taken { find(world, "\(id) counts \(taken) held and sold, and its tokens make \(units)") }
    }
    return live
  }

  private func auditOrders(_ world: World, _ sku: SKU, _ live: Set<Key>) {
    for (key, row) in world.orders.orders where key.sku == sku {
      let isLive = live.contains(Key(bucket: row.order.bucket, token: key.token))
      switch row.state {
      case .held, .sold: if !isLive { find(world, "the order of \(key.token) has no purchase: \(row)") }
      case .cancelled, .rejected: if isLive { find(world, "\(key.token) is \(row.state) and its units are taken") }
      }
    }
  }

  /// A database that has as many units as the buckets rejects nothing, whatever comes first.
  private func auditRejections(_ world: World, _ sku: SKU) {
    for (key, row) in world.orders.orders where key.sku == sku && row.state == .rejected {
      find(world, "\(key.token) was rejected, and the database was not short: \(row)")
    }
  }

  private func auditAnswers(_ world: World, _ live: Set<Key>) {
    for (purchase, outcomes) in heard {
      let row = world.orders.orders[.init(sku: purchase.sku, token: purchase.token)]
      let isOrder = row?.order.purchase == purchase
      if accepted(purchase) || held(purchase), !isOrder, !isDead(purchase, world) {
        find(world, "\(purchase.token) was accepted and is no order: \(row.map { "\($0)" } ?? "missing")")
      }
      let isSale = accepted(purchase) || (held(purchase) && confirmed.contains(purchase.token))
      if isSale, isOrder, row?.state == .cancelled, !cancelsAsked.contains(purchase.token) {
        find(world, "\(purchase.token) was accepted, and cancelled by nobody")
      }
      let mayBeSale = isSale || confirmsAsked.contains(purchase.token) || unanswered[purchase, default: 0] > 0
      if held(purchase), !mayBeSale, isOrder, row?.state == .sold {
        find(world, "\(purchase.token) was held, and confirmed by nobody")
      }
      let tookNothing = outcomes.allSatisfy {
        switch $0 {
        case .accepted, .held, .unknown: false
        case .refused, .cancelled, .failed: true
        }
      }
      if tookNothing, unanswered[purchase, default: 0] == 0, isOrder, row?.state == .sold {
        find(world, "\(purchase.token) was refused to all its attempts and is sold: \(outcomes)")
      }
    }
  }

  /// A token that another buyer's order has: its message is set aside, visibly; where the log delivers, the worker
  /// tells of it.
  private func isDead(_ purchase: Purchase, _ world: World) -> Bool {
    if world.settings.courier == .log {
      let row = world.orders.orders[.init(sku: purchase.sku, token: purchase.token)]
      return row.map { $0.order.purchase != purchase } ?? false
    }
    return world.broker.dead.contains { (try? PurchaseMessage(decoding: $0.message.body))?.purchase == purchase }
  }

  private func find(_ world: World, _ finding: String) {
    guard findings.count < 5 else { return }
    findings.append("seed \(world.seed), event \(world.events), \(world.nowMs) ms: \(finding)")
  }
}

extension World {
  /// Whether nothing is on its way to the database.
  var isAtRest: Bool {
    broker.halves.isEmpty && broker.entries.isEmpty && broker.parked.isEmpty
      && stock.buckets.allSatisfy { id, bucket in
        orders.positions[id] == LogPosition(epoch: bucket.epoch, sequence: bucket.logLast)
      }
  }

  func open(_ sku: SKU, units: Int64, buckets: Int = 1, limit: Int64 = 0, databaseStock: Int64? = nil) {
    let terms = SaleTerms(buckets: buckets, limit: limit)
    let path: SalePath = settings.courier == .log ? .buckets : .combined
    let sale = Sale(sku: sku, stock: units, terms: terms, path: path, createdAtMs: nowMs)
    _ = orders.create(sale)
    if let databaseStock { orders.stock[sku] = databaseStock }
    for id in sale.buckets {
      try? stock.create(id, quantity: sale.share(of: units, bucket: id.index), terms: terms, nowMs: nowMs)
      // As setting a sale up notes it: the bucket's creation is followed.
      orders.positions[id] = stock.buckets[id].map { LogPosition(epoch: $0.epoch, sequence: 1) }
    }
    expireHolds()
  }
}
