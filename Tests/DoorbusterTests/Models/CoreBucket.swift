import CStockABI
import Stock
import StockCore

/// A bucket of the module's own rules, asked in the words of the seam.
final class CoreBucket {
  typealias Fault = Stock.StockError
  private var core: StockCore.Bucket

  init(quantity: Int64, terms: SaleTerms, frozen: Bool = false, epoch: Int64, nowMs: Int64) {
    core = StockCore.Bucket(
      quantity: quantity,
      settings: Settings(
        buckets: Int64(terms.buckets),
        limit: terms.limit,
        opens: terms.opensMs,
        closes: terms.closesMs
      ),
      isFrozen: frozen,
      epoch: epoch,
      hashKey: Array(0..<16),
      now: nowMs
    )
  }

  // MARK: Purchases

  func deduct(_ purchase: Stock.Purchase, holdMs: Int64? = nil, nowMs: Int64) throws(Fault) -> DeductOutcome {
    let outcome = core.deduct(
      user: purchase.user.bytes,
      token: purchase.token.bytes,
      quantity: purchase.quantity,
      hold: holdMs ?? 0,
      now: nowMs
    )
    try check(outcome)
    switch outcome.status {
    case .ok, .duplicate:
      return .accepted(
        remaining: outcome.remaining,
        sequence: outcome.sequence,
        isRepeat: outcome.status == .duplicate
      )
    case .cancelled: return .cancelled
    case .frozen: return .refused(.frozen, remaining: outcome.remaining)
    case .early: return .refused(.early, remaining: outcome.remaining)
    case .closed: return .refused(.closed, remaining: outcome.remaining)
    case .limit: return .refused(.limit, remaining: outcome.remaining)
    case .soldOut: return .refused(.soldOut, remaining: outcome.remaining)
    case .live, .unknown: throw unexpected(outcome)
    }
  }

  func confirm(_ token: Token, nowMs: Int64) throws(Fault) -> ConfirmOutcome {
    let outcome = core.confirm(token: token.bytes, now: nowMs)
    try check(outcome)
    switch outcome.status {
    case .ok: return .confirmed
    case .duplicate: return .alreadyConfirmed
    case .cancelled: return .cancelled
    case .unknown: return .unknownToken
    case .frozen, .early, .closed, .limit, .soldOut, .live: throw unexpected(outcome)
    }
  }

  func cancel(_ token: Token, fence: Bool, offSale: Bool, nowMs: Int64) throws(Fault) -> CancelOutcome {
    let outcome = core.cancel(token: token.bytes, fence: fence, offSale: offSale, now: nowMs)
    try check(outcome)
    switch outcome.status {
    case .ok: return .cancelled
    case .duplicate: return .alreadyCancelled
    case .unknown: return .unknownToken
    case .cancelled, .frozen, .early, .closed, .limit, .soldOut, .live: throw unexpected(outcome)
    }
  }

  func fence(_ token: Token, nowMs: Int64) throws(Fault) -> FenceOutcome {
    let outcome = core.fence(token: token.bytes, now: nowMs)
    try check(outcome)
    switch outcome.status {
    case .ok: return .fenced
    case .duplicate: return .alreadyCancelled
    case .live: return .live
    case .cancelled, .frozen, .early, .closed, .limit, .soldOut, .unknown: throw unexpected(outcome)
    }
  }

  func add(_ token: Token, quantity: Int64, nowMs: Int64) throws(Fault) -> AddOutcome {
    let outcome = core.add(token: token.bytes, quantity: quantity, now: nowMs)
    try check(outcome)
    switch outcome.status {
    case .ok: return .added(remaining: outcome.remaining)
    case .duplicate: return .alreadyAdded
    case .soldOut: return .short(remaining: outcome.remaining)
    case .cancelled, .frozen, .early, .closed, .limit, .live, .unknown: throw unexpected(outcome)
    }
  }

  func schedule(limit: Int64?, opensMs: Int64?, closesMs: Int64?, nowMs: Int64) throws(Fault) {
    let settings = core.figures.settings
    try check(
      core.schedule(
        limit: limit ?? settings.limit,
        opens: opensMs ?? settings.opens,
        closes: closesMs ?? settings.closes,
        now: nowMs
      )
    )
  }

  // MARK: Transfers

  func withdraw(_ name: TransferName, quantity: Int64, to target: Int, nowMs: Int64) throws(Fault) -> WithdrawOutcome {
    let outcome = core.withdraw(transfer: name.bytes, quantity: quantity, to: UInt16(target), now: nowMs)
    try check(outcome)
    switch outcome.status {
    case .ok, .duplicate: return .withdrawn(outcome.remaining, isRepeat: outcome.status == .duplicate)
    case .soldOut: return .soldOut
    case .cancelled, .frozen, .early, .closed, .limit, .live, .unknown: throw unexpected(outcome)
    }
  }

  func deposit(_ deposit: Deposit, nowMs: Int64) throws(Fault) -> DepositOutcome {
    let outcome = core.deposit(
      transfer: deposit.name.bytes,
      quantity: deposit.quantity,
      from: UInt16(deposit.source),
      now: nowMs
    )
    try check(outcome)
    switch outcome.status {
    case .ok: return .deposited(remaining: outcome.remaining)
    case .duplicate: return .alreadyDeposited(remaining: outcome.remaining)
    case .cancelled, .frozen, .early, .closed, .limit, .soldOut, .live, .unknown: throw unexpected(outcome)
    }
  }

  func settle(_ name: TransferName) throws(Fault) -> SettleOutcome {
    let outcome = core.settle(transfer: name.bytes)
    try check(outcome)
    switch outcome.status {
    case .ok: return .settled
    case .duplicate: return .alreadySettled
    case .unknown: return .unknownTransfer
    case .cancelled, .frozen, .early, .closed, .limit, .soldOut, .live: throw unexpected(outcome)
    }
  }

  func transfers(settled: Bool, after: TransferName?, count: Int) throws(Fault) -> [ListedTransfer] {
    guard let known = core.transfers(all: settled, after: after?.bytes ?? [], count: count) else {
      throw Fault(.refused, "there is no transfer of that name")
    }
    var listed: [ListedTransfer] = []
    for transfer in known {
      do {
        let half = Stock.Transfer(
          name: try TransferName(bytes: transfer.name),
          direction: transfer.direction == .outgoing ? .out : .in,
          peer: Int(transfer.peer),
          quantity: transfer.quantity
        )
        listed.append(ListedTransfer(transfer: half, timestampMs: transfer.timestamp))
      } catch {
        throw Fault(.protocolViolation, error.description)
      }
    }
    return listed
  }

  /// Shares out what the buckets have.
  static func rebalance(_ buckets: [CoreBucket], weights: [Int64]?, nowMs: Int64) throws(Fault) -> [Int64] {
    var places: [UnsafeMutablePointer<StockCore.Bucket>] = []
    for bucket in buckets {
      let place = UnsafeMutablePointer<StockCore.Bucket>.allocate(capacity: 1)
      bucket.swap(with: place)
      places.append(place)
    }
    defer { for (bucket, place) in zip(buckets, places) { bucket.takeBack(place) } }
    do {
      return try StockCore.Bucket.rebalance(places, weights: weights, now: nowMs).map(\.remaining)
    } catch {
      throw Fault(error.fault == .frozen ? .frozen : .overflow, "a bucket is \(error.fault)")
    }
  }

  private func swap(with place: UnsafeMutablePointer<StockCore.Bucket>) {
    place.initialize(to: StockCore.Bucket(quantity: 0, settings: Settings(), epoch: 1, hashKey: [], now: 0))
    Swift.swap(&core, &place.pointee)
  }

  private func takeBack(_ place: UnsafeMutablePointer<StockCore.Bucket>) {
    Swift.swap(&core, &place.pointee)
    place.deinitialize(count: 1)
    place.deallocate()
  }

  // MARK: Freezing and recovery

  func freeze(nowMs: Int64) throws(Fault) { try check(core.freeze(now: nowMs)) }

  func thaw(epoch: Int64?, nowMs: Int64) throws(Fault) { try check(core.thaw(epoch: epoch ?? 0, now: nowMs)) }

  /// Its server may have lost writes.
  func comeUp(_ reason: FreezeReason, seed: UInt64) { core.freezeAnew(reason, seed: seed) }

  func record(_ entry: LostEntry, nowMs: Int64) throws(Fault) -> LostEntryOutcome {
    let outcome: Outcome
    switch entry {
    case .purchase(let purchase, let state):
      outcome = core.record(
        user: purchase.user.bytes,
        token: purchase.token.bytes,
        quantity: purchase.quantity,
        as: Self.recording(state),
        now: nowMs
      )
    case .transfer(let transfer):
      outcome = core.record(
        transfer: transfer.name.bytes,
        direction: transfer.direction == .out ? .outgoing : .incoming,
        peer: UInt16(transfer.peer),
        quantity: transfer.quantity,
        now: nowMs
      )
    case .restock(let token, let quantity):
      outcome = core.record(restock: token.bytes, quantity: quantity, now: nowMs)
    }
    try check(outcome)
    switch outcome.status {
    case .ok: return .recorded
    case .duplicate: return .alreadyThere
    case .soldOut: return .short(remaining: outcome.remaining)
    case .cancelled, .frozen, .early, .closed, .limit, .live, .unknown: throw unexpected(outcome)
    }
  }

  private static func recording(_ state: LostEntry.State) -> Recording {
    switch state {
    case .held: .held
    case .sold: .sold
    case .cancelled: .cancelled
    case .rejected: .rejected
    }
  }

  func expire(nowMs: Int64) { _ = core.expire(count: 1000, now: nowMs) }

  // MARK: Reading

  var info: BucketInfo {
    let figures = core.figures
    return BucketInfo(
      created: figures.created,
      added: figures.added,
      available: figures.available,
      held: figures.held,
      sold: figures.sold,
      cancelled: figures.cancelled,
      transferredIn: figures.transferred_in,
      transferredOut: figures.transferred_out,
      buckets: Int(figures.settings.buckets),
      limit: figures.settings.limit,
      opensMs: figures.settings.opens,
      closesMs: figures.settings.closes,
      frozen: Self.reason(figures.frozen),
      epoch: figures.epoch,
      tokens: figures.tokens,
      transfers: figures.transfers,
      logFirst: figures.log_first,
      logLast: figures.log_last,
      bytes: Int64(figures.bytes)
    )
  }

  func record(of token: Token) -> PurchaseRecord? {
    core.known(token: token.bytes)
      .map { known in
        PurchaseRecord(
          token: token,
          user: known.first.user.flatMap { try? UserID(bytes: $0) },
          quantity: known.isFence ? nil : known.quantity,
          state: known.state == .held ? .held : known.state == .sold ? .sold : .cancelled,
          sequence: known.first.sequence,
          timestampMs: known.isTrimmed ? nil : known.first.timestamp,
          expiresMs: known.expires == 0 ? nil : known.expires
        )
      }
  }

  func events(after position: LogPosition, count: Int) throws(Fault) -> [StockEvent] {
    do {
      return try core.events(after: position.sequence, count: count, epoch: position.epoch)
        .map { event in
          StockEvent(
            sequence: event.sequence,
            action: StockAction(rawValue: String(cString: stock_action_word(event.action))) ?? .create,
            token: event.token,
            user: event.user,
            change: event.change,
            from: event.from,
            to: event.to,
            timestampMs: event.timestamp
          )
        }
    } catch {
      throw Self.fault(error.fault)
    }
  }

  func trim(upTo position: LogPosition) throws(Fault) -> Int64 {
    do {
      return try core.trim(to: position.sequence, epoch: position.epoch)
    } catch {
      throw Self.fault(error.fault)
    }
  }

  // MARK: Words

  private static func reason(_ reason: FreezeReason) -> FrozenReason? {
    switch reason {
    case .no: nil
    case .byOperator: .operator
    case .create: .create
    case .promotion: .promotion
    case .load: .load
    }
  }

  private func check(_ outcome: Outcome) throws(Fault) {
    guard outcome.fault == .none else { throw Self.fault(outcome.fault) }
  }

  private func unexpected(_ outcome: Outcome) -> Fault {
    outcome.status == .frozen
      ? Fault(.frozen, "the bucket is frozen")
      : Fault(.protocolViolation, "answered \(String(cString: stock_status_word(outcome.status)))")
  }

  private static func fault(_ fault: StockCore.Fault) -> Fault {
    let text = String(cString: stock_fault_meaning(fault))
    return switch fault {
    case .tokenMismatch: Fault(.tokenMismatch, text)
    case .transferMismatch: Fault(.transferMismatch, text)
    case .overflow, .holdTooLong: Fault(.overflow, text)
    case .ahead: Fault(.logAhead, text)
    case .trimmed: Fault(.logTrimmed, text)
    case .epochMismatch: Fault(.epochMismatch, text)
    case .frozenByOperator: Fault(.frozenByOperator, text)
    case .frozen: Fault(.frozen, text)
    case .none, .damaged, .version, .outOfStep: Fault(.protocolViolation, text)
    }
  }
}
