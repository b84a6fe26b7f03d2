import Messaging

/// A broker with one topic and one group, as the seam describes it: durable, at least once, in no order.
struct ModelBroker {
  struct Half {
    var half: HalfMessage
    var nextCheckMs: Int64
  }

  struct Entry {
    var id: String
    var message: Message
    var failures = 0
    var isRedelivery = false
    /// Not delivered before: a lease of a consumer, or a retry's delay.
    var availableMs: Int64 = 0
  }

  var firstCheckMs: Int64 = 10_000
  var checksMax = 8
  var failuresMax = 5
  var leaseMs: Int64 = 15_000
  var halves: [String: Half] = [:]
  var entries: [Entry] = []
  var parked: [SetAsideMessage] = []
  var dead: [SetAsideMessage] = []
  private var ids = 0

  mutating func sendHalf(_ message: Message, nowMs: Int64) -> HalfMessage {
    let half = HalfMessage(id: id("h"), message: message, sentAtMs: nowMs)
    halves[half.id] = Half(half: half, nextCheckMs: nowMs + firstCheckMs)
    return half
  }

  mutating func commit(_ half: HalfMessage) -> CommitAnswer {
    guard let known = halves.removeValue(forKey: half.id) else { return .gone }
    send(known.half.message)
    return .committed
  }

  mutating func rollBack(_ half: HalfMessage) { halves[half.id] = nil }

  mutating func send(_ message: Message) { entries.append(Entry(id: id("m"), message: message)) }

  /// Half messages to be checked now; each is due again later unless it is decided.
  mutating func takeChecks(nowMs: Int64) -> [HalfMessage] {
    let due = halves.values.filter { $0.nextCheckMs <= nowMs }.map(\.half).sorted { $0.id < $1.id }
    for half in due { halves[half.id]?.nextCheckMs = nowMs + 2_000 }
    return due
  }

  mutating func decide(_ half: HalfMessage, _ decision: CheckDecision, nowMs: Int64) {
    switch decision {
    case .commit: _ = commit(half)
    case .rollBack: rollBack(half)
    case .undecided(let reason):
      guard var known = halves[half.id] else { return }
      known.half.checks += 1
      halves[half.id] = known
      guard known.half.checks >= checksMax else { return }
      halves[half.id] = nil
      parked.append(
        SetAsideMessage(
          id: half.id,
          kind: .parked,
          message: half.message,
          reason: reason,
          attempts: known.half.checks,
          setAsideAtMs: nowMs
        )
      )
    }
  }

  mutating func resumeParked(nowMs: Int64) {
    for message in parked {
      let half = HalfMessage(id: message.id, message: message.message, sentAtMs: nowMs)
      halves[half.id] = Half(half: half, nextCheckMs: nowMs)
    }
    parked = []
  }

  /// Leases up to `max` messages, picked at random: a batch is in no order.
  mutating func take(max: Int, nowMs: Int64, using random: inout SeededRandom) -> [Delivery] {
    let picked = entries.indices.filter { entries[$0].availableMs <= nowMs }.shuffled(using: &random).prefix(max)
    return picked.map { index in
      defer {
        entries[index].isRedelivery = true
        entries[index].availableMs = nowMs + leaseMs
      }
      let entry = entries[index]
      return Delivery(
        id: entry.id,
        message: entry.message,
        failures: entry.failures,
        isRedelivery: entry.isRedelivery
      )
    }
  }

  mutating func settle(_ delivery: Delivery, _ disposition: Disposition, nowMs: Int64) {
    guard let index = entries.firstIndex(where: { $0.id == delivery.id }) else { return }
    switch disposition {
    case .acknowledge: entries.remove(at: index)
    case .deadLetter(let reason): kill(index, reason, nowMs)
    case .retry(let reason, let countsAsAttempt):
      if countsAsAttempt { entries[index].failures += 1 }
      if entries[index].failures >= failuresMax { return kill(index, reason, nowMs) }
      entries[index].availableMs = nowMs + 500
    }
  }

  var status: TopicStatus {
    TopicStatus(
      half: halves.count,
      parked: parked.count,
      dead: dead.count,
      unacknowledged: entries.count,
      stored: entries.count
    )
  }

  private mutating func kill(_ index: Int, _ reason: String, _ nowMs: Int64) {
    let entry = entries.remove(at: index)
    dead.append(
      SetAsideMessage(
        id: entry.id,
        kind: .dead,
        message: entry.message,
        reason: reason,
        attempts: entry.failures,
        setAsideAtMs: nowMs
      )
    )
  }

  private mutating func id(_ prefix: String) -> String {
    ids += 1
    return "\(prefix)\(ids)"
  }
}
