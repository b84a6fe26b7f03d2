import Messaging
import Orders
import Stock

/// Brings one batch of deliveries into the database and says what becomes of each.
///
/// A delivery is acknowledged only after its order is durable and its deduction settled. A fault of the database
/// retries without counting; a batch that the database refuses is halved until the culprit stands alone, and only
/// that one's failure counts. An order whose stock is short is rejected only where no units are on their way to it.
struct RecordingMachine {
  enum Action: Hashable {
    case record([Order], as: OrderState)
    /// What to do about orders whose stock is short: the outcomes of each machine's orders, in their order.
    case relieve([ShortageMachine])
    /// What remains to be done in the buckets, one disposition each in their order.
    case settle([SettlementMachine])
    /// Carts, one disposition each in their order.
    case handleCarts([CartDeliveryMachine])
    /// One disposition per delivery.
    case finish([Disposition])
  }

  /// Orders of one state, with the delivery of each.
  private struct Part {
    var state: OrderState
    var orders: ArraySlice<Order> = []
    var places: ArraySlice<Int> = []

    func slice(_ range: Range<Int>) -> Part {
      Part(state: state, orders: orders[range], places: places[range])
    }
  }

  private var dispositions: [Disposition?]
  /// Parts that are not recorded yet; the last is under way.
  private var parts: [Part]
  /// Orders whose stock was short.
  private var short: [OrderState: [(order: Order, place: Int)]] = [:]
  private var shortPlaces: [[Int]] = []
  private var settlements: [SettlementMachine] = []
  private var settlementPlaces: [Int] = []
  private var carts: [CartDeliveryMachine] = []
  private var cartPlaces: [Int] = []

  init(_ deliveries: [Delivery]) {
    dispositions = Array(repeating: nil, count: deliveries.count)
    var sold = Part(state: .sold)
    var held = Part(state: .held)
    sold.orders.reserveCapacity(deliveries.count)
    sold.places.reserveCapacity(deliveries.count)
    for (place, delivery) in deliveries.enumerated() {
      do {
        switch try OrderMessage(decoding: delivery.message.body) {
        case .purchase(let message) where message.isHeld:
          held.orders.append(message.order)
          held.places.append(place)
        case .purchase(let message):
          sold.orders.append(message.order)
          sold.places.append(place)
        case .cart(let message):
          carts.append(CartDeliveryMachine(message))
          cartPlaces.append(place)
        }
      } catch {
        dispositions[place] = .deadLetter(error.description)
      }
    }
    parts = [sold, held].filter { !$0.orders.isEmpty }
  }

  mutating func start() -> Action { next() }

  mutating func recorded(_ outcomes: [RecordOutcome]) -> Action {
    guard let part = parts.popLast() else { return next() }
    guard outcomes.count == part.orders.count else {
      retry(part, "the database answered \(outcomes.count) of \(part.orders.count) orders", countsAsAttempt: false)
      return next()
    }
    for ((order, place), outcome) in zip(zip(part.orders, part.places), outcomes) {
      if case .short = outcome {
        short[part.state, default: []].append((order, place))
      } else {
        note(outcome, of: order, at: place)
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
    let range = part.orders.indices
    if range.count == 1 {
      retry(part, error.message, countsAsAttempt: true)
    } else {
      let middle = range.lowerBound + range.count / 2
      parts.append(part.slice(middle..<range.upperBound))
      parts.append(part.slice(range.lowerBound..<middle))
    }
    return next()
  }

  mutating func relieved(_ shortages: [ShortageMachine], _ outcomes: [[RecordOutcome]]) -> Action {
    for ((shortage, places), outcomes) in zip(zip(shortages, shortPlaces), outcomes) {
      for ((order, place), outcome) in zip(zip(shortage.orders, places), outcomes) {
        note(outcome, of: order, at: place)
      }
    }
    shortPlaces = []
    return next()
  }

  mutating func settled(_ settled: [Disposition]) -> Action {
    for (place, disposition) in zip(settlementPlaces, settled) { dispositions[place] = disposition }
    settlements = []
    settlementPlaces = []
    return next()
  }

  mutating func cartsHandled(_ handled: [Disposition]) -> Action {
    for (place, disposition) in zip(cartPlaces, handled) { dispositions[place] = disposition }
    carts = []
    cartPlaces = []
    return next()
  }

  private mutating func note(_ outcome: RecordOutcome, of order: Order, at place: Int) {
    let settlement = SettlementMachine(order: order, outcome: outcome)
    if case .done(let disposition) = settlement.start() {
      dispositions[place] = disposition
    } else {
      settlements.append(settlement)
      settlementPlaces.append(place)
    }
  }

  private mutating func retry(_ part: Part, _ reason: String, countsAsAttempt: Bool) {
    for place in part.places { dispositions[place] = .retry(reason, countsAsAttempt: countsAsAttempt) }
  }

  private mutating func next() -> Action {
    if let part = parts.last { return .record(Array(part.orders), as: part.state) }
    if !short.isEmpty { return .relieve(shortages()) }
    if !settlements.isEmpty { return .settle(settlements) }
    if !carts.isEmpty { return .handleCarts(carts) }
    return .finish(
      dispositions.map { $0 ?? .retry("the batch ended without a word on it", countsAsAttempt: false) }
    )
  }

  /// One for each product and state, as each reads the logs of its product's buckets.
  private mutating func shortages() -> [ShortageMachine] {
    var shortages: [ShortageMachine] = []
    for state in OrderState.allCases {
      let products = Dictionary(grouping: short[state] ?? [], by: \.order.purchase.sku)
      for (sku, entries) in products.sorted(by: { $0.key.text < $1.key.text }) {
        shortages.append(ShortageMachine(sku, entries.map(\.order), as: state, readMax: Reliever.readMax))
        shortPlaces.append(entries.map(\.place))
      }
    }
    short = [:]
    return shortages
  }
}
