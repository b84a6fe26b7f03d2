import TestServers
import Testing

/// `STOCK.TRIM`: events go, tokens stay known.
@Suite struct TrimTests {
  /// A bucket of 18 events: purchases, cancels, fences, restocks.
  private static func fill(_ stock: Stage, limit: Int64 = 0) throws {
    try stock("CREATE", "key", 100, "LIMIT", limit)
    for index in 0..<10 { try stock("DEDUCT", "key", "user:\(index % 3)", "sold:\(index)", index % 3 + 1) }
    try stock("CANCEL", "key", "sold:1")
    try stock("CANCEL", "key", "sold:2", "OFFSALE")
    try stock("FENCE", "key", "fenced")
    try stock("ADD", "key", "more", 50)
    try stock("ADD", "key", "less", -20)
    try stock("DEDUCT", "key", "late", "late", 300_000)
    try stock("DEDUCT", "key", "late", "late", 7)
    try stock("CANCEL", "key", "late")
  }

  @Test("TRIM drops the events up to a sequence and tells how many", arguments: [2, 3])
  func drops(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try Self.fill(stock)
    let log = try #require(stock("LOG", "key", 0).elements)
    let last = Int64(log.count)
    #expect(try stock("TRIM", "key", 0) == 0)
    #expect(try stock("TRIM", "key", 5) == 5)
    #expect(try stock("TRIM", "key", 5) == 0)
    #expect(try stock("TRIM", "key", 3) == 0)
    #expect(try stock.info("key")["logFirst"] == 6)
    expectError(try stock("LOG", "key", 4), "TRIMMED")
    expectError(try stock("LOG", "key", 0), "TRIMMED")
    #expect(try stock("LOG", "key", 5).elements == Array(log.dropFirst(5)))
    #expect(try stock("TRIM", "key", last) == .integer(last - 5))
    let info = try stock.info("key")
    #expect(info["logFirst"] == .integer(last + 1) && info["logLast"] == .integer(last))
    #expect(info["tokens"] == 12)
    #expect(try stock("LOG", "key", last) == [])
    expectError(try stock("LOG", "key", last - 1), "TRIMMED")
    #expect(try stock("FENCE", "key", "next")[2] == .integer(last + 1))
    #expect(try stock("LOG", "key", last)[0]?[2] == "next")
  }

  @Test("TRIM is refused in another epoch and beyond the log, in this order, and checks its arguments")
  func refusals() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 5)
    let epoch = try #require(stock.info("key")["epoch"]?.integer)
    expectError(try stock("TRIM", "key", 2), "AHEAD")
    expectError(try stock("TRIM", "key", maximum), "AHEAD")
    expectError(try stock("TRIM", "key", 2, "EPOCH", epoch % maximum + 1), "EPOCHMISMATCH")
    expectError(try stock("TRIM", "key", 1, "EPOCH", epoch % maximum + 1), "EPOCHMISMATCH")
    for bad in ["-1", "01", "+1", "1.0", "", "9007199254740993", "x"] {
      expectError(try stock("TRIM", "key", bad), naming: "sequence")
    }
    for bad in ["0", "-1", "9007199254740993"] {
      expectError(try stock("TRIM", "key", 1, "EPOCH", bad), naming: "EPOCH")
    }
    expectError(try stock("TRIM", "key", 1, "EPOCH"), naming: "EPOCH")
    expectError(try stock("TRIM", "key", 1, "NOW"), naming: "NOW")
    expectError(try stock("TRIM", "key"))
    expectError(try stock("TRIM", "none", 1), "NOBUCKET")
    try stock.redis.call("SET", "text", "x")
    expectError(try stock("TRIM", "text", 1), "WRONGTYPE")
    #expect(try stock("TRIM", "key", 1, "epoch", epoch) == 1)
  }

  @Test("Trimmed tokens answer as before, with their first sequence; GET keeps what TRIM keeps", arguments: [2, 3])
  func tokens(resp: Int) throws {
    let stock = try Stage(resp: resp)
    try Self.fill(stock)
    let last = try #require(stock.info("key")["logLast"]?.integer)
    try stock("TRIM", "key", last)
    let left = try #require(stock.info("key")["available"]?.integer)
    #expect(try stock("DEDUCT", "key", "user:0", "sold:3", 1) == .status("DUPLICATE", left, 5))
    expectError(try stock("DEDUCT", "key", "user:1", "sold:3", 1), "TOKENMISMATCH")
    expectError(try stock("DEDUCT", "key", "user:0", "sold:3", 2), "TOKENMISMATCH")
    #expect(try stock("DEDUCT", "key", "user:1", "sold:1", 2) == .status("CANCELLED", left, 0))
    #expect(try stock("DEDUCT", "key", "anyone", "fenced", 9) == .status("CANCELLED", left, 0))
    #expect(try stock("FENCE", "key", "sold:3") == .status("LIVE", left, 5))
    #expect(try stock("FENCE", "key", "fenced")[0] == .simple("DUPLICATE"))
    #expect(try stock("CANCEL", "key", "sold:1") == .status("DUPLICATE", left, 3))
    #expect(try stock("ADD", "key", "more", 50)[0] == .simple("DUPLICATE"))
    #expect(try stock("ADD", "key", "less", -20)[0] == .simple("DUPLICATE"))
    expectError(try stock("ADD", "key", "less", 20), "TOKENMISMATCH")
    #expect(try stock("GET", "key", "more") == .null)

    let record = try stock("GET", "key", "sold:3")
    #expect(record["token"] == "sold:3" && record["quantity"] == 1 && record["state"] == "sold")
    #expect(record["sequence"] == 5)
    for field in ["user", "from", "to", "timestamp", "expires"] { #expect(record[field] == .null, "\(field)") }
    #expect(try stock("GET", "key", "sold:1")["state"] == "cancelled")
    let fence = try stock("GET", "key", "fenced")
    #expect(fence["state"] == "cancelled" && fence["quantity"] == .null)

    #expect(try stock("CANCEL", "key", "sold:3") == .status("OK", left + 1, last + 1))
    #expect(try stock("CANCEL", "key", "sold:4", "OFFSALE") == .status("OK", left + 1, last + 2))
    #expect(try stock("LOG", "key", last)[0]?[2] == "sold:3")
    #expect(try stock("LOG", "key", last)[0]?[3] == .null)
    #expect(try stock("GET", "key", "sold:3")["state"] == "cancelled")
    #expect(try stock("CANCEL", "key", "sold:3") == .status("DUPLICATE", left + 1, 5))
  }

  @Test("A trimmed purchase counts for the limit and gives it back on CANCEL, also for a limit set later")
  func limit() throws {
    for limit: Int64 in [0, 9] {
      let stock = try Stage()
      try stock("CREATE", "key", 100, "LIMIT", limit)
      try stock("DEDUCT", "key", "u", "a", 4)
      try stock("DEDUCT", "key", "u", "b", 1)
      try stock("TRIM", "key", 3)
      try stock("SCHEDULE", "key", "LIMIT", 5)
      #expect(try stock("DEDUCT", "key", "u", "c", 1)[0] == .simple("LIMIT"))
      #expect(try stock.redis.call("DEBUG", "RELOAD") == .ok)
      #expect(try stock("DEDUCT", "key", "u", "c", 1)[0] == .simple("LIMIT"))
      #expect(try stock("CANCEL", "key", "a")[0] == .simple("OK"))
      #expect(try stock("DEDUCT", "key", "u", "c", 5)[0] == .simple("LIMIT"))
      #expect(try stock("DEDUCT", "key", "u", "c", 4)[0] == .simple("OK"))
    }
  }

  @Test("A trim is one STOCK.APPLY; a refused one and one of nothing propagate nothing and signal nothing")
  func propagation() throws {
    let stock = try Stage(.init(appendOnly: true, appendFsync: .always))
    try Self.fill(stock)
    let before = try AppendOnlyFile.commands(of: stock.server).count
    try stock("TRIM", "key", 0)
    try stock("TRIM", "key", 99)
    #expect(try AppendOnlyFile.commands(of: stock.server).count == before)
    try stock("TRIM", "key", 9)
    try stock("TRIM", "key", 9)
    let commands = try AppendOnlyFile.commands(of: stock.server)
    #expect(commands.count == before + 1)
    #expect(commands.last?.first?.text == "STOCK.APPLY" && commands.last?.count == 3)
  }

  @Test("Whatever carries a trimmed bucket carries it whole, whatever was trimmed", arguments: [true, false])
  func carried(preamble: Bool) throws {
    let stock = try Stage(.init(appendOnly: true, rdbPreamble: preamble, tcp: true))
    let replica = try Stage(.init(replicaOf: stock.server))
    try Self.fill(stock, limit: 20)
    let last = try #require(stock.info("key")["logLast"]?.integer)
    for sequence in 1...last {
      try stock("TRIM", "key", sequence)
      if sequence == 12 { try stock("CANCEL", "key", "sold:5") }
      let digest = try stock.digest("key")
      let payload = try #require(stock.redis.call("DUMP", "key").bytes)
      #expect(try stock.redis.call("RESTORE", "restored", 0, payload, "REPLACE") == .ok)
      #expect(try stock.redis.call("DUMP", "restored").bytes == payload)
      #expect(try stock.redis.call("COPY", "key", "copy", "REPLACE") == 1)
      try replica.server.waitForSync(with: stock.server)
      #expect(try stock.digest("restored") == digest && stock.digest("copy") == digest, "\(sequence)")
      #expect(try replica.digest("key") == digest, "\(sequence)")
      #expect(try stock.redis.call("DEBUG", "RELOAD") == .ok)
      #expect(try stock.digest("key") == digest, "\(sequence)")
    }
    let digest = try stock.digest("key")
    #expect(try replica.digest("key") == digest)
    try stock.redis.call("BGREWRITEAOF")
    try stock.waitForRewrite()
    try stock("FENCE", "key", "after")
    let after = try stock.digest("key")
    #expect(after != digest)
    try stock.server.kill9()
    try stock.server.restart()
    #expect(try stock.again().digest("key") == after)
  }

  @Test("Without memory a trim still works")
  func outOfMemory() throws {
    let stock = try Stage()
    try Self.fill(stock)
    try stock.redis.call("CONFIG", "SET", "maxmemory", 1)
    #expect(try stock("TRIM", "key", 10) == 10)
    #expect(try stock("DEDUCT", "key", "user:0", "sold:3", 1).errorCode == "OOM")
    #expect(try stock("CANCEL", "key", "sold:3")[0] == .simple("OK"))
  }

  @Test("A damaged payload of a trimmed bucket is refused, or is a bucket that is sound")
  func damaged() throws {
    let stock = try Stage(.init(configLines: ["sanitize-dump-payload yes", "rdbcompression no"]))
    try PersistenceTests.fill(stock, purchases: 6)
    try stock("TRIM", "key", 6)
    let payload = try #require(stock.redis.call("DUMP", "key").bytes)
    #expect(try stock.redis.call("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", 1) == .ok)
    let end = payload.count - DamagedPayloadTests.footer
    for length in 1..<end {
      let cut = Array(payload[..<length] + payload[end...])
      #expect(try !Self.isTaken(stock, cut), "cut to \(length)")
    }
    for bit in 8..<end * 8 {
      var flipped = payload
      flipped[bit / 8] ^= 1 << (bit % 8)
      _ = try Self.isTaken(stock, flipped)
    }
    #expect(try Self.isTaken(stock, payload))
  }

  /// Whether a payload is taken as a bucket, whose books then balance and which carries on.
  private static func isTaken(_ stock: Stage, _ payload: [UInt8]) throws -> Bool {
    if try stock.redis.call("RESTORE", "damaged", 0, payload, "REPLACE").errorCode != nil { return false }
    guard try stock.redis.call("TYPE", "damaged") == .simple("doorbustr") else { return false }
    let last = try #require(stock.info("damaged")["logLast"]?.integer)
    try stock("DEDUCT", "damaged", "user:1", "sold:1", 2)
    try stock("CANCEL", "damaged", "sold:2")
    try stock("TRIM", "damaged", last)
    _ = try stock.info("damaged")
    let again = try #require(stock.redis.call("DUMP", "damaged").bytes)
    #expect(try stock.redis.call("RESTORE", "again", 0, again, "REPLACE") == .ok)
    #expect(try stock.digest("again") == stock.digest("damaged"))
    return true
  }
}
