/// A queue of messages under one name: 1 to 64 of `A-Z a-z 0-9 . _ -`.
public struct Topic: Hashable, Sendable, CustomStringConvertible {
  public let name: String
  public init(_ name: String) { self.name = name }
  public var description: String { name }
}

/// A set of workers that share a topic's messages: each message goes to one of them.
public struct ConsumerGroup: Hashable, Sendable, CustomStringConvertible {
  public let name: String
  public init(_ name: String) { self.name = name }
  public var description: String { name }
}

/// What a producer sends.
public struct Message: Hashable, Sendable {
  public var topic: Topic
  /// Names the subject (the purchase's token), for operators. Not unique.
  public var key: [UInt8]
  /// Opaque; 64 KiB at most.
  public var body: [UInt8]

  public init(topic: Topic, key: [UInt8], body: [UInt8]) {
    self.topic = topic
    self.key = key
    self.body = body
  }
}

/// A message that the broker holds and delivers to nobody until it is committed.
public struct HalfMessage: Hashable, Sendable {
  /// The broker's name for it. Opaque.
  public var id: String
  public var message: Message
  /// When the broker took it, ms since 1970.
  public var sentAtMs: Int64
  /// How often it was checked without a decision.
  public var checks: Int

  public init(id: String, message: Message, sentAtMs: Int64, checks: Int = 0) {
    self.id = id
    self.message = message
    self.sentAtMs = sentAtMs
    self.checks = checks
  }
}

/// The broker's answer to a commit.
public enum CommitAnswer: Hashable, Sendable {
  /// The message is durable in its topic and will be delivered.
  case committed
  /// There is no such half message any more: it was committed, rolled back or parked before. Nothing was done.
  case gone
}

/// What a check-back decides about a half message that got no answer.
public enum CheckDecision: Hashable, Sendable {
  case commit
  case rollBack
  /// It can't be known now; ask again later.
  case undecided(String)
}

/// A message on its way to a consumer.
public struct Delivery: Hashable, Sendable {
  /// The broker's name for the message in its topic. Opaque.
  public var id: String
  public var message: Message
  /// How often it was tried and failed for its own sake (``Disposition/retry(_:countsAsAttempt:)``), from 0.
  public var failures: Int
  /// Whether it may have been delivered before.
  public var isRedelivery: Bool

  public init(id: String, message: Message, failures: Int, isRedelivery: Bool) {
    self.id = id
    self.message = message
    self.failures = failures
    self.isRedelivery = isRedelivery
  }
}

/// What becomes of a delivery.
public enum Disposition: Hashable, Sendable {
  /// It is done: its effect is durable.
  case acknowledge
  /// Deliver it again after a delay that grows. Failures of the message itself count as attempts and end in the
  /// dead-letter topic; failures of what it is written to don't count.
  case retry(String, countsAsAttempt: Bool)
  /// It can never succeed: to the dead-letter topic, with the reason.
  case deadLetter(String)
}

/// A message that nobody will deliver again unless an operator says so.
public struct SetAsideMessage: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// A half message whose checks ended without a decision. It is resumed.
    case parked
    /// A message that failed for good. It is replayed.
    case dead
  }

  public var id: String
  public var kind: Kind
  public var message: Message
  public var reason: String
  /// Checks or failures until then.
  public var attempts: Int
  /// ms since 1970.
  public var setAsideAtMs: Int64

  public init(id: String, kind: Kind, message: Message, reason: String, attempts: Int, setAsideAtMs: Int64) {
    self.id = id
    self.kind = kind
    self.message = message
    self.reason = reason
    self.attempts = attempts
    self.setAsideAtMs = setAsideAtMs
  }
}

/// How a topic stands, for operators.
public struct TopicStatus: Hashable, Sendable {
  /// Half messages without an answer.
  public var half: Int
  public var parked: Int
  public var dead: Int
  /// Messages that the group has not acknowledged: delivered or not.
  public var unacknowledged: Int
  /// Entries that the broker keeps for the topic.
  public var stored: Int

  public init(half: Int, parked: Int, dead: Int, unacknowledged: Int, stored: Int) {
    self.half = half
    self.parked = parked
    self.dead = dead
    self.unacknowledged = unacknowledged
    self.stored = stored
  }
}
