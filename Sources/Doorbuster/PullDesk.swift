import Stock

/// Where the buyers of one process queue whose home bucket is short of a product: it decides who pulls units home for whom,
/// who reads the buckets for all, and who is told that the sale is sold out.
///
/// Of the buyers of one home one leads, and the others wait for what it brings, so that a hundred buyers cost one pull
/// and one reading. Whoever leads has one duty at a time and reports what came of it. Values in, assignments out; it knows
/// no clock and sends nothing.
///
/// It works from hints: what the buckets are believed to have, by their latest answers. A hint may be wrong in either
/// direction; it decides where to ask first, and nothing else. "Sold out" comes from two readings
/// (``SoldOutReading/unsoldAtMost(after:)``), never from hints.
struct PullDesk {
  typealias BuyerID = Int

  enum Duty: Hashable {
    /// Pull units home, together with the deduction; then report ``pulled(_:_:_:now:)``.
    case pull([Draft], attempt: Int)
    /// Ask all buckets for their books, for everybody; then ``read(_:_:now:)``.
    case read
    /// Then ``woke(_:now:)``.
    case wait(ms: Int64)
    /// Bring to an end what others have left in transfer in these buckets; then ``woke(_:now:)``.
    case finishTransfers([Int])
    /// Leave the desk and deduct again: units were brought home.
    case tryAgain
    /// Leave: no more than these were left over all buckets, fewer than asked for.
    case refuse(left: Int64)
    /// Leave: it could not be learnt in time whether there are enough. Nothing was taken.
    case giveUp(String)
  }

  /// Units to be pulled from a bucket.
  struct Draft: Hashable {
    var source: Int
    var quantity: Int64
  }

  struct Assignment: Hashable {
    var buyer: BuyerID
    var duty: Duty
  }

  /// At the instant `asOf` no more units than `left` were unsold.
  struct Declaration: Hashable {
    var left: Int64
    var asOf: ContinuousClock.Instant
  }

  struct Settings: Hashable {
    /// Buckets that one attempt asks, at most.
    var sourcesMax = 32
    /// A bucket that gave no answer, or an error, is left alone for so long.
    var avoidMs: Int64 = 500
    /// Who waits for units that stay in transfer brings them to their end after so long.
    var finishAfterMs: Int64 = 400
    var firstWaitMs: Int64 = 1
    var longestWaitMs: Int64 = 50
    /// Readings in a row without a wait.
    var readingsMax = 3
  }

  private enum State { case queued, pulling, reading, awaitingReading, waiting }

  private struct Buyer {
    let quantity: Int64
    let home: Int
    let enteredAt: ContinuousClock.Instant
    let deadline: ContinuousClock.Instant
    var attempt: Int
    var state = State.queued
    var readings = 0
    var waits = 0
    /// Since when the units that it lacks are in transfer.
    var inTransferSince: ContinuousClock.Instant?
    var reason = "there was too little time"
  }

  private struct Hint {
    var available: Int64 = 0
    var avoidedUntil: ContinuousClock.Instant?
  }

  private let settings: Settings
  private var hints: [Hint]
  private var buyers: [BuyerID: Buyer] = [:]
  private var lastID = 0
  /// By home, in order of arrival; the first leads.
  private var queues: [Int: [BuyerID]] = [:]
  private var isBeingRead = false
  private var latest: SoldOutReading?
  private var assignments: [Assignment] = []
  /// What the latest readings have proved.
  private var declaration: Declaration?

  init(buckets: Int, settings: Settings = Settings()) {
    self.settings = settings
    hints = Array(repeating: Hint(), count: buckets)
  }

  /// How many buyers are here.
  var count: Int { buyers.count }

  // MARK: What buyers report

  /// A buyer comes, whose home has answered that it is sold out with that many units left.
  /// - Parameter attempt: the first number that it has not pulled under.
  mutating func enter(
    quantity: Int64,
    home: Int,
    remaining: Int64,
    attempt: Int = 1,
    deadline: ContinuousClock.Instant,
    now: ContinuousClock.Instant
  ) -> (BuyerID, [Assignment]) {
    lastID += 1
    buyers[lastID] = Buyer(
      quantity: quantity,
      home: home,
      enteredAt: now,
      deadline: deadline,
      attempt: attempt
    )
    hints[home].available = remaining
    queues[home, default: []].append(lastID)
    if queues[home]?.first == lastID { lead(home, now) }
    return (lastID, takeAssignments())
  }

  mutating func pulled(
    _ id: BuyerID,
    _ drafts: [Draft],
    _ result: PullMachine.Result,
    now: ContinuousClock.Instant
  ) -> [Assignment] {
    guard let buyer = buyers[id] else { return [] }
    for (draft, moved) in zip(drafts, result.moved) { note(moved, of: draft, by: id, now) }
    switch result.deduction {
    case .success(.refused(.soldOut, let remaining)): hints[buyer.home].available = remaining
    case .success(.accepted(let remaining, _, _)):
      hints[buyer.home].available = remaining
      return leave(id, now: now)
    case .success(.refused), .success(.cancelled), .success(.unknown), .failure: return leave(id, now: now)
    case nil: break
    }
    buyers[id]?.state = .queued
    buyers[id]?.attempt += 1
    // The next attempt may begin only where the last has left nothing open.
    if !result.isSettled { giveUp(id) }
    lead(buyer.home, now)
    return takeAssignments()
  }

  mutating func read(_ id: BuyerID, _ reading: SoldOutReading, now: ContinuousClock.Instant) -> [Assignment] {
    isBeingRead = false
    note(reading, now)
    if let left = latest.flatMap({ reading.unsoldAtMost(after: $0) }) { refuse(beyond: left, asOf: reading.startedAt) }
    if reading.flaw == nil { latest = reading }
    // All that waited for it decide by it, before one of them begins the next.
    let homes = queues.keys.sorted()
    for home in homes {
      guard let id = queues[home]?.first, let state = buyers[id]?.state else { continue }
      switch state {
      case .reading, .awaitingReading: buyers[id]?.state = .queued
      case .queued, .pulling, .waiting: break
      }
    }
    for home in homes { lead(home, now, after: reading) }
    return takeAssignments()
  }

  mutating func woke(_ id: BuyerID, now: ContinuousClock.Instant) -> [Assignment] {
    guard let buyer = buyers[id] else { return [] }
    if buyer.deadline <= now { giveUp(id) } else { read(id) }
    lead(buyer.home, now)
    return takeAssignments()
  }

  /// The buyer is gone, whatever for.
  mutating func leave(_ id: BuyerID, now: ContinuousClock.Instant) -> [Assignment] {
    guard let buyer = remove(id) else { return [] }
    if buyer.state == .reading {
      // Those that waited for its reading have to begin another.
      isBeingRead = false
      for home in queues.keys.sorted() { lead(home, now) }
    } else {
      lead(buyer.home, now)
    }
    return takeAssignments()
  }

  /// What readings have proved since it was taken last, for others to know.
  mutating func takeDeclaration() -> Declaration? {
    defer { declaration = nil }
    return declaration
  }

  private mutating func takeAssignments() -> [Assignment] {
    defer { assignments = [] }
    return assignments
  }
}

extension PullDesk {
  // MARK: Deciding

  /// Finds the first of a home's buyers its duty, unless it has one. Buyers that the home can serve by now, and those that
  /// are late, leave.
  private mutating func lead(_ home: Int, _ now: ContinuousClock.Instant, after reading: SoldOutReading? = nil) {
    var reading = reading
    while let id = queues[home]?.first, let buyer = buyers[id] {
      switch buyer.state {
      case .pulling, .waiting: return
      case .reading, .awaitingReading: if isBeingRead { return }
      case .queued: break
      }
      if buyer.quantity <= hints[home].available {
        serveFromHome(home)
      } else if buyer.deadline <= now {
        giveUp(id)
      } else {
        direct(id, buyer, now, after: reading)
      }
      reading = nil
    }
  }

  private mutating func direct(
    _ id: BuyerID,
    _ buyer: Buyer,
    _ now: ContinuousClock.Instant,
    after reading: SoldOutReading?
  ) {
    let drafts = drafts(for: buyer, now)
    if !drafts.isEmpty {
      for draft in drafts { hints[draft.source].available -= draft.quantity }
      buyers[id]?.readings = 0
      buyers[id]?.inTransferSince = nil
      assign(id, .pulling, .pull(drafts, attempt: buyer.attempt))
    } else if let reading {
      afterReading(id, buyer, reading, now)
    } else {
      read(id)
    }
  }

  /// The buckets seem to have too little. Two readings prove it, or units are on their way.
  private mutating func afterReading(
    _ id: BuyerID,
    _ buyer: Buyer,
    _ reading: SoldOutReading,
    _ now: ContinuousClock.Instant
  ) {
    if reading.flaw == nil, reading.unsold < buyer.quantity, buyer.readings < settings.readingsMax { return read(id) }
    buyers[id]?.reason = reading.flaw ?? "units are on their way between buckets, or come back all the time"
    buyers[id]?.readings = 0
    buyers[id]?.waits += 1
    if let open = transfersToFinish(id, buyer, reading, now) { return assign(id, .waiting, .finishTransfers(open)) }
    let waitMs = min(settings.longestWaitMs, settings.firstWaitMs << Int64(min(buyer.waits, 20)))
    assign(id, .waiting, .wait(ms: waitMs))
  }

  /// The buckets whose transfers have been open for so long that somebody has to see to them.
  private mutating func transfersToFinish(
    _ id: BuyerID,
    _ buyer: Buyer,
    _ reading: SoldOutReading,
    _ now: ContinuousClock.Instant
  ) -> [Int]? {
    let open = reading.infos.indices.filter { (reading.infos[$0]?.transfers ?? 0) > 0 }
    guard !open.isEmpty else {
      buyers[id]?.inTransferSince = nil
      return nil
    }
    let since = buyer.inTransferSince ?? now
    let isLong = since.advanced(by: .milliseconds(settings.finishAfterMs)) <= now
    buyers[id]?.inTransferSince = isLong ? now : since
    return isLong ? open : nil
  }

  private mutating func read(_ id: BuyerID) {
    guard !isBeingRead else {
      buyers[id]?.state = .awaitingReading
      return
    }
    isBeingRead = true
    buyers[id]?.readings += 1
    assign(id, .reading, .read)
  }

  /// Gives what is at home to those that it suffices for, in their order.
  private mutating func serveFromHome(_ home: Int) {
    var available = hints[home].available
    for id in queues[home] ?? [] {
      guard let buyer = buyers[id], buyer.quantity <= available else { continue }
      available -= buyer.quantity
      dismiss(id, .tryAgain)
    }
    hints[home].available = available
  }

  /// Only buyers who had come by then: nobody is told what was so before they asked.
  private mutating func refuse(beyond left: Int64, asOf: ContinuousClock.Instant) {
    let refused = buyers.filter { _, buyer in
      buyer.quantity > left && buyer.state != .pulling && buyer.enteredAt <= asOf
    }.keys.sorted()
    guard !refused.isEmpty else { return }
    declaration = Declaration(left: left, asOf: asOf)
    for id in refused { dismiss(id, .refuse(left: left)) }
  }

  private mutating func giveUp(_ id: BuyerID) { dismiss(id, .giveUp(buyers[id]?.reason ?? "")) }

  private mutating func assign(_ id: BuyerID, _ state: State, _ duty: Duty) {
    buyers[id]?.state = state
    assignments.append(Assignment(buyer: id, duty: duty))
  }

  private mutating func dismiss(_ id: BuyerID, _ duty: Duty) {
    _ = remove(id)
    assignments.append(Assignment(buyer: id, duty: duty))
  }

  private mutating func remove(_ id: BuyerID) -> Buyer? {
    guard let buyer = buyers.removeValue(forKey: id) else { return nil }
    queues[buyer.home]?.removeAll { $0 == id }
    if queues[buyer.home]?.isEmpty ?? false { queues[buyer.home] = nil }
    return buyer
  }

  // MARK: Hints

  /// What to pull for a buyer and those behind it; nothing where the others are not believed to have what it lacks.
  ///
  /// Of each bucket asked at least half is taken, the fullest first: so the pulls for a crowd that lives in one home grow
  /// few and large, and what is scattered in small parts comes together.
  private func drafts(for buyer: Buyer, _ now: ContinuousClock.Instant) -> [Draft] {
    let sources = hints.indices
      .filter { $0 != buyer.home && hints[$0].available > 0 && (hints[$0].avoidedUntil.map { $0 <= now } ?? true) }
      .sorted { left, right in
        let (leftUnits, rightUnits) = (hints[left].available, hints[right].available)
        return leftUnits == rightUnits
          ? distance(from: buyer.home, to: left) < distance(from: buyer.home, to: right) : leftUnits > rightUnits
      }
    let lacking = buyer.quantity - hints[buyer.home].available
    let all = sources.reduce(Int64(0)) { $0 + hints[$1].available }
    guard all >= lacking else { return [] }
    // What all who wait here want, no more than there is anywhere: the sum over a long queue would be beyond all bounds.
    let everywhere = all + hints[buyer.home].available
    let demand = (queues[buyer.home] ?? []).reduce(Int64(0)) {
      min(everywhere, $0 + min(buyers[$1]?.quantity ?? 0, all))
    }
    var wanted = max(lacking, demand - hints[buyer.home].available)
    var drafts: [Draft] = []
    for source in sources.prefix(settings.sourcesMax) where wanted > 0 {
      let available = hints[source].available
      let quantity = min(available, max(wanted, (available + 1) / 2))
      drafts.append(Draft(source: source, quantity: quantity))
      wanted -= quantity
    }
    return drafts
  }

  /// So that buyers of different homes begin with different ones of buckets that have as much.
  private func distance(from home: Int, to bucket: Int) -> Int {
    bucket > home ? bucket - home : bucket - home + hints.count
  }

  private mutating func note(
    _ moved: PullMachine.Moved,
    of draft: Draft,
    by id: BuyerID,
    _ now: ContinuousClock.Instant
  ) {
    switch moved {
    // Less than was asked for is all that was there.
    case .units(let units): if units < draft.quantity { hints[draft.source].available = 0 }
    // The hint stays what it was, less what was not moved now; the next reading corrects it.
    case .before: break
    case .nothing(let error), .unknown(let error):
      buyers[id]?.reason = error.message
      hints[draft.source] = Hint(avoidedUntil: now.advanced(by: .milliseconds(settings.avoidMs)))
    }
  }

  private mutating func note(_ reading: SoldOutReading, _ now: ContinuousClock.Instant) {
    for (index, info) in reading.infos.enumerated() where index < hints.count {
      if let info {
        hints[index].available = info.frozen == nil ? info.available : 0
      } else {
        hints[index] = Hint(avoidedUntil: now.advanced(by: .milliseconds(settings.avoidMs)))
      }
    }
  }
}
