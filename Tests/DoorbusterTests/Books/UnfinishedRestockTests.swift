import Orders
import Stock
import Testing

@testable import Doorbuster

/// Restocks that take units off sale and were cut short: whoever repeats or repairs them, in any order and through crashes,
/// they end off sale in buckets and database or in neither.
@Suite("Restocks cut short")
struct UnfinishedRestockTests {
  private enum Step: Hashable {
    case again, repair
    /// A repair that is cut short at this call.
    case brokenRepair(at: Int)
  }

  /// A sale of 12 units in 3 buckets, of which a restock of -5 was cut short at that call; nil where it was not.
  private func sale(cutAt number: Int, carriesOut: Bool) async throws -> BooksWorld? {
    let books = try BooksWorld(units: 12)
    books.servers.cutOff(at: number, carriesOut: carriesOut)
    let isDone = await restock(books)
    books.servers.cutOff(at: nil)
    return isDone ? nil : books
  }

  @discardableResult
  private func restock(_ books: BooksWorld) async -> Bool {
    (try? await books.doorbuster.restock(books.sku, token: Token("minus"), quantity: -5)) != nil
  }

  private func onSale(_ books: BooksWorld) -> Int64 {
    books.world.stock.buckets.values.reduce(0) { $0 + $1.available }
  }

  private func take(_ step: Step, _ books: BooksWorld) async throws {
    switch step {
    case .again: await restock(books)
    case .repair: #expect(try await books.reconcile(repair: true).isClean)
    case .brokenRepair(let number):
      books.servers.cutOff(at: number, carriesOut: number.isMultiple(of: 2))
      books.settings.patience = .zero
      _ = try? await books.reconcile(repair: true)
      books.servers.cutOff(at: nil)
    }
  }

  @Test("are whole after a repair and the same call again, in any order", arguments: [false, true])
  func anyOrder(carriesOut: Bool) async throws {
    let orders: [[Step]] = [
      [.again], [.repair], [.repair, .again], [.again, .repair], [.repair, .repair, .again, .again, .repair],
    ]
    for steps in orders {
      var number = 0
      while let books = try await sale(cutAt: number, carriesOut: carriesOut) {
        for step in steps { try await take(step, books) }
        let context = "\(steps) after a cut at call \(number)"
        #expect([7, 12].contains(onSale(books)), "\(context)")
        #expect(books.discrepancies.isEmpty, "\(context)")
        #expect(try await books.reconcile().found == 0, "\(context)")
        number += 1
      }
      #expect(number >= 5)
    }
  }

  @Test("are whole after a repair that was cut short, too, whoever comes next", arguments: [Step.again, .repair])
  private func brokenRepairs(next: Step) async throws {
    for number in 1...4 {
      for cut in 0..<40 {
        let books = try #require(try await sale(cutAt: number, carriesOut: true))
        try await take(.brokenRepair(at: cut), books)
        try await take(next, books)
        try await take(.repair, books)
        await restock(books)
        #expect(books.discrepancies.isEmpty, "cut at call \(number), the repair at \(cut), then \(next)")
        #expect([7, 12].contains(onSale(books)), "cut at call \(number), the repair at \(cut), then \(next)")
      }
    }
  }

  @Test("are named with the units they have taken, and given back by their own token")
  func named() async throws {
    let books = try #require(try await sale(cutAt: 4, carriesOut: false))
    #expect(onSale(books) == 8)
    let lines = ["on sale 8, in database 12 → bucket", "restock of -5 undecided minus → bucket"]
    #expect(try await books.reconcile().lines == lines)
    let repaired = try await books.reconcile(repair: true)
    #expect(repaired.lines == lines && repaired.outcomes == [.repaired])
    #expect(onSale(books) == 12 && books.discrepancies.isEmpty)
    await #expect { try await books.doorbuster.restock(books.sku, token: Token("minus"), quantity: -5) } throws: {
      ($0 as? DoorbusterError)?.code == .restockMismatch
    }
    #expect(onSale(books) == 12 && books.discrepancies.isEmpty)
  }

  @Test("are given back by a bucket that has given units, and not by one that is frozen and has none")
  func frozen() async throws {
    let books = try BooksWorld(units: 12)
    try books.change(1) { bucket in bucket.freeze(nowMs: books.world.nowMs) }
    #expect(await restock(books) == false)
    #expect(onSale(books) == 10)
    #expect(try await books.reconcile(repair: true).isClean)
    #expect(onSale(books) == 12 && books.discrepancies.isEmpty)
  }

  @Test("are told by their rows, and the names of other restocks are not taken for them")
  func rows() throws {
    let names = [
      "a\u{0}-3", "a\u{0}-3\u{0}back", "b\u{0}-2", "b", "c\u{0}-2", "c", "d\u{0}-02", "\u{0}-1", "e\u{0}3", "f",
    ]
    let quantities: [Int64] = [0, 0, 0, 0, 0, -2, 0, 0, 0, 0]
    let restocks = try zip(names, quantities).map { StoredRestock(token: try Token($0), quantity: $1) }
    #expect(
      BegunRestock.unfinished(among: restocks) == [
        BegunRestock(token: try Token("a"), quantity: -3, isRefused: false),
        BegunRestock(token: try Token("b"), quantity: -2, isRefused: true),
      ]
    )
  }
}
