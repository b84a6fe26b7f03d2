import Foundation
import Orders
import Stock
import Testing

@testable import Doorbuster

/// Whole sales at random, compared while they go on and mended after they were damaged. `DOORBUSTER_SEED=n` runs one
/// sale again, `DOORBUSTER_SEEDS=n` that many new ones.
@Suite("Random books")
struct RandomBooksTests {
  static var seeds: [UInt64] {
    let environment = ProcessInfo.processInfo.environment
    if let text = environment["DOORBUSTER_SEED"], let seed = UInt64(text) { return [seed] }
    let count = environment["DOORBUSTER_SEEDS"].flatMap(Int.init) ?? 40
    return (0..<count).map { _ in UInt64.random(in: 0...UInt64.max) }
  }

  @Test("A clean sale under load, with faults, cancels, restocks and transfers, has no findings")
  func cleanUnderLoad() async throws {
    for seed in Self.seeds {
      let sale = try RandomBooks(seed: seed)
      try sale.sell()
      for round in 0..<6 {
        let lines = try await sale.books.reconcile(repair: round % 2 == 1).lines
        #expect(lines.isEmpty, "seed \(seed), round \(round)")
        guard lines.isEmpty else { return }
        sale.world.goOn(forMs: sale.world.pick(0...6_000))
      }
      sale.end()
      let report = try await sale.books.reconcile()
      #expect(report.found == 0 && report.unitsOpen == 0, "seed \(seed): \(report.lines)")
      #expect(report.eventsOnTheirWay == 0 && report.messagesOnTheirWay == 0, "seed \(seed)")
      #expect(sale.books.discrepancies.isEmpty, "seed \(seed)")
      guard sale.books.discrepancies.isEmpty, report.found == 0 else { return }
    }
  }

  @Test("Every damage is named and mended, also in a sale that goes on; mending twice changes nothing more")
  func damaged() async throws {
    for seed in Self.seeds {
      let sale = try RandomBooks(seed: seed)
      try sale.sell()
      let isAtRest = sale.world.random.chance(0.5)
      if isAtRest { sale.end() } else { sale.world.goOn(forMs: 25_000) }
      // What is listed now stays listed.
      sale.world.keptEvents = 1000
      let damages = try (0..<sale.world.pick(1...5)).compactMap { _ in try sale.damage() }
      let before = sale.books.everything
      let dry = try await sale.books.reconcile()
      // In a sale that goes on, late messages mend some of it, and late cancels cover it.
      if isAtRest {
        for damage in damages { #expect(damage.isNamed(in: dry), "seed \(seed): \(damage) is not in \(dry.lines)") }
        #expect(sale.books.everything == before, "seed \(seed)")
      }
      let repaired = try await sale.books.reconcile(repair: true)
      sale.end()
      // What a database without the units rejects, or what changed in a sale that goes on, a second time finds.
      let again = try await sale.books.reconcile(repair: true)
      #expect(again.isClean, "seed \(seed): \(repaired.findings), then \(again.findings)")
      if isAtRest { #expect(again.found == 0, "seed \(seed): \(repaired.findings), then \(again.lines)") }
      #expect(sale.books.discrepancies.isEmpty, "seed \(seed) after \(damages): \(repaired.findings)")
      let after = sale.books.everything
      #expect(try await sale.books.reconcile(repair: true).found == 0, "seed \(seed)")
      #expect(sale.books.everything == after, "seed \(seed)")
      await sale.repeatRestocks()
      #expect(sale.books.discrepancies.isEmpty, "seed \(seed): restocks repeated after \(damages)")
      guard sale.books.discrepancies.isEmpty, again.isClean else { return }
    }
  }

  @Test("Damage to purchases that are no longer listed is told in units")
  func damagedAndTrimmed() async throws {
    for seed in Self.seeds {
      let sale = try RandomBooks(seed: seed)
      try sale.sell()
      sale.end()
      sale.books.trim()
      let orders = sale.books.world.orders.orders.filter { $0.value.state == .sold }.sorted {
        $0.key.token.description < $1.key.token.description
      }
      guard let victim = orders.first else { continue }
      sale.books.world.orders.orders[victim.key] = nil
      let report = try await sale.books.reconcile(repair: true)
      let (bucket, units) = (victim.value.order.bucket, victim.value.order.purchase.quantity)
      let isNamed = report.findings.contains { $0.subject == .ordersMissing(bucket: bucket, units: units) }
      #expect(isNamed && report.remaining == 1, "seed \(seed): \(report.findings)")
    }
  }
}

/// One damaged thing.
struct Damage: CustomStringConvertible {
  var description: String
  /// The token that must be named; nil where it is the stock, to which damage to orders may add up, or even it out.
  var token: Token?

  func isNamed(in report: Reconciliation) -> Bool {
    guard let token else { return true }
    return report.findings.contains { $0.subject.token == token }
  }
}

/// A seeded sale.
final class RandomBooks {
  let books: BooksWorld
  var world: World { books.world }
  private var tokens: [Token] = []
  private var damaged: Set<Token> = []
  /// Those that were cut short, by their tokens.
  private var restocks: [Token: Int64] = [:]
  private let lengthMs: Int64 = 30_000
  private let operators = Process("operators")

  init(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    books = try BooksWorld(
      seed: seed,
      units: Int64.random(in: 5...60, using: &random),
      buckets: Int.random(in: 1...4, using: &random),
      limit: random.chance(0.3) ? Int64.random(in: 1...5, using: &random) : 0
    )
    books.settings.page = Int(world.pick(1...8))
    world.slowness = 0.05
  }

  /// Schedules a crowd, cancels, holds, restocks and transfers, and a worker beside them.
  func sell() throws {
    let level = [0.0, 0.02, 0.05][Int(world.pick(0...2))]
    world.faults = World.Faults(refused: level, silent: level, late: level / 2)
    books.work()
    for number in 0..<world.pick(10...60) {
      let atMs = world.pick(0...lengthMs)
      let purchase = try books.buy(
        "t\(number)",
        user: "user\(world.pick(0...14))",
        quantity: world.pick(1...3),
        afterMs: atMs
      )
      tokens.append(purchase.token)
      if world.random.chance(0.25) { cancel(purchase, afterMs: atMs + world.pick(0...8_000)) }
    }
    for number in 0..<world.pick(0...3) { try restock("r\(number)", afterMs: world.pick(0...lengthMs)) }
    for number in 0..<world.pick(0...6) { try transfer("m\(number)", afterMs: world.pick(0...lengthMs)) }
    if world.random.chance(0.5) { world.keptEvents = world.pick(0...20) }
  }

  /// Lets all that is under way come to its end.
  func end() {
    world.faults = .none
    _ = world.run(forMs: 2 * lengthMs)
    world.broker.resumeParked(nowMs: world.nowMs)
    books.settle()
  }

  private func cancel(_ purchase: Purchase, afterMs: Int64) {
    let id = books.id(books.home(purchase))
    world.after(afterMs) { [world] in
      _ = try? world.stock.with(id) { bucket throws(StockError) in
        try bucket.cancel(purchase.token, fence: false, offSale: false, nowMs: world.nowMs)
      }
    }
  }

  /// In the database first, then bucket by bucket.
  private func restock(_ name: String, afterMs: Int64) throws {
    let (sku, token, quantity) = (books.sku, try Token(name), world.pick(1...9))
    world.after(afterMs) { [world] in
      _ = world.orders.restock(sku, token: token, quantity: quantity)
      guard let sale = world.orders.sales[sku] else { return }
      for id in sale.buckets {
        world.after(Int64(id.index) * world.pick(0...300)) {
          let share = sale.share(of: quantity, bucket: id.index)
          _ = try? world.stock.with(id) { bucket throws(StockError) in
            if share != 0 { _ = try bucket.add(token, quantity: share, nowMs: world.nowMs) }
          }
        }
      }
    }
  }

  private func transfer(_ name: String, afterMs: Int64) throws {
    guard books.buckets > 1 else { return }
    let name = try TransferName(name)
    let source = Int(world.pick(0...Int64(books.buckets - 1)))
    let target = (source + 1) % books.buckets
    let (sourceID, targetID, quantity) = (books.id(source), books.id(target), world.pick(1...4))
    world.after(afterMs) { [world] in
      let outcome = try? world.stock.with(sourceID) { bucket throws(StockError) in
        try bucket.withdraw(name, quantity: quantity, to: target, nowMs: world.nowMs)
      }
      guard case .withdrawn(let units, _) = outcome else { return }
      world.after(world.pick(0...3_000)) {
        let deposit = Deposit(name: name, source: source, quantity: units)
        _ = try? world.stock.with(targetID) { bucket throws(StockError) in
          try bucket.deposit(deposit, nowMs: world.nowMs)
        }
      }
    }
  }

  // MARK: Damage

  /// Damages something that has come to rest; nil where there is nothing (any more) to be damaged in that way.
  func damage() throws -> Damage? {
    if world.random.chance(0.15) { return try beginRestock() }
    let row = pickRow()
    switch world.pick(0...5) {
    case 0:
      let change = [-2, 1, 3][Int(world.pick(0...2))] as Int64
      let stock = world.orders.stock[books.sku] ?? 0
      guard stock + change >= 0 else { return nil }
      world.orders.stock[books.sku] = stock + change
      return Damage(description: "stock by \(change)", token: nil)
    case 1:
      guard let row, row.state == .sold, isListed(row) else { return nil }
      world.orders.orders[key(row)] = nil
      return Damage(description: "\(token(row)) deleted", token: token(row))
    case 2:
      guard var row, row.state == .sold, isListed(row) else { return nil }
      let (old, purchase) = (row, row.order.purchase)
      let other = try Token("other \(purchase.token)")
      row.order.purchase = try Purchase(
        sku: books.sku,
        user: purchase.user,
        token: other,
        quantity: purchase.quantity
      )
      world.orders.orders[key(old)] = nil
      world.orders.orders[key(row)] = row
      return Damage(description: "\(purchase.token) moved", token: world.random.chance(0.5) ? other : purchase.token)
    case 3:
      guard let row else { return nil }
      let purchase = row.order.purchase
      world.orders.orders[key(row)]?.order.purchase = try Purchase(
        sku: books.sku,
        user: purchase.user,
        token: purchase.token,
        quantity: purchase.quantity + world.pick(1...3)
      )
      return Damage(description: "\(purchase.token) has another quantity", token: purchase.token)
    case 4:
      guard let row, row.state == .sold || row.state == .cancelled else { return nil }
      world.orders.orders[key(row)]?.state = row.state == .sold ? .cancelled : .sold
      return Damage(description: "\(token(row)) is no longer \(row.state)", token: token(row))
    default:
      // Behind the database's back: only where its position stands at the bucket's end.
      guard let row, row.state == .sold, let bucket = books.bucket(row.order.bucket) else { return nil }
      let position = LogPosition(epoch: bucket.epoch, sequence: bucket.logLast)
      guard world.orders.positions[books.id(row.order.bucket)] == position else { return nil }
      try books.change(row.order.bucket) { bucket in
        _ = try bucket.cancel(token(row), fence: false, offSale: false, nowMs: world.nowMs)
      }
      world.orders.positions[books.id(row.order.bucket)]?.sequence += 1
      return Damage(description: "\(token(row)) cancelled behind the database's back", token: token(row))
    }
  }

  /// Begins to take units off sale, bucket by bucket, and is cut short.
  private func beginRestock() throws -> Damage? {
    let (token, quantity) = (try Token("off\(restocks.count)"), -world.pick(1...12))
    let take = try RestockTokens(token, quantity: quantity).take
    guard let sale = world.orders.sales[books.sku] else { return nil }
    restocks[token] = quantity
    _ = world.orders.restock(books.sku, token: take, quantity: 0)
    for index in 0..<Int(world.pick(0...Int64(books.buckets))) {
      let share = sale.share(of: quantity, bucket: index)
      guard share != 0, let bucket = books.bucket(index), bucket.available >= -share else { break }
      try books.change(index) { bucket in _ = try bucket.add(take, quantity: share, nowMs: world.nowMs) }
    }
    return Damage(description: "restock of \(quantity) cut short", token: nil)
  }

  /// Does again what was cut short, twice, as one does who was told to repeat it. Where units would have to be gathered
  /// nothing is repeated: that goes on at several places at once, and the world is one thread's.
  func repeatRestocks() async {
    for (token, quantity) in restocks.sorted(by: { $0.key.description < $1.key.description }) {
      guard let sale = world.orders.sales[books.sku] else { return }
      let isShort = sale.buckets.contains { id in
        (books.bucket(id.index)?.available ?? 0) < -sale.share(of: quantity, bucket: id.index)
      }
      guard !isShort else { continue }
      for _ in 0..<2 { try? await books.doorbuster.restock(books.sku, token: token, quantity: quantity) }
    }
  }

  private func token(_ row: StoredOrder) -> Token { row.order.purchase.token }

  private func key(_ row: StoredOrder) -> ModelStore.Key { .init(sku: books.sku, token: token(row)) }

  /// An order that agrees with its purchase, is behind the position, and is not damaged yet.
  private func pickRow() -> StoredOrder? {
    let rows = world.orders.orders.values.filter { row in
      guard !damaged.contains(token(row)), let bucket = books.bucket(row.order.bucket),
        let entry = bucket.entries[token(row)], TokenComparison.agree(row.state, entry.state),
        let position = world.orders.positions[books.id(row.order.bucket)], entry.sequence <= position.sequence
      else { return false }
      // What a late cancel still changes is on its way.
      return bucket.log.allSatisfy { $0.sequence <= position.sequence || $0.token != token(row).bytes }
    }
    let sorted = rows.sorted { token($0).description < token($1).description }
    guard let row = sorted.isEmpty ? nil : sorted[Int(world.pick(0...Int64(sorted.count - 1)))] else { return nil }
    damaged.insert(token(row))
    return row
  }

  private func isListed(_ row: StoredOrder) -> Bool {
    guard let bucket = books.bucket(row.order.bucket), let entry = bucket.entries[token(row)] else { return false }
    return entry.sequence > bucket.trimmed
  }
}

extension World {
  func goOn(forMs ms: Int64) { _ = run(forMs: ms) }
}
