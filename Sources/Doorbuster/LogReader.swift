import Stock

/// Reads one bucket's log in portions, the next one ahead.
///
/// What the database has not taken yet is kept, as it would often be read again and again: where messages deliver, it stops
/// before each purchase whose message is still on its way.
struct LogReader: Sendable {
  let bucket: BucketID
  let stock: any StockService
  /// Events of one portion.
  let eventsMax: Int
  /// Events that were read and may not be in the database yet, up to two portions, and the position before the first.
  private var kept: [StockEvent] = []
  private var start: LogPosition?
  /// Whether the last portion was a full one: then it pays to read ahead.
  private var isBehind = false

  /// Events of one command. The server answers nobody else meanwhile: 2,000 take it about a millisecond.
  static let commandMax = 2000
  /// Look-ups under way at a time.
  private static let lookUpLanes = 16

  init(bucket: BucketID, stock: any StockService, eventsMax: Int) {
    self.bucket = bucket
    self.stock = stock
    self.eventsMax = eventsMax
  }

  /// The events after a position, as many as there are, up to a full portion.
  mutating func read(after position: LogPosition) async throws(StockError) -> [StockEvent] {
    forget(upTo: position)
    do throws(StockError) {
      try await fill(upTo: eventsMax)
    } catch {
      forget()
      throw error
    }
    isBehind = kept.count >= eventsMax
    return kept.count > eventsMax ? Array(kept[..<eventsMax]) : kept
  }

  /// This reader, with the portion after the last one; without it where it does not pay, or can't be had.
  func readingAhead() async -> LogReader {
    guard isBehind else { return self }
    var reader = self
    // What fails here is asked for again when it is needed.
    try? await reader.fill(upTo: 2 * eventsMax)
    return reader
  }

  /// Whatever is wanted next is asked for.
  mutating func forget() { start = nil }

  private mutating func forget(upTo position: LogPosition) {
    if let start, start.epoch == position.epoch, (0...kept.count).contains(Int(position.sequence - start.sequence)) {
      kept.removeFirst(Int(position.sequence - start.sequence))
    } else {
      kept = []
    }
    start = position
  }

  /// Reads on behind what is kept.
  private mutating func fill(upTo count: Int) async throws(StockError) {
    guard var next = start else { return }
    next.sequence += Int64(kept.count)
    while kept.count < count {
      let asked = min(Self.commandMax, count - kept.count)
      let part = try await stock.log(bucket, after: next, count: asked)
      if kept.isEmpty { kept = part } else { kept += part }
      guard part.count == asked, let last = part.last else { return }
      next.sequence = last.sequence
    }
  }

  /// What the bucket knows of these tokens. Tokens that it does not know are left out.
  func lookUp(_ tokens: [Token]) async throws -> [Token: PurchaseRecord] {
    try await withThrowingTaskGroup(of: [PurchaseRecord].self) { group in
      let lanes = min(Self.lookUpLanes, tokens.count)
      for lane in 0..<lanes {
        group.addTask {
          var records: [PurchaseRecord] = []
          for index in stride(from: lane, to: tokens.count, by: lanes) {
            if let record = try await stock.purchase(tokens[index], in: bucket) { records.append(record) }
          }
          return records
        }
      }
      return try await group.reduce(into: [:]) { found, records in
        for record in records { found[record.token] = record }
      }
    }
  }
}
