import Stock

/// The halves that a product's buckets know of their transfers, put together.
struct TransferBook: Hashable, Sendable {
  /// A transfer as one of its buckets tells of it: from bucket to bucket.
  struct Move: Hashable, Sendable {
    var name: TransferName
    var source: Int
    var target: Int
    var quantity: Int64
    /// When its half was made.
    var timestampMs: Int64

    /// The half that belongs into the source or the target.
    func half(_ direction: Transfer.Direction) -> Transfer {
      Transfer(name: name, direction: direction, peer: direction == .out ? target : source, quantity: quantity)
    }
  }

  private struct Key: Hashable {
    var name: TransferName
    var source: Int
    var target: Int
  }

  private var outgoing: [Key: Move] = [:]
  private var incoming: [Key: Move] = [:]

  mutating func add(_ listed: ListedTransfer, of bucket: Int) {
    let transfer = listed.transfer
    let (source, target) = transfer.direction == .out ? (bucket, transfer.peer) : (transfer.peer, bucket)
    let move = Move(
      name: transfer.name,
      source: source,
      target: target,
      quantity: transfer.quantity,
      timestampMs: listed.timestampMs
    )
    let key = Key(name: transfer.name, source: source, target: target)
    switch transfer.direction {
    case .out: outgoing[key] = move
    case .in: incoming[key] = move
    }
  }

  /// Withdrawn, and not deposited: on their way, or left behind.
  var open: [Move] { outgoing.filter { incoming[$0.key] == nil }.map(\.value).sorted(by: Self.precedes) }

  /// Deposited, and their withdrawal is not known: the source has lost it.
  var sourceless: [Move] { incoming.filter { outgoing[$0.key] == nil }.map(\.value).sorted(by: Self.precedes) }

  /// Transfers whose halves are not of one quantity: what was withdrawn, and what was deposited.
  var unequal: [(out: Move, in: Move)] {
    outgoing.compactMap { key, out in incoming[key].map { (out, $0) } }
      .filter { $0.0.quantity != $0.1.quantity }
      .sorted { Self.precedes($0.0, $1.0) }
  }

  private static func precedes(_ left: Move, _ right: Move) -> Bool {
    if left.timestampMs != right.timestampMs { return left.timestampMs < right.timestampMs }
    return left.name.bytes.lexicographicallyPrecedes(right.name.bytes)
  }
}

extension SaleAccess {
  func transferBook() async throws(DoorbusterError) -> TransferBook {
    var book = TransferBook()
    // The targets' halves come later than the sources', so whoever is read last has what the first ones told of.
    for bucket in sale.buckets {
      for half in try await transfers(bucket.index) { book.add(half, of: bucket.index) }
    }
    return book
  }
}
