import Messaging

/// The keys of one topic. The braces keep them in one slot of a cluster, so that scripts may use them together.
///
/// - `topic`: a stream of what is deliverable, fields `k` (key) and `b` (body).
/// - `half`: a stream of half messages, the same fields. An entry's id is the half message's id; its first part is
///   the server's clock when it came, which gives its age.
/// - `checks`: a sorted set of the half messages that were checked without a decision (``CheckScore``).
/// - `checker`: who serves the checks now, with an expiry.
/// - `parked`, `dead`: streams with the further fields `r` (reason), `a` (attempts) and, of a dead one, `g` (group)
///   and `i` (its id in the topic).
/// - per group `due:{group}` and `retry:{group}`: a sorted set of postponed messages by the time when they are due
///   (ms since 1970), and a hash of what they are (``PostponedMessage``).
struct TopicKeys: Sendable {
  let topic: [UInt8]
  let half: [UInt8]
  let checks: [UInt8]
  let checker: [UInt8]
  let parked: [UInt8]
  let dead: [UInt8]

  /// - Throws: ``MessagingError`` `refused` for a name outside its bounds.
  init(_ topic: Topic) throws(MessagingError) {
    try TopicKeys.requireName(topic.name, argument: "topic")
    let base = "doorbuster:mq:{\(topic.name)}"
    self.topic = Array(base.utf8)
    half = Array("\(base):half".utf8)
    checks = Array("\(base):checks".utf8)
    checker = Array("\(base):checker".utf8)
    parked = Array("\(base):parked".utf8)
    dead = Array("\(base):dead".utf8)
  }

  func due(_ group: ConsumerGroup) -> [UInt8] { topic + Array(":due:\(group.name)".utf8) }
  func retry(_ group: ConsumerGroup) -> [UInt8] { topic + Array(":retry:\(group.name)".utf8) }

  func setAside(_ kind: SetAsideMessage.Kind) -> [UInt8] {
    switch kind {
    case .parked: parked
    case .dead: dead
    }
  }

  /// Names become parts of keys, where a brace or a blank would break the slot or an operator's command.
  static func requireName(_ name: String, argument: String) throws(MessagingError) {
    let allowed = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
    guard allowed, (1...64).contains(name.utf8.count) else {
      let shown = name.prefix(80).debugDescription
      throw MessagingError(.refused, "\(argument) is \(shown); it must be 1 to 64 characters of A-Z a-z 0-9 . _ -")
    }
  }
}

/// The keys of one group of one topic.
struct GroupKeys: Sendable {
  let keys: TopicKeys
  let group: ConsumerGroup
  let due: [UInt8]
  let retry: [UInt8]

  init(_ keys: TopicKeys, _ group: ConsumerGroup) throws(MessagingError) {
    try TopicKeys.requireName(group.name, argument: "group")
    self.keys = keys
    self.group = group
    due = keys.due(group)
    retry = keys.retry(group)
  }
}

/// The id of a stream entry: `ms-sequence`.
struct StreamID: Hashable, Sendable {
  let milliseconds: UInt64
  let sequence: UInt64

  /// Nil for anything but two decimal numbers with a dash between.
  init?(_ text: String) {
    guard let dash = text.utf8.firstIndex(of: UInt8(ascii: "-")) else { return nil }
    guard let milliseconds = Self.number(text[..<dash]), let sequence = Self.number(text[text.index(after: dash)...])
    else { return nil }
    self.milliseconds = milliseconds
    self.sequence = sequence
  }

  /// `UInt64.init` would take a sign.
  private static func number(_ text: Substring) -> UInt64? {
    text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? UInt64(text) : nil
  }
}

/// When an undecided half message is checked next, and how often it was, in one score of the set `checks`:
/// `dueMs * 1024 + checks`. A double holds it exactly until the year 2248.
struct CheckScore: Hashable, Sendable {
  static let checksMax = 1023

  var dueMs: Int64
  var checks: Int

  init(dueMs: Int64, checks: Int) {
    self.dueMs = dueMs
    self.checks = min(max(checks, 0), Self.checksMax)
  }

  init(score: Int) {
    dueMs = Int64(score >> 10)
    checks = score & Self.checksMax
  }

  var score: Int { Int(dueMs) << 10 | checks }

  /// The highest score that is due at that time.
  static func latestDue(atMs nowMs: Int64) -> Int { CheckScore(dueMs: nowMs, checks: checksMax).score }
}
