import Testing

@testable import RedisDriver

@Suite struct HashSlotTests {
  private func slot(_ key: String) -> Int { HashSlot(ofKey: Array(key.utf8)).number }

  @Test(
    "A key's slot is that of CLUSTER KEYSLOT",
    arguments: [
      ("123456789", 0x31C3 % 16_384), ("foo", 12_182), ("", 0), ("{user1000}.following", 3443), ("user1000", 3443),
      ("foo{}{bar}", 8363), ("foo{{bar}}zap", 4015), ("{bar", 4015), ("foo{bar}{zap}", 5061), ("bar", 5061),
      ("doorbuster:{X/0}", 6116), ("X/0", 6116), ("}{a}", 15_495), ("a", 15_495),
    ]
  )
  func slots(key: String, slot: Int) { #expect(self.slot(key) == slot) }
}

@Suite struct NodeAddressTests {
  private let asked = NodeAddress(host: "10.0.0.1", port: 7000)

  @Test(
    "The address of a redirection, where the host may be missing and IPv6 has no brackets",
    arguments: [
      ("127.0.0.1:6381", NodeAddress(host: "127.0.0.1", port: 6381)),
      (":6381", NodeAddress(host: "10.0.0.1", port: 6381)),
      ("?:6381", NodeAddress(host: "10.0.0.1", port: 6381)), ("::1:6381", NodeAddress(host: "::1", port: 6381)),
      ("redis-1.local:6381", NodeAddress(host: "redis-1.local", port: 6381)), ("host", nil), ("host:", nil),
      ("host:0", nil), ("host:65536", nil), ("host:x", nil), ("", nil),
    ]
  )
  func redirections(text: String, address: NodeAddress?) {
    #expect(NodeAddress(redirection: text, from: asked) == address)
  }

  @Test("IPv6 stands in brackets where people read it")
  func description() {
    #expect(NodeAddress(host: "::1", port: 1).description == "[::1]:1")
    #expect(asked.description == "10.0.0.1:7000")
  }
}

@Suite struct SlotMapTests {
  private typealias Node = SlotsReply.Node
  private typealias Range = SlotsReply.Range
  private let asked = NodeAddress(host: "me", port: 1)
  private let a = NodeAddress(host: "a", port: 1)
  private let b = NodeAddress(host: "b", port: 2)

  private func map(_ ranges: [Range]) -> SlotMap { SlotMap(SlotsReply(ranges), from: asked) }

  private func master(_ map: SlotMap, _ slot: Int) -> NodeAddress? { map.shard(of: HashSlot(number: slot))?.master }

  @Test("Every slot has its node and that node's replicas")
  func reads() {
    let a = Node(host: "a", port: 1)
    let map = map([
      Range(first: 0, last: 99, nodes: [a, Node(host: "c", port: 3)]),
      Range(first: 100, last: 16_382, nodes: [Node(host: nil, port: 2)]),
      Range(first: 16_383, last: 16_383, nodes: [a, Node(host: "c", port: 3)]),
    ])
    #expect(map.shards.count == 2)
    #expect([0, 99, 16_383].map { master(map, $0) } == [self.a, self.a, self.a])
    #expect(master(map, 100) == NodeAddress(host: "me", port: 2))
    #expect(map.shards[0].replicas == [NodeAddress(host: "c", port: 3)])
    #expect(map.isWhole && !map.isEmpty)
    #expect(map.slot(of: NodeAddress(host: "me", port: 2))?.number == 100)
    #expect(map.slot(of: b) == nil)
  }

  @Test("What makes no sense is left out, and what nobody has stays without a node")
  func leavesOut() {
    let a = Node(host: "a", port: 1)
    let map = map([
      Range(first: 5, last: 4, nodes: [a]), Range(first: -1, last: 7, nodes: [a]),
      Range(first: 0, last: 16_384, nodes: [a]), Range(first: 8, last: 9, nodes: []),
      Range(first: 10, last: 11, nodes: [Node(host: "x", port: 0)]), Range(first: 12, last: 12, nodes: [a]),
    ])
    #expect((0..<HashSlot.count).filter { master(map, $0) != nil } == [12])
    #expect(!map.isWhole)
    #expect(self.map([]).isEmpty)
  }

  @Test("A slot that has moved is at its new node, and the others stay")
  func moves() {
    var map = map([Range(first: 0, last: 16_383, nodes: [Node(host: "a", port: 1)])])
    let news = [a, b, b].map { map.move(HashSlot(number: 7), to: $0) }
    #expect(news == [false, true, false])
    #expect(master(map, 7) == b && master(map, 6) == a && master(map, 8) == a)
    #expect(map.nodes == [a, b])
  }

  @Test("CLUSTER SLOTS is read with and without host and with what newer servers add")
  func decodes() throws {
    let text =
      "*2\r\n*4\r\n:0\r\n:5460\r\n*4\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nid\r\n*0\r\n"
      + "*4\r\n$9\r\n127.0.0.1\r\n:7003\r\n$2\r\nid\r\n*2\r\n$8\r\nhostname\r\n$1\r\nh\r\n"
      + "*3\r\n:5461\r\n:16383\r\n*3\r\n$-1\r\n:7001\r\n$2\r\nid\r\n"
    let expected = SlotsReply([
      Range(first: 0, last: 5460, nodes: [Node(host: "127.0.0.1", port: 7000), Node(host: "127.0.0.1", port: 7003)]),
      Range(first: 5461, last: 16_383, nodes: [Node(host: nil, port: 7001)]),
    ])
    #expect(try decoded(text) == expected)
    for nonsense in ["+OK\r\n", "*1\r\n:1\r\n", "*1\r\n*1\r\n:1\r\n", "*1\r\n*3\r\n:1\r\n:2\r\n*1\r\n$1\r\nh\r\n"] {
      #expect(throws: RedisError.self) { try decoded(nonsense) }
    }
  }

  private func decoded(_ text: String) throws -> SlotsReply {
    let parser = try #require(ReplyParser())
    Array(text.utf8).withUnsafeBytes { parser.feed($0) }
    #expect(parser.next() == .whole)
    var reply = ReplyCursor(parser.tape)
    return try SlotsReply(decoding: &reply)
  }
}
