import TestServers
import Testing

/// A freeze that can't be propagated at once, and what leaves the server meanwhile.
@Suite struct FreezeAndSnapshotTests {
  /// A replica with one bucket that was promoted while its writes are paused: frozen, and nobody has been told.
  private static func pausedMaster(_ options: RedisServerOptions) throws -> Stage {
    let old = try Stage(.init(tcp: true))
    try old("CREATE", "key", 9)
    let stock = try Stage(options)
    try stock.server.follow(old.server)
    if options.appendOnly { try stock.waitForRewrite() }
    #expect(try stock.redis.call("CLIENT", "PAUSE", 600_000, "WRITE") == .ok)
    #expect(try stock.redis.call("REPLICAOF", "NO", "ONE") == .ok)
    #expect(try stock.info("key")["frozen"] == "promotion")
    return stock
  }

  @Test("A replica that syncs between a freeze and its propagation comes to its master's epoch")
  func replica() throws {
    let stock = try Self.pausedMaster(.init(tcp: true))
    let epoch = try #require(stock.info("key")["epoch"]?.integer)
    let replica = try Stage(.init(replicaOf: stock.server))
    #expect(try replica.info("key")["epoch"] == .integer(epoch))
    #expect(try stock.redis.call("CLIENT", "UNPAUSE") == .ok)
    // The freeze goes before this change.
    try stock("ADD", "key", "more", 1)
    try replica.server.waitForSync(with: stock.server)
    for stage in [stock, replica] {
      #expect(try stage.info("key")["epoch"] == .integer(epoch))
      #expect(try stage.info("key")["frozen"] == "promotion")
      #expect(try stage.info("key")["available"] == 10)
    }
    #expect(try stock("THAW", "key", "EPOCH", epoch) == .ok)
    try replica.server.waitForSync(with: stock.server)
    #expect(try replica.info("key")["frozen"] == "no")
    #expect(try replica("LOG", "key", 0, "EPOCH", epoch) == stock("LOG", "key", 0, "EPOCH", epoch))
  }

  @Test("An AOF that is rewritten between a freeze and its propagation gives the epoch back that was told")
  func rewrite() throws {
    let stock = try Self.pausedMaster(.init(appendOnly: true, tcp: true))
    let epoch = try #require(stock.info("key")["epoch"]?.integer)
    try stock.redis.call("BGREWRITEAOF")
    try stock.waitForRewrite()
    #expect(try stock.redis.call("CLIENT", "UNPAUSE") == .ok)
    #expect(try stock("THAW", "key", "EPOCH", epoch) == .ok)
    #expect(try stock("DEDUCT", "key", "u", "t", 1)[0] == .simple("OK"))
    try stock.server.kill9()
    try stock.server.restart()
    let again = try stock.again()
    #expect(try again.info("key")["epoch"] == .integer(epoch))
    #expect(try again.info("key")["frozen"] == "no" && again.info("key")["sold"] == 1)
  }

  @Test("A bucket that is restored in the same go as a promotion is as little frozen on a replica as here")
  func restored() throws {
    let old = try Stage(.init(tcp: true))
    try old("CREATE", "other", 7)
    let payload = try #require(old.redis.call("DUMP", "other").bytes)
    try old.redis.call("DEL", "other")
    try old("CREATE", "key", 9)
    let stock = try Stage(.init(tcp: true, replicaOf: old.server))
    let replica = try Stage(.init(replicaOf: stock.server))
    let replies = try stock.redis.pipeline([["REPLICAOF", "NO", "ONE"], ["RESTORE", "other", 0, payload]])
    #expect(replies == [.ok, .ok])
    try replica.server.waitForSync(with: stock.server)
    for stage in [stock, replica] {
      #expect(try stage.info("key")["frozen"] == "promotion")
      #expect(try stage.info("other")["frozen"] == "no")
    }
    for key in ["key", "other"] { #expect(try replica.info(key)["epoch"] == stock.info(key)["epoch"], "\(key)") }
  }
}
