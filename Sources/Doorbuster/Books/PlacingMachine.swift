import Orders
import Stock

/// Finds units for an order whose bucket does not know its purchase: writes the purchase in, with units of other buckets
/// where its own has too few.
///
/// Units move as transfers do, under a name made from the token, so whoever does it again, or at the same time, moves
/// nothing twice. They can be sold away before the purchase is written in; then others are looked for. Only when no bucket has any, and none
/// is on its way, is the order without units; its token is marked cancelled first, so that no attempt of it can still
/// take some.
struct PlacingMachine {
  enum Action: Hashable {
    /// Writes something in.
    case record(LostEntry, in: Int)
    /// Asks all buckets' books.
    case look
    case fence(Token, in: Int)
    case settle(TransferName, in: Int)
    /// Units may be on their way.
    case wait
    case done(Result)
  }

  enum Result: Hashable {
    /// The bucket has the purchase.
    case placed
    /// No bucket has units for it; its token is spent.
    case withoutUnits
    /// The bucket knows the token as another purchase's.
    case mismatch
  }

  private enum State: Hashable {
    case placing
    case looking
    case withdrawing(Int, TransferName, Int64)
    case depositing(Int, TransferName)
    case settling(Int, TransferName)
    case settlingHere
    case waiting
    case fencing
    case spending
    case done
  }

  private let purchase: Purchase
  private let entry: LostEntry
  private let bucket: Int
  private var state = State.placing
  private var missing: Int64 = 0
  /// Moves made, or found to be made.
  private var moves = 0
  private var emptyLooks = 0

  /// Looks at empty buckets before the order is given up, and moves at most.
  static let emptyLooksMax = 3
  static let movesMax = 1000

  /// - Parameter order: held or sold.
  init(_ order: StoredOrder, in bucket: Int) {
    purchase = order.order.purchase
    entry = .purchase(purchase, order.state.entryState)
    self.bucket = bucket
  }

  mutating func start() -> Action {
    state = .placing
    return .record(entry, in: bucket)
  }

  mutating func recorded(_ outcome: LostEntryOutcome) -> Action {
    switch (state, outcome) {
    case (.placing, .recorded), (.placing, .alreadyThere): return finish(.placed)
    case (.placing, .short(let remaining)):
      missing = purchase.quantity - remaining
      state = .looking
      return .look
    // Somebody else took them first.
    case (.withdrawing, .short): return look()
    case (.withdrawing(let source, let name, let units), _):
      state = .depositing(source, name)
      return .record(
        .transfer(Transfer(name: name, direction: .in, peer: source, quantity: units)),
        in: bucket
      )
    case (.depositing(let source, let name), _):
      state = .settling(source, name)
      return .settle(name, in: source)
    case (.spending, _): return finish(.withoutUnits)
    case (.looking, _), (.settling, _), (.settlingHere, _), (.waiting, _), (.fencing, _), (.done, _):
      return misplaced()
    }
  }

  /// Each bucket's books, nil for one that can't be asked.
  mutating func looked(_ infos: [BucketInfo?]) -> Action {
    guard state == .looking else { return misplaced() }
    let sources = infos.enumerated()
      .compactMap { index, info in info.map { (index: index, available: $0.available) } }
      .filter { $0.index != bucket && $0.available > 0 }
    let here = infos.indices.contains(bucket) ? infos[bucket]?.available ?? 0 : 0
    missing = purchase.quantity - here
    guard missing > 0 else { return start() }
    let total = sources.reduce(0) { $0 + $1.available }
    guard total >= missing, moves < Self.movesMax, let source = sources.max(by: { $0.available < $1.available }) else {
      emptyLooks += 1
      guard emptyLooks >= Self.emptyLooksMax else {
        // Units that moved between two questions were in neither bucket; those of an open transfer take their time.
        guard infos.contains(where: { $0.map { $0.transfers > 0 } ?? true }) else { return .look }
        state = .waiting
        return .wait
      }
      state = .fencing
      return .fence(purchase.token, in: bucket)
    }
    let units = min(missing, source.available)
    guard let name = Self.name(purchase.token, move: moves, from: source.index, units: units) else {
      return finish(.mismatch)
    }
    moves += 1
    state = .withdrawing(source.index, name, units)
    return .record(
      .transfer(Transfer(name: name, direction: .out, peer: bucket, quantity: units)),
      in: source.index
    )
  }

  mutating func settled() -> Action {
    switch state {
    case .settling(_, let name):
      state = .settlingHere
      return .settle(name, in: bucket)
    case .settlingHere: return start()
    case .placing, .looking, .withdrawing, .depositing, .waiting, .fencing, .spending, .done: return misplaced()
    }
  }

  mutating func woke() -> Action { look() }

  mutating func fenced(_ outcome: FenceOutcome) -> Action {
    switch outcome {
    case .fenced, .alreadyCancelled: finish(.withoutUnits)
    // An attempt of the token came first, and has the units.
    case .live: finish(.placed)
    }
  }

  /// A frozen bucket fences no token that it does not know; but nobody can buy there either.
  mutating func fenceRefusedByFreeze() -> Action {
    state = .spending
    return .record(.purchase(purchase, .cancelled), in: bucket)
  }

  /// The bucket knows the token, or the transfer's name, otherwise.
  mutating func mismatched() -> Action {
    switch state {
    // A name is made of all that a transfer is, so this one is somebody else's: the next name is free.
    case .withdrawing, .depositing: look()
    case .placing, .looking, .settling, .settlingHere, .waiting, .fencing, .spending, .done: finish(.mismatch)
    }
  }

  /// Made of the token and of all that the move is: 128 and 36 bytes at most, so no token makes a name too long.
  static func name(_ token: Token, move: Int, from source: Int, units: Int64) -> TransferName? {
    try? TransferName(bytes: Array("place \(move) \(source) \(units)\u{0}".utf8) + token.bytes)
  }

  private mutating func look() -> Action {
    state = .looking
    return .look
  }

  private mutating func finish(_ result: Result) -> Action {
    state = .done
    return .done(result)
  }

  private mutating func misplaced() -> Action {
    assertionFailure("an answer to what was not asked")
    return finish(.mismatch)
  }
}
