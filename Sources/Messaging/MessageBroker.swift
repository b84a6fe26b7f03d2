/// The producer's side of transactional messages.
///
/// A half message is durable when ``sendHalf(_:)`` returns and reaches nobody until it is committed. One that gets no
/// answer is checked back (``MessageBroker/serveChecks(of:by:)``); none is ever forgotten.
///
/// The calls stay on their caller's executor: a purchase makes three of them, and a change of threads costs more than
/// any of them.
public protocol TransactionalProducer: Sendable {
  /// - Throws: ``MessagingError`` `unavailable` where nothing was stored, `replyLost` where it may have been: such a
  ///   half message is decided by a check-back.
  nonisolated(nonsending) func sendHalf(_ message: Message) async throws(MessagingError) -> HalfMessage

  /// Makes a half message deliverable. When it returns ``CommitAnswer/committed`` the message is durable.
  /// - Throws: ``MessagingError`` `replyLost` where it may have been committed.
  nonisolated(nonsending) func commit(_ half: HalfMessage) async throws(MessagingError) -> CommitAnswer

  /// Forgets a half message. Nothing happens where it is gone.
  nonisolated(nonsending) func rollBack(_ half: HalfMessage) async throws(MessagingError)

  /// Sends a plain message, deliverable at once.
  /// - Throws: ``MessagingError`` `replyLost` where it may have been sent: sending again may deliver it twice.
  nonisolated(nonsending) func send(_ message: Message) async throws(MessagingError)
}

/// Decides half messages that got no answer.
public protocol MessageChecker: Sendable {
  func check(_ half: HalfMessage) async -> CheckDecision
}

/// Handles deliveries in batches; a batch is in the order of the topic except for redeliveries.
public protocol MessageHandler: Sendable {
  /// One disposition per delivery, in their order. A delivery without one is retried without counting.
  func handle(_ deliveries: [Delivery]) async -> [Disposition]
}

/// The broker seam. Deliveries are at least once: consumers are idempotent.
///
/// Every implementation passes the same behaviour tests (Tests/BrokerContract).
public protocol MessageBroker: TransactionalProducer {
  /// Makes the topic and the group known, so that no message sent from now on can be trimmed before the group has
  /// acknowledged it. Nothing happens where they are known.
  func subscribe(_ group: ConsumerGroup, to topic: Topic) async throws(MessagingError)

  /// Checks half messages older than the broker's bound, until the task is cancelled. Many processes may serve one
  /// topic. A message that stays undecided is checked again after a delay that grows, and past the bound it is parked.
  /// - Throws: ``MessagingError`` only for what waiting can't mend (wrong password, no permission).
  func serveChecks(of topic: Topic, by checker: some MessageChecker) async throws(MessagingError)

  /// Delivers the group's messages in batches of up to `batchMax`, until the task is cancelled, and redelivers what
  /// a dead consumer had taken. On cancellation the batch under way is handled to its end and settled.
  /// - Throws: ``MessagingError`` only for what waiting can't mend.
  func consume(
    _ topic: Topic,
    as group: ConsumerGroup,
    batchMax: Int,
    handler: some MessageHandler
  ) async throws(MessagingError)

  /// Removes what every group has acknowledged. Never an unacknowledged message. Returns how many went.
  func trim(_ topic: Topic) async throws(MessagingError) -> Int

  func status(of topic: Topic, for group: ConsumerGroup) async throws(MessagingError) -> TopicStatus

  /// Up to `count` of the topic's parked or dead messages, oldest first, after that id.
  func setAside(
    _ kind: SetAsideMessage.Kind,
    in topic: Topic,
    after id: String?,
    count: Int
  ) async throws(MessagingError) -> [SetAsideMessage]

  /// Puts a parked message back among the half messages, its checks counted anew, or a dead one back into its topic,
  /// its failures counted anew. False where there is no such message.
  func resume(
    _ kind: SetAsideMessage.Kind,
    id: String,
    in topic: Topic
  ) async throws(MessagingError) -> Bool
}
