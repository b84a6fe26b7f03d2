import Messaging
import Orders
import Stock

/// What a worker does with one delivery of a cart: confirms every line, records all of them or none, and gives back the lines
/// of a cart that is over.
///
/// The database decides the cart once. Before that, one line that was cancelled or has ended ends it, whoever confirmed
/// the others; after it, a line that its buyer gives back is that line's matter alone. It may be started again at any
/// time, so a crash loses nothing, and a second message of the cart does no harm.
struct CartDeliveryMachine: Hashable {
  enum Action: Hashable {
    case confirm(Token, BucketID)
    case record(CartRecording)
    /// Finds out whether a cart of which a product's stock is short is to wait.
    case relieve(ShortageMachine)
    /// Cancels a line; its units go back on sale, or leave it.
    case cancel(Token, BucketID, offSale: Bool)
    /// Gives back a line whose token's order is another purchase.
    case settle(SettlementMachine)
    case done(Disposition)
  }

  private struct Loose: Hashable {
    let line: Int
    let end: CartRecordOutcome.LineEnd
  }

  let message: CartMessage
  private var confirmed = 0
  /// Products whose shortage was looked into.
  private var relieved: Set<SKU> = []
  /// Lines of a cart that is over, still to be given back, the last first.
  private var loose: [Loose] = []
  private var disposition = Disposition.acknowledge

  private var cart: CartOrder { message.order }
  private var buckets: [BucketID] { message.bucketIDs }

  init(_ message: CartMessage) { self.message = message }

  mutating func start() -> Action { confirm() }

  // MARK: Confirming

  /// A line that its bucket has lost is the database's to decide, as a lost purchase is: recovery writes it in again.
  mutating func confirmed(_ outcome: ConfirmOutcome) -> Action {
    switch outcome {
    case .confirmed, .alreadyConfirmed, .unknownToken:
      confirmed += 1
      return confirm()
    case .cancelled: return .record(CartRecording(cart, as: .cancelled))
    }
  }

  mutating func confirmFailed(_ error: StockError) -> Action {
    if error.code == .frozen { return confirmed(.unknownToken) }
    return .done(.retry(error.message, countsAsAttempt: false))
  }

  private func confirm() -> Action {
    guard confirmed < buckets.count else { return .record(CartRecording(cart, as: .sold)) }
    return .confirm(cart.token, buckets[confirmed])
  }

  // MARK: Recording

  /// Where the cart is another than the one of this token that the database has, the lines that both share are left to that
  /// one.
  mutating func recorded(_ outcome: CartRecordOutcome) -> Action {
    switch outcome {
    case .sold: return .done(.acknowledge)
    case .over(let ends):
      loose = ends.enumerated().reversed().map { Loose(line: $0, end: $1) }
      return giveBack()
    case .short(let sku, let stock):
      guard let line = cart.lines.first(where: { $0.purchase.sku == sku }), relieved.insert(sku).inserted else {
        let reason = "the stock of \(sku) is \(stock); units that were given back may be on their way"
        return .done(.retry(reason, countsAsAttempt: false))
      }
      return .relieve(ShortageMachine(cart, short: line, readMax: Reliever.readMax))
    case .mismatch(let stored):
      disposition = .deadLetter(
        "token \(cart.token) of \(cart.lead) names the cart \(stored.text) of user \(stored.user), not \(cart.text) of \(cart.user)"
      )
      let others = Set(stored.text.split(separator: " ").compactMap { $0.split(separator: "=").first.map(String.init) })
      loose = cart.lines.indices.reversed().filter { !others.contains(cart.lines[$0].purchase.sku.text) }
        .map { Loose(line: $0, end: .cancelled) }
      return giveBack()
    case .unknownProduct(let sku):
      return .done(.retry("the database knows no product \(sku)", countsAsAttempt: true))
    case .refused(let reason): return .done(.retry(reason, countsAsAttempt: true))
    }
  }

  /// A fault of the database is not the cart's.
  mutating func recordFailed(_ error: OrderStoreError) -> Action {
    .done(.retry(error.message, countsAsAttempt: error.code == .refused))
  }

  // MARK: Giving back

  mutating func cancelled(_: CancelOutcome) -> Action {
    loose.removeLast()
    return giveBack()
  }

  mutating func cancelFailed(_ error: StockError) -> Action { .done(.retry(error.message, countsAsAttempt: false)) }

  mutating func settled(_ settled: Disposition) -> Action {
    switch settled {
    case .acknowledge: break
    case .deadLetter: disposition = settled
    case .retry: return .done(settled)
    }
    loose.removeLast()
    return giveBack()
  }

  private func giveBack() -> Action {
    guard let next = loose.last else { return .done(disposition) }
    let bucket = buckets[next.line]
    switch next.end {
    case .cancelled: return .cancel(cart.token, bucket, offSale: false)
    case .rejected: return .cancel(cart.token, bucket, offSale: true)
    case .conflict(let row): return .settle(SettlementMachine(order: cart.lines[next.line], outcome: .conflict(row)))
    }
  }
}
