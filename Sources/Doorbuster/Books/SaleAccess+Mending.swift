import Orders
import Stock

/// What mends one difference. Each may be repeated, and changes nothing the second time.
extension SaleAccess {
  /// Writes an order's purchase into its bucket, with units of other buckets where its own has too few.
  func place(_ order: StoredOrder, in index: Int) async throws(DoorbusterError) -> PlacingMachine.Result {
    var machine = PlacingMachine(order, in: index)
    var action = machine.start()
    while true {
      switch action {
      case .record(let entry, let bucket):
        do throws(DoorbusterError) {
          action = machine.recorded(try await record(entry, in: bucket))
        } catch {
          guard error.hasStockCode(.tokenMismatch) || error.hasStockCode(.transferMismatch) else { throw error }
          action = machine.mismatched()
        }
      case .look: action = machine.looked(try await infos())
      case .fence(let token, let bucket):
        do throws(DoorbusterError) {
          let id = self.bucket(bucket)
          action = machine.fenced(
            try await askStock { stock throws(StockError) in try await stock.fence(token, in: id) }
          )
        } catch {
          guard error.hasStockCode(.frozen) else { throw error }
          action = machine.fenceRefusedByFreeze()
        }
      case .settle(let name, let bucket):
        try await settle(name, in: bucket)
        action = machine.settled()
      case .wait:
        try await wait(settings.settle)
        action = machine.woke()
      case .done(let result): return result
      }
    }
  }

  func settle(_ name: TransferName, in index: Int) async throws(DoorbusterError) {
    _ = try await askStock { stock throws(StockError) in try await stock.settle(name, in: bucket(index)) }
  }

  /// Puts the units of a transfer that was left behind on sale at its target, and closes it.
  func finish(_ move: TransferBook.Move) async throws(DoorbusterError) {
    let deposit = Deposit(name: move.name, source: move.source, quantity: move.quantity)
    _ = try await askStock { stock throws(StockError) in try await stock.deposit(deposit, into: bucket(move.target)) }
    try await settle(move.name, in: move.source)
    try await settle(move.name, in: move.target)
  }

  /// Writes the lost withdrawal of a transfer in, and closes it. Nil where that was done, else the units that are left
  /// there.
  func withdraw(_ move: TransferBook.Move) async throws(DoorbusterError) -> Int64? {
    switch try await record(.transfer(move.half(.out)), in: move.source) {
    case .short(let remaining): return remaining
    case .recorded, .alreadyThere: break
    }
    try await settle(move.name, in: move.source)
    try await settle(move.name, in: move.target)
    return nil
  }

  func cancel(_ token: Token, in index: Int, offSale: Bool) async throws(DoorbusterError) -> CancelOutcome {
    try await askStock { stock throws(StockError) in
      try await stock.cancel(token, in: bucket(index), fence: false, offSale: offSale)
    }
  }

  /// Cancels a purchase whose order the database has rejected. Its units leave the sale where the buckets have put more on
  /// sale than the database; else they are the database's to sell, and go back on sale.
  func cancelRejected(_ purchase: Purchase, in index: Int) async throws(DoorbusterError) {
    let surplus = try await unitsOnSale()?.0.difference ?? 0
    _ = try await cancel(purchase.token, in: index, offSale: surplus >= purchase.quantity)
  }

  func confirm(_ token: Token, in index: Int) async throws(DoorbusterError) -> ConfirmOutcome {
    try await askStock { stock throws(StockError) in try await stock.confirm(token, in: bucket(index)) }
  }

  // MARK: Limit and window

  /// Of this moment. The database's are the sale's; a bucket's follow.
  func terms() async throws(DoorbusterError) -> SaleTerms {
    let sale = try await askDatabase { orders throws(OrderStoreError) in try await orders.sale(sku) }
    guard let sale else { throw .unknownSale(sku) }
    return sale.terms
  }

  func apply(_ terms: SaleTerms, in index: Int) async throws(DoorbusterError) {
    try await askStock { stock throws(StockError) in
      try await stock.schedule(bucket(index), limit: terms.limit, opensMs: terms.opensMs, closesMs: terms.closesMs)
    }
  }
}

extension BucketInfo {
  /// Whether it sells with this limit in this window.
  func hasTerms(_ terms: SaleTerms) -> Bool {
    limit == terms.limit && opensMs == terms.opensMs && closesMs == terms.closesMs
  }
}
