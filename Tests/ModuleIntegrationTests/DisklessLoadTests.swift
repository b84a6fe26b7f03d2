import TestServers
import Testing

/// A replica that goes on serving what it has while it loads all anew from its master (`repl-diskless-load swapdb`).
@Suite struct DisklessLoadTests {
  private static let buckets = 60
  private static let holds = 100

  private static func field(_ stage: Stage, _ section: String, _ name: String) throws -> String? {
    let lines = try stage.redis.call("INFO", section).text?.split(whereSeparator: \.isNewline) ?? []
    return lines.first { $0.hasPrefix(name + ":") }.map { String($0.dropFirst(name.count + 1)) }
  }

  private static func expectEqual(_ replica: Stage, _ master: Stage) throws {
    try replica.server.waitForSync(with: master.server)
    #expect(try replica.redis.call("DEBUG", "DIGEST") == master.redis.call("DEBUG", "DIGEST"))
    // The old values are freed in the background.
    try waitUntil("the end of the old buckets") {
      try field(replica, "doorbuster", "doorbuster_buckets") == field(master, "doorbuster", "doorbuster_buckets")
    }
  }

  @Test("An async full sync leaves one set of buckets, equal to the master's, whose holds expire after a promotion")
  func swapdb() throws {
    let master = try Stage(
      .init(
        tcp: true,
        configLines: [
          "repl-diskless-sync yes", "repl-diskless-sync-delay 0", "repl-backlog-size 16kb",
        ]
      )
    )
    for bucket in 0..<Self.buckets {
      try master("CREATE", "key:\(bucket)", 1_000)
      _ = try master.redis.pipeline(
        (0..<Self.holds).map { ["STOCK.DEDUCT", "key:\(bucket)", "u", "t\($0)", 1, "HOLD", 600_000] }
      )
    }
    let replica = try Stage(
      .init(
        replicaOf: master.server,
        configLines: [
          "repl-diskless-load swapdb", "loading-process-events-interval-bytes 1024", "doorbuster.freeze no",
        ]
      )
    )
    try Self.expectEqual(replica, master)
    for round in 0..<2 {
      // The link breaks, and before the replica is back, the master's backlog no longer has what it missed.
      try master.redis.call("CONFIG", "SET", "rdb-key-save-delay", 20_000)
      let filling: [any RedisArgument] = ["SET", "filling", String.bytes(40_000)]
      _ = try master.redis.pipeline([["CLIENT", "KILL", "TYPE", "replica"], filling, filling, filling])
      #expect(try master("DEDUCT", "key:\(round)", "v", "new", 1)[0] == .simple("OK"))
      // Both in one go: while it loads, the server only looks at its clients now and then.
      var served: [RESP] = []
      try waitUntil("the loading beside what is served") {
        served = try replica.redis.pipeline([["STOCK.INFO", "key:\(round)"], ["INFO", "persistence"]])
        return served[1].text?.contains("async_loading:1") == true
      }
      #expect(served[0]["sold"] == 0)
      try Self.expectEqual(replica, master)
      #expect(try replica.info("key:\(round)")["sold"] == 1)
    }
    #expect(try master("DEDUCT", "key:0", "w", "short", 1, "HOLD", 300)[0] == .simple("OK"))
    try replica.server.waitForSync(with: master.server)
    try master.server.kill9()
    #expect(try replica.redis.call("REPLICAOF", "NO", "ONE") == .ok)
    try waitUntil("the expiry") { try replica("GET", "key:0", "short")["state"] == "cancelled" }
    #expect(try replica.info("key:0")["held"] == .integer(Int64(Self.holds)))
  }
}
