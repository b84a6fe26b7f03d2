import Messaging
import Orders
import Stock

/// What remains to be done for one order after the database has spoken: a rejected order's deduction leaves the
/// sale, a conflicting one is given back, and only then is its message (or its event) done with.
///
/// It can be started again at any time from the database's answer to the same order, so a crash loses nothing.
struct SettlementMachine: Hashable {
  enum Action: Hashable {
    /// Cancels the deduction; its units leave the sale. An unknown token is fenced, so that it stays without units.
    case cancelOffSale(Token, BucketID)
    /// Asks what the bucket knows of the token.
    case lookUp(Token, BucketID)
    /// Cancels the deduction; its units go back on sale.
    case giveBack(Token, BucketID)
    case done(Disposition)
  }

  let order: Order
  let outcome: RecordOutcome

  private var bucket: BucketID { BucketID(sku: order.purchase.sku, index: order.bucket) }
  private var token: Token { order.purchase.token }

  /// Whether the order is over, as the database had no stock for it.
  var isRejected: Bool {
    switch outcome {
    case .rejected, .alreadyRecorded(.rejected): true
    case .recorded, .alreadyRecorded, .short, .conflict, .unknownProduct, .refused: false
    }
  }

  /// What the database has said of the order, as a sentence.
  var reason: String {
    let subject = "\(order.purchase.sku) token \(token)"
    return switch outcome {
    case .recorded: "\(subject): its order is recorded"
    case .alreadyRecorded(let state): "\(subject): its order is \(state.rawValue) already"
    case .rejected: "\(subject): its order is rejected, as the database has no stock for it"
    case .short(let stock): "\(subject): the database's stock is \(stock), too little for its order"
    case .conflict(let row): conflictReason(row)
    case .unknownProduct: "\(subject): the database knows no such product"
    case .refused(let reason): "\(subject): the database refuses its order: \(reason)"
    }
  }

  func start() -> Action {
    switch outcome {
    case .recorded: return .done(.acknowledge)
    case .alreadyRecorded(let state):
      switch state {
      case .held, .sold, .cancelled: return .done(.acknowledge)
      case .rejected: return .cancelOffSale(token, bucket)
      }
    case .rejected: return .cancelOffSale(token, bucket)
    case .short(let stock):
      let reason = "the stock of \(order.purchase.sku) is \(stock); units that were given back may be on their way"
      return .done(.retry(reason, countsAsAttempt: false))
    case .conflict: return .lookUp(token, bucket)
    case .unknownProduct:
      return .done(.retry("the database knows no product \(order.purchase.sku)", countsAsAttempt: true))
    case .refused(let reason): return .done(.retry(reason, countsAsAttempt: true))
    }
  }

  /// Units went out of the sale, or had gone back before; either way the order is over.
  func cancelled(_: CancelOutcome) -> Action {
    switch outcome {
    case .conflict(let row): .done(.deadLetter(conflictReason(row) + "; its deduction is cancelled"))
    case .recorded, .alreadyRecorded, .rejected, .short, .unknownProduct, .refused: .done(.acknowledge)
    }
  }

  func found(_ record: PurchaseRecord?) -> Action {
    guard case .conflict(let row) = outcome else { return .done(.acknowledge) }
    guard let record, isLive(record), isOurs(record), !isTheRows(row) else {
      return .done(.deadLetter(conflictReason(row)))
    }
    return .giveBack(token, bucket)
  }

  func stockFailed(_ error: StockError) -> Action { .done(.retry(error.message, countsAsAttempt: false)) }

  private func isLive(_ record: PurchaseRecord) -> Bool {
    switch record.state {
    case .held, .sold: true
    case .cancelled: false
    }
  }

  /// The bucket's purchase is surely the one that this order tells of. What the bucket no longer knows is not sure.
  private func isOurs(_ record: PurchaseRecord) -> Bool {
    record.user == order.purchase.user && record.quantity == order.purchase.quantity
  }

  /// The row tells of this bucket's purchase of this buyer: cancelling it would cancel the row's order.
  private func isTheRows(_ row: StoredOrder) -> Bool {
    row.order.bucket == order.bucket && row.order.purchase.user == order.purchase.user
  }

  private func conflictReason(_ row: StoredOrder) -> String {
    """
    \(order.purchase.sku) token \(token): the order is \(describe(row.order)) and this purchase \(describe(order))
    """
  }

  private func describe(_ order: Order) -> String {
    "of \(order.purchase.quantity) for user \(order.purchase.user) in bucket \(order.bucket)"
  }
}
