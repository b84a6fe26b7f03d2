import CStockABI

// Units that move between buckets of a product. A transfer is known by its name for as long as the bucket exists, so that
// whoever finishes what another began, or repeats it late, changes nothing twice.
extension Bucket {
  /// Takes up to `quantity` units off sale into a transfer to the bucket `peer`. `remaining` of the outcome is the units
  /// moved. In order: fault `transferMismatch`, `duplicate` (with the units first moved, whatever was asked), `frozen`,
  /// `soldOut` (none is available; nothing is remembered), fault `overflow`, `ok`.
  mutating func withdraw(_ name: Bytes, quantity: Int64, to peer: UInt16, now: Int64) -> Outcome {
    beginChange()
    var known = findTransfer(name)
    if let first = known.transfer {
      guard first.direction == .outgoing, first.peer == peer else { return failed(.transferMismatch) }
      return outcome(.duplicate, remaining: first.quantity, sequence: first.sequence)
    }
    if freezing.isFrozen { return outcome(.frozen, remaining: 0, sequence: 0) }
    expireUntilAvailable(quantity, count: Self.withdrawalExpiriesMax, now: now)
    let moved = min(quantity, books.available)
    guard moved > 0 else { return outcome(.soldOut, remaining: 0, sequence: 0) }
    let fault = record(makeEvent(.withdraw, token: name, quantity: moved, peer: peer, now: now), transfer: &known)
    return fault == .none ? outcome(.ok, remaining: moved, sequence: lastSequence) : failed(fault)
  }

  /// Puts a transfer's units from the bucket `peer` on sale. In order: fault `transferMismatch`, `duplicate`, fault
  /// `overflow`, `ok`.
  mutating func deposit(_ name: Bytes, quantity: Int64, from peer: UInt16, now: Int64) -> Outcome {
    beginChange()
    return enter(.deposit, name, quantity: quantity, peer: peer, now: now)
  }

  /// Closes a transfer, which makes no event. In order: `unknown`, `duplicate`, `ok`.
  mutating func settle(_ name: Bytes) -> Outcome {
    beginChange()
    let address = findTransfer(name).place.address
    guard address != 0 else { return outcome(.unknown) }
    guard transfers.settle(at: address) else { return outcome(.duplicate, sequence: sequence(ofTransferAt: address)) }
    change.settled = address
    return outcome(.ok)
  }

  /// Writes in the lost half of a transfer, frozen or not. In order: fault `transferMismatch`, `duplicate`, `soldOut`, fault
  /// `overflow`, `ok`.
  mutating func record(
    transfer name: Bytes,
    _ direction: Direction,
    peer: UInt16,
    quantity: Int64,
    now: Int64
  ) -> Outcome {
    beginChange()
    let effect: Effect = direction == .outgoing ? .recordOut : .recordIn
    return enter(effect, name, quantity: quantity, peer: peer, now: now)
  }

  /// Enters a transfer of just this quantity.
  private mutating func enter(
    _ effect: Effect,
    _ name: Bytes,
    quantity: Int64,
    peer: UInt16,
    now: Int64
  ) -> Outcome {
    var known = findTransfer(name)
    if let first = known.transfer {
      guard first.direction == effect.direction, first.peer == peer, first.quantity == quantity else {
        return failed(.transferMismatch)
      }
      return outcome(.duplicate, sequence: first.sequence)
    }
    guard hasAvailable(0 &- effect.change(quantity), now: now) else { return outcome(.soldOut) }
    let fault = record(makeEvent(effect, token: name, quantity: quantity, peer: peer, now: now), transfer: &known)
    return fault == .none ? outcome(.ok, sequence: lastSequence) : failed(fault)
  }

  // MARK: Looking up and recording

  func findTransfer(_ name: Bytes) -> TransferLookup {
    let hash = hashing.hash(name, .transfer)
    let place = transfers.find(name, hash)
    return TransferLookup(
      hash: hash,
      place: place,
      transfer: place.address == 0 ? nil : transfers.transfer(at: place.address)
    )
  }

  func sequence(ofTransferAt address: UInt64) -> Int64 { transfers.transfer(at: address).sequence }

  /// Records the event of a transfer that is not known, and the transfer. Faults: `overflow`, and then nothing has changed.
  mutating func record(_ event: Event, transfer known: inout TransferLookup) -> Fault {
    guard transfers.reserve(known.hash, &known.place) else { return .overflow }
    let fault = record(event)
    guard fault == .none else { return fault }
    let transfer = Transfer(
      name: event.token,
      quantity: event.quantity,
      timestamp: event.timestamp,
      sequence: event.sequence,
      peer: event.peer,
      direction: event.effect.direction,
      is_settled: false
    )
    transfers.insert(transfer, known.hash, at: known.place, isTrimmed: false)
    return .none
  }
}

/// What is known of a transfer's name.
struct TransferLookup {
  let hash: UInt64
  var place: SlotTable.Place
  let transfer: Transfer?
}
