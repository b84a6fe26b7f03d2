import Stock

/// One bucket's purchases against the database's orders by their sums, so that an order is missed even where the bucket
/// no longer lists its purchase.
///
/// The sums are taken at a cut: the position that the database has followed the log to. All purchases before it have
/// their orders, and what a token ever took (held, sold and cancelled together) never changes, so this sum is exact
/// however busily the sale goes on. What stands of it does change; cancels during the count leave it open by as many units.
struct BucketSums: Hashable, Sendable {
  /// Purchases whose first event is not beyond it are counted.
  let cut: Int64
  /// Units that purchases before the cut ever took, and of those, the units that stood when the bucket was looked at.
  private let taken: Int64
  private let standing: Int64
  /// Units ever cancelled when the bucket was looked at.
  private let cancelled: Int64

  private var counted: Int64 = 0
  private var countedStanding: Int64 = 0

  /// - Parameters:
  ///   - info: the bucket's books, at the cut or after it.
  ///   - beyond: what the bucket says of the tokens whose first event is beyond the cut, and in those books.
  init(cut: Int64, info: BucketInfo, beyond: some Sequence<PurchaseRecord>) {
    var tail = BucketTail()
    for record in beyond { tail.add(record) }
    self.init(cut: cut, info: info, beyond: tail)
  }

  init(cut: Int64, info: BucketInfo, beyond tail: BucketTail) {
    self.cut = cut
    taken = info.held + info.sold + info.cancelled - tail.taken
    standing = info.held + info.sold - tail.standing
    cancelled = info.cancelled
  }

  /// Counts a purchase that has its order, or whose want of one is known by name.
  mutating func count(_ record: PurchaseRecord) {
    guard let sequence = record.sequence, sequence <= cut else { return }
    counted += record.units
    if record.state.isLive { countedStanding += record.units }
  }

  /// What the count leaves open.
  enum Rest: Hashable {
    case nothing
    /// So many units' purchases have no order and are no longer listed.
    case missing(Int64)
    /// Up to so many units' may: cancels during the count leave it open.
    case open(Int64)
  }

  /// - Parameter end: the bucket's books after the count.
  func rest(_ end: BucketInfo) -> Rest {
    guard taken > counted else { return .nothing }
    // Purchases that were cancelled need no order: one whose token another order has, for one.
    let most = min(standing - countedStanding, taken - counted)
    guard most > 0 else { return .nothing }
    let least = most - (end.cancelled - cancelled)
    return least > 0 ? .missing(least) : .open(most)
  }
}

/// What the tokens beyond a cut took.
struct BucketTail: Hashable, Sendable {
  private(set) var taken: Int64 = 0
  private(set) var standing: Int64 = 0

  mutating func add(_ record: PurchaseRecord) {
    taken += record.units
    if record.state.isLive { standing += record.units }
  }
}

extension PurchaseRecord {
  /// A fence has none.
  var units: Int64 { quantity ?? 0 }
}
