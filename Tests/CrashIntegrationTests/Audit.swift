import SaleAudit

/// The auditor of a shop.
typealias Audit = SaleAudit

extension SaleAudit {
  /// - Parameters:
  ///   - lowered: how many units were taken from the database's stock by hand.
  ///   - deadMessages: how many messages are dead: purchases whose token another buyer's order has.
  init(_ shop: Shop, lowered: Int64 = 0, deadMessages: Int64 = 0) throws {
    try self.init(shop.server, shop.database, units: .lowered(lowered), deadMessages: deadMessages)
  }
}

extension CartAudit {
  /// - Parameter lowered: how many units of each product were taken from the database's stock by hand.
  init(_ shop: Shop, lowered: [String: Int64] = [:]) throws {
    let connections = try shop.servers.map { try $0.connect() }
    try self.init(shop.database, messages: shop.server, lowered: lowered) { _, bucket in
      connections[Int(bucket) % connections.count]
    }
  }
}
