import TestServers
import Testing

/// Purchase limits per user, and the times between which a bucket sells.
@Suite struct LimitAndWindowTests {
  @Test("A user buys up to the limit, in one purchase or many, and others are not touched")
  func limit() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 100, "LIMIT", 3)
    #expect(try stock("DEDUCT", "key", "ann", "1", 4) == .status("LIMIT", 100, 0))
    #expect(try stock("DEDUCT", "key", "ann", "1", 2) == .status("OK", 98, 2))
    #expect(try stock("DEDUCT", "key", "ann", "2", 2) == .status("LIMIT", 98, 0))
    #expect(try stock("DEDUCT", "key", "ann", "2", 1) == .status("OK", 97, 3))
    #expect(try stock("DEDUCT", "key", "ann", "3", 1) == .status("LIMIT", 97, 0))
    #expect(try stock("DEDUCT", "key", "bob", "4", 3) == .status("OK", 94, 4))
    #expect(try stock("DEDUCT", "key", "bob", "5", maximum) == .status("LIMIT", 94, 0))
    #expect(try stock("DEDUCT", "key", "ann", "1", 2) == .status("DUPLICATE", 94, 2))
  }

  @Test("A cancelled purchase gives its user the limit back, once")
  func givenBack() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 100, "LIMIT", 2)
    try stock("DEDUCT", "key", "u", "1", 2)
    try stock("CANCEL", "key", "1")
    try stock("CANCEL", "key", "1")
    #expect(try stock("DEDUCT", "key", "u", "2", 3) == .status("LIMIT", 100, 0))
    #expect(try stock("DEDUCT", "key", "u", "2", 2) == .status("OK", 98, 4))
    #expect(try stock("DEDUCT", "key", "u", "3", 1) == .status("LIMIT", 98, 0))
  }

  @Test("A limit that is changed counts what was bought before it, also without one")
  func changedLimit() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 100)
    try stock("DEDUCT", "key", "u", "1", 5)
    #expect(try stock("SCHEDULE", "key", "LIMIT", 5) == .ok)
    #expect(try stock("DEDUCT", "key", "u", "2", 1) == .status("LIMIT", 95, 0))
    try stock("SCHEDULE", "key", "LIMIT", 3)
    #expect(try stock("DEDUCT", "key", "u", "2", 1) == .status("LIMIT", 95, 0))
    try stock("SCHEDULE", "key", "LIMIT", 6)
    #expect(try stock("DEDUCT", "key", "u", "2", 1)[0] == .simple("OK"))
    try stock("SCHEDULE", "key", "LIMIT", 0)
    #expect(try stock("DEDUCT", "key", "u", "3", 50)[0] == .simple("OK"))
    try stock("CANCEL", "key", "1")
    try stock("CANCEL", "key", "3")
    try stock("SCHEDULE", "key", "LIMIT", 2)
    #expect(try stock("DEDUCT", "key", "u", "4", 1)[0] == .simple("OK"))
    #expect(try stock("DEDUCT", "key", "u", "5", 1)[0] == .simple("LIMIT"))
  }

  @Test("Restocking, cancelling and fencing don't ask for the window")
  func outsideTheWindow() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 5)
    try stock("DEDUCT", "key", "u", "1", 1)
    try stock("SCHEDULE", "key", "OPENS", farFuture, "CLOSES", 1)
    #expect(try stock("ADD", "key", "r", 1)[0] == .simple("OK"))
    #expect(try stock("CANCEL", "key", "1")[0] == .simple("OK"))
    #expect(try stock("FENCE", "key", "2")[0] == .simple("OK"))
  }

  @Test("A bucket is early before OPENS, sells from OPENS on and is closed from CLOSES on, by the server's clock")
  func window() throws {
    let stock = try Stage()
    let opens = try stock.nowMs() + 300
    try stock("CREATE", "key", 1_000_000, "OPENS", opens, "CLOSES", opens + 200)
    var (seen, token): ([String], Int64) = ([], 0)
    try waitUntil("the closing") {
      token += 1
      let before = try stock.nowMs()
      let status = try #require(stock("DEDUCT", "key", "u", token, 1)[0]?.text)
      let after = try stock.nowMs()
      if after < opens { #expect(status == "EARLY") }
      if before >= opens, after < opens + 200 { #expect(status == "OK") }
      if before >= opens + 200 { #expect(status == "CLOSED") }
      if seen.last != status { seen.append(status) }
      return status == "CLOSED" && after > opens + 205
    }
    #expect(["EARLY", "OK", "CLOSED"].filter(seen.contains) == seen)
    #expect(seen.first == "EARLY" && seen.last == "CLOSED")
  }

  @Test("Times of 0 mean none, and times in the past are allowed")
  func noWindow() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 5, "OPENS", 1, "CLOSES", 0)
    #expect(try stock("DEDUCT", "key", "u", "1", 1)[0] == .simple("OK"))
    #expect(try stock("CREATE", "past", 5, "OPENS", 1, "CLOSES", 2) == .ok)
    #expect(try stock("DEDUCT", "past", "u", "1", 1) == .status("CLOSED", 5, 0))
    try stock("SCHEDULE", "past", "CLOSES", 0)
    #expect(try stock("DEDUCT", "past", "u", "1", 1) == .status("OK", 4, 3))
  }

  @Test("SCHEDULE changes only what it names")
  func schedule() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 5, "LIMIT", 1, "OPENS", 2, "CLOSES", farFuture, "BUCKETS", 4)
    func settings() throws -> [RESP?] {
      let info = try stock.info("key")
      return ["limit", "opens", "closes", "buckets"].map { info[$0] }
    }
    #expect(try stock("SCHEDULE", "key", "LIMIT", 9) == .ok)
    #expect(try settings() == [9, 2, .integer(farFuture), 4])
    #expect(try stock("SCHEDULE", "key", "OPENS", 0) == .ok)
    #expect(try settings() == [9, 0, .integer(farFuture), 4])
    #expect(try stock("SCHEDULE", "key", "CLOSES", 0, "LIMIT", 0) == .ok)
    #expect(try settings() == [0, 0, 0, 4])
  }
}
