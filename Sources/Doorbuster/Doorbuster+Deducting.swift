import Stock

extension Doorbuster {
  /// Takes a purchase's units at the buyer's home bucket, once. With `holdMs` they are held for that long, to be
  /// confirmed. Not sent (again) after the deadline.
  /// - Throws: ``StockError``; with `replyLost` and `protocolViolation` the units may have been taken.
  nonisolated(nonsending) func deduct(
    _ purchase: Purchase,
    of sale: KnownSale,
    holdMs: Int64?,
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DeductOutcome {
    try await stock.deduct(purchase, from: sale.home(of: purchase.user), holdMs: holdMs, before: deadline)
  }
}
