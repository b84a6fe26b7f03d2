import CStockABI

/// What an event's token names.
enum Subject {
  case none, purchase, restock, transfer
}

extension Effect {
  /// The effect of a number, if there is one: an imported enum takes any number unasked.
  static func known(_ number: UInt8) -> Effect? {
    number <= Effect.thaw.rawValue ? Effect(rawValue: number) : nil
  }

  /// The word for it in the log.
  var action: Action { stock_effect_action(self) }

  /// What an event of this effect does to the available stock.
  @inline(__always)
  func change(_ quantity: Int64) -> Int64 {
    switch self {
    case .create, .add, .cancelHeld, .cancelSold, .expire, .deposit, .rebalanceIn, .recordCancelHeld,
      .recordCancelSold, .recordIn, .recordRestock:
      quantity
    case .deduct, .hold, .withdraw, .rebalanceOut, .recordHeld, .recordSold, .recordRejected, .recordOut:
      0 &- quantity
    case .confirm, .rejectHeld, .rejectSold, .fence, .recordCancelled, .recordConfirm, .recordRejectHeld,
      .recordRejectSold, .schedule, .freeze, .thaw:
      0
    }
  }

  var subject: Subject {
    switch self {
    case .deduct, .hold, .confirm, .cancelHeld, .cancelSold, .rejectHeld, .rejectSold, .expire, .fence, .recordHeld,
      .recordSold, .recordCancelled, .recordRejected, .recordConfirm, .recordCancelHeld, .recordCancelSold,
      .recordRejectHeld, .recordRejectSold:
      .purchase
    case .add, .recordRestock: .restock
    case .withdraw, .deposit, .recordOut, .recordIn: .transfer
    case .create, .rebalanceOut, .rebalanceIn, .schedule, .freeze, .thaw: .none
    }
  }

  /// The state that the event's purchase was in, nil where the event is its first or concerns no purchase.
  var stateBefore: PurchaseState? {
    switch self {
    case .confirm, .cancelHeld, .rejectHeld, .expire, .recordConfirm, .recordCancelHeld, .recordRejectHeld: .held
    case .cancelSold, .rejectSold, .recordCancelSold, .recordRejectSold: .sold
    case .create, .add, .deduct, .hold, .fence, .withdraw, .deposit, .rebalanceOut, .rebalanceIn, .recordHeld,
      .recordSold, .recordCancelled, .recordRejected, .recordOut, .recordIn, .recordRestock, .schedule, .freeze, .thaw:
      nil
    }
  }

  /// The state of the event's purchase after it; of events that concern none, `sold`, which means nothing there.
  var stateAfter: PurchaseState {
    switch self {
    case .hold, .recordHeld: .held
    case .cancelHeld, .cancelSold, .rejectHeld, .rejectSold, .expire, .fence, .recordCancelled, .recordRejected,
      .recordCancelHeld, .recordCancelSold, .recordRejectHeld, .recordRejectSold:
      .cancelled
    case .create, .add, .deduct, .confirm, .withdraw, .deposit, .rebalanceOut, .rebalanceIn, .recordSold,
      .recordConfirm, .recordOut, .recordIn, .recordRestock, .schedule, .freeze, .thaw:
      .sold
    }
  }

  /// Whether the event's units leave a transfer or enter one.
  var direction: Direction {
    switch self {
    case .deposit, .rebalanceIn, .recordIn: .incoming
    case .create, .add, .deduct, .hold, .confirm, .cancelHeld, .cancelSold, .rejectHeld, .rejectSold, .expire, .fence,
      .withdraw, .rebalanceOut, .recordHeld, .recordSold, .recordCancelled, .recordRejected, .recordConfirm,
      .recordCancelHeld, .recordCancelSold, .recordRejectHeld, .recordRejectSold, .recordOut, .recordRestock,
      .schedule, .freeze, .thaw:
      .outgoing
    }
  }

  /// How a cancellation of a purchase in a state ends it.
  static func cancelling(_ state: PurchaseState, offSale: Bool) -> Effect {
    if state == .held { return offSale ? .rejectHeld : .cancelHeld }
    return offSale ? .rejectSold : .cancelSold
  }
}
