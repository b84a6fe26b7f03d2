import SaleAudit
import TestServers
import Testing

/// Holds the buckets' books, the transfers and the orders against each other by raw RESP and SQL. It shares no code with the
/// product, so that both can't be wrong in the same way.
struct BooksAudit {
  struct Bucket {
    var available: Int64
    var held: Int64
    var sold: Int64
    var transferredIn: Int64
    var transferredOut: Int64
    var onSale: Int64
    var open: Int64
    var frozen: String
    var logLast: Int64

    init?(_ info: RESP) {
      func number(_ name: String) -> Int64? { info[name]?.integer }
      guard let created = number("created"), let added = number("added"), let available = number("available"),
        let held = number("held"), let sold = number("sold"), let incoming = number("transferredIn"),
        let outgoing = number("transferredOut"), let open = number("transfers"), let frozen = info["frozen"]?.text,
        let logLast = number("logLast")
      else { return nil }
      self.available = available
      self.held = held
      self.sold = sold
      transferredIn = incoming
      transferredOut = outgoing
      onSale = created + added
      self.open = open
      self.frozen = frozen
      self.logLast = logLast
    }

    /// What came here is here, sold, or gone elsewhere.
    var isConserved: Bool { onSale + transferredIn == available + held + sold + transferredOut && available >= 0 }
  }

  /// One half of a transfer, as its bucket lists it.
  struct Half: Hashable {
    var name: [UInt8]
    var source: Int
    var target: Int
    var quantity: Int64
  }

  let shop: SpreadShop
  private let links: [RawRedis]

  /// Of the servers as they are now.
  init(_ shop: SpreadShop) throws {
    self.shop = shop
    links = try (0..<SpreadShop.buckets).map { try shop.owner(of: $0).connect() }
  }

  func bucket(_ index: Int) throws -> Bucket {
    let info = try links[index].call("STOCK.INFO", SpreadShop.key(index))
    return try #require(Bucket(info), "bucket \(index): \(info)")
  }

  func buckets() throws -> [Bucket] { try (0..<SpreadShop.buckets).map(bucket) }

  /// The halves of all transfers, settled ones too: those that went out, and those that came in.
  func transfers() throws -> (out: [Half], in: [Half]) {
    var out: [Half] = []
    var into: [Half] = []
    for index in 0..<SpreadShop.buckets {
      let listed = try links[index].call("STOCK.TRANSFERS", SpreadShop.key(index), "ALL", "COUNT", 10_000)
      for entry in try #require(listed.elements, "\(listed)") {
        let name = try #require(entry[0]?.bytes)
        let peer = Int(try #require(entry[2]?.integer))
        let quantity = try #require(entry[3]?.integer)
        if entry[1]?.text?.lowercased() == "out" {
          out.append(Half(name: name, source: index, target: peer, quantity: quantity))
        } else {
          into.append(Half(name: name, source: peer, target: index, quantity: quantity))
        }
      }
    }
    return (out, into)
  }

  /// What came to a bucket is there, sold, or gone elsewhere: so at any instant.
  func expectConserved(_ when: String = "", sourceLocation: SourceLocation = #_sourceLocation) throws {
    for (index, bucket) in try buckets().enumerated() {
      #expect(bucket.isConserved, "bucket \(index) \(when): \(bucket)", sourceLocation: sourceLocation)
    }
  }

  func isAnythingOpen() throws -> Bool { try buckets().contains { $0.open > 0 } }

  /// Units that are on sale or in transfer. The buckets are read one after the other, and a rebalancer may be moving units
  /// meanwhile: these numbers it does not change.
  func unitsLeft() throws -> Int64 { try buckets().reduce(0) { $0 + $1.onSale - $1.held - $1.sold } }

  /// The names of the transfers that are open in some bucket.
  func openTransfers() throws -> [[UInt8]] {
    try (0..<SpreadShop.buckets).flatMap { index in
      let listed = try links[index].call("STOCK.TRANSFERS", SpreadShop.key(index), "COUNT", 10_000)
      return try #require(listed.elements, "\(listed)").compactMap { $0[0]?.bytes }
    }
  }

  /// Brings the buckets to about the same stock, by transfers of the test's own.
  func even(_ name: String) throws {
    var available = try buckets().map(\.available)
    let mean = available.reduce(0, +) / Int64(available.count)
    var number = 0
    for target in available.indices {
      while available[target] < mean, let source = available.indices.first(where: { available[$0] > mean }) {
        number += 1
        let quantity = min(mean - available[target], available[source] - mean)
        let transfer = "\(name)/\(number)"
        let reply = try links[source].call(
          "STOCK.WITHDRAW",
          SpreadShop.key(source),
          transfer,
          quantity,
          "TO",
          target
        )
        let moved = try #require(reply[1]?.integer, "\(reply)")
        available[source] = reply[0]?.text == "OK" ? available[source] - moved : 0
        guard reply[0]?.text == "OK" else { continue }
        try links[target].call("STOCK.DEPOSIT", SpreadShop.key(target), transfer, moved, "FROM", source)
        try links[source].call("STOCK.SETTLE", SpreadShop.key(source), transfer)
        try links[target].call("STOCK.SETTLE", SpreadShop.key(target), transfer)
        available[target] += moved
      }
    }
  }

  /// Waits until no transfer is open. The contract's bound is the whole test's.
  func waitForTransfers(within bound: Duration = .seconds(10)) async throws {
    try await eventually("open transfers to be finished", timeout: bound) { try !isAnythingOpen() }
  }

  /// Sends once more, late, every command that ever moved units: none changes anything.
  func repeatTransfers(sourceLocation: SourceLocation = #_sourceLocation) throws {
    let before = try unitsLeft()
    let (out, into) = try transfers()
    func expectDuplicate(_ bucket: Int, _ command: String, _ arguments: any RedisArgument...) throws {
      let reply = try links[bucket].call([command, SpreadShop.key(bucket)] + arguments)
      #expect(reply[0]?.text == "DUPLICATE", "\(command) \(bucket): \(reply)", sourceLocation: sourceLocation)
    }
    for half in out {
      try expectDuplicate(half.source, "STOCK.WITHDRAW", half.name, half.quantity + 1, "TO", half.target)
      try expectDuplicate(half.source, "STOCK.SETTLE", half.name)
    }
    for half in into {
      try expectDuplicate(half.target, "STOCK.DEPOSIT", half.name, half.quantity, "FROM", half.source)
      try expectDuplicate(half.target, "STOCK.SETTLE", half.name)
    }
    let after = try unitsLeft()
    #expect(before == after, "units on sale and in transfer", sourceLocation: sourceLocation)
  }

  /// Once nothing is on its way: no unit is missing, none is sold twice, and every promise is an order.
  /// - Parameters:
  ///   - stock: units ever put on sale.
  ///   - promised: tokens whose buyers heard that they have bought.
  /// - Returns: units left.
  @discardableResult
  func run(
    stock: Int64,
    promised: Set<String>,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> Int64 {
    let buckets = try buckets()
    for (index, bucket) in buckets.enumerated() {
      #expect(bucket.isConserved, "bucket \(index): \(bucket)", sourceLocation: sourceLocation)
      #expect(bucket.open == 0 && bucket.frozen == "no", "bucket \(index): \(bucket)", sourceLocation: sourceLocation)
    }
    func sum(_ value: (Bucket) -> Int64) -> Int64 { buckets.reduce(0) { $0 + value($1) } }
    let (left, sold) = (sum(\.available), sum(\.sold))
    #expect(sum(\.onSale) == stock, "units on sale", sourceLocation: sourceLocation)
    #expect(left + sold == stock && sum(\.held) == 0, "units missing or too many", sourceLocation: sourceLocation)
    #expect(sum(\.transferredIn) == sum(\.transferredOut), sourceLocation: sourceLocation)
    let (out, into) = try transfers()
    #expect(Set(out) == Set(into) && out.count == into.count, "halves of transfers", sourceLocation: sourceLocation)
    try auditOrders(stock: stock, sold: sold, promised, sourceLocation)
    return left
  }

  private struct Order {
    var token: String
    var quantity: Int64
    var bucket: Int
    var state: String
  }

  private func orders() throws -> [Order] {
    let sql = "SELECT HEX(token), quantity, bucket, state FROM orders WHERE sku = '\(SpreadShop.sku)'"
    return try shop.database.rows(sql).map { row in
      Order(
        token: AuditedDatabase.name(hex: row[0]),
        quantity: try #require(Int64(row[1])),
        bucket: try #require(Int(row[2])),
        state: row[3]
      )
    }
  }

  private func auditOrders(
    stock: Int64,
    sold: Int64,
    _ promised: Set<String>,
    _ sourceLocation: SourceLocation
  ) throws {
    let live = try orders().filter { $0.state == "sold" }
    let left = try shop.database.number("SELECT stock FROM products WHERE sku = '\(SpreadShop.sku)'")
    let units = live.reduce(0) { $0 + $1.quantity }
    #expect(units == sold, "units of orders and of buckets", sourceLocation: sourceLocation)
    #expect(left == stock - units, "the database's stock", sourceLocation: sourceLocation)
    let tokens = Set(live.map(\.token))
    #expect(tokens.count == live.count, sourceLocation: sourceLocation)
    let broken = promised.subtracting(tokens)
    #expect(broken.isEmpty, "accepted, and no order: \(broken.prefix(3))", sourceLocation: sourceLocation)
    // As many units are sold in all as orders have: so where each order is a purchase, each purchase is an order.
    for bucket in 0..<SpreadShop.buckets {
      let here = live.filter { $0.bucket == bucket }
      let replies = try links[bucket].pipeline(here.map { ["STOCK.GET", SpreadShop.key(bucket), $0.token] })
      for (row, reply) in zip(here, replies) {
        let isSame = reply["state"] == "sold" && reply["quantity"]?.integer == row.quantity
        #expect(isSame, "bucket \(bucket): \(row) and \(reply)", sourceLocation: sourceLocation)
      }
    }
  }
}
