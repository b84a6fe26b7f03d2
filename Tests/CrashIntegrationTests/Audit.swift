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

  private struct Key: Hashable {
    let bucket: Int64
    let token: String
  }

  private struct Row: Hashable {
    let purchase: Purchase
    let bucket: Int64
    let state: String
  }

  /// What the buckets know of the tokens.
  private struct History {
    var live: [Key: Purchase] = [:]
    /// Cancelled or fenced.
    var dead: Set<Key> = []
  }

  let shop: Shop
  /// How many units were taken from the database's stock by hand.
  private let lowered: Int64
  /// How many messages are dead: purchases whose token another buyer's order has.
  private let deadMessages: Int64
  private let redis: RawRedis

  private(set) var sold: Set<String> = []
  private(set) var rejected: Set<String> = []
  /// Tokens that can't be bought any more.
  private(set) var dead: Set<String> = []

  init(_ shop: Shop, lowered: Int64 = 0, deadMessages: Int64 = 0) throws {
    self.shop = shop
    self.lowered = lowered
    self.deadMessages = deadMessages
    redis = try shop.server.connect()
  }

  /// Audits every product and the messages.
  /// - Parameters:
  ///   - accepted: the tokens whose buyers heard that they have bought.
  ///   - others: further tokens that buyers may have used.
  mutating func run(
    accepted: Set<String>,
    others: Set<String> = [],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for sku in try shop.database({ try String.fetchAll($0, sql: "SELECT sku FROM sales") }) {
      try audit(sku, accepted.union(others), sourceLocation)
    }
    let broken = accepted.subtracting(sold).subtracting(rejected)
    #expect(broken.isEmpty, "accepted, and no order", sourceLocation: sourceLocation)
    try auditMessages(sourceLocation)
  }

  private mutating func audit(_ sku: String, _ used: Set<String>, _ sourceLocation: SourceLocation) throws {
    let rows = try rows(of: sku)
    let tokens = used.union(rows.keys)
    var history = History()
    var added: Int64 = 0
    for bucket in 0..<(try buckets(of: sku)) {
      for token in tokens { try look(up: token, rows[token], Key(bucket: bucket, token: token), sku, &history) }
      added += try auditBucket(sku, bucket, history, sourceLocation)
    }
    let orders = rows.filter { $0.value.state == "sold" }
    let rejections = rows.filter { $0.value.state == "rejected" }
    let known = Set(orders.keys).union(rejections.keys)
    let bought = orders.map { (Key(bucket: $0.value.bucket, token: $0.key), $0.value.purchase) }
    #expect(
      Dictionary(uniqueKeysWithValues: bought) == history.live,
      "\(sku): orders and purchases",
      sourceLocation: sourceLocation
    )
    #expect(Set(rows.keys) == known, "\(sku): states", sourceLocation: sourceLocation)
    let areOver = rejections.allSatisfy { history.dead.contains(Key(bucket: $0.value.bucket, token: $0.key)) }
    #expect(areOver, "\(sku): rejected and still live", sourceLocation: sourceLocation)

    let stock = try number("SELECT stock FROM products WHERE sku = ?", sku)
    let created = try number("SELECT stock FROM sales WHERE sku = ?", sku)
    let units = orders.values.reduce(0) { $0 + $1.purchase.quantity }
    #expect(stock >= 0 && stock + units == created - lowered, "\(sku): the stock", sourceLocation: sourceLocation)
    // What the database rejected has left the sale, and nothing else has.
    let rejectedUnits = rejections.values.reduce(0) { $0 + $1.purchase.quantity }
    #expect(added == -rejectedUnits, "\(sku): rejected units", sourceLocation: sourceLocation)
    sold.formUnion(orders.keys)
    rejected.formUnion(rejections.keys)
    dead.formUnion(history.dead.map(\.token))
  }

  private func buckets(of sku: String) throws -> Int64 { try number("SELECT buckets FROM sales WHERE sku = ?", sku) }

  private func number(_ sql: String, _ sku: String) throws -> Int64 {
    try #require(try shop.database { db in try Int64.fetchOne(db, sql: sql, arguments: [sku]) }, "\(sql) for \(sku)")
  }

  /// What a bucket knows of a token. Of an old purchase it keeps its buyer's fingerprint alone: that an order is its
  /// purchase to the buyer's name shows in that the same attempt is a duplicate, and not a mismatch.
  private func look(up token: String, _ row: Row?, _ key: Key, _ sku: String, _ history: inout History) throws {
    let found = try redis.call("STOCK.GET", Self.key(sku, key.bucket), token)
    guard let state = found["state"]?.text else { return }
    guard state != "cancelled" else {
      history.dead.insert(key)
      return
    }
    history.live[key] = Purchase(user: found["user"]?.text ?? "?", quantity: found["quantity"]?.integer ?? 0)
    guard let row, row.bucket == key.bucket else { return }
    let (user, quantity) = (row.purchase.user, row.purchase.quantity)
    let again = try redis.call("STOCK.DEDUCT", Self.key(sku, key.bucket), user, token, quantity)
    if again[0]?.text == "DUPLICATE" { history.live[key] = row.purchase }
  }

  /// A bucket's own books, and its tokens against them. Returns its units added.
  private func auditBucket(
    _ sku: String,
    _ bucket: Int64,
    _ history: History,
    _ sourceLocation: SourceLocation
  ) throws -> Int64 {
    let info = try redis.call("STOCK.INFO", Self.key(sku, bucket))
    func count(_ name: String) throws -> Int64 { try #require(info[name]?.integer, sourceLocation: sourceLocation) }
    let onSale = try count("created") + count("added") + count("transferredIn")
    let accounted = try count("available") + count("held") + count("sold") + count("transferredOut")
    #expect(onSale == accounted, "\(sku): units on sale", sourceLocation: sourceLocation)
    #expect(try count("available") >= 0 && count("sold") <= onSale, "\(sku): oversold", sourceLocation: sourceLocation)
    let units = history.live.reduce(0) { $0 + ($1.key.bucket == bucket ? $1.value.quantity : 0) }
    #expect(try units == count("sold") + count("held"), "\(sku): units of tokens", sourceLocation: sourceLocation)
    try expectTrimmed(sku, bucket, upTo: count("logFirst") - 1, sourceLocation)
    return try count("added")
  }

  /// No event is gone that the database has not followed.
  private func expectTrimmed(
    _ sku: String,
    _ bucket: Int64,
    upTo sequence: Int64,
    _ sourceLocation: SourceLocation
  ) throws {
    let followed = try shop.database { db in
      try Int64.fetchOne(
        db,
        sql: "SELECT sequence FROM log_positions WHERE sku = ? AND bucket = ?",
        arguments: [sku, bucket]
      )
    }
    #expect(sequence <= followed ?? 0, "\(sku): trimmed beyond the database", sourceLocation: sourceLocation)
  }

  private func rows(of sku: String) throws -> [String: Row] {
    let rows = try shop.database { db in
      try GRDB.Row.fetchAll(
        db,
        sql: "SELECT token, user, quantity, bucket, state FROM orders WHERE sku = ?",
        arguments: [sku]
      )
      .map { row in
        let purchase = Purchase(user: String(decoding: row[1] as Data, as: UTF8.self), quantity: row[2])
        return (String(decoding: row[0] as Data, as: UTF8.self), Row(purchase: purchase, bucket: row[3], state: row[4]))
      }
    }
    // The table's key makes a token's order the only one.
    return try Dictionary(rows) { one, other in
      throw TestServerError.launch("a token has two orders: \(one), \(other)")
    }
  }

  /// Nothing half, nothing on its way, nothing set aside but what is to be.
  private func auditMessages(_ sourceLocation: SourceLocation) throws {
    for (name, count) in [("half", 0), ("parked", 0), ("dead", deadMessages)] {
      let length = try redis.call("XLEN", "\(Self.topic):\(name)").integer
      #expect(length == count, "\(name)", sourceLocation: sourceLocation)
    }
    let postponed = try redis.call("ZCARD", "\(Self.topic):due:\(Self.group)")
    #expect(postponed == 0, "postponed", sourceLocation: sourceLocation)
    let groups = try redis.call("XINFO", "GROUPS", Self.topic).elements ?? []
    // Where the log alone delivers, there is no topic.
    let topics = try redis.call("EXISTS", Self.topic).integer ?? 0
    #expect(groups.count == topics, sourceLocation: sourceLocation)
    for group in groups {
      #expect(group["pending"] == 0, "unacknowledged: \(group)", sourceLocation: sourceLocation)
      let last = group["last-delivered-id"]?.text ?? ""
      let rest = try redis.call("XRANGE", Self.topic, "(\(last)", "+", "COUNT", 1)
      #expect(rest == [], "not delivered", sourceLocation: sourceLocation)
    }
  }

  static let topic = "doorbuster:mq:{doorbuster.purchases}"
  static let group = "doorbuster.orders"
  static func key(_ sku: String, _ bucket: Int64 = 0) -> String { "doorbuster:{\(sku)/\(bucket)}" }
}
