import Orders
import Stock

/// What becomes of purchases afterwards.
extension Doorbuster {
  /// Makes a held purchase a sold one. In the bucket at once; its order follows by the log.
  /// - Returns: `cancelled` where the hold is over or was cancelled; `unknownToken` where no purchase has this token.
  /// - Throws: ``DoorbusterError`` `unknownSale`; `ambiguousToken` where several buckets have a live purchase of the token
  ///   and the database has no order yet; `cartUndecided` where the hold is a cart's, whose commit alone decides all its
  ///   lines; `stock` (with ``StockError`` `frozen` where no bucket knows the token and one is frozen), `orders`. The call
  ///   may be repeated.
  public func confirm(_ sku: SKU, token: Token) async throws(DoorbusterError) -> ConfirmOutcome {
    let sale = try await lookUp(sku)
    guard let courier = sale.path.courier else {
      let nowMs = clock.wallMs
      let outcome = try await asking(orders: orders) { orders throws(OrderStoreError) in
        try await orders.confirmOrder(sku, token: token, nowMs: nowMs)
      }
      return ConfirmOutcome(outcome)
    }
    switch try await bucket(of: sku, token) {
    case .nowhere: return .unknownToken
    case .cancelled: return .cancelled
    case .in(let bucket):
      if courier == .messages { try await expectNoCart(token, in: bucket) }
      return try await asking(stock: stock) { stock throws(StockError) in try await stock.confirm(token, in: bucket) }
    }
  }

  /// A line of a cart that is sold proves that the cart was committed, so none may be sold before.
  private func expectNoCart(_ token: Token, in bucket: BucketID) async throws(DoorbusterError) {
    let record = try await asking(stock: stock) { stock throws(StockError) in
      try await stock.purchase(token, in: bucket)
    }
    guard let record, record.isCartHold(lastingMs: configuration.cartHold.wholeMs) else { return }
    throw DoorbusterError(
      .cartUndecided,
      "token \(token) holds units of \(bucket.sku) for a cart, whose products are confirmed together and by itself"
    )
  }

  /// Cancels a buyer's purchase, held or sold; its units go back on sale. In the bucket at once; its order follows by the
  /// log.
  ///
  /// A token that no bucket knows is left alone: its purchase, if it is on its way, goes through.
  /// - Throws: ``DoorbusterError`` `unknownSale`; `ambiguousToken` where several buckets have a live purchase of the token
  ///   and the database has no order yet; `stock` (with ``StockError`` `frozen` where no bucket knows the token and one is
  ///   frozen), `orders`. The call may be repeated.
  public func cancel(_ sku: SKU, token: Token) async throws(DoorbusterError) -> CancelOutcome {
    guard try await lookUp(sku).path.courier != nil else {
      return try await asking(orders: orders) { orders throws(OrderStoreError) in
        try await orders.cancelOrder(sku, token: token)
      }
    }
    switch try await bucket(of: sku, token) {
    case .nowhere: return .unknownToken
    case .cancelled: return .alreadyCancelled
    case .in(let bucket):
      return try await asking(stock: stock) { stock throws(StockError) in
        try await stock.cancel(token, in: bucket, fence: false, offSale: false)
      }
    }
  }

  private enum Place {
    case nowhere
    /// Some bucket knows it as cancelled, and none otherwise.
    case cancelled
    case `in`(BucketID)
  }

  /// The bucket that a token's purchase is to be looked for in: the only one, its order's, the one that knows it, or one that
  /// is frozen.
  private func bucket(of sku: SKU, _ token: Token) async throws(DoorbusterError) -> Place {
    let buckets = try await lookUp(sku).buckets
    if buckets == 1 { return .in(BucketID(sku: sku, index: 0)) }
    let row = try await asking(orders: orders) { orders throws(OrderStoreError) in
      try await orders.order(sku, token: token)
    }
    if let row { return .in(BucketID(sku: sku, index: row.order.bucket)) }
    var live: [BucketID] = []
    var isKnown = false
    for index in 0..<buckets {
      let bucket = BucketID(sku: sku, index: index)
      let record = try await asking(stock: stock) { stock throws(StockError) in
        try await stock.purchase(token, in: bucket)
      }
      switch record?.state {
      case .held, .sold: live.append(bucket)
      case .cancelled: isKnown = true
      case nil: continue
      }
    }
    guard let bucket = live.first else {
      if isKnown { return .cancelled }
      return try await frozenBucket(of: sku, among: buckets).map { .in($0) } ?? .nowhere
    }
    guard live.count == 1 else {
      throw DoorbusterError(.ambiguousToken, "token \(token) names live purchases in buckets \(live.map(\.index))")
    }
    return .in(bucket)
  }

  /// A frozen bucket may have lost the purchase that no bucket knows, or be about to get it: it is the one to answer.
  private func frozenBucket(of sku: SKU, among buckets: Int) async throws(DoorbusterError) -> BucketID? {
    for index in 0..<buckets {
      let bucket = BucketID(sku: sku, index: index)
      let info = try await asking(stock: stock) { stock throws(StockError) in try await stock.info(bucket) }
      if info.frozen != nil { return bucket }
    }
    return nil
  }

  /// Sells on the path `database`.
  nonisolated(nonsending) func sell(_ purchase: Purchase, holdMs: Int64?) async -> PurchaseOutcome {
    let nowMs = clock.wallMs
    do throws(OrderStoreError) {
      switch try await orders.sell(purchase, holdMs: holdMs, nowMs: nowMs) {
      case .accepted(.held, let remaining, let isRepeat):
        return .held(
          expiresMs: isRepeat
            ? try await orders.order(purchase.sku, token: purchase.token)?.expiresAtMs
            : holdMs.map { nowMs.addingClamped($0) },
          remaining: remaining,
          sequence: 0,
          isRepeat: isRepeat
        )
      case .accepted(_, let remaining, let isRepeat):
        return .accepted(remaining: remaining, sequence: 0, isRepeat: isRepeat)
      case .refused(let refusal, let remaining): return .refused(refusal, remaining: remaining)
      case .cancelled: return .cancelled
      case .mismatch(let stored):
        return .failed(
          DoorbusterError(
            .tokenMismatch,
            """
            \(purchase.sku) token \(purchase.token) was first sent by user \(stored.order.purchase.user) for \
            \(stored.order.purchase.quantity) units, and now by user \(purchase.user) for \(purchase.quantity)
            """
          )
        )
      case .unknownProduct: return .failed(.unknownSale(purchase.sku))
      }
    } catch {
      return error.code == .outcomeUnknown ? .unknown(error.message) : .failed(DoorbusterError(error))
    }
  }
}

extension ConfirmOutcome {
  fileprivate init(_ outcome: ConfirmOrderOutcome) {
    switch outcome {
    case .confirmed: self = .confirmed
    case .alreadySold: self = .alreadyConfirmed
    case .cancelled: self = .cancelled
    case .unknownToken: self = .unknownToken
    }
  }
}
