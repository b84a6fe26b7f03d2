import Orders
import Stock

/// Units: those in transfers, and those on sale.
extension Reconciler {
  // MARK: Limit and window

  mutating func checkTerms() async throws(DoorbusterError) {
    guard try await !access.deviantTerms().isEmpty else { return }
    // The database comes first, so what differs now may be a change on its way.
    try await access.wait(access.settings.settle)
    for (index, info, terms) in try await access.deviantTerms() {
      if repairs { try await access.apply(terms, in: index) }
      add(.termsDiffer(bucket: index, info, inDatabase: terms), .bucket, repairs ? .repaired : .reported)
    }
  }

  // MARK: Transfers

  mutating func checkTransfers() async throws(DoorbusterError) {
    var book = try await access.transferBook()
    if !suspicious(book).isEmpty {
      // A half that came between the readings of two buckets is no missing one.
      try await access.wait(access.settings.settle)
      let again = try await access.transferBook()
      let suspects = suspicious(book).intersection(suspicious(again))
      book = again
      for move in again.open where suspects.contains(move) {
        if repairs { try await access.finish(move) }
        add(.transferHalf(move.half(.in), missingIn: move.target), .bucket, repairs ? .repaired : .reported)
      }
      for move in again.sourceless where suspects.contains(move) {
        let outcome = repairs ? try await writeIn(move) : .reported
        add(.transferHalf(move.half(.out), missingIn: move.source), .bucket, outcome)
      }
      reportUnequal(again, suspects)
    }
    let oldest = oldestOnItsWayMs
    report.unitsInTransfer = book.open.filter { $0.timestampMs > oldest }.reduce(0) { $0 + $1.quantity }
  }

  private var oldestOnItsWayMs: Int64 { access.clock.wallMs - access.settings.transferAge.wholeMs }

  private func suspicious(_ book: TransferBook) -> Set<TransferBook.Move> {
    let oldest = oldestOnItsWayMs
    return Set(book.open.filter { $0.timestampMs <= oldest } + book.sourceless + book.unequal.map(\.in))
  }

  private mutating func reportUnequal(_ book: TransferBook, _ suspects: Set<TransferBook.Move>) {
    for (out, deposited) in book.unequal where suspects.contains(deposited) {
      add(
        .transferDiffers(
          out.name,
          withdrawn: out.quantity,
          deposited: deposited.quantity,
          bucket: deposited.target
        ),
        .byHand,
        repairs ? .left("only people can know which quantity is right") : .reported
      )
    }
  }

  private func writeIn(_ move: TransferBook.Move) async throws(DoorbusterError) -> BooksFinding.Outcome {
    guard let remaining = try await access.withdraw(move) else { return .repaired }
    return .left("bucket \(access.bucket(move.source)) has only \(remaining) of its \(move.quantity) units")
  }

  // MARK: Units on sale

  mutating func checkUnitsOnSale() async throws(DoorbusterError) {
    guard let before = try await access.persistentUnitsOnSale() else { return }
    let undecided = BegunRestock.unfinished(among: try await access.restocks()).filter { !$0.isRefused }
    var outcome = BooksFinding.Outcome.reported
    if repairs {
      let rest = try await access.balanceUnitsOnSale()
      outcome = rest == 0 ? .repaired : .left("\(rest) units could not be evened out: they are sold")
    }
    for restock in undecided {
      add(.restockUndecided(restock.token, quantity: restock.quantity), .bucket, repairs ? .repaired : .reported)
    }
    add(.unitsOnSale(inBuckets: before.inBuckets, inDatabase: before.inDatabase), .bucket, outcome)
  }
}

extension SaleAccess {
  /// The buckets whose terms are not the database's, and those.
  fileprivate func deviantTerms() async throws(DoorbusterError) -> [(Int, BucketInfo, SaleTerms)] {
    let terms = try await terms()
    return try await infos().enumerated().compactMap { index, info in
      guard let info, !info.hasTerms(terms) else { return nil }
      return (index, info, terms)
    }
  }

  /// What is on sale, where the sums differ and go on doing so: a restock or a withdrawal under way is no difference.
  func persistentUnitsOnSale() async throws(DoorbusterError) -> UnitsOnSale? {
    var last: Int64?
    var isAgain = false
    while true {
      guard let (units, _) = try await unitsOnSale(), units.difference != 0 else { return nil }
      if last == units.difference {
        if isAgain { return units }
        isAgain = true
      } else {
        isAgain = false
      }
      last = units.difference
      try await wait(settings.settle)
    }
  }

  /// One reading of all buckets, during which no units came or went; nil where they do all the time.
  func unitsOnSale() async throws(DoorbusterError) -> (UnitsOnSale, [BucketInfo])? {
    for _ in 0..<50 {
      let before = try await infos().compactMap { $0 }
      let transfers = try await transferBook()
      let restocks = try await restocks()
      let after = try await infos().compactMap { $0 }
      if before.count == sale.buckets.count, before.map(\.given) == after.map(\.given) {
        return (UnitsOnSale(sale, infos: after, transfers: transfers, restocks: restocks), after)
      }
      try await wait(.milliseconds(20))
    }
    return nil
  }

  /// Makes the units on sale what the database says: what restocks have taken and are not to keep is given back; restocks
  /// that a bucket lost are written in by their tokens; what is left is added to, or taken from, the buckets whose books
  /// deviate. The tokens of that are made of what a bucket had when it was read, so that two who do it at once do it once;
  /// one that was spent on the same books long ago makes nothing change, and the next attempt takes another.
  /// - Returns: the difference that is left.
  func balanceUnitsOnSale(unexplainedIn unexplained: Int = 0) async throws(DoorbusterError) -> Int64 {
    try await endUnfinishedRestocks()
    for restock in try await restocks() {
      for bucket in sale.buckets { _ = try await writeIn(restock, bucket.index) }
    }
    var attempt = 0
    for _ in 0..<16 {
      guard let (units, infos) = try await unitsOnSale() else { break }
      guard units.difference != 0 else { return 0 }
      var isChanged = false
      for (index, quantity) in units.corrections(unexplainedIn: unexplained) {
        if try await correct(index, by: quantity, infos[index], attempt: attempt) { isChanged = true }
      }
      attempt = isChanged ? 0 : attempt + 1
    }
    return try await unitsOnSale()?.0.difference ?? 0
  }

  /// Writes a bucket's share of a restock in.
  func writeIn(_ restock: StoredRestock, _ index: Int) async throws(DoorbusterError) -> LostEntryOutcome {
    let share = sale.share(of: restock.quantity, bucket: index)
    guard share != 0 else { return .alreadyThere }
    let token = restock.quantity > 0 ? restock.token : try RestockTokens(restock.token, quantity: restock.quantity).take
    do throws(DoorbusterError) {
      return try await record(.restock(token, quantity: share), in: index)
    } catch {
      // Another restock has taken the name; the sums tell of the difference.
      guard error.hasStockCode(.tokenMismatch) else { throw error }
      return .alreadyThere
    }
  }

  /// - Returns: whether this call has changed anything.
  private func correct(
    _ index: Int,
    by units: Int64,
    _ info: BucketInfo,
    attempt: Int
  ) async throws(DoorbusterError) -> Bool {
    let quantity = units < 0 ? -min(-units, info.available) : units
    let name = "balance\u{0}\(info.epoch) \(info.added) \(attempt)"
    guard quantity != 0, let token = try? Token(name) else { return false }
    do throws(DoorbusterError) {
      return try await record(.restock(token, quantity: quantity), in: index) == .recorded
    } catch {
      guard error.hasStockCode(.tokenMismatch) else { throw error }
      return false
    }
  }
}

extension BucketInfo {
  /// All that changes only when units come or go.
  fileprivate var given: [Int64] { [created, added, transferredIn, transferredOut, epoch] }
}
