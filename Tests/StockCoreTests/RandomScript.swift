import Testing

@testable import StockCore

/// The buckets of a product, and a clock.
final class Product {
  let buckets: [Rehearsal]
  var now: Int64

  init(_ buckets: [Rehearsal], now: Int64 = 1000) {
    self.buckets = buckets
    self.now = now
  }

  func checkAll(_ comment: Comment) throws {
    for bucket in buckets { try bucket.checkAll(comment) }
  }

  /// Shares the available stock out on buckets, replicas and models. The shares must be those that the contract gives: in
  /// proportion, each rounded down or up, none lost.
  func rebalance(weights: [Int64]?, _ comment: Comment) throws {
    let before = buckets.map { Rehearsal.Before($0) }
    let whole = before.reduce(0) { $0 + $1.available }
    let places = buckets.map(\.place)
    let outcomes: [Outcome]
    do {
      outcomes = try Bucket.rebalance(places, weights: weights, now: now)
    } catch let error {
      checkRefusal(error.fault, whole, weights, comment)
      return
    }
    #expect(!buckets.contains { $0.model.isFrozen }, comment)
    let shares = buckets.map { $0.bucket.figures.available }
    checkShares(shares, of: whole, weights ?? buckets.map { _ in 1 }, comment)
    for (index, bucket) in buckets.enumerated() {
      try bucket.rebalance(to: shares[index], outcomes[index], since: before[index], now: now, comment)
    }
  }

  private func checkShares(_ shares: [Int64], of whole: Int64, _ weights: [Int64], _ comment: Comment) {
    #expect(shares.reduce(0, +) == whole, comment)
    let total = weights.reduce(0, +)
    for (share, weight) in zip(shares, weights) {
      let exact = whole.multipliedFullWidth(by: weight)
      let (quotient, remainder) = total.dividingFullWidth(exact)
      #expect(share == quotient || remainder != 0 && share == quotient + 1, comment)
    }
  }

  /// A refused rebalancing has changed nothing, and there was a reason for it.
  private func checkRefusal(_ fault: Fault, _ whole: Int64, _ weights: [Int64]?, _ comment: Comment) {
    for bucket in buckets { #expect(bucket.model.difference(from: bucket.bucket.figures) == nil, comment) }
    if fault == .frozen {
      #expect(buckets.contains { $0.model.isFrozen }, comment)
      return
    }
    #expect(fault == .overflow, comment)
    let isBeyond = whole > Limits.number || (weights ?? []).reduce(0, +) > Limits.number
    // The shares themselves are not known here: a total of one bucket may be full.
    let isNearlyFull = buckets.contains {
      max($0.model.transferredIn, $0.model.transferredOut, $0.model.held + $0.model.sold) > Limits.number - whole
    }
    #expect(isBeyond || isNearlyFull, comment)
  }
}

/// Random commands for the buckets of a product. Each token has its user and quantity and each transfer its course, from
/// which a command now and then departs.
struct RandomScript {
  private var random: SeededGenerator
  private let bucketCount: Int
  /// What all quantities are multiples of.
  private let unit: Int64
  private var courses: [Course] = []
  /// How many tokens have been thought of.
  private var tokens: Int64 = 8

  private struct Course {
    let name: String
    let source: Int
    let target: Int
    let quantity: Int64
  }

  init(seed: UInt64, buckets: Int, unit: Int64) {
    random = SeededGenerator(seed: seed)
    bucketCount = buckets
    self.unit = unit
  }

  mutating func makeProduct() throws -> Product {
    // Now and then the clock starts before 1970, or goes on to the last time there is.
    let now = pick([1000, 1000, 1000, 1000, -60, Limits.time - 300])
    var buckets: [Rehearsal] = []
    for _ in 0..<bucketCount {
      let most = Limits.number / unit
      let bucket = try Rehearsal(
        number(0...min(40, most)) * unit,
        limit: pick([0, 0, 3, 7]) * unit,
        opens: pick([0, 0, max(now + 10, 1)]),
        closes: pick([0, 0, now + 400]),
        isFrozen: chance(10),
        now: now
      )
      buckets.append(bucket)
    }
    return Product(buckets, now: now)
  }

  /// Plays the next command, or restarts a bucket, or lets its replica take over.
  mutating func next(on product: Product, _ comment: String) throws {
    product.now += pick([0, 0, 1, 1, 2, 5, 40])
    if chance(2) { return try product.rebalance(weights: weights(), "\(comment): rebalance") }
    let index = Int(number(0...Int64(bucketCount - 1)))
    let bucket = product.buckets[index]
    if chance(1) { return try bucket.reload(partBytes: Int(number(512...5000))) }
    if chance(1) { return try bucket.failOver() }
    let play = play(index, on: product)
    try bucket.play(play, now: product.now, "\(comment): bucket \(index), \(play)")
    // Most freezes don't last.
    if bucket.model.isFrozen, chance(25) {
      try bucket.play(.thaw(chance(30) ? .right : .none), now: product.now, "\(comment): bucket \(index), thaw")
    }
    if product.buckets.allSatisfy({ !$0.model.isFrozen }) { checkTransfers(product, "\(comment)") }
  }

  /// What is in transfer over the product is what left a bucket and has not come to another.
  private func checkTransfers(_ product: Product, _ comment: String) {
    let figures = product.buckets.map { $0.bucket.figures }
    let underWay = figures.reduce(0) { $0 + $1.transferred_out - $1.transferred_in }
    var expected: Int64 = 0
    for course in courses {
      if let out = product.buckets[course.source].model.transfer(course.name) { expected += out.quantity }
      if let into = product.buckets[course.target].model.transfer(course.name) { expected -= into.quantity }
    }
    if underWay != expected || underWay < 0 {
      Issue.record("\(comment): \(underWay) in transfer instead of \(expected)")
    }
  }

  private mutating func play(_ index: Int, on product: Product) -> Play {
    let model = product.buckets[index].model
    switch number(0...99) {
    case 0..<40: return deduct()
    case 40..<48: return .confirm(token: token(.held, of: model))
    case 48..<57:
      return .cancel(token: token(chance(50) ? .sold : .held, of: model), fence: chance(30), offSale: chance(40))
    case 57..<60: return .fence(token: token(.held, of: model))
    case 60..<65: return add()
    case 65..<79: return transfer(index, on: product)
    case 79..<88: return record(model)
    case 88..<91: return .expire(count: pick([1, 2, 5, 100]))
    case 91..<95: return .trim(keeping: pick([0, 0, 1, 5, 20, 60]))
    case 95: return chance(60) ? .freeze : .thaw(.right)
    case 96: return .thaw(chance(50) ? .right : .wrong)
    case 97: return chance(50) ? .freezeAnew(chance(50) ? .load : .promotion, seed: random.next()) : deduct()
    default:
      return .schedule(
        limit: pick([0, 0, 4, 8, 12]) * unit,
        opens: pick([0, 0, max(product.now + 20, 1)]),
        closes: pick([0, 0, 0, max(product.now + 300, 1)])
      )
    }
  }

  /// Most often a new token or one of the latest, else any of those before.
  private mutating func token() -> Int64 {
    if chance(60) {
      tokens += 1
      return tokens
    }
    return number(max(0, chance(80) ? tokens - 40 : 0)...tokens)
  }

  /// Most often a token in this state.
  private mutating func token(_ state: PurchaseState, of model: ReferenceModel) -> String {
    let fitting = model.tokens.filter { $0.value.state == state }.map(\.key).sorted()
    return fitting.isEmpty || chance(25) ? "t\(token())" : pick(fitting)
  }

  /// A token with its user and quantity, or now and then with others.
  private mutating func purchase(_ token: String? = nil) -> (user: String, token: String, quantity: Int64) {
    let token = token ?? "t\(self.token())"
    let number = Int64(token.dropFirst()) ?? 0
    return ("u\(chance(5) ? 99 : number % 9)", token, (number % 4 + (chance(5) ? 2 : 1)) * unit)
  }

  private mutating func deduct() -> Play {
    let purchase = purchase()
    let hold: Int64 = chance(50) ? 0 : pick([1, 3, 10, 30, 30, 100, 1000])
    return .deduct(user: purchase.user, token: purchase.token, quantity: purchase.quantity, hold: hold)
  }

  private mutating func add() -> Play {
    let number = number(0...tokens)
    return .add(token: "t\(number)", quantity: restock(number))
  }

  private func restock(_ number: Int64) -> Int64 { (number % 2 == 0 ? number % 9 + 1 : -(number % 5 + 1)) * unit }

  private mutating func record(_ model: ReferenceModel) -> Play {
    if chance(20) {
      let number = number(0...tokens)
      return .recordRestock(token: "t\(number)", quantity: restock(number) * (chance(10) ? 2 : 1))
    }
    let purchase = purchase(chance(40) ? nil : token(chance(50) ? .held : .sold, of: model))
    return .record(
      user: purchase.user,
      token: purchase.token,
      quantity: purchase.quantity,
      as: pick([.held, .sold, .cancelled, .rejected])
    )
  }

  /// A step of a transfer that this bucket takes part in, on its turn or late, now and then with another peer, direction or
  /// quantity than the transfer has.
  private mutating func transfer(_ index: Int, on product: Product) -> Play {
    let mine = courses.filter { $0.source == index || $0.target == index }
    guard bucketCount > 1, !mine.isEmpty, !chance(35) else { return begin(index) }
    let course = mine[Int(number(0...Int64(mine.count - 1)))]
    let source = UInt16(truncatingIfNeeded: course.source)
    let target = UInt16(truncatingIfNeeded: course.target)
    let odd = chance(4) ? unit : 0
    if chance(15) { return .settle(transfer: course.name) }
    if index == course.source {
      let isKnown = product.buckets[index].model.transfer(course.name) != nil
      if isKnown && chance(4) { return .deposit(transfer: course.name, quantity: course.quantity, from: target) }
      if isKnown && chance(20) {
        return .recordTransfer(transfer: course.name, direction: .outgoing, peer: target, quantity: course.quantity)
      }
      return .withdraw(
        transfer: course.name,
        quantity: course.quantity + odd,
        to: isKnown && chance(4) ? target + 7 : target
      )
    }
    // No one deposits what was not withdrawn.
    guard let out = product.buckets[course.source].model.transfer(course.name) else { return deduct() }
    let isKnown = product.buckets[index].model.transfer(course.name) != nil
    let quantity = out.quantity + (isKnown ? odd : 0)
    if chance(25) {
      return .recordTransfer(transfer: course.name, direction: .incoming, peer: source, quantity: quantity)
    }
    return .deposit(transfer: course.name, quantity: quantity, from: isKnown && chance(4) ? source + 7 : source)
  }

  private mutating func begin(_ index: Int) -> Play {
    guard bucketCount > 1 else { return deduct() }
    let target = (index + 1 + Int(number(0...Int64(bucketCount - 2)))) % bucketCount
    let course = Course(name: "move-\(courses.count)", source: index, target: target, quantity: number(1...6) * unit)
    courses.append(course)
    let peer = UInt16(truncatingIfNeeded: target)
    if chance(20) {
      return .recordTransfer(transfer: course.name, direction: .outgoing, peer: peer, quantity: course.quantity)
    }
    return .withdraw(transfer: course.name, quantity: course.quantity, to: peer)
  }

  private mutating func weights() -> [Int64]? {
    if chance(40) { return nil }
    var weights: [Int64] = []
    for _ in 0..<bucketCount { weights.append(pick([0, 1, 1, 2, 7, 1000])) }
    return weights.contains { $0 > 0 } ? weights : nil
  }

  // MARK: Chance

  private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

  private mutating func number(_ range: ClosedRange<Int64>) -> Int64 { .random(in: range, using: &random) }

  private mutating func pick<Value>(_ values: [Value]) -> Value {
    values[Int.random(in: values.indices, using: &random)]
  }
}
