import CStockABI

// What a bucket lost and the database, a message or another bucket knows is written in: frozen or not, without limit and
// window.
extension Bucket {
  /// Writes a purchase in, in a state; `rejected` is cancelled with its units off sale. In order: fault `tokenMismatch`,
  /// `duplicate` (so far or further on already), `soldOut` (its units are not there), fault `overflow`, `ok`.
  mutating func record(
    user: Bytes,
    token: Bytes,
    quantity: Int64,
    as recording: Recording,
    now: Int64
  ) -> Outcome {
    beginChange()
    let known = find(token, .purchase)
    guard let first = known.first else {
      let effect = recording.effectOfUnknown
      guard hasAvailable(0 &- effect.change(quantity), now: now) else { return outcome(.soldOut) }
      return commit(makeEvent(effect, token: token, user: user, quantity: quantity, now: now), known)
    }
    // A fence has no user and no quantity, and is as far on as a purchase can be.
    if !first.isFence {
      guard first.quantity == quantity, isUser(user, of: first) else { return failed(.tokenMismatch) }
    }
    guard let effect = recording.effect(on: first.state) else {
      return outcome(.duplicate, sequence: sequence(of: known))
    }
    // The user of a trimmed purchase is known again: the one that was given is the first one.
    return commit(makeEvent(effect, token: token, user: user, quantity: quantity, now: now), known)
  }

  /// Writes a restock in, frozen or not. In order: fault `tokenMismatch`, `duplicate`, `soldOut`, fault `overflow`, `ok`.
  mutating func record(restock token: Bytes, quantity: Int64, now: Int64) -> Outcome {
    beginChange()
    let known = find(token, .restock)
    if let first = known.first {
      guard first.quantity == quantity else { return failed(.tokenMismatch) }
      return outcome(.duplicate, sequence: sequence(of: known))
    }
    guard hasAvailable(0 &- quantity, now: now) else { return outcome(.soldOut) }
    return commit(makeEvent(.recordRestock, token: token, quantity: quantity, now: now), known)
  }
}

extension Recording {
  /// What writing a purchase in does whose token is unknown.
  fileprivate var effectOfUnknown: Effect {
    switch self {
    case .held: .recordHeld
    case .sold: .recordSold
    case .cancelled: .recordCancelled
    case .rejected: .recordRejected
    }
  }

  /// What it does to a known one; nil where that is so far, or further on.
  fileprivate func effect(on state: PurchaseState) -> Effect? {
    switch (self, state) {
    case (.held, _), (_, .cancelled), (.sold, .sold): nil
    case (.sold, .held): .recordConfirm
    case (.cancelled, .held): .recordCancelHeld
    case (.cancelled, .sold): .recordCancelSold
    case (.rejected, .held): .recordRejectHeld
    case (.rejected, .sold): .recordRejectSold
    }
  }
}
