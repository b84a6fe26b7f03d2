import TestServers
import Testing

/// A bucket of a rewritten append-only file whose last part is missing.
@Suite struct IncompleteBucketTests {
  /// The commands of a rewritten file with two buckets, without the last part of one of them.
  private static func commands() throws -> [[[UInt8]]] {
    let stock = try Stage(.init(appendOnly: true, appendFsync: .no, rdbPreamble: false))
    try stock("CREATE", "other", 5)
    try stock("CREATE", "key", 10_000)
    _ = try stock.redis.pipeline((0..<6_000).map { ["STOCK.DEDUCT", "key", "u\($0)", "t\($0)", 1] })
    #expect(try stock("TRIM", "key", 6_000) == 6_000)
    try stock.redis.call("BGREWRITEAOF")
    try stock.waitForRewrite()
    var commands = try AppendOnlyFile.commands(of: stock.server).map { $0.compactMap(\.bytes) }
    let parts = commands.indices.filter { commands[$0][1] == Array("key".utf8) }
    #expect(parts.count > 1)
    commands.remove(at: try #require(parts.last))
    return commands
  }

  @Test("A start drops it and freezes the others, which may miss changes too, whatever doorbuster.freeze says")
  func master() throws {
    let stock = try Stage(.init(appendOnly: true, configLines: ["doorbuster.freeze no"]))
    try stock.server.stop()
    try AppendOnlyFile.replace(of: stock.server, by: Self.commands())
    try stock.server.restart()
    let again = try stock.again()
    #expect(try again.redis.call("EXISTS", "key") == 0)
    #expect(try again.info("other")["frozen"] == "load")
    #expect(again.server.log.contains("bucket 'key' is dropped"))
  }

  @Test("A replica drops it too before it is promoted, and what is created in its place is there after the next start")
  func replica() throws {
    // Its master is never there.
    let stock = try Stage(.init(appendOnly: true, configLines: ["replicaof 127.0.0.1 1"]))
    try stock.server.stop()
    try AppendOnlyFile.replace(of: stock.server, by: Self.commands())
    try stock.server.restart()
    let again = try stock.again()
    #expect(try again.redis.call("EXISTS", "key") == 0)
    #expect(try again.info("other")["frozen"] == "no")
    #expect(try again.redis.call("REPLICAOF", "NO", "ONE") == .ok)
    #expect(try again.info("other")["frozen"] == "promotion")
    #expect(try again("CREATE", "key", 3) == .ok)
    #expect(try again("DEDUCT", "key", "u1", "t1", 1)[0] == .simple("OK"))
    try again.server.restart()
    let third = try again.again()
    #expect(try third.info("key")["available"] == 2)
    #expect(try third("GET", "key", "t1")["state"] == "sold")
    #expect(try third.redis.call("DEBUG", "RELOAD") == .ok)
  }
}
