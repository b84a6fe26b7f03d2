import TestServers
import Testing

/// Holds the servers' books against each other by raw RESP and SQL. It shares no code with the product, so that both
/// can't be wrong in the same way.
///
/// Nothing may be on its way when it runs.
public struct SaleAudit {
  public struct Purchase: Hashable {
    let user: String
    let quantity: Int64
    /// held or sold
    let state: String
  }

  public struct Row: Hashable, Sendable {
    public let user: String
    public let quantity: Int64
    public let bucket: Int64
    public let state: String

    var purchase: Purchase { Purchase(user: user, quantity: quantity, state: state) }
  }

  /// How the database's stock and what the buckets still sell are related.
  public enum Units: Sendable {
    /// The database has what the buckets sell.
    case even
    /// So many units were taken from the database's stock by hand. What it had to reject has left the sale, and nothing else
    /// has.
    case lowered(Int64)
  }

  private struct Key: Hashable {
    let bucket: Int64
    let token: String
  }

  /// What the buckets know of the tokens.
  private struct History {
    var live: [Key: Purchase] = [:]
    /// Cancelled or fenced.
    var dead: Set<Key> = []
  }

  private struct Bucket {
    let available: Int64
    let added: Int64
    let transferredIn: Int64
    let transferredOut: Int64
  }

  private let database: AuditedDatabase
  private let units: Units
  /// How many messages are dead: purchases whose token another buyer's order has.
  private let deadMessages: Int64
  private let redis: RawRedis
  private let messages: RawRedis

  public private(set) var sold: Set<String> = []
  public private(set) var held: Set<String> = []
  public private(set) var cancelled: Set<String> = []
  public private(set) var rejected: Set<String> = []
  /// Tokens that can't be bought any more.
  public private(set) var dead: Set<String> = []

  /// - Parameter messages: the server of the messages, where it is not the buckets'.
  public init(
    _ server: RedisServer,
    messages: RedisServer? = nil,
    _ database: AuditedDatabase,
    units: Units,
    deadMessages: Int64 = 0
  ) throws {
    self.database = database
    self.units = units
    self.deadMessages = deadMessages
    redis = try server.connect()
    self.messages = try (messages ?? server).connect()
  }

  /// Audits every product and the messages.
  /// - Parameters:
  ///   - accepted: the tokens whose buyers heard that they have bought, or that units are kept for them.
  ///   - others: further tokens that buyers may have used.
  ///   - givenUp: those whose purchases may be cancelled: their buyers asked for it.
  public mutating func run(
    accepted: Set<String>,
    others: Set<String> = [],
    givenUp: Set<String> = [],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for row in try database.rows("SELECT HEX(sku) FROM sales") {
      let used = accepted.union(others).union(givenUp)
      try audit(AuditedDatabase.name(hex: row[0]), used, sourceLocation)
    }
    let broken = accepted.subtracting(sold).subtracting(held).subtracting(rejected).subtracting(givenUp)
    #expect(broken.isEmpty, "accepted, and no order", sourceLocation: sourceLocation)
    #expect(cancelled.isSubset(of: givenUp), "cancelled, and nobody asked for it", sourceLocation: sourceLocation)
    try auditMessages(sourceLocation)
  }

  private mutating func audit(_ sku: String, _ used: Set<String>, _ sourceLocation: SourceLocation) throws {
    let rows = try Self.rows(of: sku, in: database)
    let tokens = used.union(rows.keys).sorted()
    var history = History()
    var buckets: [Bucket] = []
    for bucket in 0..<(try number("buckets", of: sku)) {
      try look(up: tokens, rows, bucket, sku, &history)
      buckets.append(try auditBucket(sku, bucket, history, sourceLocation))
    }
    let standing = rows.filter { ["held", "sold"].contains($0.value.state) }
    let bought = standing.map { (Key(bucket: $0.value.bucket, token: $0.key), $0.value.purchase) }
    #expect(
      Dictionary(uniqueKeysWithValues: bought) == history.live,
      "\(sku): orders and purchases",
      sourceLocation: sourceLocation
    )
    let over = rows.filter { ["cancelled", "rejected"].contains($0.value.state) }
    let areOver = over.allSatisfy { history.dead.contains(Key(bucket: $0.value.bucket, token: $0.key)) }
    #expect(areOver, "\(sku): cancelled or rejected, and still live", sourceLocation: sourceLocation)
    try auditUnits(of: sku, rows, buckets, sourceLocation)
    for (token, row) in rows {
      switch row.state {
      case "sold": sold.insert(token)
      case "held": held.insert(token)
      case "cancelled": cancelled.insert(token)
      default: rejected.insert(token)
      }
    }
    dead.formUnion(history.dead.map(\.token))
  }

  /// Where all units are.
  private func auditUnits(
    of sku: String,
    _ rows: [String: Row],
    _ buckets: [Bucket],
    _ sourceLocation: SourceLocation
  ) throws {
    func quantity(_ states: String...) -> Int64 {
      rows.values.reduce(0) { $0 + (states.contains($1.state) ? $1.quantity : 0) }
    }
    let stock = try database.number("SELECT stock FROM products WHERE sku = '\(sku)'")
    let restocked = try database.rows("SELECT quantity FROM restocks WHERE sku = '\(sku)'")
      .reduce(0) { $0 + (Int64($1[0]) ?? 0) }
    let onSale = try number("stock", of: sku) + restocked
    let lowered: Int64
    switch units {
    case .even:
      lowered = 0
      let inTransfer = buckets.reduce(0) { $0 + $1.transferredOut - $1.transferredIn }
      let sellable = inTransfer + buckets.reduce(0) { $0 + $1.available }
      #expect(stock == sellable, "\(sku): the stock and what the buckets sell", sourceLocation: sourceLocation)
    case .lowered(let units):
      lowered = units
      let added = buckets.reduce(0) { $0 + $1.added }
      let rejected = quantity("rejected")
      #expect(added == restocked - rejected, "\(sku): rejected units", sourceLocation: sourceLocation)
    }
    let taken = quantity("held", "sold")
    #expect(stock >= 0 && stock + taken == onSale - lowered, "\(sku): the stock", sourceLocation: sourceLocation)
  }

  private func number(_ column: String, of sku: String) throws -> Int64 {
    try database.number("SELECT \(column) FROM sales WHERE sku = '\(sku)'")
  }

  /// What a bucket knows of the tokens. Of an old purchase it keeps its buyer's fingerprint alone: that an order is its
  /// purchase to the buyer's name shows in that the same attempt is a duplicate, and not a mismatch.
  private func look(
    up tokens: [String],
    _ rows: [String: Row],
    _ bucket: Int64,
    _ sku: String,
    _ history: inout History
  ) throws {
    let found = try redis.pipeline(tokens.map { ["STOCK.GET", Self.key(sku, bucket), $0] })
    var attempts: [(token: String, row: Row)] = []
    for (token, record) in zip(tokens, found) {
      guard let state = record["state"]?.text else { continue }
      let key = Key(bucket: bucket, token: token)
      guard state != "cancelled" else {
        history.dead.insert(key)
        continue
      }
      let quantity = record["quantity"]?.integer ?? 0
      history.live[key] = Purchase(user: record["user"]?.text ?? "?", quantity: quantity, state: state)
      if let row = rows[token], row.bucket == bucket { attempts.append((token, row)) }
    }
    let again = try redis.pipeline(
      attempts.map { ["STOCK.DEDUCT", Self.key(sku, bucket), $0.row.user, $0.token, $0.row.quantity] }
    )
    for (attempt, reply) in zip(attempts, again) where reply[0]?.text == "DUPLICATE" {
      let key = Key(bucket: bucket, token: attempt.token)
      let state = history.live[key]?.state ?? "?"
      history.live[key] = Purchase(user: attempt.row.user, quantity: attempt.row.quantity, state: state)
    }
  }

  /// A bucket's own books, and its tokens against them.
  private func auditBucket(
    _ sku: String,
    _ bucket: Int64,
    _ history: History,
    _ sourceLocation: SourceLocation
  ) throws -> Bucket {
    let info = try redis.call("STOCK.INFO", Self.key(sku, bucket))
    func count(_ name: String) throws -> Int64 { try #require(info[name]?.integer, sourceLocation: sourceLocation) }
    #expect(info["frozen"]?.text == "no", "\(sku)/\(bucket)", sourceLocation: sourceLocation)
    let onSale = try count("created") + count("added") + count("transferredIn")
    let accounted = try count("available") + count("held") + count("sold") + count("transferredOut")
    #expect(onSale == accounted, "\(sku): units on sale", sourceLocation: sourceLocation)
    #expect(try count("available") >= 0 && count("sold") <= onSale, "\(sku): oversold", sourceLocation: sourceLocation)
    let units = history.live.reduce(0) { $0 + ($1.key.bucket == bucket ? $1.value.quantity : 0) }
    #expect(try units == count("sold") + count("held"), "\(sku): units of tokens", sourceLocation: sourceLocation)
    try expectTrimmed(sku, bucket, upTo: count("logFirst") - 1, sourceLocation)
    return Bucket(
      available: try count("available"),
      added: try count("added"),
      transferredIn: try count("transferredIn"),
      transferredOut: try count("transferredOut")
    )
  }

  /// No event is gone that the database has not followed.
  private func expectTrimmed(
    _ sku: String,
    _ bucket: Int64,
    upTo sequence: Int64,
    _ sourceLocation: SourceLocation
  ) throws {
    let followed = try database.rows("SELECT sequence FROM log_positions WHERE sku = '\(sku)' AND bucket = \(bucket)")
      .first.flatMap { Int64($0[0]) }
    #expect(sequence <= followed ?? 0, "\(sku): trimmed beyond the database", sourceLocation: sourceLocation)
  }

  /// The orders of a product, by their tokens.
  public static func rows(of sku: String, in database: AuditedDatabase) throws -> [String: Row] {
    let sql = "SELECT HEX(token), HEX(user), quantity, bucket, state FROM orders WHERE sku = '\(sku)'"
    let rows = try database.rows(sql).map { columns in
      let row = Row(
        user: AuditedDatabase.name(hex: columns[1]),
        quantity: Int64(columns[2]) ?? 0,
        bucket: Int64(columns[3]) ?? -1,
        state: columns[4]
      )
      return (AuditedDatabase.name(hex: columns[0]), row)
    }
    // The table's key makes a token's order the only one.
    return try Dictionary(rows) { one, other in
      throw TestServerError.launch("a token has two orders: \(one), \(other)")
    }
  }

  /// Nothing half, nothing on its way, nothing set aside but what is to be.
  private func auditMessages(_ sourceLocation: SourceLocation) throws {
    for (name, count) in [("half", 0), ("parked", 0), ("dead", deadMessages)] {
      let length = try messages.call("XLEN", "\(Self.topic):\(name)").integer
      #expect(length == count, "\(name)", sourceLocation: sourceLocation)
    }
    let postponed = try messages.call("ZCARD", "\(Self.topic):due:\(Self.group)")
    #expect(postponed == 0, "postponed", sourceLocation: sourceLocation)
    let groups = try messages.call("XINFO", "GROUPS", Self.topic).elements ?? []
    // Where the log alone delivers, there is no topic.
    let topics = try messages.call("EXISTS", Self.topic).integer ?? 0
    #expect(groups.count == topics, sourceLocation: sourceLocation)
    for group in groups {
      #expect(group["pending"] == 0, "unacknowledged: \(group)", sourceLocation: sourceLocation)
      let last = group["last-delivered-id"]?.text ?? ""
      let rest = try messages.call("XRANGE", Self.topic, "(\(last)", "+", "COUNT", 1)
      #expect(rest == [], "not delivered", sourceLocation: sourceLocation)
    }
  }

  public static let topic = "doorbuster:mq:{doorbuster.purchases}"
  public static let group = "doorbuster.orders"
  public static func key(_ sku: String, _ bucket: Int64 = 0) -> String { "doorbuster:{\(sku)/\(bucket)}" }
}
