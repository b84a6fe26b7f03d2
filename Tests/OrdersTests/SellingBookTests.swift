import Orders
import Stock
import Testing

@Suite("Deciding in the database")
struct SellingBookTests {
  private func attempt(
    _ token: String,
    _ user: String = "u",
    _ quantity: Int64 = 1,
    at nowMs: Int64 = 0,
    holdMs: Int64? = nil
  ) throws -> SellAttempt {
    let purchase = try Purchase(sku: SKU("S"), user: UserID(user), token: Token(token), quantity: quantity)
    return SellAttempt(purchase: purchase, holdMs: holdMs, nowMs: nowMs)
  }

  @Test("Of several reasons the first in the order of precedence is given")
  func precedence() throws {
    let terms = SaleTerms(limit: 1, opensMs: 10, closesMs: 20)
    let known = try attempt("known").order
    var book = SellingBook(terms: terms, stock: 0, orders: [known], units: [:])
    let outcomes = book.decide([
      try attempt("known", at: 99), try attempt("x", "v", 2, at: 9), try attempt("x", "v", 2, at: 20),
      try attempt("x", "v", 2, at: 19), try attempt("x", "v", 1, at: 19),
    ])
    #expect(
      outcomes == [
        .accepted(.sold, remaining: 0, isRepeat: true), .refused(.early, remaining: 0), .refused(.closed, remaining: 0),
        .refused(.limit, remaining: 0), .refused(.soldOut, remaining: 0),
      ]
    )
    #expect(outcomes.map(\.lacksUnits) == [false, false, false, true, true])
    #expect(book.made == [])
  }

  @Test("Attempts of one batch see each other")
  func sequence() throws {
    var book = SellingBook(terms: SaleTerms(limit: 3), stock: 4, orders: [], units: [try UserID("u"): 1])
    let outcomes = book.decide([
      try attempt("a", "u", 2), try attempt("a", "u", 2), try attempt("a", "u", 1), try attempt("b", "u"),
      try attempt("c", "v", 3), try attempt("d", "v", 2), try attempt("e", "w", 1),
    ])
    #expect(outcomes[0] == .accepted(.sold, remaining: 2, isRepeat: false))
    #expect(outcomes[1] == .accepted(.sold, remaining: 2, isRepeat: true))
    #expect(outcomes[2] == .mismatch(book.made[0]))
    #expect(outcomes[3] == .refused(.limit, remaining: 2))
    #expect(outcomes[4] == .refused(.soldOut, remaining: 2))
    #expect(outcomes[5] == .accepted(.sold, remaining: 0, isRepeat: false))
    #expect(outcomes[6] == .refused(.soldOut, remaining: 0))
    #expect(book.taken == [try UserID("u"): 2, try UserID("v"): 2])
  }

  @Test("No number that a caller can give overflows")
  func extremes() throws {
    let terms = SaleTerms(limit: .max, opensMs: 0, closesMs: .max)
    var book = SellingBook(terms: terms, stock: StockLimits.quantityMax, orders: [], units: [try UserID("u"): .max - 1])
    let hold = StockLimits.quantityMax
    let outcome = book.decide([try attempt("a", "u", 2, at: .max - 1, holdMs: hold)])
    #expect(outcome == [.refused(.limit, remaining: hold)])
    _ = book.decide([try attempt("b", "v", hold, at: .max - 1, holdMs: hold)])
    #expect(book.made.first?.expiresAtMs == .max)
    #expect(book.stock == 0)
  }
}
