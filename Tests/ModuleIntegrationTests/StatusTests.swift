import TestServers
import Testing

/// The statuses of each command and which comes first where several apply.
@Suite struct StatusTests {
  @Test("A sale from the first unit to the last, in both protocols", arguments: [2, 3])
  func sale(resp: Int) throws {
    let stock = try Stage(resp: resp)
    #expect(try stock("CREATE", "key", 3) == .ok)
    #expect(try stock("DEDUCT", "key", "ann", "a", 1) == .status("OK", 2, 2))
    #expect(try stock("DEDUCT", "key", "bob", "b", 3) == .status("SOLDOUT", 2, 0))
    #expect(try stock("DEDUCT", "key", "bob", "b", 2) == .status("OK", 0, 3))
    #expect(try stock("DEDUCT", "key", "cid", "c", 1) == .status("SOLDOUT", 0, 0))
    #expect(try stock("DEDUCT", "key", "ann", "a", 1) == .status("DUPLICATE", 0, 2))
    #expect(try stock("CANCEL", "key", "a") == .status("OK", 1, 4))
    #expect(try stock("DEDUCT", "key", "cid", "c", 1) == .status("OK", 0, 5))
    #expect(try stock("DEDUCT", "key", "ann", "a", 1) == .status("CANCELLED", 0, 0))
    #expect(try stock.info("key")["sold"] == 3)
  }

  @Test("The token comes before the stock: a retry after sell-out hears DUPLICATE")
  func tokenBeforeStock() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1)
    #expect(try stock("DEDUCT", "key", "u", "t", 1) == .status("OK", 0, 2))
    for _ in 0..<3 { #expect(try stock("DEDUCT", "key", "u", "t", 1) == .status("DUPLICATE", 0, 2)) }
  }

  /// Each row adds the cause of an earlier status to all the later ones, which it then hides.
  @Test("Of several reasons to refuse, the first of the contract's order is told")
  func precedence() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 3, "LIMIT", 2)
    try stock("DEDUCT", "key", "user", "sold", 1)
    try stock("FENCE", "key", "fenced")
    try stock("DEDUCT", "key", "user", "cancelled", 1)
    try stock("CANCEL", "key", "cancelled")
    func deduct(_ token: String, _ quantity: Int = 1) throws -> String? {
      try stock("DEDUCT", "key", "user", token, quantity)[0]?.text
    }
    #expect(try stock("DEDUCT", "key", "other", "new", 2)[0]?.text == "OK")
    #expect(try deduct("new1") == "SOLDOUT")
    #expect(try deduct("new1", 2) == "LIMIT")
    #expect(try deduct("fenced") == "CANCELLED")
    try stock("SCHEDULE", "key", "CLOSES", 1)
    #expect(try deduct("new1", 2) == "CLOSED")
    #expect(try deduct("new1") == "CLOSED")
    try stock("SCHEDULE", "key", "OPENS", farFuture)
    #expect(try deduct("new1", 2) == "EARLY")
    #expect(try deduct("fenced") == "CANCELLED")
    #expect(try deduct("fenced", 2) == "CANCELLED")
    #expect(try deduct("cancelled") == "CANCELLED")
    #expect(try deduct("sold") == "DUPLICATE")
    expectError(try stock("DEDUCT", "key", "user", "sold", 2), "TOKENMISMATCH")
    expectError(try stock("DEDUCT", "key", "user", "cancelled", 2), "TOKENMISMATCH")
  }

  @Test("CANCEL and FENCE answer by the token's state")
  func tokenStates() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    try stock("DEDUCT", "key", "u", "sold", 2)
    #expect(try stock("CANCEL", "key", "unknown") == .status("UNKNOWN", 8, 0))
    #expect(try stock("GET", "key", "unknown") == nil)
    #expect(try stock("FENCE", "key", "sold") == .status("LIVE", 8, 2))
    #expect(try stock("FENCE", "key", "fenced") == .status("OK", 8, 3))
    #expect(try stock("FENCE", "key", "fenced") == .status("DUPLICATE", 8, 3))
    #expect(try stock("CANCEL", "key", "fenced") == .status("DUPLICATE", 8, 3))
    #expect(try stock("CANCEL", "key", "fenced", "FENCE") == .status("DUPLICATE", 8, 3))
    #expect(try stock("CANCEL", "key", "late", "FENCE") == .status("OK", 8, 4))
    #expect(try stock("FENCE", "key", "late") == .status("DUPLICATE", 8, 4))
    #expect(try stock("CANCEL", "key", "sold", "FENCE") == .status("OK", 10, 5))
    #expect(try stock("CANCEL", "key", "sold") == .status("DUPLICATE", 10, 2))
    #expect(try stock("CANCEL", "key", "sold", "OFFSALE") == .status("DUPLICATE", 10, 2))
    #expect(try stock("FENCE", "key", "sold") == .status("DUPLICATE", 10, 2))
    for token in ["sold", "fenced", "late"] {
      #expect(try stock("DEDUCT", "key", "u", token, 2) == .status("CANCELLED", 10, 0))
    }
    let info = try stock.info("key")
    #expect([info["sold"], info["cancelled"], info["tokens"], info["added"]] == [0, 2, 3, 0])
  }

  @Test("OFFSALE takes a cancelled purchase's units off the sale instead of back on it")
  func offSale() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10, "LIMIT", 4)
    try stock("DEDUCT", "key", "u", "t", 4)
    #expect(try stock("DEDUCT", "key", "u", "more", 1) == .status("LIMIT", 6, 0))
    #expect(try stock("CANCEL", "key", "t", "OFFSALE") == .status("OK", 6, 3))
    let info = try stock.info("key")
    #expect([info["available"], info["added"], info["sold"], info["cancelled"]] == [6, -4, 0, 4])
    #expect(try stock("DEDUCT", "key", "u", "more", 4) == .status("OK", 2, 4))
    #expect(try stock("CANCEL", "key", "none", "OFFSALE") == .status("UNKNOWN", 2, 0))
    #expect(try stock("CANCEL", "key", "none", "OFFSALE", "FENCE") == .status("OK", 2, 5))
    #expect(try stock.info("key")["added"] == -4)
  }
}
