import Stock

/// Transfers, freezing, and writing in what was lost.
extension ModelBucket {
  // MARK: Transfers

  mutating func withdraw(_ name: TransferName, quantity: Int64, to target: Int, nowMs: Int64) throws(StockError)
    -> WithdrawOutcome
  {
    expire(nowMs)
    if let known = half(name) {
      guard known.direction == .out, known.peer == target else { throw mismatch(name) }
      return .withdrawn(known.quantity, isRepeat: true)
    }
    try requireThawed()
    let moved = min(quantity, available)
    guard moved > 0 else { return .soldOut }
    write(Transfer(name: name, direction: .out, peer: target, quantity: moved), .withdraw, nowMs)
    return .withdrawn(moved, isRepeat: false)
  }

  mutating func deposit(_ deposit: Deposit, nowMs: Int64) throws(StockError) -> DepositOutcome {
    expire(nowMs)
    let transfer = Transfer(
      name: deposit.name,
      direction: .in,
      peer: deposit.source,
      quantity: deposit.quantity
    )
    if let known = half(deposit.name) {
      guard known == transfer else { throw mismatch(deposit.name) }
      return .alreadyDeposited(remaining: available)
    }
    write(transfer, .deposit, nowMs)
    return .deposited(remaining: available)
  }

  mutating func settle(_ name: TransferName) -> SettleOutcome {
    guard let index = halves.firstIndex(where: { $0.listed.transfer.name == name }) else { return .unknownTransfer }
    guard !halves[index].isSettled else { return .alreadySettled }
    halves[index].isSettled = true
    return .settled
  }

  func transfers(settled: Bool, after: TransferName?, count: Int) throws(StockError) -> [ListedTransfer] {
    var rest = halves[...]
    if let after {
      guard let index = halves.firstIndex(where: { $0.listed.transfer.name == after }) else {
        throw StockError(.refused, "the bucket knows no transfer \(after)")
      }
      rest = halves[(index + 1)...]
    }
    return rest.filter { settled || !$0.isSettled }.prefix(count).map(\.listed)
  }

  mutating func rebalance(to share: Int64, nowMs: Int64) {
    let change = share - available
    guard change != 0 else { return }
    if change > 0 { transferredIn += change } else { transferredOut -= change }
    move(.rebalance, nil, nil, by: change, nowMs)
  }

  private func half(_ name: TransferName) -> Transfer? {
    halves.first { $0.listed.transfer.name == name }?.listed.transfer
  }

  private func mismatch(_ name: TransferName) -> StockError {
    StockError(.transferMismatch, "transfer \(name) is known with another peer, direction or quantity")
  }

  private mutating func write(_ transfer: Transfer, _ action: StockAction, _ nowMs: Int64) {
    halves.append(Half(listed: ListedTransfer(transfer: transfer, timestampMs: nowMs)))
    switch transfer.direction {
    case .out:
      transferredOut += transfer.quantity
      move(action, transfer.name.bytes, nil, by: -transfer.quantity, nowMs)
    case .in:
      transferredIn += transfer.quantity
      move(action, transfer.name.bytes, nil, by: transfer.quantity, nowMs)
    }
  }

  // MARK: Freezing

  mutating func freeze(nowMs: Int64) {
    guard frozen != .operator else { return }
    hidden = frozen
    frozen = .operator
    move(.freeze, nil, nil, by: 0, nowMs)
  }

  mutating func thaw(epoch asked: Int64?, nowMs: Int64) throws(StockError) {
    if let asked {
      guard asked == epoch else { throw StockError(.epochMismatch, "the bucket is in epoch \(epoch)") }
      guard frozen != .operator else { throw StockError(.frozenByOperator, "an operator has frozen the bucket") }
    }
    guard frozen != nil else { return }
    frozen = hidden
    hidden = nil
    move(.thaw, nil, nil, by: 0, nowMs)
  }

  // MARK: Writing in

  mutating func record(_ entry: LostEntry, nowMs: Int64) throws(StockError) -> LostEntryOutcome {
    expire(nowMs)
    switch entry {
    case .purchase(let purchase, let state): return try record(purchase, state, nowMs)
    case .transfer(let transfer):
      if let known = half(transfer.name) {
        guard known == transfer else { throw mismatch(transfer.name) }
        return .alreadyThere
      }
      if transfer.direction == .out, available < transfer.quantity { return .short(remaining: available) }
      write(transfer, .record, nowMs)
    case .restock(let token, let quantity):
      if let first = restocks[token] {
        guard first == quantity else { throw StockError(.tokenMismatch, "restock \(token) was of \(first)") }
        return .alreadyThere
      }
      guard available + quantity >= 0 else { return .short(remaining: available) }
      restock(token, quantity, .record, nowMs)
    }
    return .recorded
  }

  private mutating func record(
    _ purchase: Purchase,
    _ state: LostEntry.State,
    _ nowMs: Int64
  ) throws(StockError) -> LostEntryOutcome {
    if let known = entries[purchase.token] {
      try requireSame(purchase, known)
      switch (known.state, state) {
      case (.cancelled, _), (.sold, .sold), (.sold, .held), (.held, .held): return .alreadyThere
      case (.held, .sold): sell(purchase.token, known, .record, nowMs)
      case (_, .cancelled): giveBack(purchase.token, known, .record, offSale: false, nowMs)
      case (_, .rejected): giveBack(purchase.token, known, .record, offSale: true, nowMs)
      }
      return .recorded
    }
    switch state {
    case .held, .sold:
      guard available >= purchase.quantity else { return .short(remaining: available) }
      take(purchase, state == .held ? .held : .sold, .record, nowMs)
    case .cancelled:
      cancelled += purchase.quantity
      move(.record, purchase.token.bytes, purchase.user.bytes, by: 0, nowMs)
      note(purchase, .cancelled, nowMs)
    case .rejected:
      guard available >= purchase.quantity else { return .short(remaining: available) }
      cancelled += purchase.quantity
      added -= purchase.quantity
      move(.record, purchase.token.bytes, purchase.user.bytes, by: -purchase.quantity, nowMs)
      note(purchase, .cancelled, nowMs)
    }
    return .recorded
  }
}
