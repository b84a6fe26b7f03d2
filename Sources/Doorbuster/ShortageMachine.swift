import Orders
import Stock

/// Orders of one product for which the database's stock is short. Decides whether they are to wait or to be rejected.
///
/// A bucket sells what a cancel or an expired hold has given back at once, and the log brings the give-back into the
/// database some time later; so an order may come to the database before the units that it is made of. Such an order
/// must not be rejected. Nor may it just wait for the log, which may be waiting for this very order.
///
/// So all buckets' logs are read from the database's positions on, and what is cancelled there is brought into the
/// database early. If the stock is short even then, the logs are read on from where that reading ended. Where they hold no
/// further cancel, the database is really short, and the orders are rejected: everything that took stock when it
/// was found to be short was of a purchase that stood at that moment, and of those there are never more than units on sale.
/// Otherwise the round begins anew, a few times.
struct ShortageMachine: Hashable {
  enum Action: Hashable {
    /// Asks the database for the sale's number of buckets and their positions.
    case load(SKU)
    /// Asks a bucket that the database has never followed for the place before its first event.
    case locate(BucketID)
    case read(BucketID, after: LogPosition)
    /// Asks for the orders that the database has of these tokens.
    case find(SKU, [Token])
    case repair([OrderRepair])
    case record([Order], as: OrderState, rejecting: Bool)
    /// Tries the order's whole cart.
    case recordCart(CartRecording)
    /// One outcome per order. What is `short` still is to be tried again later.
    case finish([RecordOutcome])
    /// What became of the cart, in the same way.
    case finishCart(CartRecordOutcome)
  }

  private enum Step: Hashable {
    case loading
    case locating(Int)
    case reading(Int)
    case finding
    case repairing([GiveBacks.Mending])
    case recording
    case rejecting
    case finished
  }

  static let roundsMax = 8

  let state: OrderState
  let orders: [Order]
  /// Where the order is a line of a cart, the cart, which is recorded as a whole.
  private let cart: CartOrder?
  private var cartOutcome: CartRecordOutcome?
  private let sku: SKU
  private let readMax: Int
  private var step = Step.loading
  private var outcomes: [RecordOutcome]
  /// The orders that are short yet.
  private var open: [Int]
  /// How far each bucket's log has been read. None for a bucket that was never there.
  private var positions: [Int: LogPosition] = [:]
  private var buckets = 0
  private var giveBacks = GiveBacks()
  private var rounds = 0

  /// - Parameter orders: all of one product, held or sold as `state` says.
  init(_ sku: SKU, _ orders: [Order], as state: OrderState, readMax: Int) {
    self.init(sku, orders, as: state, of: nil, readMax: readMax)
  }

  /// A cart of which this line's product is short.
  init(_ cart: CartOrder, short line: Order, readMax: Int) {
    self.init(line.purchase.sku, [line], as: .sold, of: cart, readMax: readMax)
  }

  private init(_ sku: SKU, _ orders: [Order], as state: OrderState, of cart: CartOrder?, readMax: Int) {
    self.sku = sku
    self.orders = orders
    self.state = state
    self.cart = cart
    self.readMax = readMax
    outcomes = Array(repeating: .short(stock: 0), count: orders.count)
    open = Array(orders.indices)
  }

  func start() -> Action { .load(sku) }

  /// - Parameter found: by bucket; nil for a sale that the database does not know.
  mutating func loaded(buckets: Int?, _ found: [Int: LogPosition]) -> Action {
    guard case .loading = step, let buckets else { return finish() }
    self.buckets = buckets
    positions = found
    return locate(from: 0)
  }

  /// - Parameter position: nil where the bucket is not there: it is still to be set up, and has given nothing back.
  mutating func located(_ position: LogPosition?) -> Action {
    guard case .locating(let index) = step else { return finish() }
    positions[index] = position
    return locate(from: index + 1)
  }

  mutating func read(_ events: [StockEvent]) -> Action {
    guard case .reading(let index) = step else { return finish() }
    giveBacks.read(events, of: BucketID(sku: sku, index: index))
    if let last = events.last { positions[index]?.sequence = last.sequence }
    return read(bucket: events.count < readMax ? index + 1 : index)
  }

  mutating func found(_ rows: [StoredOrder]) -> Action {
    guard case .finding = step else { return finish() }
    let mendings = giveBacks.mendings(of: sku, rows)
    guard !mendings.isEmpty else { return record() }
    step = .repairing(mendings)
    return .repair(mendings.map(\.repair))
  }

  mutating func repaired(_ answers: [RepairOutcome]) -> Action {
    guard case .repairing(let mendings) = step, answers.count == mendings.count else { return finish() }
    giveBacks.keep(zip(mendings, answers).filter { $1 != .repaired && $0.isOfMissingOrder }.map(\.0))
    return record()
  }

  mutating func recorded(_ answers: [RecordOutcome]) -> Action {
    guard answers.count == open.count else { return finish() }
    for (index, answer) in zip(open, answers) { outcomes[index] = answer }
    open = open.filter { index in
      if case .short = outcomes[index] { true } else { false }
    }
    guard !open.isEmpty, case .recording = step else { return finish() }
    rounds += 1
    return rounds < Self.roundsMax ? read(bucket: 0) : finish()
  }

  /// A cart that is short of another product only is no more this machine's matter.
  mutating func recordedCart(_ answer: CartRecordOutcome) -> Action {
    cartOutcome = answer
    if case .short(sku, let stock) = answer { return recorded([.short(stock: stock)]) }
    return finish()
  }

  /// Where anything can't be learnt, nothing is rejected.
  mutating func failed() -> Action { finish() }

  private mutating func locate(from index: Int) -> Action {
    guard let index = (index..<max(index, buckets)).first(where: { positions[$0] == nil }) else {
      return read(bucket: 0)
    }
    step = .locating(index)
    return .locate(BucketID(sku: sku, index: index))
  }

  private mutating func read(bucket index: Int) -> Action {
    for index in index..<max(index, buckets) {
      guard let position = positions[index] else { continue }
      step = .reading(index)
      return .read(BucketID(sku: sku, index: index), after: position)
    }
    if giveBacks.isEmpty { return rounds == 0 ? record() : reject() }
    step = .finding
    return .find(sku, giveBacks.tokens)
  }

  private mutating func record() -> Action {
    step = .recording
    if let cart { return .recordCart(CartRecording(cart, as: .sold)) }
    return .record(open.map { orders[$0] }, as: state, rejecting: false)
  }

  private mutating func reject() -> Action {
    step = .rejecting
    if let cart { return .recordCart(CartRecording(cart, as: .sold, rejecting: sku)) }
    return .record(open.map { orders[$0] }, as: state, rejecting: true)
  }

  private mutating func finish() -> Action {
    step = .finished
    if cart != nil { return .finishCart(cartOutcome ?? .short(sku, stock: 0)) }
    return .finish(outcomes)
  }
}

/// What a stretch of some buckets' logs has given back, and the database may not know yet.
struct GiveBacks: Hashable {
  struct GiveBack: Hashable {
    let bucket: Int
    let token: Token
    let user: UserID?
    /// The purchase itself, where it is in the stretch too.
    let order: Order?
  }

  /// How one of them is brought into the database.
  struct Mending: Hashable {
    let giveBack: GiveBack
    let repair: OrderRepair
    /// Its message may have come in between; then the order is still to be moved.
    let isOfMissingOrder: Bool
  }

  private struct Key: Hashable {
    let bucket: Int
    let token: Token
  }

  private var purchases: [Key: Order] = [:]
  private var found: [GiveBack] = []

  var isEmpty: Bool { found.isEmpty }

  var tokens: [Token] { Array(Set(found.map(\.token))) }

  /// Events of one bucket follow upon each other.
  mutating func read(_ events: [StockEvent], of bucket: BucketID) {
    for event in events {
      switch event.action {
      case .deduct, .hold:
        guard let order = try? Order(event, of: bucket) else { continue }
        purchases[Key(bucket: bucket.index, token: order.purchase.token)] = order
      case .cancel, .expire: note(event, of: bucket)
      // A purchase that was written in as cancelled gives its units back where they were taken.
      case .record: if event.user != nil, event.change > 0 { note(event, of: bucket) }
      case .create, .add, .confirm, .fence, .withdraw, .deposit, .rebalance, .schedule, .freeze, .thaw: continue
      }
    }
  }

  private mutating func note(_ event: StockEvent, of bucket: BucketID) {
    guard let bytes = event.token, let token = try? Token(bytes: bytes) else { return }
    let order = purchases[Key(bucket: bucket.index, token: token)]
    let user = event.user.flatMap { try? UserID(bytes: $0) }
    found.append(GiveBack(bucket: bucket.index, token: token, user: user, order: order))
  }

  /// What brings them into a database that has these orders of their tokens. Nothing is left to do for the others.
  mutating func mendings(of sku: SKU, _ rows: [StoredOrder]) -> [Mending] {
    let rows = Dictionary(rows.map { ($0.order.purchase.token, $0) }, uniquingKeysWith: { first, _ in first })
    defer { found = [] }
    return found.compactMap { back in
      guard let row = rows[back.token] else {
        // Its message may come yet, and must not take units that are not its purchase's any more.
        return back.order.map {
          Mending(giveBack: back, repair: .record($0, as: .cancelled), isOfMissingOrder: true)
        }
      }
      let isItsRow = row.order.bucket == back.bucket && (back.user == nil || back.user == row.order.purchase.user)
      guard isItsRow, row.state.precedesCancelled else { return nil }
      return Mending(giveBack: back, repair: .move(sku, back.token, to: .cancelled), isOfMissingOrder: false)
    }
  }

  /// Looks at these once more.
  mutating func keep(_ mendings: [Mending]) { found += mendings.map(\.giveBack) }
}

extension OrderState {
  fileprivate var precedesCancelled: Bool {
    switch self {
    case .held, .sold: true
    case .cancelled, .rejected: false
    }
  }
}
