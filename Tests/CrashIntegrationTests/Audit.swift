import Foundation
import GRDB
import TestServers
import Testing

/// Holds the servers' books against each other by raw RESP and SQL. It shares no code with the product, so that both
/// can't be wrong in the same way.
struct Audit {
  struct Purchase: Hashable {
    let user: String
    let quantity: Int64
  }

  private struct Row: Hashable {
    let purchase: Purchase
    let bucket: Int
    let state: String
  }

  /// What a bucket's log says of its tokens.
  private struct History {
    var live: [String: Purchase] = [:]
    /// Cancelled or fenced.
    var dead: Set<String> = []
  }

  let shop: Shop
  /// How many units were taken from the database's stock by hand.
  var lowered: Int64 = 0
  private let redis: RawRedis

  private(set) var sold: Set<String> = []
  private(set) var rejected: Set<String> = []
  /// Tokens that can't be bought any more.
  private(set) var dead: Set<String> = []

  init(_ shop: Shop, lowered: Int64 = 0) throws {
    self.shop = shop
    self.lowered = lowered
    redis = try shop.server.connect()
  }

  /// Audits every product and the messages.
  /// - Parameter accepted: the tokens whose buyers heard that they have bought.
  mutating func run(accepted: Set<String>, sourceLocation: SourceLocation = #_sourceLocation) throws {
    for sku in try shop.database({ try String.fetchAll($0, sql: "SELECT sku FROM sales") }) {
      try audit(sku, sourceLocation)
    }
    let broken = accepted.subtracting(sold).subtracting(rejected)
    #expect(broken.isEmpty, "accepted, and no order", sourceLocation: sourceLocation)
    try auditMessages(sourceLocation)
  }

  private mutating func audit(_ sku: String, _ sourceLocation: SourceLocation) throws {
    let history = try auditBucket(sku, sourceLocation)
    let rows = try rows(of: sku)
    let orders = rows.filter { $0.value.state == "sold" }
    #expect(
      orders.mapValues(\.purchase) == history.live,
      "\(sku): orders and purchases",
      sourceLocation: sourceLocation
    )
    #expect(rows.values.allSatisfy { $0.bucket == 0 }, sourceLocation: sourceLocation)
    let out = rows.filter { $0.value.state == "rejected" }
    #expect(Set(rows.keys) == Set(orders.keys).union(out.keys), "\(sku): states", sourceLocation: sourceLocation)
    #expect(history.dead.isSuperset(of: out.keys), "\(sku): rejected and still live", sourceLocation: sourceLocation)

    let (stock, created) = try shop.database { db in
      (
        try Int64.fetchOne(db, sql: "SELECT stock FROM products WHERE sku = ?", arguments: [sku]) ?? -1,
        try Int64.fetchOne(db, sql: "SELECT stock FROM sales WHERE sku = ?", arguments: [sku]) ?? -1
      )
    }
    let units = orders.values.reduce(0) { $0 + $1.purchase.quantity }
    #expect(stock >= 0 && stock + units == created - lowered, "\(sku): the stock", sourceLocation: sourceLocation)

    // What the database rejected has left the sale, and nothing else has.
    let added = try redis.call("STOCK.INFO", Self.key(sku))["added"]?.integer
    let rejectedUnits = out.values.reduce(0) { $0 + $1.purchase.quantity }
    #expect(added == -rejectedUnits, "\(sku): rejected units", sourceLocation: sourceLocation)
    sold.formUnion(orders.keys)
    rejected.formUnion(out.keys)
    dead.formUnion(history.dead)
  }

  /// The bucket's own books, and its log against them.
  private func auditBucket(_ sku: String, _ sourceLocation: SourceLocation) throws -> History {
    let info = try redis.call("STOCK.INFO", Self.key(sku))
    func count(_ name: String) throws -> Int64 { try #require(info[name]?.integer, sourceLocation: sourceLocation) }
    let onSale = try count("created") + count("added") + count("transferredIn")
    let accounted = try count("available") + count("held") + count("sold") + count("transferredOut")
    #expect(onSale == accounted, "\(sku): units on sale", sourceLocation: sourceLocation)
    #expect(try count("available") >= 0 && count("sold") <= onSale, "\(sku): oversold", sourceLocation: sourceLocation)
    let history = try readLog(sku, last: count("logLast"), sourceLocation)
    let units = history.live.values.reduce(0) { $0 + $1.quantity }
    #expect(try units == count("sold") + count("held"), "\(sku): units of the log", sourceLocation: sourceLocation)
    return history
  }

  private func readLog(_ sku: String, last: Int64, _ sourceLocation: SourceLocation) throws -> History {
    var history = History()
    var sequence: Int64 = 0
    while sequence < last {
      let reply = try redis.call("STOCK.LOG", Self.key(sku), sequence, "COUNT", 1_000)
      let events = try #require(reply.elements, "\(reply)", sourceLocation: sourceLocation)
      for event in events {
        sequence += 1
        #expect(event[0]?.integer == sequence, "\(sku): a gap in the log", sourceLocation: sourceLocation)
        guard let token = event[2]?.text, let action = event[1]?.text else { continue }
        switch action {
        case "deduct":
          let isNew = history.live[token] == nil && !history.dead.contains(token)
          #expect(isNew, "\(sku): \(token) bought twice", sourceLocation: sourceLocation)
          history.live[token] = Purchase(user: event[3]?.text ?? "", quantity: -(event[4]?.integer ?? 0))
        case "cancel", "fence":
          history.live[token] = nil
          history.dead.insert(token)
        default:
          Issue.record("\(sku): an event \(event)", sourceLocation: sourceLocation)
        }
      }
    }
    return history
  }

  private func rows(of sku: String) throws -> [String: Row] {
    try shop.database { db in
      let rows = try GRDB.Row.fetchAll(
        db,
        sql: "SELECT token, user, quantity, bucket, state FROM orders WHERE sku = ?",
        arguments: [sku]
      )
      // The table's key makes a token's order the only one.
      return try Dictionary(
        rows.map { row in
          let purchase = Purchase(user: String(decoding: row[1] as Data, as: UTF8.self), quantity: row[2])
          return (
            String(decoding: row[0] as Data, as: UTF8.self), Row(purchase: purchase, bucket: row[3], state: row[4])
          )
        },
        uniquingKeysWith: { one, other in throw TestServerError.launch("a token has two orders: \(one), \(other)") }
      )
    }
  }

  /// Nothing half, nothing on its way, nothing set aside.
  private func auditMessages(_ sourceLocation: SourceLocation) throws {
    for name in ["half", "parked", "dead"] {
      #expect(try redis.call("XLEN", "\(Self.topic):\(name)") == 0, "\(name)", sourceLocation: sourceLocation)
    }
    let postponed = try redis.call("ZCARD", "\(Self.topic):due:\(Self.group)")
    #expect(postponed == 0, "postponed", sourceLocation: sourceLocation)
    let groups = try redis.call("XINFO", "GROUPS", Self.topic).elements ?? []
    #expect(groups.count == 1, sourceLocation: sourceLocation)
    for group in groups {
      #expect(group["pending"] == 0, "unacknowledged: \(group)", sourceLocation: sourceLocation)
      let last = group["last-delivered-id"]?.text ?? ""
      let rest = try redis.call("XRANGE", Self.topic, "(\(last)", "+", "COUNT", 1)
      #expect(rest == [], "not delivered", sourceLocation: sourceLocation)
    }
  }

  static let topic = "doorbuster:mq:{doorbuster.purchases}"
  static let group = "doorbuster.orders"
  static func key(_ sku: String) -> String { "doorbuster:{\(sku)/0}" }
}
