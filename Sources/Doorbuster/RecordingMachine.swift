import Messaging
import Orders

/// Brings one batch of deliveries into the database and says what becomes of each.
///
/// A delivery is acknowledged only after its order is durable and its deduction settled. A fault of the database
/// retries without counting; a batch that the database refuses is halved until the culprit stands alone, and only
/// that one's failure counts.
struct RecordingMachine {
  enum Action: Hashable {
    case record([Order])
    /// What remains to be done in the buckets, one disposition each in their order.
    case settle([SettlementMachine])
    /// One disposition per delivery.
    case finish([Disposition])
  }

  private var dispositions: [Disposition?]
  private var orders: [Order] = []
  /// The delivery of each order.
  private var places: [Int] = []
  /// Parts of `orders` that are not recorded yet; the last is under way.
  private var parts: [Range<Int>] = []
  private var settlements: [SettlementMachine] = []
  private var settlementPlaces: [Int] = []

  init(_ deliveries: [Delivery]) {
    dispositions = Array(repeating: nil, count: deliveries.count)
    orders.reserveCapacity(deliveries.count)
    places.reserveCapacity(deliveries.count)
    for (place, delivery) in deliveries.enumerated() {
      do {
        orders.append(try PurchaseMessage(decoding: delivery.message.body).order)
        places.append(place)
      } catch {
        dispositions[place] = .deadLetter(error.description)
      }
    }
    if !orders.isEmpty { parts = [0..<orders.count] }
  }

  mutating func start() -> Action { next() }

  mutating func recorded(_ outcomes: [RecordOutcome]) -> Action {
    guard let part = parts.popLast() else { return next() }
    guard outcomes.count == part.count else {
      retry(part, "the database answered \(outcomes.count) of \(part.count) orders", countsAsAttempt: false)
      return next()
    }
    for (index, outcome) in zip(part, outcomes) {
      let settlement = SettlementMachine(order: orders[index], outcome: outcome)
      if case .done(let disposition) = settlement.start() {
        dispositions[places[index]] = disposition
      } else {
        settlements.append(settlement)
        settlementPlaces.append(places[index])
      }
    }
    return next()
  }

  mutating func recordFailed(_ error: OrderStoreError) -> Action {
    guard let part = parts.popLast() else { return next() }
    guard error.code == .refused else {
      retry(part, error.message, countsAsAttempt: false)
      while let rest = parts.popLast() { retry(rest, error.message, countsAsAttempt: false) }
      return next()
    }
    if part.count == 1 {
      retry(part, error.message, countsAsAttempt: true)
    } else {
      let middle = part.lowerBound + part.count / 2
      parts.append(middle..<part.upperBound)
      parts.append(part.lowerBound..<middle)
    }
    return next()
  }

  mutating func settled(_ settled: [Disposition]) -> Action {
    for (place, disposition) in zip(settlementPlaces, settled) { dispositions[place] = disposition }
    settlements = []
    settlementPlaces = []
    return next()
  }

  private mutating func retry(_ part: Range<Int>, _ reason: String, countsAsAttempt: Bool) {
    for index in part { dispositions[places[index]] = .retry(reason, countsAsAttempt: countsAsAttempt) }
  }

  private func next() -> Action {
    if let part = parts.last {
      return .record(part.count == orders.count ? orders : Array(orders[part]))
    }
    if !settlements.isEmpty { return .settle(settlements) }
    return .finish(
      dispositions.map { $0 ?? .retry("the batch ended without a word on it", countsAsAttempt: false) }
    )
  }
}
