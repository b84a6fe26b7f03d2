import Messaging
import Orders
import Stock

@testable import Doorbuster

/// The whole system on one simulated clock, one event at a time: the orchestrator's machines against model servers.
///
/// Every request takes its time to arrive and its reply to come back; either may be lost, or a request may arrive long
/// after its sender gave up. Processes die between any two steps. The same seed gives the same run.
final class World {
  enum Server: CaseIterable { case stock, broker, orders }

  /// How often a request meets its fate, while faults are on.
  struct Faults {
    /// It never arrives.
    var refused = 0.0
    /// It is carried out, and its reply is lost.
    var silent = 0.0
    /// Its sender gives up, and it is carried out up to 20 s later.
    var late = 0.0

    static let none = Faults()
  }

  /// What happens to one request.
  enum Fate {
    case refused
    case silent
    case late(ms: Int64)
    /// It arrives that much later, and its sender waits for it.
    case slow(ms: Int64)
  }

  let seed: UInt64
  var random: SeededRandom
  var nowMs: Int64 = 1_000_000
  var stock = ModelStock()
  var broker = ModelBroker()
  var orders = ModelStore()
  var faults = Faults.none
  /// How often a request or a reply takes long, so that things overtake each other.
  var slowness = 0.05
  /// The fates of single requests, by process and number of its call. They come before chance.
  var fates: [String: [Int: Fate]] = [:]
  /// Servers that refuse all requests until then.
  var outages: [Server: Int64] = [:]
  var settings = FollowMachine.Settings(
    courier: .messages,
    batchMax: 16,
    intervalMs: 200,
    idleIntervalMs: 1000,
    overdueMs: 15_000,
    cartHoldMs: 120_000
  )
  /// Events that workers keep in the logs when the database has them.
  var keptEvents: Int64 = 0
  /// Called after every event.
  var afterEvent: (World) -> Void = { _ in }
  private(set) var events = 0

  private struct Event {
    var atMs: Int64
    var tie: UInt64
    var body: () -> Void
  }

  /// A heap by time; what happens at the same time happens in random order.
  private var queue: [Event] = []

  init(seed: UInt64) {
    self.seed = seed
    random = SeededRandom(seed: seed)
  }

  // MARK: Time

  func after(_ delayMs: Int64, _ body: @escaping () -> Void) {
    queue.append(Event(atMs: nowMs + delayMs, tie: random.next(), body: body))
    var child = queue.count - 1
    while child > 0, precedes(queue[child], queue[(child - 1) / 2]) {
      queue.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// Runs the next event; false where there is none.
  func step() -> Bool {
    guard let event = queue.first else { return false }
    let last = queue.removeLast()
    if !queue.isEmpty {
      queue[0] = last
      sink()
    }
    nowMs = max(nowMs, event.atMs)
    events += 1
    event.body()
    afterEvent(self)
    return true
  }

  /// Runs until the condition holds; false where it does not within that time.
  func run(forMs: Int64, until condition: (World) -> Bool = { _ in false }) -> Bool {
    let endMs = nowMs + forMs
    while !condition(self) {
      guard let next = queue.first, next.atMs <= endMs else {
        nowMs = max(nowMs, endMs)
        return condition(self)
      }
      _ = step()
    }
    return true
  }

  private func sink() {
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < queue.count {
        if precedes(queue[child], queue[least]) { least = child }
      }
      if least == parent { return }
      queue.swapAt(parent, least)
      parent = least
    }
  }

  private func precedes(_ left: Event, _ right: Event) -> Bool {
    (left.atMs, left.tie) < (right.atMs, right.tie)
  }

  // MARK: Requests

  /// Mostly a millisecond or two.
  private func latencyMs() -> Int64 {
    random.chance(slowness) ? Int64.random(in: 0...400, using: &random) : Int64.random(in: 0...3, using: &random)
  }

  /// Sends a request from a process, which may die before it is sent, after it was carried out, or any time between.
  func call<R, E: Error>(
    _ server: Server,
    from process: Process,
    gone: E,
    silent: E,
    _ apply: @escaping () throws(E) -> R,
    _ reply: @escaping (Result<R, E>) -> Void
  ) {
    guard let number = process.nextCall() else { return }
    let life = process.life
    func answer(_ result: Result<R, E>, afterMs: Int64) {
      after(afterMs) { if process.life == life { reply(result) } }
    }
    let fate = fates[process.name]?[number] ?? chance()
    let slowMs: Int64 = if case .slow(let ms) = fate { ms } else { 0 }
    after(latencyMs() + slowMs) { [self] in
      var isSilent = false
      switch outages[server, default: 0] > nowMs ? .refused : fate {
      case .refused: return answer(.failure(gone), afterMs: latencyMs())
      case .late(let ms):
        after(ms) { _ = try? apply() }
        return answer(.failure(silent), afterMs: latencyMs())
      case .silent: isSilent = true
      case .slow, nil: break
      }
      let result: Result<R, E>
      do throws(E) { result = .success(try apply()) } catch { result = .failure(error) }
      if process.dies(afterCall: number) { return process.crash() }
      answer(isSilent ? .failure(silent) : result, afterMs: latencyMs())
    }
  }

  private func chance() -> Fate? {
    if random.chance(faults.refused) { return .refused }
    if random.chance(faults.silent) { return .silent }
    if random.chance(faults.late) { return .late(ms: Int64.random(in: 0...20_000, using: &random)) }
    return nil
  }
}

extension World {
  func stock<R>(
    _ process: Process,
    _ apply: @escaping (World) throws(StockError) -> R,
    _ reply: @escaping (Result<R, StockError>) -> Void
  ) {
    call(
      .stock,
      from: process,
      gone: Sample.stockGone,
      silent: Sample.stockSilent,
      { [unowned self] () throws(StockError) in try apply(self) },
      reply
    )
  }

  func broker<R>(
    _ process: Process,
    _ apply: @escaping (World) -> R,
    _ reply: @escaping (Result<R, MessagingError>) -> Void
  ) {
    call(
      .broker,
      from: process,
      gone: Sample.brokerGone,
      silent: Sample.brokerSilent,
      { [unowned self] () throws(MessagingError) in apply(self) },
      reply
    )
  }

  func orders<R>(
    _ process: Process,
    _ apply: @escaping (World) throws(OrderStoreError) -> R,
    _ reply: @escaping (Result<R, OrderStoreError>) -> Void
  ) {
    call(
      .orders,
      from: process,
      gone: Sample.databaseGone,
      silent: OrderStoreError(.outcomeUnknown, "the connection died after the commit was sent"),
      { [unowned self] () throws(OrderStoreError) in try apply(self) },
      reply
    )
  }
}

/// A process of the simulated world. When it dies its machines are gone; what it had sent still arrives.
final class Process {
  enum Moment: CaseIterable { case beforeCall, afterCall }

  let name: String
  /// Changes whenever it dies; replies to an earlier life reach nobody.
  private(set) var life = 0
  private(set) var isUp = true
  private(set) var calls = 0
  /// Dies at this call (counted from 0), before it is sent or after it was carried out.
  var dies: (at: Int, moment: Moment)?

  init(_ name: String) { self.name = name }

  func crash() {
    life += 1
    isUp = false
  }

  func restart() {
    life += 1
    isUp = true
  }

  /// The number of a call that is about to be sent; nil where the process dies before it or is dead.
  fileprivate func nextCall() -> Int? {
    guard isUp else { return nil }
    let number = calls
    calls += 1
    guard let dies, dies.moment == .beforeCall, dies.at == number else { return number }
    crash()
    return nil
  }

  fileprivate func dies(afterCall number: Int) -> Bool {
    guard let dies else { return false }
    return dies.moment == .afterCall && dies.at == number
  }
}
