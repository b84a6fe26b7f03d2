import TestServers
import Testing

/// `DEDUCT … HOLD` and `CONFIRM`: units that are kept for a buyer who has not decided yet.
@Suite struct HoldTests {
  private static let long: Int64 = 600_000

  @Test("A hold takes units off sale without selling them, and tells when it ends", arguments: [2, 3])
  func hold(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try stock("CREATE", "key", 10)
    let before = try stock.nowMs()
    #expect(try stock("DEDUCT", "key", "u", "t", 3, "HOLD", Self.long) == .status("OK", 7, 2))
    let after = try stock.nowMs()
    let record = try stock("GET", "key", "t")
    #expect(record["state"] == "held" && record["quantity"] == 3 && record["user"] == "u")
    #expect([record["from"], record["to"], record["sequence"]] == [10, 7, 2])
    let timestamp = try #require(record["timestamp"]?.integer)
    #expect((before...after).contains(timestamp))
    #expect(record["expires"] == .integer(timestamp + Self.long))
    #expect(try stock.numbers("key", "available", "held", "sold", "cancelled", "tokens") == [7, 3, 0, 0, 1])
    let event = try #require(stock("LOG", "key", 1)[0])
    #expect(event == [2, "hold", "t", "u", -3, 10, 7, .integer(timestamp)])
  }

  @Test("CONFIRM makes a held purchase a sold one, once", arguments: [2, 3])
  func confirm(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try stock("CREATE", "key", 10)
    try stock("DEDUCT", "key", "u", "t", 3, "HOLD", Self.long)
    #expect(try stock("CONFIRM", "key", "t") == .status("OK", 7, 3))
    #expect(try stock("CONFIRM", "key", "t") == .status("DUPLICATE", 7, 2))
    let record = try stock("GET", "key", "t")
    #expect(record["state"] == "sold" && record["expires"] == .null && record["sequence"] == 2)
    #expect(try stock.numbers("key", "available", "held", "sold", "cancelled") == [7, 0, 3, 0])
    let event = try #require(stock("LOG", "key", 2)[0]?.elements)
    #expect(event.dropLast() == [3, "confirm", "t", "u", 0, 7, 7])
  }

  @Test("CONFIRM answers by the token's state")
  func confirmStates() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    #expect(try stock("CONFIRM", "key", "none") == .status("UNKNOWN", 10, 0))
    #expect(try stock("GET", "key", "none") == nil)
    try stock("DEDUCT", "key", "u", "sold", 1)
    #expect(try stock("CONFIRM", "key", "sold") == .status("DUPLICATE", 9, 2))
    try stock("DEDUCT", "key", "u", "gone", 1, "HOLD", Self.long)
    try stock("CANCEL", "key", "gone")
    #expect(try stock("CONFIRM", "key", "gone") == .status("CANCELLED", 9, 0))
    try stock("FENCE", "key", "fenced")
    #expect(try stock("CONFIRM", "key", "fenced") == .status("CANCELLED", 9, 0))
    try stock("ADD", "key", "restock", 1)
    #expect(try stock("CONFIRM", "key", "restock") == .status("UNKNOWN", 10, 0))
    #expect(try stock.info("key")["logLast"] == 6)
  }

  @Test("A held token sent again hears its first outcome, with or without a hold of any length")
  func again() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 5)
    try stock("DEDUCT", "key", "u", "t", 5, "HOLD", Self.long)
    let expires = try stock("GET", "key", "t")["expires"]
    #expect(try stock("DEDUCT", "key", "u", "t", 5, "HOLD", Self.long) == .status("DUPLICATE", 0, 2))
    #expect(try stock("DEDUCT", "key", "u", "t", 5, "HOLD", 1) == .status("DUPLICATE", 0, 2))
    #expect(try stock("DEDUCT", "key", "u", "t", 5) == .status("DUPLICATE", 0, 2))
    expectError(try stock("DEDUCT", "key", "v", "t", 5, "HOLD", Self.long), "TOKENMISMATCH")
    expectError(try stock("DEDUCT", "key", "u", "t", 4), "TOKENMISMATCH")
    #expect(try stock("GET", "key", "t")["expires"] == expires)
    #expect(try stock("GET", "key", "t")["state"] == "held")
    try stock("CONFIRM", "key", "t")
    #expect(try stock("DEDUCT", "key", "u", "t", 5, "HOLD", 1) == .status("DUPLICATE", 0, 2))
    expectError(try stock("DEDUCT", "key", "v", "t", 5), "TOKENMISMATCH")
  }

  @Test("A held purchase is live for FENCE, and CANCEL gives its units back or takes them off sale")
  func fenceAndCancel() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    for token in ["a", "b", "c"] { try stock("DEDUCT", "key", "u", token, 2, "HOLD", Self.long) }
    #expect(try stock("FENCE", "key", "a") == .status("LIVE", 4, 2))
    #expect(try stock("CANCEL", "key", "a") == .status("OK", 6, 5))
    #expect(try stock("CANCEL", "key", "b", "OFFSALE") == .status("OK", 6, 6))
    #expect(try stock("CANCEL", "key", "c", "FENCE") == .status("OK", 8, 7))
    #expect(try stock("CANCEL", "key", "a") == .status("DUPLICATE", 8, 2))
    #expect(try stock.numbers("key", "available", "held", "sold", "cancelled", "added") == [8, 0, 0, 6, -2])
    for token in ["a", "b", "c"] {
      let record = try stock("GET", "key", token)
      #expect(record["state"] == "cancelled" && record["expires"] == .null, "\(token)")
      #expect(try stock("DEDUCT", "key", "u", token, 2, "HOLD", Self.long) == .status("CANCELLED", 8, 0), "\(token)")
    }
  }

  @Test("Held units count for the limit like sold ones; confirming changes nothing in it, cancelling gives it back")
  func limit() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 100, "LIMIT", 5)
    #expect(try stock("DEDUCT", "key", "u", "a", 3, "HOLD", Self.long) == .status("OK", 97, 2))
    #expect(try stock("DEDUCT", "key", "u", "b", 3, "HOLD", Self.long) == .status("LIMIT", 97, 0))
    #expect(try stock("DEDUCT", "key", "u", "b", 2) == .status("OK", 95, 3))
    #expect(try stock("DEDUCT", "key", "u", "c", 1, "HOLD", Self.long) == .status("LIMIT", 95, 0))
    try stock("CONFIRM", "key", "a")
    #expect(try stock("DEDUCT", "key", "u", "c", 1) == .status("LIMIT", 95, 0))
    try stock("CANCEL", "key", "a")
    #expect(try stock("DEDUCT", "key", "u", "c", 4, "HOLD", Self.long) == .status("LIMIT", 98, 0))
    #expect(try stock("DEDUCT", "key", "u", "c", 3, "HOLD", Self.long)[0] == .simple("OK"))
    #expect(try stock("DEDUCT", "key", "v", "d", 5, "HOLD", Self.long)[0] == .simple("OK"))
  }

  @Test("A first limit counts what is held already")
  func limitLater() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 100)
    try stock("DEDUCT", "key", "u", "a", 3, "HOLD", Self.long)
    try stock("DEDUCT", "key", "u", "b", 3, "HOLD", Self.long)
    try stock("CANCEL", "key", "b")
    try stock("SCHEDULE", "key", "LIMIT", 4)
    #expect(try stock("DEDUCT", "key", "u", "c", 2)[0] == .simple("LIMIT"))
    #expect(try stock("DEDUCT", "key", "u", "c", 1)[0] == .simple("OK"))
  }

  @Test("A hold is refused like a purchase, in the same order")
  func refusals() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 3, "LIMIT", 2, "OPENS", farFuture)
    func hold(_ quantity: Int) throws -> String? { try stock("DEDUCT", "key", "u", "t", quantity, "HOLD", 50)[0]?.text }
    #expect(try hold(9) == "EARLY")
    try stock("SCHEDULE", "key", "OPENS", 0, "CLOSES", 1)
    #expect(try hold(9) == "CLOSED")
    try stock("SCHEDULE", "key", "CLOSES", 0)
    #expect(try hold(9) == "LIMIT")
    try stock("SCHEDULE", "key", "LIMIT", 0)
    #expect(try hold(9) == "SOLDOUT")
    #expect(try stock("GET", "key", "t") == nil)
    #expect(try stock.info("key")["held"] == 0)
  }

  @Test("Confirming and cancelling ask for no window")
  func window() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 9)
    for token in ["a", "b"] { try stock("DEDUCT", "key", "u", token, 1, "HOLD", Self.long) }
    try stock("SCHEDULE", "key", "OPENS", farFuture, "CLOSES", 1)
    #expect(try stock("CONFIRM", "key", "a")[0] == .simple("OK"))
    #expect(try stock("CANCEL", "key", "b")[0] == .simple("OK"))
  }

  @Test("Arguments of a hold and of CONFIRM at and beyond their bounds")
  func bounds() throws {
    let stock = try Stage()
    try stock("CREATE", "key", maximum)
    let before = try stock.readings("key")
    for bad in ArgumentTests.malformed + ["0"] {
      expectError(try stock("DEDUCT", "key", "u", "t", 1, "HOLD", bad), naming: "HOLD", comment: bad)
    }
    expectError(try stock("DEDUCT", "key", "u", "t", 1, "HOLD"), naming: "HOLD")
    expectError(try stock("DEDUCT", "key", "u", "t", 1, "HOLD", 5, "HOLD", 5), naming: "HOLD")
    expectError(try stock("DEDUCT", "key", "u", "t", 1, "KEEP", 5), naming: "KEEP")
    for bad in ["", String.bytes(129)] { expectError(try stock("CONFIRM", "key", bad), naming: "token") }
    expectError(try stock("CONFIRM", "key"))
    expectError(try stock("CONFIRM", "key", "t", "x"))
    expectError(try stock("CONFIRM", "none", "t"), "NOBUCKET")
    #expect(try stock.readings("key") == before)
    try stock.redis.call("SET", "text", "x")
    expectError(try stock("CONFIRM", "text", "t"), "WRONGTYPE")
    expectError(try stock("DEDUCT", "text", "u", "t", 1, "HOLD", 5), "WRONGTYPE")

    #expect(try stock("DEDUCT", "key", "u", String.bytes(128), 1, "hold", 1)[0] == .simple("OK"))
    // One that would end beyond 2^53 is refused whole, and one that ends far away is not one that ends at once.
    expectError(
      try stock("DEDUCT", "key", "u", "far", 1, "HOLD", maximum),
      "OVERFLOW",
      naming: "HOLD '9007199254740992'",
      "must end by 9007199254740992"
    )
    #expect(try stock("GET", "key", "far") == nil)
    #expect(try stock("DEDUCT", "key", "u", "far", 1, "HOLD", maximum - 2 * farFuture)[0] == .simple("OK"))
    let far = try #require(stock("GET", "key", "far")["expires"]?.integer)
    #expect(far > farFuture)
    #expect(try stock("DEDUCT", "key", "u", "all", maximum - 2, "HOLD", Self.long)[0] == .simple("OK"))
    #expect(try stock("CONFIRM", "key", "all")[0] == .simple("OK"))
    #expect(try stock("CONFIRM", "key", "far")[0] == .simple("OK"))
  }
}
