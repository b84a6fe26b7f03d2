import TestServers
import Testing

/// Changes of an append-only file or of a master that the module can't apply: what is missing then is never sold again.
@Suite struct RefusedChangeTests {
  /// How the payload of a change may have become one that can't be applied.
  enum Damage: CaseIterable {
    /// One bit of the first change after the rewrite.
    case bit
    /// All changes after the rewrite are of a version to come, as after going back to an older module.
    case version
    /// The key of the first change after the rewrite: it meets a value of another type.
    case key

    func apply(to commands: [[RESP]]) -> [[[UInt8]]] {
      commands.enumerated().map { index, words in
        var words = words.compactMap(\.bytes)
        switch self {
        case .bit: if index == 0 { words[2][1] ^= 0x40 }
        case .version: words[2][0] += 1
        case .key: if index == 0 { words[1] = Array("other".utf8) }
        }
        return words
      }
    }
  }

  static func refused(_ stock: Stage) throws -> Int? {
    let lines = try stock.redis.call("INFO", "doorbuster").text?.split(whereSeparator: \.isNewline) ?? []
    let field = "doorbuster_refused_changes:"
    return lines.first { $0.hasPrefix(field) }.flatMap { Int($0.dropFirst(field.count)) }
  }

  /// A bucket of three units that were all sold after the last rewrite of the append-only file, in which the changes
  /// were then damaged, on a server that was started again; and the bucket's old epoch.
  static func damaged(_ damage: Damage, freeze: String) throws -> (Stage, Int64) {
    let stock = try Stage(.init(appendOnly: true, configLines: ["doorbuster.freeze \(freeze)"]))
    try stock("CREATE", "key", 3)
    try stock.redis.call("SET", "other", "text")
    try stock.redis.call("BGREWRITEAOF")
    try stock.waitForRewrite()
    for number in 0..<3 { try stock("DEDUCT", "key", "u\(number)", "t\(number)", 1) }
    let epoch = try #require(stock.info("key")["epoch"]?.integer)
    #expect(try refused(stock) == 0)
    try stock.server.stop()
    let commands = try AppendOnlyFile.commands(of: stock.server)
    #expect(commands.map { $0[0].text } == ["STOCK.APPLY", "STOCK.APPLY", "STOCK.APPLY"])
    try AppendOnlyFile.replace(of: stock.server, by: damage.apply(to: commands))
    try stock.server.restart()
    return (try stock.again(), epoch)
  }

  @Test(
    "A start from an AOF with a change that is refused freezes, whatever appendfsync and doorbuster.freeze say",
    arguments: Damage.allCases,
    ["auto", "no"]
  )
  func start(damage: Damage, freeze: String) throws {
    let (stock, epoch) = try Self.damaged(damage, freeze: freeze)
    let info = try stock.info("key")
    #expect(info["available"] == 3 && info["frozen"] == "load")
    #expect(try #require(info["epoch"]?.integer) != epoch)
    #expect(try stock("DEDUCT", "key", "v", "new", 1) == .status("FROZEN", 3, 0))
    #expect(try Self.refused(stock) == 3)
    // What was lost is written in, and stays so over the next start, which freezes again: the file is still damaged.
    for number in 0..<3 { try stock("RECORD", "key", "u\(number)", "t\(number)", 1, "sold") }
    let now = try #require(info["epoch"]?.integer)
    #expect(try stock("THAW", "key", "EPOCH", now) == .ok)
    #expect(try stock("DEDUCT", "key", "v", "new", 1) == .status("SOLDOUT", 0, 0))
    try stock.server.restart()
    let again = try stock.again()
    #expect(try again.info("key")["frozen"] == "load" && again.info("key")["sold"] == 3)
    #expect(try again.info("key")["epoch"]?.integer != now)
    // A rewrite leaves the damage behind.
    try again.redis.call("BGREWRITEAOF")
    try again.waitForRewrite()
    try again("THAW", "key")
    try again.server.restart()
    let third = try again.again()
    #expect(try third.info("key")["frozen"] == "no")
    #expect(try Self.refused(third) == 0)
  }

  @Test(
    "A replica counts the changes of its master that it refuses, and is frozen where it is promoted",
    arguments: [
      "auto", "no",
    ]
  )
  func replica(freeze: String) throws {
    let master = try Stage(.init(tcp: true))
    try master("CREATE", "key", 9)
    let replica = try Stage(.init(replicaOf: master.server, configLines: ["doorbuster.freeze \(freeze)"]))
    #expect(try Self.refused(replica) == 0)
    // A replica that may be written to can lose what its master's changes follow from.
    try replica.redis.call("CONFIG", "SET", "replica-read-only", "no")
    try replica.redis.call("DEL", "key")
    let payload = try #require(master.redis.call("DUMP", "key").bytes)
    try master("DEDUCT", "key", "u", "t", 1)
    try replica.server.waitForSync(with: master.server)
    #expect(try Self.refused(replica) == 1)
    #expect(try replica.redis.call("RESTORE", "key", 0, payload) == .ok)
    try master("DEDUCT", "key", "u", "t2", 1)
    try replica.server.waitForSync(with: master.server)
    #expect(try Self.refused(replica) == 2)
    #expect(try replica.info("key")["available"] == 9)
    try replica.redis.call("REPLICAOF", "NO", "ONE")
    #expect(try replica.info("key")["frozen"] == "promotion")
  }

  @Test("A replica that has everything anew from its master misses nothing any more")
  func synced() throws {
    let master = try Stage(.init(tcp: true))
    try master("CREATE", "key", 9)
    let replica = try Stage(.init(replicaOf: master.server, configLines: ["doorbuster.freeze no"]))
    try replica.redis.call("CONFIG", "SET", "replica-read-only", "no")
    try replica.redis.call("DEL", "key")
    try master("DEDUCT", "key", "u", "t", 1)
    try replica.server.waitForSync(with: master.server)
    #expect(try Self.refused(replica) == 1)
    try master.redis.call("DEBUG", "CHANGE-REPL-ID")
    try replica.redis.call("REPLICAOF", "127.0.0.1", 1)
    try replica.server.follow(master.server)
    #expect(try replica.info("key")["available"] == 8)
    try replica.redis.call("REPLICAOF", "NO", "ONE")
    #expect(try replica.info("key")["frozen"] == "no")
  }
}
