import Orders
import Stock

/// Repairs of orders and purchases, each to its outcome.
extension Reconciler {
  // MARK: Orders

  /// The bucket's word on who bought what counts; of the states, the one that is further on.
  func repair(_ compared: ComparedOrder) async throws(DoorbusterError) -> BooksFinding.Outcome {
    if compared.hasForeignUser { return .left("the bucket no longer tells the user, and the order's is not the one") }
    var order = compared.order
    if compared.isOtherPurchase {
      switch try await access.repair(.correct(from: order, to: compared.corrected)) {
      case .repaired, .unchanged: order.order = compared.corrected
      case .short(let stock): return .left("the database has only \(stock) units for it")
      case .refused(let reason): return .left(reason)
      case .conflict, .rejected, .unknownOrder, .unknownProduct: return Self.changedMeanwhile
      }
    }
    guard let record = compared.record else { return try await place(order, in: compared.bucket) }
    guard !TokenComparison.agree(order.state, record.state) else { return .repaired }
    return try await bring(order, record, in: compared.bucket)
  }

  private func place(_ order: StoredOrder, in bucket: Int) async throws(DoorbusterError) -> BooksFinding.Outcome {
    let purchase = order.order.purchase
    guard order.state.takesStock else {
      // Only the token is missing: it must stay spent.
      _ = try await access.record(.purchase(purchase, order.state.entryState), in: bucket)
      return .repaired
    }
    switch try await access.place(order, in: bucket) {
    case .placed: return .repaired
    case .mismatch: return .left("bucket \(access.bucket(bucket)) knows the token as another purchase's")
    case .withoutUnits: return try await move(order, to: .rejected, .rejected)
    }
  }

  private func bring(
    _ order: StoredOrder,
    _ record: PurchaseRecord,
    in bucket: Int
  ) async throws(DoorbusterError) -> BooksFinding.Outcome {
    let token = order.order.purchase.token
    switch (order.state, record.state) {
    case (.held, .sold): return try await move(order, to: .sold, .repaired)
    case (.held, .cancelled), (.sold, .cancelled): return try await move(order, to: .cancelled, .repaired)
    case (.sold, .held):
      switch try await access.confirm(token, in: bucket) {
      case .confirmed, .alreadyConfirmed: return .repaired
      case .cancelled, .unknownToken: return Self.changedMeanwhile
      }
    case (.cancelled, .held), (.cancelled, .sold):
      _ = try await access.cancel(token, in: bucket, offSale: false)
      return .repaired
    case (.rejected, .held), (.rejected, .sold):
      try await access.cancelRejected(order.order.purchase, in: bucket)
      return .repaired
    case (.held, .held), (.sold, .sold), (.cancelled, .cancelled), (.rejected, .cancelled): return .repaired
    }
  }

  private func move(
    _ order: StoredOrder,
    to state: OrderState,
    _ outcome: BooksFinding.Outcome
  ) async throws(DoorbusterError) -> BooksFinding.Outcome {
    switch try await access.repair(.move(access.sku, order.order.purchase.token, to: state)) {
    case .repaired, .unchanged: outcome
    case .refused(let reason): .left(reason)
    case .rejected, .short, .conflict, .unknownOrder, .unknownProduct: Self.changedMeanwhile
    }
  }

  // MARK: Purchases

  func repair(_ orphan: OrphanPurchase, in bucket: Int) async throws(DoorbusterError) -> BooksFinding.Outcome {
    let token = orphan.record.token
    guard orphan.other == nil else {
      _ = try await access.cancel(token, in: bucket, offSale: false)
      return .repaired
    }
    guard let order = orphan.order(of: access.sku, in: bucket, nowMs: access.clock.wallMs) else {
      return .left("the bucket no longer tells its user")
    }
    switch try await access.repair(.record(order, as: orphan.record.state.ofOrder)) {
    case .repaired, .unchanged: return .repaired
    case .rejected:
      try await access.cancelRejected(order.purchase, in: bucket)
      return .rejected
    case .refused(let reason): return .left(reason)
    case .short, .conflict, .unknownOrder, .unknownProduct: return Self.changedMeanwhile
    }
  }

  private static let changedMeanwhile = BooksFinding.Outcome.left("it changed meanwhile; compare again")
}
