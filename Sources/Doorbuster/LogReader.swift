import Stock

/// Reads one bucket's log in portions, the next one ahead.
struct LogReader: Sendable {
  let bucket: BucketID
  let stock: any StockService
  /// Events of one portion.
  let eventsMax: Int
  /// A portion that was read ahead.
  private var ahead: (position: LogPosition, events: [StockEvent])?
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
    defer { ahead = nil }
    var events: [StockEvent] = []
    if let ahead, ahead.position == position {
      events = ahead.events
    } else {
      events = try await portion(after: position)
    }
    isBehind = events.count >= eventsMax
    return events
  }

  /// This reader, with the portion after that position; without one where it does not pay, or can't be had.
  func readingAhead(after position: LogPosition) async -> LogReader {
    guard isBehind else { return self }
    var reader = self
    reader.ahead = (try? await portion(after: position)).map { (position, $0) }
    return reader
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

  private func portion(after position: LogPosition) async throws(StockError) -> [StockEvent] {
    var events: [StockEvent] = []
    var next = position
    while events.count < eventsMax {
      let count = min(Self.commandMax, eventsMax - events.count)
      let part = try await stock.log(bucket, after: next, count: count)
      if events.isEmpty { events = part } else { events += part }
      guard part.count == count, let last = part.last else { break }
      next.sequence = last.sequence
    }
    return events
  }
}
