import Stock

/// A token and the event that may have taken it first.
struct LogTaker: Hashable, Sendable {
  var token: Token
  var sequence: Int64

  /// The events of a run that may be the first of a purchase. What was written in may be, too: whether it is, the
  /// purchase's own sequence tells.
  /// - Throws: ``StockError`` `protocolViolation` for a name that no token can have.
  static func all(in events: [StockEvent], of bucket: BucketID) throws(StockError) -> [LogTaker] {
    var takers: [LogTaker] = []
    for event in events {
      switch event.action {
      case .deduct, .hold: break
      // A restock or a transfer that was written in has no user.
      case .record: guard event.user != nil else { continue }
      case .confirm, .cancel, .expire, .fence, .create, .add, .withdraw, .deposit, .rebalance, .schedule, .freeze,
        .thaw:
        continue
      }
      takers.append(LogTaker(token: try name(of: event, bucket), sequence: event.sequence))
    }
    return takers
  }

  private static func name(of event: StockEvent, _ bucket: BucketID) throws(StockError) -> Token {
    do throws(InvalidInput) {
      return try Token(bytes: event.token ?? [])
    } catch {
      throw StockError(
        .protocolViolation,
        "event \(event.sequence) (\(event.action.rawValue)) of \(bucket): \(error.description)"
      )
    }
  }
}

extension SaleAccess {
  /// Hands the events of a bucket's log after `position` up to `end` over, page by page.
  /// - Throws: what the bucket answers; so ``StockError`` `logTrimmed` where events went meanwhile.
  func eachLogPage(
    _ index: Int,
    after position: LogPosition,
    upTo end: Int64,
    _ body: ([StockEvent]) async throws(DoorbusterError) -> Void
  ) async throws(DoorbusterError) {
    var position = position
    while position.sequence < end {
      let from = position
      let count = Int(min(end - from.sequence, 10_000))
      let events = try await askStock { stock throws(StockError) in
        try await stock.log(bucket(index), after: from, count: count)
      }
      guard let last = events.last else { return }
      try await body(events)
      position.sequence = last.sequence
    }
  }

  /// What the bucket says of the tokens that were taken first by one of these events.
  func purchases(takenBy events: [StockEvent], of index: Int) async throws(DoorbusterError) -> [PurchaseRecord] {
    try await purchases(of: try takers(in: events, of: index), in: index)
  }

  func purchases(of takers: [LogTaker], in index: Int) async throws(DoorbusterError) -> [PurchaseRecord] {
    let records = try await each(takers) { taker async throws(DoorbusterError) in
      try await purchase(taker.token, in: index)
    }
    return zip(takers, records).compactMap { taker, record in record?.sequence == taker.sequence ? record : nil }
  }

  func takers(in events: [StockEvent], of index: Int) throws(DoorbusterError) -> [LogTaker] {
    do throws(StockError) {
      return try LogTaker.all(in: events, of: bucket(index))
    } catch {
      throw DoorbusterError(error)
    }
  }
}
