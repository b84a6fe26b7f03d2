/// Keeps the map of a cluster, and decides when it is asked for and of whom. It does no I/O and reads no clock.
///
/// What calls for a new map (a node's `MOVED`, a node in trouble, a slot without a node) comes in by the thousand when a
/// cluster changes; it leads to one question at a time, and to few of them a second.
struct TopologyMachine {
  struct Settings: Equatable, Sendable {
    /// Nanoseconds, at least, from one question to the next.
    var interval: Int64 = 100_000_000
    /// Nanoseconds until another node is asked instead.
    var answerTimeout: Int64 = 1_000_000_000
    /// Between questions that came to nothing.
    var backOff = BackOff(first: .milliseconds(10), longest: .seconds(1))
  }

  enum Action: Equatable {
    case none
    /// Ask that node for its map, and report by ``answered(_:number:now:)`` or ``failed(number:now:using:)``.
    case ask(NodeAddress, number: Int)
  }

  private enum State: Equatable {
    case idle
    case waiting(until: MonotonicTime)
    case asking(NodeAddress, until: MonotonicTime)
  }

  private(set) var map = SlotMap()
  private let seeds: [NodeAddress]
  private let settings: Settings
  private var state = State.idle
  /// Of the last question; an answer to an earlier one is not news any more.
  private var number = 0
  private var notBefore = MonotonicTime(nanoseconds: .min)
  /// Questions in a row that came to nothing.
  private var failures = 0
  /// Something called for a map after the last question had gone out.
  private var wantsAnother = false
  /// Nodes that were in trouble when they were last heard of. They are asked last.
  private var suspects: Set<NodeAddress> = []

  /// - Precondition: there is a seed.
  init(seeds: [NodeAddress], settings: Settings = Settings()) {
    self.seeds = seeds
    self.settings = settings
  }

  /// The map may be out of date.
  mutating func want(now: MonotonicTime) {
    switch state {
    case .idle: state = .waiting(until: max(now, notBefore))
    case .waiting: break
    case .asking: wantsAnother = true
    }
  }

  /// A node has said that the slot is at another one. The rest of the map may be out of date too.
  mutating func moved(_ slot: HashSlot, to master: NodeAddress, now: MonotonicTime) {
    if map.move(slot, to: master) { want(now: now) }
  }

  /// A node can't be reached, or keeps silent.
  mutating func trouble(_ node: NodeAddress, now: MonotonicTime) {
    suspects.insert(node)
    want(now: now)
  }

  /// Called whenever time has passed or something was reported.
  mutating func tick(now: MonotonicTime, using generator: inout some RandomNumberGenerator) -> Action {
    if case .asking(_, let until) = state, until <= now { failed(number: number, now: now, using: &generator) }
    guard case .waiting(let until) = state, until <= now else { return .none }
    number += 1
    let node = nextToAsk()
    state = .asking(node, until: now.advanced(by: settings.answerTimeout))
    notBefore = now.advanced(by: settings.interval)
    wantsAnother = false
    return .ask(node, number: number)
  }

  /// Returns whether the map has changed.
  mutating func answered(
    _ reply: SlotsReply,
    number: Int,
    now: MonotonicTime,
    using generator: inout some RandomNumberGenerator
  ) -> Bool {
    guard number == self.number, case .asking(let node, _) = state else { return false }
    let fresh = SlotMap(reply, from: node)
    guard !fresh.isEmpty else {
      // It is in no cluster, or in none that has been given its slots.
      failed(number: number, now: now, using: &generator)
      return false
    }
    suspects.remove(node)
    failures = 0
    state = wantsAnother ? .waiting(until: max(now, notBefore)) : .idle
    defer { map = fresh }
    return fresh != map
  }

  mutating func failed(number: Int, now: MonotonicTime, using generator: inout some RandomNumberGenerator) {
    guard number == self.number, case .asking(let node, _) = state else { return }
    suspects.insert(node)
    failures += 1
    // While some have not been asked yet the next one's turn comes soon.
    let rounds = failures - candidates.count
    let delay = settings.backOff.delay(failures: max(rounds + 1, 1), using: &generator)
    state = .waiting(until: now.advanced(by: delay))
  }

  /// When to call ``tick(now:using:)`` at the latest.
  var wakeUp: MonotonicTime? {
    switch state {
    case .idle: nil
    case .waiting(let until), .asking(_, let until): until
    }
  }

  /// Masters know best; where none answers, those who were named at the beginning may still do.
  private var candidates: [NodeAddress] {
    var seen: Set<NodeAddress> = []
    return (map.nodes + seeds).filter { seen.insert($0).inserted }
  }

  private mutating func nextToAsk() -> NodeAddress {
    let all = candidates
    if suspects.isSuperset(of: all) { suspects.removeAll() }
    let masters = map.shards.map(\.master).filter { !suspects.contains($0) }
    guard masters.isEmpty else { return masters[number % masters.count] }
    return all.first { !suspects.contains($0) } ?? seeds[number % seeds.count]
  }
}
