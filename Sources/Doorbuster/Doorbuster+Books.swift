import Messaging
import Orders
import Stock

extension Doorbuster {
  /// Holds a sale's buckets against its database, purchase by purchase, while the sale goes on. With `repair` it mends
  /// what differs: orders are written, corrected and moved on, purchases written in, cancelled or confirmed, stock
  /// counted anew. Repeated, it changes nothing more.
  ///
  /// What is on its way is no finding: messages, events that the database has not followed yet, young transfers. Memory
  /// stays bounded whatever the number of orders.
  /// - Parameter progress: called now and then.
  /// - Throws: ``DoorbusterError`` `unknownSale`; `bucketLost`, `bucketFrozen`, `saleIncomplete` where the buckets have
  ///   to be completed before they can be compared; `stock`, `orders`, `messaging`. What was mended until then stays.
  public func reconcile(
    _ sku: SKU,
    repair: Bool = false,
    settings: BooksSettings = BooksSettings(),
    progress: @escaping @Sendable (BooksProgress) -> Void = { _ in }
  ) async throws(DoorbusterError) -> Reconciliation {
    let access = try await access(to: sku, settings)
    var reconciler = Reconciler(
      access,
      repairs: repair,
      overdue: configuration.storeFromLogAfter,
      cartHold: configuration.cartHold,
      progress: progress
    )
    var report = try await reconciler.run()
    if access.sale.path.courier == .messages {
      let messages = try await asking(broker: broker) { broker throws(MessagingError) in
        try await broker.status(of: configuration.topic, for: configuration.group)
      }
      report.messagesOnTheirWay = Int64(messages.half + messages.unacknowledged)
    }
    return report
  }

  func access(to sku: SKU, _ settings: BooksSettings) async throws(DoorbusterError) -> SaleAccess {
    SaleAccess(sale: try await knownSale(sku), stock: stock, orders: orders, clock: clock, settings: settings)
  }
}

extension Doorbuster {
  /// Makes a sale's buckets whole again after Redis lost data: those that are gone are built anew from the database, those
  /// that came up frozen or lack events get written in what they lack, and all sell again. Buyers hear `frozen` meanwhile.
  /// An operator's freeze is never lifted.
  ///
  /// It may be stopped anywhere and called again, also by two at once. A worker does the same by itself where buckets come
  /// up frozen; only one that is gone waits for this call, since it may just be looked for on the wrong server.
  /// - Throws: ``DoorbusterError`` `unknownSale`; `invalid` for a sale that the database decides; `saleDiffers` where a bucket
  ///   is another sale's; `stock`, `orders`, `messaging`. Buckets stay frozen then, and the same call goes on.
  public func recover(
    _ sku: SKU,
    settings: BooksSettings = BooksSettings(),
    progress: @escaping @Sendable (BooksProgress) -> Void = { _ in }
  ) async throws(DoorbusterError) -> Recovery {
    let access = try await access(to: sku, settings)
    guard access.sale.path != .database else {
      throw DoorbusterError(.invalid, "the sale of \(sku) is on the path database: it has no buckets to be recovered")
    }
    let backlog = BrokerBacklog(broker: broker, topic: configuration.topic, group: configuration.group)
    var recoverer = Recoverer(
      access,
      broker: access.sale.path.courier == .messages ? backlog : nil,
      settings: configuration.recovery,
      mayCreate: true,
      logger: logger,
      progress: progress
    )
    return try await recoverer.run()
  }
}
