import TestServers
import Testing

/// Holds what became of carts against the servers' books, by raw RESP and SQL; it shares no code with the product.
public struct CartAudit {
  private struct Line {
    let sku: String
    let bucket: Int64
    let quantity: Int64
    let state: String
  }

  private let database: AuditedDatabase
  private let messages: RawRedis
  private let redis: (_ sku: String, _ bucket: Int64) throws -> RawRedis
  /// How many units each product's database was made short of by hand.
  private let lowered: [String: Int64]
  /// The carts that are sold as a whole, and those of which an order was rejected.
  public private(set) var sold: Set<String> = []
  public private(set) var rejected: Set<String> = []

  /// - Parameters:
  ///   - messages: the server of the messages.
  ///   - redis: the server that has this bucket.
  public init(
    _ database: AuditedDatabase,
    messages: RedisServer,
    lowered: [String: Int64] = [:],
    redis: @escaping (_ sku: String, _ bucket: Int64) throws -> RawRedis
  ) throws {
    self.database = database
    self.messages = try messages.connect()
    self.lowered = lowered
    self.redis = redis
  }

  /// - Parameter accepted: the carts whose buyers heard that they have bought.
  public mutating func run(accepted: Set<String>, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let carts = try carts()
    for (token, lines) in carts {
      let states = Set(lines.map(\.state))
      #expect(!states.contains("held"), "\(token) is held for good", sourceLocation: sourceLocation)
      if states.contains("sold") {
        #expect(states == ["sold"], "\(token) is sold by half: \(lines)", sourceLocation: sourceLocation)
        sold.insert(token)
      }
      if states.contains("rejected") { rejected.insert(token) }
      for line in lines {
        let found = try ask("STOCK.GET", line.sku, line.bucket, token)["state"]?.text
        let isLive = found == "sold" || found == "held"
        #expect(isLive == (line.state == "sold"), "\(token): \(line), \(found ?? "-")", sourceLocation: sourceLocation)
      }
      let whole = try recorded(token)
      if states == ["sold"] {
        #expect(Set(lines.map { "\($0.sku)=\($0.quantity)" }) == Set(whole), sourceLocation: sourceLocation)
      }
    }
    #expect(
      accepted.subtracting(sold).subtracting(rejected).isEmpty,
      "accepted, and not sold",
      sourceLocation: sourceLocation
    )
    try auditBooks(carts, sourceLocation)
  }

  private func ask(_ command: String, _ sku: String, _ bucket: Int64, _ more: String...) throws -> RESP {
    try redis(sku, bucket).call([command, SaleAudit.key(sku, bucket)] + more)
  }

  /// The orders by token.
  private func carts() throws -> [String: [Line]] {
    let rows = try database.rows("SELECT HEX(token), HEX(sku), bucket, quantity, state FROM orders")
    return Dictionary(grouping: rows) { AuditedDatabase.name(hex: $0[0]) }.mapValues { rows in
      rows.map { row in
        Line(
          sku: AuditedDatabase.name(hex: row[1]),
          bucket: Int64(row[2]) ?? -1,
          quantity: Int64(row[3]) ?? 0,
          state: row[4]
        )
      }
    }
  }

  /// A cart's lines as the database has noted them when it was recorded.
  private func recorded(_ token: String) throws -> [String] {
    let rows = try database.rows(
      "SELECT HEX(cart) FROM recorded_carts WHERE token = \(AuditedDatabase.literal(token))"
    )
    return rows.flatMap { AuditedDatabase.name(hex: $0[0]).split(separator: " ").map(String.init) }
  }

  private func auditBooks(_ carts: [String: [Line]], _ sourceLocation: SourceLocation) throws {
    let sales = try database.rows(
      "SELECT HEX(sku), sales.stock, buckets, products.stock FROM sales JOIN products USING (sku)"
    )
    for row in sales {
      let sku = AuditedDatabase.name(hex: row[0])
      let (created, buckets, stock) = (Int64(row[1]) ?? 0, Int64(row[2]) ?? 0, Int64(row[3]) ?? 0)
      let lines = carts.values.joined().filter { $0.sku == sku }
      let units = lines.reduce(0) { $0 + ($1.state == "sold" ? $1.quantity : 0) }
      let gone = lines.reduce(0) { $0 + ($1.state == "rejected" ? $1.quantity : 0) }
      let short = lowered[sku] ?? 0
      #expect(stock >= 0 && stock + units == created - short, "\(sku): the stock", sourceLocation: sourceLocation)
      var sold: Int64 = 0
      var left: Int64 = 0
      for bucket in 0..<buckets {
        let info = try ask("STOCK.INFO", sku, bucket)
        func count(_ name: String) throws -> Int64 { try #require(info[name]?.integer, sourceLocation: sourceLocation) }
        let onSale = try count("created") + count("added") + count("transferredIn")
        let accounted = try count("available") + count("held") + count("sold") + count("transferredOut")
        #expect(onSale == accounted, "\(sku): units on sale", sourceLocation: sourceLocation)
        #expect(try count("held") == 0, "\(sku): held for good", sourceLocation: sourceLocation)
        sold += try count("sold")
        // What a killed buyer has left in transfer is still to be sold.
        left += try count("available") + count("transferredOut") - count("transferredIn")
      }
      #expect(sold == units, "\(sku): sold by the buckets and in the database", sourceLocation: sourceLocation)
      #expect(left == created - units - gone, "\(sku): units left", sourceLocation: sourceLocation)
    }
    for name in ["half", "parked", "dead"] {
      #expect(
        try messages.call("XLEN", "\(SaleAudit.topic):\(name)").integer == 0,
        "\(name)",
        sourceLocation: sourceLocation
      )
    }
  }
}
