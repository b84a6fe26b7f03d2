import Orders
import Stock

/// Restocks and transfers: the units that orders are made of.
extension Recoverer {
  /// Writes in what the buckets lack of restocks and transfers. What takes units may need those that another entry brings, so
  /// it goes on as long as anything gets in.
  /// - Parameter isLast: whether what finds no units now is left; else it is tried again, once the orders are there.
  mutating func writeInUnits(_ work: RecoveryWork, isLast: Bool) async throws(DoorbusterError) {
    let restocks = try await access.restocks().filter { $0.quantity != 0 }
    let book = try await access.transferBook()
    var pending = missing(book, work).map(Entry.half)
    for restock in restocks { pending += work.sorted.map { .restock(restock, $0.0) } }
    // What brings units comes first, so that most is done in one turn.
    pending.sort { $0.bringsUnits && !$1.bringsUnits }
    var isChanged = true
    while isChanged, !pending.isEmpty {
      isChanged = false
      var left: [Entry] = []
      for entry in pending {
        if try await write(entry) { isChanged = true } else { left.append(entry) }
      }
      pending = left
      show("restocks and transfers still to be written in", Int64(pending.count), of: nil)
    }
    guard isLast else { return }
    for case .half(let half) in pending { leave(half) }
    try await balance(work)
  }

  private enum Entry {
    case half(MissingHalf)
    case restock(StoredRestock, Int)

    var bringsUnits: Bool {
      switch self {
      case .half(let half): half.direction == .in
      case .restock(let restock, _): restock.quantity > 0
      }
    }
  }

  private struct MissingHalf {
    let move: TransferBook.Move
    let direction: Transfer.Direction

    var bucket: Int { direction == .in ? move.target : move.source }
  }

  /// The halves that only one bucket knows, where either needs work. Others are on their way, and none of recovery's.
  private func missing(_ book: TransferBook, _ work: RecoveryWork) -> [MissingHalf] {
    func isConcerned(_ move: TransferBook.Move) -> Bool { work.contains(move.source) || work.contains(move.target) }
    return book.open.filter(isConcerned).map { MissingHalf(move: $0, direction: .in) }
      + book.sourceless.filter(isConcerned).map { MissingHalf(move: $0, direction: .out) }
  }

  /// - Returns: false where its units are not there (yet).
  private mutating func write(_ entry: Entry) async throws(DoorbusterError) -> Bool {
    switch entry {
    case .restock(let restock, let index):
      switch try await access.writeIn(restock, index) {
      case .recorded: report.restocks += 1
      case .alreadyThere: break
      case .short: return false
      }
      return true
    case .half(let half):
      let outcome: LostEntryOutcome
      do throws(DoorbusterError) {
        outcome = try await access.record(.transfer(half.move.half(half.direction)), in: half.bucket)
      } catch {
        guard error.hasStockCode(.transferMismatch) else { throw error }
        return false
      }
      switch outcome {
      case .recorded: report.transfers += 1
      case .alreadyThere: break
      case .short: return false
      }
      try await access.settle(half.move.name, in: half.move.source)
      try await access.settle(half.move.name, in: half.move.target)
      return true
    }
  }

  private mutating func leave(_ half: MissingHalf) {
    report.add(
      BooksFinding(
        .transferHalf(half.move.half(half.direction), missingIn: half.bucket),
        repair: .bucket,
        outcome: .left("its units are not there, or its name is another transfer's")
      ),
      keeping: access.settings.findingsMax
    )
  }

  /// A bucket that was built anew knows nothing of units that moved without a name, within one server: the product's sum
  /// tells.
  private mutating func balance(_ work: RecoveryWork) async throws(DoorbusterError) {
    guard let created = work.created, let units = try await access.persistentUnitsOnSale() else { return }
    let rest = try await access.balanceUnitsOnSale(unexplainedIn: created)
    report.add(
      BooksFinding(
        .unitsOnSale(inBuckets: units.inBuckets, inDatabase: units.inDatabase),
        repair: .bucket,
        outcome: rest == 0 ? .repaired : .left("\(rest) units could not be evened out: they are sold")
      ),
      keeping: access.settings.findingsMax
    )
  }
}
