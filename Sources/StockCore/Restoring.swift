import CStockABI

/// What a payload in parts has brought of the time before the log: the units of its tokens and transfers, which must make
/// up the books where the log begins, and how many of them are still to come.
struct Restoration {
  var awaitedTokens: Int64 = 0
  var awaitedHeld: Int64 = 0
  var awaitedTransfers: Int64 = 0
  /// Whether the end of a whole bucket is still to come.
  var awaitsEnd = false
  var sold: Int64 = 0
  var held: Int64 = 0
  var cancelled: Int64 = 0
  var restocked: Int64 = 0
  var transferredIn: Int64 = 0
  var transferredOut: Int64 = 0

  /// Whether all that lies before the log is there.
  var isDone: Bool { awaitedTokens == 0 && awaitedHeld == 0 && awaitedTransfers == 0 }

  /// Whether no sum can pass 2^63 by the next item.
  var isBounded: Bool {
    (sold | held | cancelled | transferredIn | transferredOut) <= 2 &* Limits.number
      && restocked.magnitude <= 2 &* Limits.number.magnitude
  }

  /// Whether the items make up the books. What was taken off sale with a cancellation is in `added` too, at most all that
  /// was cancelled; what was rebalanced is no transfer.
  func fits(_ books: Books) -> Bool {
    let offSale = restocked &- books.added
    return sold == books.sold && held == books.held && cancelled == books.cancelled && offSale >= 0
      && offSale <= cancelled && transferredIn <= books.transferredIn && transferredOut <= books.transferredOut
  }
}

// A bucket whose log was trimmed is restored from the books where its log begins and the tokens and transfers before it.
extension Bucket {
  /// Begins a bucket without events after those that were trimmed; what `awaited` counts is to follow. False where no bucket
  /// can have come to this.
  mutating func begin(after sequence: Int64, books: Books, awaiting awaited: Restoration) -> Bool {
    let items = awaited.awaitedTokens &+ awaited.awaitedHeld &+ awaited.awaitedTransfers
    guard lastSequence == 0, sequence >= 1, items < sequence, books.isSound else { return false }
    lastSequence = sequence
    trimmed.sequence = sequence
    trimmed.books = books
    self.books = books
    restoration = awaited
    return !awaited.isDone || awaited.fits(books)
  }

  /// Takes in the next token that was kept at the log's beginning. Faults: `outOfStep`, `overflow`, `damaged`.
  mutating func restore(_ token: KeptToken) -> Fault {
    guard restoration.awaitedTokens > 0, token.sequence >= 1, token.sequence <= trimmed.sequence else {
      return .outOfStep
    }
    var place = tokens.find(token.low) { address in
      guard KeptTokens.isKept(address) else { return false }
      let known = kept.record(at: address)
      return known.low == token.low && known.high == token.high
    }
    guard place.address == 0 else { return .outOfStep }
    guard kept.hasRoom(for: 1), tokens.reserve(token.low, &place) else { return .overflow }
    if countsUsers && token.kind == .purchase && !token.isCancelled {
      guard userUnits.add(token.quantity, to: token.user) else { return .overflow }
    }
    tokens.insert(token.low, kept.append(token), at: place)
    if token.kind != .restock { purchases &+= 1 }
    restoration.awaitedTokens &-= 1
    if token.kind == .restock {
      restoration.restocked &+= token.quantity
    } else if token.isCancelTrimmed {
      restoration.cancelled &+= token.quantity
    } else {
      restoration.sold &+= token.quantity
    }
    return finishRestoring()
  }

  /// Takes in the next purchase that was held at the log's beginning, by its first event. Faults as above.
  mutating func restore(held event: Event) -> Fault {
    guard restoration.awaitedTokens == 0, restoration.awaitedHeld > 0, event.sequence >= 1,
      event.sequence <= trimmed.sequence
    else { return .outOfStep }
    let known = find(event.token, .purchase)
    guard known.first == nil else { return .outOfStep }
    var place = known.place
    guard held.hasRoom(for: 1), holds.hasRoom, tokens.reserve(known.hash, &place) else { return .overflow }
    if countsUsers {
      guard userUnits.add(event.quantity, to: hashing.hash(event.user, .user)) else { return .overflow }
    }
    let entry = held.append(size: Record.size(of: event), sequence: event.sequence)
    Record.write(event, place: 0, to: entry.memory)
    take(event, known.hash, entry.address, at: place)
    restoration.awaitedHeld &-= 1
    restoration.held &+= event.quantity
    return finishRestoring()
  }

  /// Takes in the next transfer that was made before the log's beginning. Faults as above.
  mutating func restore(_ transfer: Transfer) -> Fault {
    guard restoration.awaitedTokens == 0, restoration.awaitedHeld == 0, restoration.awaitedTransfers > 0,
      transfer.sequence >= 1, transfer.sequence <= trimmed.sequence
    else { return .outOfStep }
    var known = findTransfer(transfer.name)
    guard known.transfer == nil else { return .outOfStep }
    guard transfers.reserve(known.hash, &known.place) else { return .overflow }
    transfers.insert(transfer, known.hash, at: known.place, isTrimmed: true)
    restoration.awaitedTransfers &-= 1
    switch transfer.direction {
    case .incoming: restoration.transferredIn &+= transfer.quantity
    case .outgoing: restoration.transferredOut &+= transfer.quantity
    }
    return finishRestoring()
  }

  private func finishRestoring() -> Fault {
    guard restoration.isBounded else { return .damaged }
    return !restoration.isDone || restoration.fits(trimmed.books) ? .none : .damaged
  }
}
