import Testing

@testable import RedisDriver

/// When a cluster's map is asked for, and of whom. Each test is a transcript of what was reported and what followed.
@Suite final class TopologyMachineTests {
  private static func node(_ name: String) -> NodeAddress { NodeAddress(host: name, port: 1) }
  private let seed = node("seed")
  private let a = node("a")
  private let b = node("b")
  private let c = node("c")
  private let settings = TopologyMachine.Settings(
    interval: 100_000_000,
    answerTimeout: 1_000_000_000,
    backOff: BackOff(first: .milliseconds(10), longest: .milliseconds(40))
  )
  private var longest = Longest()
  private var machine: TopologyMachine

  init() { machine = TopologyMachine(seeds: [Self.node("seed")], settings: settings) }

  /// Each node has a part of the slots; the first ones get what doesn't divide.
  private func reply(_ masters: NodeAddress...) -> SlotsReply {
    let size = HashSlot.count / masters.count
    return SlotsReply(
      masters.enumerated().map { index, master in
        let last = index == masters.count - 1 ? HashSlot.count - 1 : (index + 1) * size - 1
        return SlotsReply.Range(first: index * size, last: last, nodes: [.init(host: master.host, port: master.port)])
      }
    )
  }

  private func tick(_ ms: Int64) -> TopologyMachine.Action { machine.tick(now: at(ms), using: &longest) }

  private func answer(_ reply: SlotsReply, _ number: Int, _ ms: Int64) -> Bool {
    machine.answered(reply, number: number, now: at(ms), using: &longest)
  }

  private func fail(_ number: Int, _ ms: Int64) { machine.failed(number: number, now: at(ms), using: &longest) }

  private func master(of slot: Int) -> NodeAddress? { machine.map.shard(of: HashSlot(number: slot))?.master }

  @Test("Nothing is asked before somebody wants it; then a seed is, and its map holds")
  func first() {
    #expect(tick(0) == .none && machine.wakeUp == nil)
    machine.want(now: at(1))
    #expect(machine.wakeUp == at(1))
    #expect(tick(1) == .ask(seed, number: 1))
    #expect(tick(2) == .none && machine.wakeUp == at(1001))
    #expect(answer(reply(a, b), 1, 3))
    #expect(master(of: 0) == a && master(of: 16_383) == b)
    #expect(tick(4) == .none && machine.wakeUp == nil)
  }

  @Test("A thousand nodes' MOVED lead to one question, and to a second one after the interval where they came later")
  func coalesced() {
    machine.want(now: at(0))
    #expect(tick(0) == .ask(seed, number: 1))
    #expect(answer(reply(a, b), 1, 1))
    // The first question's interval has to pass before the second.
    for slot in 0..<1000 { machine.moved(HashSlot(number: slot), to: c, now: at(50)) }
    #expect(master(of: 999) == c && master(of: 1000) == a)
    #expect(tick(99) == .none && machine.wakeUp == at(100))
    guard case .ask(_, 2) = tick(100) else {
      Issue.record("the map was not asked for")
      return
    }
    machine.moved(HashSlot(number: 5000), to: c, now: at(110))
    machine.moved(HashSlot(number: 5001), to: c, now: at(111))
    #expect(!answer(reply(a, b), 7, 112), "the answer to another question")
    #expect(answer(reply(a, b), 2, 120))
    #expect(tick(199) == .none && machine.wakeUp == at(200))
    guard case .ask(_, 3) = tick(200) else {
      Issue.record("what came after the question was forgotten")
      return
    }
    #expect(answer(reply(c, a, b), 3, 210))
    #expect(!answer(reply(a), 3, 211), "a second answer to the same question")
    #expect(tick(1000) == .none)
  }

  @Test("MOVED to where the slot is known to be is no news")
  func oldNews() {
    machine.want(now: at(0))
    _ = tick(0)
    _ = answer(reply(a, b), 1, 1)
    machine.moved(HashSlot(number: 1), to: a, now: at(500))
    #expect(tick(1000) == .none && machine.wakeUp == nil)
  }

  @Test("An answer like the last one changes nothing")
  func unchanged() {
    machine.want(now: at(0))
    _ = tick(0)
    #expect(answer(reply(a, b), 1, 1))
    machine.want(now: at(200))
    _ = tick(200)
    #expect(!answer(reply(a, b), 2, 201))
  }

  @Test("A node in trouble is not asked about itself; nodes that fail are passed over, at last for the seed")
  func trouble() {
    machine.want(now: at(0))
    _ = tick(0)
    _ = answer(reply(a, b, c), 1, 1)
    var now: Int64 = 200
    machine.trouble(b, now: at(now))
    var asked: [NodeAddress] = []
    for number in 2...4 {
      guard case .ask(let node, number) = tick(now) else {
        Issue.record("question \(number) was not asked at \(now)")
        return
      }
      asked.append(node)
      fail(number, now)
      #expect(machine.wakeUp == at(now + 10))
      now += 10
    }
    #expect(Set(asked) == [a, c, seed] && asked.last == seed)
  }

  @Test("Where nobody answers the waits grow to their longest, and all are asked again in turn")
  func nobody() {
    machine.want(now: at(0))
    var now: Int64 = 0
    for (number, wait) in ([10, 20, 40, 40, 40] as [Int64]).enumerated() {
      // The one seed is all there is to ask.
      #expect(tick(now) == .ask(seed, number: number + 1))
      fail(number + 1, now)
      #expect(tick(now + wait - 1) == .none && machine.wakeUp == at(now + wait))
      now += wait
    }
  }

  @Test("A silent node loses its turn, and what it answers later is not heeded")
  func silence() {
    machine.want(now: at(0))
    _ = tick(0)
    _ = answer(reply(a, b), 1, 1)
    machine.want(now: at(500))
    guard case .ask(let first, 2) = tick(500) else {
      Issue.record("the map was not asked for")
      return
    }
    #expect(tick(1499) == .none)
    #expect(tick(1500) == .none && machine.wakeUp == at(1510))
    guard case .ask(let second, 3) = tick(1510) else {
      Issue.record("no other node was asked")
      return
    }
    #expect(first != second)
    #expect(!answer(reply(c), 2, 1511))
    #expect(master(of: 0) == a)
    #expect(answer(reply(b), 3, 1512))
  }

  @Test("A node that knows no slots has told nothing")
  func emptyAnswer() {
    machine.want(now: at(0))
    _ = tick(0)
    _ = answer(reply(a, b), 1, 1)
    machine.want(now: at(200))
    _ = tick(200)
    #expect(!answer(SlotsReply([]), 2, 201))
    #expect(master(of: 0) == a && machine.wakeUp == at(211))
  }

  @Test("All masters are asked in turn, so that one with an old map is contradicted by the next")
  func turns() {
    machine.want(now: at(0))
    _ = tick(0)
    _ = answer(reply(a, b, c), 1, 1)
    var asked: Set<NodeAddress> = []
    for number in 2...4 {
      let now = Int64(number) * 1000
      machine.want(now: at(now))
      guard case .ask(let node, number) = tick(now) else {
        Issue.record("question \(number) was not asked")
        return
      }
      asked.insert(node)
      _ = answer(reply(a, b, c), number, now)
    }
    #expect(asked == [a, b, c])
  }
}
