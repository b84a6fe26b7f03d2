import Doorbuster
import Stock
import Synchronization
import TestServers

/// Buyers who keep trying while a test does something to their shop, and all that they heard.
///
/// Each buys a unit or a few, now and then asks again with an old token, keeps units for later, confirms them, or gives a
/// purchase back. The same seed makes the same choices.
final class Crowd: Sendable {
  struct Habits: Sendable {
    var buyers = 4
    var users: UInt64 = 400
    /// Once in so many clicks; 0 for never.
    var holds: UInt64 = 8
    var cancels: UInt64 = 12
    var repeats: UInt64 = 6
  }

  /// What the buyers know.
  struct Ledger: Sendable {
    /// All attempts, by their tokens.
    var purchases: [String: Purchase] = [:]
    /// Tokens whose buyers heard that they have bought, or that units are kept for them.
    var promised: Set<String> = []
    /// Those whose buyers asked for a cancel, whatever they heard.
    var givenUp: Set<String> = []
    /// Tokens that were promised, asked for again, and refused for want of units, or found cancelled.
    var broken: Set<String> = []
    var soldOut = 0
    var limited = 0
    var frozen = 0
    /// Answers that no bucket is there.
    var lost = 0
  }

  private let shop: Shop
  private let seed: UInt64
  private let habits: Habits
  private let book = Mutex(Ledger())
  private let isOver = Atomic(false)
  private let round = Atomic(0)

  init(_ shop: Shop, seed: UInt64, habits: Habits = Habits()) {
    self.shop = shop
    self.seed = seed
    self.habits = habits
  }

  var ledger: Ledger { book.withLock { $0 } }

  /// Lets them buy while `body` runs, and finish what they have begun after it.
  func buying<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
    isOver.store(false, ordering: .sequentiallyConsistent)
    let round = round.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
    return try await withThrowingTaskGroup(of: Void.self) { group in
      for buyer in 0..<habits.buyers {
        group.addTask { try await self.buy(as: buyer, round) }
      }
      let result: Result<Value, any Error>
      do {
        result = .success(try await body())
      } catch {
        result = .failure(error)
      }
      isOver.store(true, ordering: .sequentiallyConsistent)
      try await group.waitForAll()
      return try result.get()
    }
  }

  /// Waits until something has happened so often from now on.
  func wait(for count: Int, more what: String, _ of: @escaping @Sendable (Ledger) -> Int) async throws {
    let goal = of(ledger) + count
    try await eventually("\(count) more \(what)") { of(ledger) >= goal }
  }

  func waitForPromises(_ count: Int) async throws {
    try await wait(for: count, more: "promises") { $0.promised.count }
  }

  // MARK: A buyer

  private func buy(as buyer: Int, _ round: Int) async throws {
    var random = SplitMix64(seed: seed &+ UInt64(buyer) &* 1_000_003 &+ UInt64(round) &* 7_919)
    var own: [String] = []
    var click = 0
    while !isOver.load(ordering: .sequentiallyConsistent), !Task.isCancelled {
      click += 1
      if let old = own.randomElement(using: &random), random.once(in: habits.repeats) {
        await ask(old, holdMs: nil)
      } else if let old = own.randomElement(using: &random), random.once(in: habits.cancels) {
        await giveUp(old)
      } else {
        let token = "t\(round)-\(buyer)-\(click)"
        let user = try UserID("user-\(random.next() % habits.users)")
        let quantity = Int64(random.next() % 3) + 1
        let purchase = try Purchase(sku: shop.sku, user: user, token: Token(token), quantity: quantity)
        book.withLock { $0.purchases[token] = purchase }
        own.append(token)
        let isHold = random.once(in: habits.holds)
        await ask(token, holdMs: isHold ? 3_600_000 : nil)
        if isHold, !random.oneIn(3) { await settleHold(token, isGivenUp: random.oneIn(3)) }
      }
      // The pace of a crowd, not a wait for anything.
      try? await Task.sleep(for: .milliseconds(4))
    }
  }

  private func ask(_ token: String, holdMs: Int64?) async {
    guard let purchase = book.withLock({ $0.purchases[token] }) else { return }
    let before = ledger.promised.contains(token) && !ledger.givenUp.contains(token)
    let outcome = await shop.doorbuster.purchase(purchase, holdMs: holdMs)
    book.withLock { ledger in
      switch outcome {
      case .accepted, .held: ledger.promised.insert(token)
      case .refused(let refusal, _):
        if before, refusal != .frozen { ledger.broken.insert(token) }
        switch refusal {
        case .soldOut: ledger.soldOut += 1
        case .limit: ledger.limited += 1
        case .frozen: ledger.frozen += 1
        case .early, .closed: break
        }
      case .cancelled: if before { ledger.broken.insert(token) }
      case .unknown: break
      case .failed(let error): if error.isNoBucket { ledger.lost += 1 }
      }
    }
  }

  private func settleHold(_ token: String, isGivenUp: Bool) async {
    if isGivenUp { return await giveUp(token) }
    guard let name = try? Token(token) else { return }
    _ = try? await shop.doorbuster.confirm(shop.sku, token: name)
  }

  private func giveUp(_ token: String) async {
    book.withLock { _ = $0.givenUp.insert(token) }
    guard let name = try? Token(token) else { return }
    _ = try? await shop.doorbuster.cancel(shop.sku, token: name)
  }
}

extension SplitMix64 {
  /// True once in `n` times; never for 0.
  fileprivate mutating func once(in n: UInt64) -> Bool { n > 0 && oneIn(n) }
}

extension DoorbusterError {
  fileprivate var isNoBucket: Bool {
    if case .stock(let error) = cause { error.code == .noBucket } else { false }
  }
}
