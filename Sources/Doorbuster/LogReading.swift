import Orders
import Stock

/// A run of one bucket's log, read as what it means for the orders.
struct LogReading: Hashable, Sendable {
  /// Which purchases the log itself makes orders of, where no message has.
  struct Rules: Hashable, Sendable {
    var courier: Courier
    /// Where messages deliver: purchases made up to then, whose message is overdue.
    var overdueMs: Int64
    /// How long a cart's holds last.
    var cartHoldMs: Int64

    func stores(_ event: StockEvent) -> Bool {
      switch courier {
      case .log: true
      case .messages: event.timestampMs <= overdueMs
      }
    }
  }

  let bucket: BucketID
  /// Where the database is: the steps come right after it.
  private(set) var from: LogPosition
  private(set) var steps: ArraySlice<LogBatch.Step>

  /// - Parameter records: what the bucket knows of tokens that were written in and of overdue holds (``untold(in:_:)``).
  /// - Throws: ``StockError`` `protocolViolation` where the events leave a gap or carry impossible names.
  init(
    bucket: BucketID,
    from: LogPosition,
    events: [StockEvent],
    records: [Token: PurchaseRecord] = [:],
    rules: Rules
  ) throws(StockError) {
    self.bucket = bucket
    self.from = from
    var reader = EventReader(bucket: bucket, records: records, rules: rules, events: events)
    var steps: [LogBatch.Step] = []
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
      steps.append(LogBatch.Step(sequence: event.sequence, entry: try reader.entry(for: event)))
    }
    self.steps = steps[...]
  }

  var end: LogPosition { LogPosition(epoch: from.epoch, sequence: from.sequence + Int64(steps.count)) }

  /// The first steps, as the database takes them.
  func batch(_ count: Int) -> LogBatch { LogBatch(bucket: bucket, from: from, steps: Array(steps.prefix(count))) }

  /// What comes after a position of the run.
  func rest(after position: LogPosition) -> LogReading {
    var rest = self
    rest.steps = steps.dropFirst(Int(max(0, position.sequence - from.sequence)))
    rest.from.sequence = max(from.sequence, position.sequence)
    return rest
  }

  /// Leaves the orders of these events alone: the position passes them.
  mutating func passOver(_ sequences: Set<Int64>) {
    for index in steps.indices where sequences.contains(steps[index].sequence) { steps[index].entry = nil }
  }

  /// The first step's purchase, and how it is to stand.
  var firstPurchase: (order: Order, state: OrderState)? {
    guard case .purchased(let order, let state, _) = steps.first?.entry else { return nil }
    return (order, state)
  }

  /// All purchases of the run that it is to store in that state.
  func purchases(in state: OrderState) -> [Order] {
    steps.compactMap { step in
      guard case .purchased(let order, state, storeIfMissing: true) = step.entry else { return nil }
      return order
    }
  }

  /// The tokens of purchases whose events don't tell how they are to be stored: those that `STOCK.RECORD` wrote in; and
  /// overdue holds that the run does not end, as the ones of an undecided cart are no orders yet.
  static func untold(in events: [StockEvent], _ rules: Rules) -> [Token] {
    var tokens: [[UInt8]] = []
    var ended: Set<[UInt8]> = []
    // Backwards, so that a hold's end is met before it.
    for event in events.reversed() {
      guard let token = event.token else { continue }
      switch event.action {
      case .record: if event.user != nil { tokens.append(token) }
      case .hold:
        let isTold = ended.contains(token) || rules.courier == .log || !rules.stores(event)
        if !isTold { tokens.append(token) }
      case .confirm, .cancel, .expire: ended.insert(token)
      case .create, .add, .deduct, .fence, .withdraw, .deposit, .rebalance, .schedule, .freeze, .thaw: break
      }
    }
    return tokens.reversed().compactMap { try? Token(bytes: $0) }
  }
}

/// Turns events into entries, one after the other.
private struct EventReader {
  private let bucket: BucketID
  private let records: [Token: PurchaseRecord]
  private let rules: LogReading.Rules
  /// How purchases stand that move on within the run: they are stored so at once, so that nothing has to wait for the
  /// message of what is cancelled already.
  private var ends: [[UInt8]: OrderState]
  /// Of these, the ones whose purchase is in the run too.
  private var stored: Set<[UInt8]> = []

  init(bucket: BucketID, records: [Token: PurchaseRecord], rules: LogReading.Rules, events: [StockEvent]) {
    self.bucket = bucket
    self.records = records
    self.rules = rules
    ends = [:]
    for event in events {
      guard let token = event.token else { continue }
      switch event.action {
      case .confirm: if ends[token] == nil { ends[token] = .sold }
      case .cancel, .expire: ends[token] = .cancelled
      case .create, .add, .deduct, .hold, .fence, .withdraw, .deposit, .rebalance, .record, .schedule: break
      case .freeze, .thaw: break
      }
    }
  }

  mutating func entry(for event: StockEvent) throws(StockError) -> LogBatch.Entry? {
    switch event.action {
    case .deduct: return try purchased(event, as: .sold)
    case .hold: return try purchased(event, as: .held)
    case .confirm: return try moved(event, to: .sold)
    case .cancel, .expire: return try moved(event, to: .cancelled)
    case .record: return try writtenIn(event)
    // A fenced token never had an order.
    case .fence: return nil
    case .create, .add, .withdraw, .deposit, .rebalance, .schedule, .freeze, .thaw: return nil
    }
  }

  private mutating func purchased(_ event: StockEvent, as first: OrderState) throws(StockError) -> LogBatch.Entry {
    let order = try Order(event, of: bucket)
    guard let end = ends[order.purchase.token.bytes] else { return standing(order, event, as: first) }
    stored.insert(order.purchase.token.bytes)
    return .purchased(order, state: end, storeIfMissing: end == .cancelled || rules.stores(event))
  }

  /// A purchase that the run does not end. A hold may have moved on since, beyond the run; while it is an undecided cart's
  /// it is not stored, and the position waits for it: no longer than such a hold lasts.
  private func standing(_ order: Order, _ event: StockEvent, as first: OrderState) -> LogBatch.Entry {
    guard event.action == .hold, let record = records[order.purchase.token] else {
      return .purchased(order, state: first, storeIfMissing: rules.stores(event))
    }
    let isStored =
      record.state == .cancelled || (rules.stores(event) && !record.isCartHold(lastingMs: rules.cartHoldMs))
    return .purchased(order, state: record.state.ofOrder, storeIfMissing: isStored)
  }

  private func moved(_ event: StockEvent, to state: OrderState) throws(StockError) -> LogBatch.Entry? {
    guard let bytes = event.token else { throw event.malformed(bucket, "it names no token") }
    if stored.contains(bytes) { return nil }
    do {
      return .moved(try Token(bytes: bytes), user: try event.user.map(Self.user), to: state)
    } catch {
      throw event.malformed(bucket, "\(error)")
    }
  }

  /// What recovery wrote in came from the database or a message, and stands as the bucket says now. A restock or a
  /// transfer has no user, and concerns no order.
  private func writtenIn(_ event: StockEvent) throws(StockError) -> LogBatch.Entry? {
    guard let userBytes = event.user, let tokenBytes = event.token else { return nil }
    do {
      let token = try Token(bytes: tokenBytes)
      guard let record = records[token] else { return nil }
      let user = try Self.user(userBytes)
      guard let quantity = record.quantity else { return .moved(token, user: user, to: record.state.ofOrder) }
      let purchase = try Purchase(sku: bucket.sku, user: user, token: token, quantity: quantity)
      let order = Order(
        purchase: purchase,
        bucket: bucket.index,
        sequence: event.sequence,
        createdAtMs: event.timestampMs
      )
      let isOver = record.state == .cancelled
      return .purchased(order, state: record.state.ofOrder, storeIfMissing: isOver || rules.stores(event))
    } catch {
      throw event.malformed(bucket, "\(error)")
    }
  }

  private static func user(_ bytes: [UInt8]) throws(InvalidInput) -> UserID { try UserID(bytes: bytes) }
}

extension PurchaseRecord {
  /// Whether it is the hold of a cart that is not decided, or not confirmed yet. A cart's holds are told by their length,
  /// which no buyer's hold has.
  func isCartHold(lastingMs cartHoldMs: Int64) -> Bool {
    guard state == .held, let timestampMs, let expiresMs else { return false }
    return expiresMs - timestampMs == cartHoldMs
  }
}

extension PurchaseState {
  var ofOrder: OrderState {
    switch self {
    case .held: .held
    case .sold: .sold
    case .cancelled: .cancelled
    }
  }
}

extension Order {
  /// The purchase of a deduction's or a hold's event.
  /// - Throws: ``StockError`` `protocolViolation` for an event that carries none.
  init(_ event: StockEvent, of bucket: BucketID) throws(StockError) {
    guard let token = event.token, let user = event.user else {
      throw event.malformed(bucket, "it names no token or user")
    }
    do {
      let purchase = try Purchase(
        sku: bucket.sku,
        user: UserID(bytes: user),
        token: Token(bytes: token),
        quantity: event.change == .min ? 0 : -event.change
      )
      self.init(
        purchase: purchase,
        bucket: bucket.index,
        sequence: event.sequence,
        createdAtMs: event.timestampMs
      )
    } catch {
      throw event.malformed(bucket, error.description)
    }
  }
}

extension StockEvent {
  fileprivate func malformed(_ bucket: BucketID, _ why: String) -> StockError {
    StockError(.protocolViolation, "event \(sequence) (\(action.rawValue)) of \(bucket): \(why)")
  }
}
