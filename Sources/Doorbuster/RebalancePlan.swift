import Stock
import StockCore

/// Which units of a sale are to be moved between its buckets, ahead of demand.
struct RebalancePlan: Hashable, Sendable {
  /// What a plan is made from.
  struct Load: Hashable, Sendable {
    var available: Int64
    /// Units a second.
    var rate: Double
    /// Buckets of one server can be shared out in one step; nil where it is not known.
    var server: String?
    /// Whether units may be taken from it and brought to it: it answers, and is not frozen.
    var isMovable: Bool
  }

  struct Settings: Hashable, Sendable {
    /// Below so many units a bucket is a fragment: the stock is drawn together in as many buckets as have more.
    var fragment: Int64 = 8
    /// One bucket more is used for each so many units sold in a second.
    var heat: Double = 2000
    /// A bucket that would be empty within so many seconds is brought more.
    var aheadSeconds: Double = 3
    /// Transfers of one plan. What is left over is moved by the next.
    var movesMax = 16
    /// Buckets of one server that share in one step.
    var sharesMax = 64
    /// Whether buckets of one server may be shared out in one step.
    var canShare = true
  }

  /// Buckets of one server, which share what they have then by these weights.
  struct Share: Hashable, Sendable {
    var buckets: [Int]
    var weights: [Int64]
  }

  /// A transfer.
  struct Move: Hashable, Sendable {
    var source: Int
    var target: Int
    var quantity: Int64
  }

  private(set) var shares: [Share] = []
  private(set) var moves: [Move] = []
  /// The buckets that are to have stock, in their order.
  private(set) var active: [Int] = []

  var isEmpty: Bool { shares.isEmpty && moves.isEmpty }

  init() {}

  init(_ loads: [Load], _ settings: Settings = Settings()) {
    let movable = loads.indices.filter { loads[$0].isMovable }
    let total = movable.reduce(Int64(0)) { $0 + loads[$1].available }
    active = movable.filter { loads[$0].available > 0 }
    // Where nobody buys, nothing is moved.
    guard movable.count > 1, total > 0, movable.contains(where: { loads[$0].rate > 0 }) else { return }
    active = Self.active(loads, movable, total, settings)
    let targets = Self.targets(loads, active, total)
    let wanted = Self.moves(loads, movable, targets, settings)
    let isTogether = { (move: Move) in
      settings.canShare && loads[move.source].server != nil && loads[move.source].server == loads[move.target].server
    }
    shares = Self.shares(loads, wanted.filter(isTogether), settings)
    moves = Array(wanted.filter { !isTogether($0) }.prefix(settings.movesMax))
  }

  /// As many buckets as the heat asks for and the stock allows, those where most is bought first; and every bucket that
  /// has stock already, as long as the stock is enough for it.
  private static func active(_ loads: [Load], _ movable: [Int], _ total: Int64, _ settings: Settings) -> [Int] {
    let allowed = Int(clamping: max(1, total / max(1, settings.fragment)))
    let needy = movable.filter { isNeedy(loads[$0], settings) && loads[$0].available == 0 }.count
    let heat = movable.reduce(0) { $0 + loads[$1].rate } / settings.heat
    let asked = max(
      movable.count { loads[$0].available > 0 } + needy,
      Int(min(heat.rounded(.up), Double(movable.count)))
    )
    let count = max(1, min(movable.count, allowed, asked))
    let byDemand = movable.sorted { left, right in
      (loads[left].rate, loads[left].available, right) > (loads[right].rate, loads[right].available, left)
    }
    return byDemand.prefix(count).sorted()
  }

  /// What each bucket is to have: by its demand, and a little for those where little is bought.
  private static func targets(_ loads: [Load], _ active: [Int], _ total: Int64) -> [Int: Int64] {
    let mean = active.reduce(0) { $0 + loads[$1].rate } / Double(active.count)
    // Rates beyond this are alike for sharing out; their weights' sum has to stay below 2^53.
    let weights = active.map { Int64(min(loads[$0].rate + mean / 10, 1e9) * 100) + 1 }
    return Dictionary(uniqueKeysWithValues: zip(active, StockCore.shares(of: total, weights: weights)))
  }

  private static func isNeedy(_ load: Load, _ settings: Settings) -> Bool {
    Double(load.available) < load.rate * settings.aheadSeconds
  }

  /// Few and large: from buckets that have more than they are to have, the largest surplus first, to those that would soon
  /// be empty, the largest lack first. A bucket that is to have none gives all it has, whoever needs it.
  private static func moves(
    _ loads: [Load],
    _ movable: [Int],
    _ targets: [Int: Int64],
    _ settings: Settings
  ) -> [Move] {
    func surplus(_ bucket: Int) -> Int64 { loads[bucket].available - (targets[bucket] ?? 0) }
    let leaving = movable.filter { targets[$0] == nil && loads[$0].available > 0 }
    let lacking = targets.keys.filter { surplus($0) < 0 }.sorted { (surplus($0), $0) < (surplus($1), $1) }
    let needy = lacking.filter { isNeedy(loads[$0], settings) }
    let receivers = leaving.isEmpty ? needy : lacking
    guard !receivers.isEmpty else { return [] }
    var givers = Dictionary(
      uniqueKeysWithValues: movable.filter { surplus($0) > 0 }.map { ($0, surplus($0)) }
    )
    let smallest = max(1, loads.reduce(0) { $0 + $1.available } / Int64(16 * max(1, targets.count)))
    var moves: [Move] = []
    for receiver in receivers {
      var lack = -surplus(receiver)
      while lack > 0, let giver = best(givers, for: receiver, loads) {
        let quantity = min(lack, givers[giver] ?? 0)
        givers[giver] = quantity == givers[giver] ? nil : (givers[giver] ?? 0) - quantity
        lack -= quantity
        let isWorthIt = quantity >= smallest || loads[receiver].available == 0 || targets[giver] == nil
        if isWorthIt { moves.append(Move(source: giver, target: receiver, quantity: quantity)) }
      }
    }
    return moves
  }

  /// One on the receiver's own server where there is one, and the one with the largest surplus.
  private static func best(_ givers: [Int: Int64], for receiver: Int, _ loads: [Load]) -> Int? {
    func isNear(_ bucket: Int) -> Bool {
      loads[bucket].server != nil && loads[bucket].server == loads[receiver].server
    }
    return givers.max { left, right in
      (isNear(left.key) ? 1 : 0, left.value, right.key) < (isNear(right.key) ? 1 : 0, right.value, left.key)
    }?
    .key
  }

  /// The moves within each server, as one step of all the buckets that they concern.
  private static func shares(_ loads: [Load], _ moves: [Move], _ settings: Settings) -> [Share] {
    var shares: [Share] = []
    for (_, moves) in Dictionary(grouping: moves, by: { loads[$0.source].server }).sorted(by: {
      ($0.key ?? "") < ($1.key ?? "")
    }) {
      var units: [Int: Int64] = [:]
      for move in moves {
        let isNew = (units[move.source] == nil ? 1 : 0) + (units[move.target] == nil ? 1 : 0)
        guard units.count + isNew <= settings.sharesMax else { continue }
        units[move.source] = (units[move.source] ?? loads[move.source].available) - move.quantity
        units[move.target] = (units[move.target] ?? loads[move.target].available) + move.quantity
      }
      let buckets = units.keys.sorted()
      shares.append(Share(buckets: buckets, weights: buckets.map { units[$0] ?? 0 }))
    }
    return shares
  }
}
