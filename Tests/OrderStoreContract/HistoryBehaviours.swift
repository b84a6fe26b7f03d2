import Foundation
import Orders
import Stock
import Testing

/// SplitMix64: a seed names a history on every machine.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }
}

extension OrderStoreBehaviour {
  static let histories = [
    OrderStoreBehaviour("random histories give the model's answers and books") { fixture in
      // A failing history is played again with DOORBUSTER_SEED set to the seed that it names.
      let given = ProcessInfo.processInfo.environment["DOORBUSTER_SEED"].flatMap(UInt64.init)
      let seed = given ?? UInt64.random(in: 0...UInt64.max)
      let stores = [try await fixture.open(), try await fixture.open()]
      var history = History(seed: seed, stores: stores)
      try await history.play(steps: 300)
      for store in stores { await store.close() }
    }
  ]
}

/// A few tokens, users and products, so that everything collides.
private struct History {
  private let seed: UInt64
  private let stores: [any OrderStore]
  private var generator: SeededGenerator
  private var model = OrderBookModel()

  private static let skus = [sku, otherSKU]

  init(seed: UInt64, stores: [any OrderStore]) {
    self.seed = seed
    self.stores = stores
    generator = SeededGenerator(seed: seed)
  }

  mutating func play(steps: Int) async throws {
    for sku in Self.skus {
      let stock = Int64.random(in: 0...60, using: &generator)
      _ = try await stores[0].create(makeSale(sku, stock: stock))
      model.stock[sku] = stock
    }
    for step in 0..<steps {
      let before = model
      let agrees = try await playStep()
      #expect(agrees, "step \(step) of DOORBUSTER_SEED=\(seed), from \(before)")
      if !agrees { return }
    }
  }

  /// - Returns: whether the store answered, and stands, as the model.
  private mutating func playStep() async throws -> Bool {
    guard let store = stores.randomElement(using: &generator) else { return false }
    let (sku, token) = (anySKU(), try anyToken())
    switch Int.random(in: 0..<10, using: &generator) {
    case 0..<4:
      let orders = try (0..<Int.random(in: 1...8, using: &generator)).map { _ in try anyOrder(of: nil) }
      let state: OrderState = Int.random(in: 0..<4, using: &generator) == 0 ? .held : .sold
      let rejecting = Bool.random(using: &generator)
      let expected = orders.map { model.record($0, as: state, rejecting: rejecting) }
      guard try await store.record(orders, as: state, rejecting: rejecting) == expected else { return false }
    case 4..<8:
      let batch = try anyBatch()
      let expected = model.follow(batch)
      guard try await store.follow(batch) == expected else { return false }
      guard try await store.position(of: batch.bucket) == model.positions[batch.bucket] else { return false }
    case 8:
      let quantity = Int64.random(in: 1...9, using: &generator) * (Bool.random(using: &generator) ? 1 : -1)
      let expected = model.restock(sku, token: token, quantity: quantity)
      guard try await store.restock(sku, token: token, quantity: quantity) == expected else { return false }
    default:
      let isUndone = model.undoRestock(sku, token: token)
      do throws(OrderStoreError) {
        try await store.undoRestock(sku, token: token)
        guard isUndone else { return false }
      } catch {
        guard !isUndone, error.code == .refused else { return false }
      }
    }
    return try await agrees()
  }

  private func agrees() async throws -> Bool {
    for (sku, orders) in model.orders {
      for (token, order) in orders where try await stores[0].order(sku, token: token) != order { return false }
    }
    for sku in Self.skus where try await stores[1].totals(of: sku) != model.totals(of: sku) { return false }
    return true
  }

  private mutating func anySKU() -> SKU { Self.skus[Int.random(in: 0..<Self.skus.count, using: &generator)] }

  private mutating func anyToken() throws -> Token { try Token("t\(Int.random(in: 0..<24, using: &generator))") }

  private mutating func anyUser() throws -> UserID {
    try UserID(Int.random(in: 0..<8, using: &generator) == 0 ? "v" : "u")
  }

  /// An order of a bucket; of any product, and rarely of an unknown one, where no bucket is given.
  private mutating func anyOrder(of bucket: BucketID?) throws -> Order {
    let isUnknown = bucket == nil && Int.random(in: 0..<30, using: &generator) == 0
    let sku = isUnknown ? try SKU("unknown") : bucket?.sku ?? anySKU()
    let token = try anyToken()
    // Mostly a function of the token, so that most meetings are repetitions and some are conflicts.
    let number = token.bytes.reduce(0) { $0 + Int($1) }
    let isOdd = Int.random(in: 0..<12, using: &generator) == 0
    let purchase = try Purchase(sku: sku, user: anyUser(), token: token, quantity: Int64(number % 5 + (isOdd ? 2 : 1)))
    return Order(purchase: purchase, bucket: bucket?.index ?? number % 2, createdAtMs: Int64(number))
  }

  private mutating func anyBatch() throws -> LogBatch {
    let bucket = BucketID(sku: anySKU(), index: Int.random(in: 0..<2, using: &generator))
    var from = model.positions[bucket] ?? LogPosition(epoch: 7, sequence: 0)
    if Int.random(in: 0..<10, using: &generator) == 0 { from.sequence += 1 }
    if Int.random(in: 0..<20, using: &generator) == 0 { from.epoch += 1 }
    let entries = try (0..<Int.random(in: 0...8, using: &generator)).map { _ in try anyEntry(of: bucket) }
    return makeBatch(bucket, from: from, entries)
  }

  private mutating func anyEntry(of bucket: BucketID) throws -> LogBatch.Entry? {
    let states = OrderState.allCases
    let state = states[Int.random(in: 0..<states.count, using: &generator)]
    switch Int.random(in: 0..<8, using: &generator) {
    case 0: return nil
    case 1..<5:
      let stores = Int.random(in: 0..<4, using: &generator) > 0
      return .purchased(try anyOrder(of: bucket), state: state, storeIfMissing: stores)
    default:
      let user = Bool.random(using: &generator) ? try anyUser() : nil
      return .moved(try anyToken(), user: user, to: state)
    }
  }
}
