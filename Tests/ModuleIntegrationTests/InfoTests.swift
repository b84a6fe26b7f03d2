import TestServers
import Testing

/// What `STOCK.INFO` and `STOCK.GET` tell.
@Suite struct InfoTests {
  static let fields = [
    "created", "added", "available", "held", "sold", "cancelled", "transferredIn", "transferredOut", "buckets", "limit",
    "opens", "closes", "frozen", "epoch", "tokens", "transfers", "logFirst", "logLast", "bytes",
  ]

  private func names(_ reply: RESP) -> [String?] {
    if case .map(let pairs) = reply { return pairs.map(\.key.text) }
    let flat = reply.elements ?? []
    return stride(from: 0, to: flat.count, by: 2).map { flat[$0].text }
  }

  @Test("INFO is a map with the contract's fields: flat in RESP2, a map in RESP3")
  func info() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    try stock("DEDUCT", "key", "u", "a", 3)
    try stock("DEDUCT", "key", "u", "b", 2)
    try stock("CANCEL", "key", "a")
    try stock("FENCE", "key", "f")
    try stock("ADD", "key", "r", -1)
    for resp in [2, 3] {
      try stock.speak(resp)
      let reply = try stock("INFO", "key")
      if case .map = reply { #expect(resp == 3) } else { #expect(resp == 2) }
      #expect(names(reply) == Self.fields)
      let info = try stock.info("key")
      let expected: [String: RESP] = [
        "created": 10, "added": -1, "available": 7, "held": 0, "sold": 2, "cancelled": 3, "transferredIn": 0,
        "transferredOut": 0, "buckets": 1, "limit": 0, "opens": 0, "closes": 0, "frozen": "no", "tokens": 3,
        "transfers": 0, "logFirst": 1, "logLast": 6,
      ]
      for (name, value) in expected { #expect(info[name] == value, "\(name)") }
      #expect((1...maximum).contains(try #require(info["epoch"]?.integer)))
      #expect(try #require(info["bytes"]?.integer) > 0)
    }
  }

  @Test("GET is a map of one purchase, in each state, and null for a token that is not known")
  func get() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    let started = try stock.nowMs()
    try stock("DEDUCT", "key", "ann", "a", 3)
    let ended = try stock.nowMs()
    try stock("FENCE", "key", "f")
    for resp in [2, 3] {
      try stock.speak(resp)
      let reply = try stock("GET", "key", "a")
      if case .map = reply { #expect(resp == 3) } else { #expect(resp == 2) }
      #expect(
        names(reply) == ["token", "user", "quantity", "state", "from", "to", "sequence", "timestamp", "expires"]
      )
      let record = try #require(Stage.fields(of: reply))
      let expected: [String: RESP] = [
        "token": "a", "user": "ann", "quantity": 3, "state": "sold", "from": 10, "to": 7, "sequence": 2,
      ]
      for (name, value) in expected { #expect(record[name] == value, "\(name)") }
      #expect((started...ended).contains(try #require(record["timestamp"]?.integer)))
      #expect(record["expires"] == nil || record["expires"] == .null || record["expires"] == 0)
      #expect(try stock("GET", "key", "unknown") == .null)
      #expect(try stock("GET", "key", "A") == .null)

      let fenced = try #require(Stage.fields(of: stock("GET", "key", "f")))
      #expect([fenced["token"], fenced["user"], fenced["state"], fenced["sequence"]] == ["f", .null, "cancelled", 3])
    }
    try stock("CANCEL", "key", "a")
    let cancelled = try #require(Stage.fields(of: stock("GET", "key", "a")))
    #expect([cancelled["user"], cancelled["quantity"], cancelled["state"]] == ["ann", 3, "cancelled"])
  }

  @Test("The bytes told grow with the purchases, agree with MEMORY USAGE and are given back")
  func bytes() throws {
    let stock = try Stage()
    // The server itself keeps something for every command from its first use on.
    try stock("CREATE", "key", 1)
    try stock("DEDUCT", "key", "u", "t", 1)
    try stock("INFO", "key")
    try stock.redis.call("MEMORY", "USAGE", "key")
    try stock.redis.call("INFO", "memory")
    try stock.redis.call("UNLINK", "key")
    try stock("CREATE", "key", 1_000_000)
    func usage() throws -> Int64 { try #require(stock.redis.call("MEMORY", "USAGE", "key").integer) }
    func bytes() throws -> Int64 { try #require(stock.info("key")["bytes"]?.integer) }
    func used() throws -> Int64 {
      let lines = try stock.redis.call("INFO", "memory").text?.split(whereSeparator: \.isNewline) ?? []
      let line = try #require(lines.first { $0.hasPrefix("used_memory:") })
      return try #require(Int64(line.dropFirst("used_memory:".count)))
    }
    let (emptyUsage, emptyBytes, before) = (try usage(), try bytes(), try used())
    let count: Int64 = 20_000
    _ = try stock.redis.pipeline((0..<count).map { ["STOCK.DEDUCT", "key", "user:\($0)", "token:\($0)", 1] })
    let grown = try used() - before
    #expect(try bytes() - emptyBytes >= count * 32)
    #expect(try usage() - emptyUsage >= count * 32)
    // What is told is what the server's allocator has given, but for its rounding and small change.
    let told = try usage() - emptyUsage
    #expect(told * 10 >= grown * 8 && told * 8 <= grown * 10, "told \(told), grown \(grown)")

    try stock.redis.call("UNLINK", "key")
    try waitUntil("the memory of a bucket that was unlinked") { try used() < before + grown / 20 }
  }
}
