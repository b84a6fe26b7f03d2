import Foundation
import TestServers
import Testing

/// A server that dies in the middle of a sale, with an AOF that is flushed before each reply.
@Suite struct CrashTests {
  @Test("What was acknowledged before a kill is there after the restart, and the sale goes on by sending all again")
  func killedInTheMiddle() throws {
    let stock = try Stage(.init(appendOnly: true, appendFsync: .always))
    let (clients, each, units) = (6, 400, Int64(1_500))
    try stock("CREATE", "key", units)
    let (server, seen) = (stock.server, Tally())
    let killer = Thread {
      try? waitUntil("some purchases") { seen.count > 300 }
      try? server.kill9()
      seen.markKilled()
    }
    killer.start()
    let acknowledged = try onThreads(clients) { client in
      let redis = try server.connect()
      var replies: [(token: String, reply: RESP)] = []
      for number in 0..<each {
        let token = "token:\(client):\(number)"
        guard let reply = try? redis.call("STOCK.DEDUCT", "key", "user:\(client)", token, 1) else { break }
        replies.append((token, reply))
        seen.increment()
      }
      return replies
    }
    try waitUntil("the kill") { seen.wasKilled }
    let before = acknowledged.flatMap { $0 }
    #expect(before.count < clients * each)
    try server.restart()
    let again = try stock.again()
    for (token, reply) in before {
      let known = try again("GET", "key", token)
      #expect(known["sequence"] == reply[2], "\(token)")
    }
    // At most one purchase of each client is there without its acknowledgement.
    let sold = try #require(again.info("key")["sold"]?.integer)
    #expect((before.count...before.count + clients).contains(Int(sold)))

    var accepted = 0
    for client in 0..<clients {
      for number in 0..<each {
        let reply = try again("DEDUCT", "key", "user:\(client)", "token:\(client):\(number)", 1)
        if ["OK", "DUPLICATE"].contains(reply[0]?.text) { accepted += 1 }
      }
    }
    #expect(accepted == Int(units))
    #expect(try again.info("key")["sold"] == .integer(units))
  }

  @Test("An AOF that ends in the middle of a change gives the bucket as it was before that change")
  func tornTail() throws {
    let stock = try Stage(.init(appendOnly: true, rdbPreamble: false))
    try stock("CREATE", "key", 10)
    var (digests, sizes): ([RESP], [Int]) = ([try stock.digest("key")], [try Self.size(of: stock)])
    for command in [["DEDUCT", "key", "u", "a", "2"], ["CANCEL", "key", "a"], ["ADD", "key", "r", "5"]] {
      try stock.redis.call(["STOCK." + command[0]] + command.dropFirst().map { $0 as any RedisArgument })
      digests.append(try stock.digest("key"))
      sizes.append(try Self.size(of: stock))
    }
    #expect(Set(digests).count == 4)
    try stock.server.stop()
    let whole = try Data(contentsOf: Self.file(of: stock))
    for change in 1..<sizes.count {
      for size in [sizes[change - 1] + 1, (sizes[change - 1] + sizes[change]) / 2, sizes[change] - 1, sizes[change]] {
        try whole.prefix(size).write(to: Self.file(of: stock))
        try stock.server.restart()
        let expected = size == sizes[change] ? digests[change] : digests[change - 1]
        #expect(try stock.again().digest("key") == expected, "cut to \(size) of \(sizes)")
        try stock.server.stop()
      }
    }
  }

  private static func file(of stock: Stage) -> URL {
    URL(fileURLWithPath: stock.server.directory.file("appendonlydir/appendonly.aof.1.incr.aof"))
  }

  private static func size(of stock: Stage) throws -> Int { try Data(contentsOf: file(of: stock)).count }
}

/// What the threads of a test have seen so far.
private final class Tally: @unchecked Sendable {
  private let lock = NSLock()
  private var replies = 0
  private var killed = false

  var count: Int { lock.withLock { replies } }
  var wasKilled: Bool { lock.withLock { killed } }
  func increment() { lock.withLock { replies += 1 } }
  func markKilled() { lock.withLock { killed = true } }
}
