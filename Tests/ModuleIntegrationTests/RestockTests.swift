import TestServers
import Testing

/// `STOCK.ADD`, up and down.
@Suite struct RestockTests {
  @Test("A restock goes on sale once, and its token is no purchase's")
  func restock() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1)
    #expect(try stock("DEDUCT", "key", "u", "t", 1) == .status("OK", 0, 2))
    #expect(try stock("ADD", "key", "t", 5) == .status("OK", 5, 3))
    #expect(try stock("ADD", "key", "t", 5) == .status("DUPLICATE", 5, 3))
    #expect(try stock("DEDUCT", "key", "u", "t", 1) == .status("DUPLICATE", 5, 2))
    #expect(try stock("CANCEL", "key", "t") == .status("OK", 6, 4))
    #expect(try stock("ADD", "key", "r", 1) == .status("OK", 7, 5))
    #expect(try stock("GET", "key", "r") == nil)
    #expect(try stock("CANCEL", "key", "r") == .status("UNKNOWN", 7, 0))
    #expect(try stock("FENCE", "key", "r") == .status("OK", 7, 6))
    let info = try stock.info("key")
    #expect([info["created"], info["added"], info["tokens"]] == [1, 6, 2])
  }

  @Test("A restock's token with another quantity is TOKENMISMATCH")
  func mismatch() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1)
    try stock("ADD", "key", "r", 5)
    expectError(try stock("ADD", "key", "r", 6), "TOKENMISMATCH")
    expectError(try stock("ADD", "key", "r", -5), "TOKENMISMATCH")
    #expect(try stock.info("key")["added"] == 5)
  }

  @Test("A negative restock takes only unsold stock, and added may fall below zero")
  func down() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    try stock("DEDUCT", "key", "u", "t", 4)
    #expect(try stock("ADD", "key", "r", -7) == .status("SOLDOUT", 6, 0))
    #expect(try stock("ADD", "key", "r", -6) == .status("OK", 0, 3))
    #expect(try stock("ADD", "key", "r", -6) == .status("DUPLICATE", 0, 3))
    #expect(try stock("ADD", "key", "q", -1) == .status("SOLDOUT", 0, 0))
    let info = try stock.info("key")
    #expect([info["added"], info["available"], info["sold"]] == [-6, 0, 4])
    #expect(try stock("CANCEL", "key", "t") == .status("OK", 4, 4))
    #expect(try stock("ADD", "key", "q", -1) == .status("OK", 3, 5))
  }
}
