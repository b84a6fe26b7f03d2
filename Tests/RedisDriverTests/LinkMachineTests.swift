import Testing

@testable import RedisDriver

@Suite struct LinkMachineTests {
  private let backOff = BackOff(first: .milliseconds(10), longest: .milliseconds(100))
  private var longest = Longest()

  private func machine() -> LinkMachine { LinkMachine(backOff: backOff, connectTimeout: 50_000_000) }

  @Test("A link connects when a command waits, and not before")
  mutating func demand() {
    var machine = machine()
    #expect(machine.tick(commandsWait: false, now: at(0)) == .none)
    #expect(machine.wakeUp(commandsWait: false) == nil)
    #expect(machine.tick(commandsWait: true, now: at(1)) == .connect)
    #expect(machine.state == .connecting(until: at(51)))
    #expect(machine.tick(commandsWait: true, now: at(2)) == .none)
    machine.connected()
    #expect(machine.state == .greeting(until: at(51)))
    machine.greeted()
    #expect(machine.state == .ready)
    #expect(machine.tick(commandsWait: true, now: at(1000)) == .none)
  }

  @Test("Connecting and greeting together end at one time-out")
  mutating func timeout() {
    var machine = machine()
    _ = machine.tick(commandsWait: true, now: at(0))
    #expect(machine.tick(commandsWait: true, now: at(49)) == .none)
    machine.connected()
    #expect(machine.tick(commandsWait: true, now: at(49)) == .none)
    #expect(machine.wakeUp(commandsWait: true) == at(50))
    #expect(machine.tick(commandsWait: true, now: at(50)) == .giveUp)
  }

  @Test("Addresses share the time to connect, and the attempt ends with the last of them")
  mutating func addresses() {
    var machine = machine()
    _ = machine.tick(commandsWait: true, now: at(0))
    // Resolving the name has taken a while.
    machine.tries(addressesLeft: 2, now: at(10))
    #expect(machine.wakeUp(commandsWait: true) == at(30))
    #expect(machine.tick(commandsWait: true, now: at(29)) == .none)
    #expect(machine.tick(commandsWait: true, now: at(30)) == .tryNextAddress)
    machine.tries(addressesLeft: 1, now: at(30))
    #expect(machine.wakeUp(commandsWait: true) == at(50))
    #expect(machine.tick(commandsWait: true, now: at(49)) == .none)
    #expect(machine.tick(commandsWait: true, now: at(50)) == .giveUp)
    machine.failed(now: at(50), using: &longest)
    #expect(machine.tick(commandsWait: true, now: at(60)) == .connect)
    #expect(machine.tick(commandsWait: true, now: at(109)) == .none)
  }

  @Test("Each attempt begins with another address")
  mutating func rotation() {
    var machine = machine()
    var orders: [[Int]] = []
    for _ in 0..<4 {
      orders.append(machine.order([4, 6, 8]))
      machine.failed(now: at(0), using: &longest)
    }
    #expect(orders == [[4, 6, 8], [6, 8, 4], [8, 4, 6], [4, 6, 8]])
    #expect(machine.order([Int]()) == [])
  }

  @Test("Waits double up to the longest, and are short again after the first answer, not after the greeting")
  mutating func waits() {
    var machine = machine()
    var now: Int64 = 0
    for wait: Int64 in [10, 20, 40, 80, 100, 100] {
      #expect(machine.tick(commandsWait: true, now: at(now)) == .connect)
      machine.connected()
      machine.greeted()
      machine.failed(now: at(now), using: &longest)
      #expect(machine.state == .backingOff(until: at(now + wait)))
      #expect(machine.tick(commandsWait: true, now: at(now + wait - 1)) == .none)
      #expect(machine.wakeUp(commandsWait: true) == at(now + wait))
      #expect(machine.wakeUp(commandsWait: false) == nil)
      now += wait
    }
    #expect(machine.tick(commandsWait: true, now: at(now)) == .connect)
    machine.connected()
    machine.greeted()
    machine.answered()
    machine.failed(now: at(now), using: &longest)
    #expect(machine.state == .backingOff(until: at(now + 10)))
  }

  @Test("A wait that ends while no command waits leads to no attempt")
  mutating func idle() {
    var machine = machine()
    machine.failed(now: at(0), using: &longest)
    #expect(machine.tick(commandsWait: false, now: at(10)) == .none)
    #expect(machine.state == .idle)
    #expect(machine.tick(commandsWait: true, now: at(11)) == .connect)
  }

  @Test("A wait lies between a half of its full length and the full length")
  func bounds() {
    let seed = UInt64.random(in: 1...UInt64.max)
    var generator = SeededGenerator(seed)
    for failures in [0, 1, 2, 3, 4, 5, 30, 63, 64, 1000, Int.max] {
      let full = min(10_000_000 << Int64(min(max(failures - 1, 0), 10)), 100_000_000)
      var seen: ClosedRange<Int64>?
      for _ in 0..<200 {
        let delay = backOff.delay(failures: failures, using: &generator)
        seen = min(seen?.lowerBound ?? delay, delay)...max(seen?.upperBound ?? delay, delay)
      }
      let range = seen ?? 0...0
      #expect(range.lowerBound >= full / 2 && range.upperBound <= full, "\(failures) failures: \(range), seed \(seed)")
      #expect(range.upperBound - range.lowerBound > full / 4, "\(failures) failures: \(range), seed \(seed)")
    }
  }

  @Test(
    "Senseless settings of the back-off give waits that end",
    arguments: [Duration.zero, .seconds(-1), .seconds(1 << 62)]
  )
  func senseless(_ duration: Duration) {
    var generator = Longest()
    for failures in [1, 64] {
      let delay = BackOff(first: duration, longest: duration).delay(failures: failures, using: &generator)
      #expect(delay >= 0)
    }
  }
}
