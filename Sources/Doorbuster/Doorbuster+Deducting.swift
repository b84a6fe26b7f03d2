import Stock

extension Doorbuster {
  /// Takes a purchase's units at the buyer's home bucket, once; where home is short and other buckets have units, they are
  /// moved there first. With `holdMs` they are held for that long, to be confirmed. Not sent (again) after the deadline.
  /// - Throws: ``StockError``; with `replyLost` and `protocolViolation` the units may have been taken, with `undecided` it
  ///   could not be learnt in time whether there are enough, and nothing was taken.
  nonisolated(nonsending) func deduct(
    _ purchase: Purchase,
    of sale: KnownSale,
    holdMs: Int64?,
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DeductOutcome {
    try await puller.deduct(purchase, of: sale, holdMs: holdMs, before: deadline)
  }

  /// Whether the units that a purchase asks for are known not to be there, without asking anybody: at an instant within the
  /// cache's bound. Only for an attempt whose token was never sent before; one sent again must hear its first outcome, which
  /// a bucket alone knows.
  func isSoldOut(_ purchase: Purchase) -> Bool {
    puller.soldOut.isSoldOut(purchase.sku, quantity: purchase.quantity, at: clock.now)
  }
}
