import TestServers
import Testing

/// `stock.soldout` and `stock.onsale`: a bucket's last unit goes, and the first comes back.
@Suite struct KeyspaceEventTests {
  /// Events of one server, in order, as `event key`.
  private final class Listener {
    private let subscriber: RawRedis
    private let control: RawRedis
    private var marks = 0

    init(_ stock: Stage, flags: String = "KEA") throws {
      #expect(try stock.redis.call("CONFIG", "SET", "notify-keyspace-events", flags) == .ok)
      subscriber = try stock.server.connect()
      control = try stock.server.connect()
      try subscriber.call("PSUBSCRIBE", "__keyevent@*__:stock.*")
      try subscriber.call("SUBSCRIBE", "mark")
    }

    /// What has come since the last call.
    func events() throws -> [String] {
      marks += 1
      try control.call("PUBLISH", "mark", marks)
      var seen: [String] = []
      while true {
        let message = try subscriber.receive()
        if message[0] == "message" { return seen }
        let name = try #require(message[2]?.text).split(separator: ":").last ?? ""
        seen.append("\(name) \(try #require(message[3]?.text))")
      }
    }
  }

  @Test("Each way to the last unit tells stock.soldout once, each way back stock.onsale once, and nothing else does")
  func transitions() throws {
    let stock = try Stage()
    let listener = try Listener(stock)
    try stock("CREATE", "key", 3)
    #expect(try listener.events() == [])
    func expect(_ expected: [String], after words: any RedisArgument...) throws {
      let reply = try stock.redis.call(words)
      #expect(reply.errorCode == nil, "\(words): \(reply)")
      #expect(try listener.events() == expected.map { "\($0) key" }, "\(words)")
    }
    try expect([], after: "STOCK.DEDUCT", "key", "u", "a", 2)
    try expect(["stock.soldout"], after: "STOCK.DEDUCT", "key", "u", "b", 1)
    try expect([], after: "STOCK.DEDUCT", "key", "u", "c", 1)
    try expect([], after: "STOCK.DEDUCT", "key", "u", "b", 1)
    try expect(["stock.onsale"], after: "STOCK.CANCEL", "key", "b")
    try expect([], after: "STOCK.CANCEL", "key", "a")
    try expect(["stock.soldout"], after: "STOCK.WITHDRAW", "key", "w", 9, "TO", 1)
    try expect(["stock.onsale"], after: "STOCK.DEPOSIT", "key", "d", 2, "FROM", 1)
    try expect(["stock.soldout"], after: "STOCK.ADD", "key", "less", -2)
    try expect(["stock.onsale"], after: "STOCK.ADD", "key", "more", 2)
    try expect(["stock.soldout"], after: "STOCK.RECORD", "key", "u", "lost", 2, "sold")
    try expect([], after: "STOCK.CANCEL", "key", "lost", "OFFSALE")
    try expect(["stock.onsale"], after: "STOCK.RECORD", "key", "RESTOCK", "r", 1)
    try expect(["stock.soldout"], after: "STOCK.DEDUCT", "key", "u", "h", 1, "HOLD", 600_000)
    try expect([], after: "STOCK.CONFIRM", "key", "h")
    try expect([], after: "STOCK.TRIM", "key", 3)
    try expect([], after: "STOCK.GET", "key", "h")
  }

  @Test("A rebalance tells of each bucket that it fills or empties")
  func rebalance() throws {
    let stock = try Stage()
    let listener = try Listener(stock)
    try stock("CREATE", "a", 3)
    try stock("CREATE", "b", 0)
    _ = try listener.events()
    try stock("REBALANCE", "a", "b", "WEIGHTS", 0, 1)
    #expect(Set(try listener.events()) == ["stock.soldout a", "stock.onsale b"])
    try stock("REBALANCE", "a", "b", "WEIGHTS", 1, 2)
    #expect(try listener.events() == ["stock.onsale a"])
  }

  @Test("An expiry by the timer tells stock.onsale")
  func expiry() throws {
    let stock = try Stage()
    let listener = try Listener(stock)
    try stock("CREATE", "key", 2)
    for token in ["a", "b"] { try stock("DEDUCT", "key", "u", token, 1, "HOLD", 50) }
    #expect(try listener.events() == ["stock.soldout key"])
    try stock.waitForHeld("key")
    #expect(try listener.events() == ["stock.onsale key"])
  }

  @Test("A replica tells the same to those who listen there")
  func replica() throws {
    let master = try Stage(.init(tcp: true))
    let replica = try Stage(.init(replicaOf: master.server))
    let listener = try Listener(replica)
    try master("CREATE", "key", 1)
    try master("DEDUCT", "key", "u", "t", 1)
    try master("CANCEL", "key", "t")
    try replica.server.waitForSync(with: master.server)
    #expect(try listener.events() == ["stock.soldout key", "stock.onsale key"])
  }

  @Test("Nobody hears anything where the server's setting is off")
  func off() throws {
    let stock = try Stage()
    let listener = try Listener(stock, flags: "")
    try stock("CREATE", "key", 1)
    try stock("DEDUCT", "key", "u", "t", 1)
    #expect(try listener.events() == [])
  }
}
