import Stock

/// A transfer that is not settled at both ends, as the buckets list it.
struct OpenTransfer: Hashable, Sendable {
  var name: TransferName
  var source: Int
  var target: Int
  var quantity: Int64
  /// Whether the target lists it.
  var isDeposited: Bool

  var deposit: Deposit { Deposit(name: name, source: source, quantity: quantity) }

  /// Both halves brought together, from what the buckets list as open, in order of their sources.
  static func all(in listed: [Int: [ListedTransfer]]) -> [OpenTransfer] {
    struct Ends: Hashable {
      var name: TransferName
      var source: Int
      var target: Int
    }
    var found: [Ends: OpenTransfer] = [:]
    for (bucket, halves) in listed {
      for half in halves.map(\.transfer) {
        let isHere = half.direction == .in
        let ends = Ends(
          name: half.name,
          source: isHere ? half.peer : bucket,
          target: isHere ? bucket : half.peer
        )
        let known = found[ends]
        found[ends] = OpenTransfer(
          name: ends.name,
          source: ends.source,
          target: ends.target,
          quantity: half.quantity,
          isDeposited: isHere || known?.isDeposited ?? false
        )
      }
    }
    return found.values.sorted {
      ($0.source, $0.target) == ($1.source, $1.target)
        ? $0.name.bytes.lexicographicallyPrecedes($1.name.bytes) : ($0.source, $0.target) < ($1.source, $1.target)
    }
  }

  /// Whether one of its halves was made before that time, by its bucket's clock.
  static func isOld(
    _ transfer: OpenTransfer,
    in listed: [Int: [ListedTransfer]],
    before timeMs: Int64
  ) -> Bool {
    [transfer.source, transfer.target].contains { bucket in
      (listed[bucket] ?? []).contains { $0.transfer.name == transfer.name && $0.timestampMs <= timeMs }
    }
  }
}

/// Brings one open transfer to its end: deposit at the target, settle at the source, settle at the target.
///
/// Every step may have been done by another already, or be done by another later; then it changes nothing.
struct FinishingMachine {
  enum Action: Hashable {
    case deposit
    case settleAtSource
    case settleAtTarget
    case finish(Outcome)
  }

  enum Outcome: Hashable, Sendable {
    case finished
    /// It stays open: a bucket could not be asked, or has lost its half, which recovery writes in.
    case open(String)
  }

  private let transfer: OpenTransfer
  private var isSettledAtSource = false

  init(_ transfer: OpenTransfer) { self.transfer = transfer }

  func start() -> Action { transfer.isDeposited ? .settleAtSource : .deposit }

  func deposited(_ answer: Result<DepositOutcome, StockError>) -> Action {
    switch answer {
    case .success(.deposited), .success(.alreadyDeposited): .settleAtSource
    case .failure(let error): .finish(.open(error.message))
    }
  }

  mutating func settled(_ answer: Result<SettleOutcome, StockError>) -> Action {
    switch answer {
    case .success(.settled), .success(.alreadySettled):
      guard !isSettledAtSource else { return .finish(.finished) }
      isSettledAtSource = true
      return .settleAtTarget
    case .success(.unknownTransfer):
      let bucket = isSettledAtSource ? transfer.target : transfer.source
      return .finish(.open("bucket \(bucket) does not know the transfer \(transfer.name)"))
    case .failure(let error): return .finish(.open(error.message))
    }
  }
}
