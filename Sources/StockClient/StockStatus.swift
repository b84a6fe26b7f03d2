/// The statuses of the module's replies, in the order of how often a sale hears them. The raw value is the word on the
/// wire; the client has no other list of them.
enum StockStatus: String, Hashable, Sendable, CaseIterable {
  case ok = "OK"
  case duplicate = "DUPLICATE"
  case soldOut = "SOLDOUT"
  case limit = "LIMIT"
  case cancelled = "CANCELLED"
  case early = "EARLY"
  case closed = "CLOSED"
  case frozen = "FROZEN"
  case live = "LIVE"
  case unknown = "UNKNOWN"

  /// Reads a word without allocating. Nil for any other bytes, also for a known word in small letters.
  init?(word: UnsafeRawBufferPointer) {
    for entry in Self.words where entry.bytes.count == word.count && entry.bytes.elementsEqual(word) {
      self = entry.status
      return
    }
    return nil
  }

  private static let words = allCases.map { (status: $0, bytes: Array($0.rawValue.utf8)) }
}
