import Orders
import Stock

/// An order and what the buckets know of its token.
struct ComparedOrder: Hashable, Sendable {
  var order: StoredOrder
  /// Nil where no bucket knows the token.
  var record: PurchaseRecord?
  /// Where the purchase is; where there is none, its buyer's home, where it would have to be.
  var bucket: Int
  /// The bucket keeps the user as a fingerprint only, and the order's user is not the one.
  var hasForeignUser = false

  var token: Token { order.order.purchase.token }

  /// Nil where no bucket knows the token; empty where both agree.
  var differences: [OrderDifference]? {
    guard let record else { return nil }
    var differences = TokenComparison.differences(order, record)
    if hasForeignUser { differences.append(.user) }
    if bucket != order.order.bucket { differences.append(.bucket) }
    return differences
  }

  var agrees: Bool { differences?.isEmpty ?? false }

  /// Whether the order is a standing purchase's. Held or sold, the units are the same.
  var isOfStandingPurchase: Bool {
    guard let record, record.state.isLive, order.state.takesStock else { return false }
    return differences?.allSatisfy { $0 == .state } ?? false
  }

  var subject: BooksFinding.Subject {
    guard let record, let differences else { return .orderWithoutPurchase(order) }
    return .orderDiffers(order, record, bucket: bucket, differences)
  }

  /// The order as the bucket's purchase says it should be; its own where nothing of it differs, or is not known.
  var corrected: Order {
    let purchase = order.order.purchase
    let asked = try? Purchase(
      sku: purchase.sku,
      user: record?.user ?? purchase.user,
      token: purchase.token,
      quantity: record?.quantity ?? purchase.quantity
    )
    return Order(
      purchase: asked ?? purchase,
      bucket: bucket,
      sequence: record?.sequence ?? order.order.sequence,
      createdAtMs: order.order.createdAtMs
    )
  }

  var isOtherPurchase: Bool {
    let (mine, other) = (order.order, corrected)
    return mine.purchase != other.purchase || mine.bucket != other.bucket
  }

  /// Which side is changed. The bucket decided the purchase, so what it knows stays; only the one of both that is
  /// further on may be followed.
  var repair: BooksFinding.Direction {
    guard let record else { return .bucket }
    if hasForeignUser { return .byHand }
    if isOtherPurchase { return .database }
    switch (order.state, record.state) {
    case (.held, _), (.sold, .cancelled): return .database
    case (.sold, _), (.cancelled, _), (.rejected, _): return .bucket
    }
  }
}

extension SaleAccess {
  /// Hands all orders over, page by page, with what the buckets know of them.
  func eachOrderPage(
    _ body: ([ComparedOrder]) async throws(DoorbusterError) -> Void
  ) async throws(DoorbusterError) {
    var last: Token?
    while true {
      let page = try await orders(after: last)
      try await body(try await each(page) { order async throws(DoorbusterError) in try await look(at: order) })
      guard page.count == settings.page else { return }
      last = page.last?.order.purchase.token
    }
  }

  /// Looks an order's token up where the order says, then at its buyer's home.
  func look(at order: StoredOrder) async throws(DoorbusterError) -> ComparedOrder {
    let purchase = order.order.purchase
    let home = purchase.user.homeBucket(among: sale.terms.buckets)
    let named = order.order.bucket
    if (0..<sale.buckets.count).contains(named), let record = try await self.purchase(purchase.token, in: named) {
      return ComparedOrder(
        order: order,
        record: record,
        bucket: named,
        hasForeignUser: try await hasForeignUser(order, record, in: named)
      )
    }
    if home != named, let record = try await self.purchase(purchase.token, in: home),
      record.user == nil || record.user == purchase.user
    {
      return ComparedOrder(order: order, record: record, bucket: home)
    }
    return ComparedOrder(order: order, record: nil, bucket: home)
  }

  /// A bucket that no longer tells the user still knows another one. Writing a known purchase in as held changes nothing
  /// in any state, so this asks and no more.
  private func hasForeignUser(
    _ order: StoredOrder,
    _ record: PurchaseRecord,
    in index: Int
  ) async throws(DoorbusterError) -> Bool {
    guard record.user == nil, record.state.isLive, let quantity = record.quantity else { return false }
    let (user, token) = (order.order.purchase.user, order.order.purchase.token)
    guard let purchase = try? Purchase(sku: sku, user: user, token: token, quantity: quantity) else { return false }
    do throws(DoorbusterError) {
      _ = try await self.record(.purchase(purchase, .held), in: index)
      return false
    } catch {
      guard error.hasStockCode(.tokenMismatch) else { throw error }
      return true
    }
  }
}
