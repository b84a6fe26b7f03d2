import Orders
import Stock

/// A run of one bucket's log, read as what it means for the orders.
struct LogReading: Hashable, Sendable {
  let bucket: BucketID
  let from: LogPosition
  private(set) var steps: [LogBatch.Step] = []
  /// Purchases of the run that stand at its end, in the log's order.
  private(set) var live: [Order] = []

  /// - Throws: ``StockError`` `protocolViolation` where the events leave a gap or carry impossible names.
  init(bucket: BucketID, from: LogPosition, events: [StockEvent]) throws(StockError) {
    self.bucket = bucket
    self.from = from
    let cancelled = Self.cancelledTokens(in: events)
    steps.reserveCapacity(events.count)
    var expected = from.sequence
    for event in events {
      expected += 1
      guard event.sequence == expected else {
        throw StockError(
          .protocolViolation,
          "the log of \(bucket) goes on with event \(event.sequence); \(expected) was to follow"
        )
      }
      steps.append(LogBatch.Step(sequence: event.sequence, entry: try entry(for: event, cancelled: cancelled)))
    }
  }

  var batch: LogBatch { LogBatch(bucket: bucket, from: from, steps: steps) }

  /// Leaves an event's order alone: the position passes it.
  mutating func passOver(_ sequence: Int64) {
    guard let index = steps.firstIndex(where: { $0.sequence == sequence }) else { return }
    steps[index].entry = nil
  }

  /// Purchases made before that time that stand.
  func live(before timeMs: Int64) -> [Order] { live.filter { $0.createdAtMs <= timeMs } }

  private static func cancelledTokens(in events: [StockEvent]) -> Set<[UInt8]> {
    var tokens: Set<[UInt8]> = []
    for event in events where event.action == .cancel || event.action == .expire {
      if let token = event.token { tokens.insert(token) }
    }
    return tokens
  }

  /// What is cancelled within the run is stored as such at once, so that nothing has to wait for its message.
  private mutating func entry(
    for event: StockEvent,
    cancelled: Set<[UInt8]>
  ) throws(StockError) -> LogBatch.Entry? {
    switch event.action {
    case .deduct, .hold:
      let order = try order(of: event)
      let state: OrderState = event.action == .hold ? .held : .sold
      if cancelled.contains(order.purchase.token.bytes) {
        return .purchased(order, state: .cancelled, storeIfMissing: true)
      }
      if event.action == .deduct { live.append(order) }
      return .purchased(order, state: state, storeIfMissing: false)
    case .confirm: return try move(event, to: .sold)
    case .cancel, .expire: return try move(event, to: .cancelled)
    // A fenced token never had an order. What was written in by `RECORD` came from the database or a message.
    case .fence, .record: return nil
    case .create, .add, .withdraw, .deposit, .rebalance, .schedule, .freeze, .thaw: return nil
    }
  }

  private func order(of event: StockEvent) throws(StockError) -> Order {
    guard let token = event.token, let user = event.user else { throw malformed(event, "it names no token or user") }
    do {
      let purchase = try Purchase(
        sku: bucket.sku,
        user: UserID(bytes: user),
        token: Token(bytes: token),
        quantity: event.change == .min ? 0 : -event.change
      )
      return Order(
        purchase: purchase,
        bucket: bucket.index,
        sequence: event.sequence,
        createdAtMs: event.timestampMs
      )
    } catch {
      throw malformed(event, error.description)
    }
  }

  private func move(_ event: StockEvent, to state: OrderState) throws(StockError) -> LogBatch.Entry {
    guard let token = event.token else { throw malformed(event, "it names no token") }
    do {
      return .moved(try Token(bytes: token), user: try event.user.map(Self.user), to: state)
    } catch {
      throw malformed(event, "\(error)")
    }
  }

  private static func user(_ bytes: [UInt8]) throws(InvalidInput) -> UserID { try UserID(bytes: bytes) }

  private func malformed(_ event: StockEvent, _ why: String) -> StockError {
    StockError(.protocolViolation, "event \(event.sequence) (\(event.action.rawValue)) of \(bucket): \(why)")
  }
}
