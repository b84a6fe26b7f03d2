/// Which node has which slots.
struct SlotMap: Equatable, Sendable {
  /// A master and those who follow it.
  struct Shard: Equatable, Sendable {
    var master: NodeAddress
    var replicas: [NodeAddress]
  }

  private(set) var shards: [Shard] = []
  /// For each slot the index of its shard; ``none`` where nobody has it.
  private var owners = [UInt16](repeating: none, count: HashSlot.count)

  private static let none = UInt16.max

  init() {}

  /// What `CLUSTER SLOTS` answered, by `asked`. What makes no sense in it is left out.
  init(_ reply: SlotsReply, from asked: NodeAddress) {
    var indices: [NodeAddress: Int] = [:]
    for range in reply.ranges where range.first >= 0 && range.last < HashSlot.count && range.first <= range.last {
      let nodes = range.nodes.filter { (1...65535).contains($0.port) }
        .map { NodeAddress(host: NodeAddress.host($0.host, from: asked), port: $0.port) }
      guard let master = nodes.first else { continue }
      let index = indices[master] ?? shards.count
      if index == shards.count {
        indices[master] = index
        shards.append(Shard(master: master, replicas: Array(nodes.dropFirst())))
      }
      for slot in range.first...range.last { owners[slot] = UInt16(index) }
    }
  }

  /// The shard's index in ``shards``; nil where nobody has the slot.
  func index(of slot: HashSlot) -> Int? {
    let owner = owners[slot.number]
    return owner == Self.none ? nil : Int(owner)
  }

  func shard(of slot: HashSlot) -> Shard? { index(of: slot).map { shards[$0] } }

  var isEmpty: Bool { shards.isEmpty }

  /// Whether every slot has its node.
  var isWhole: Bool { !owners.contains(Self.none) }

  /// A slot that the node has, the lowest; nil if it has none.
  func slot(of master: NodeAddress) -> HashSlot? {
    guard let index = shards.firstIndex(where: { $0.master == master }) else { return nil }
    return owners.firstIndex(of: UInt16(index)).map { HashSlot(number: $0) }
  }

  /// A node has said that another has the slot. Returns whether that is news.
  mutating func move(_ slot: HashSlot, to master: NodeAddress) -> Bool {
    if let known = shard(of: slot), known.master == master { return false }
    let index = shards.firstIndex { $0.master == master } ?? shards.count
    if index == shards.count { shards.append(Shard(master: master, replicas: [])) }
    owners[slot.number] = UInt16(index)
    return true
  }

  /// All nodes, masters first.
  var nodes: [NodeAddress] { shards.map(\.master) + shards.flatMap(\.replicas) }
}

/// `CLUSTER SLOTS`: for each range of slots its first and last, its master and its replicas. `CLUSTER SHARDS` tells the
/// same, but not every server with clusters knows it.
struct SlotsReply: Equatable, Sendable, RedisReply {
  struct Node: Equatable, Sendable {
    var host: String?
    var port: Int
  }

  struct Range: Equatable, Sendable {
    var first: Int
    var last: Int
    /// The master comes first.
    var nodes: [Node]
  }

  var ranges: [Range] = []

  init(_ ranges: [Range]) { self.ranges = ranges }

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    for _ in 0..<(try reply.array()) {
      let parts = try reply.array()
      guard parts >= 2 else {
        throw RedisError(.unexpectedReply, "unexpected reply: a range of slots in \(parts) parts")
      }
      var range = Range(first: try reply.integer(), last: try reply.integer(), nodes: [])
      for _ in 2..<parts {
        let fields = try reply.array()
        guard fields >= 2 else {
          throw RedisError(.unexpectedReply, "unexpected reply: a node of the cluster in \(fields) parts")
        }
        let host: String? = reply.null() ? nil : try reply.string()
        range.nodes.append(Node(host: host, port: try reply.integer()))
        for _ in 2..<fields { try reply.skip() }
      }
      ranges.append(range)
    }
  }
}
