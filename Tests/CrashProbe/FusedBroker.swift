import Messaging

/// A broker that passes the fuse around its calls, and around those that it makes of its checker and handler.
struct FusedBroker: MessageBroker {
  let broker: any MessageBroker
  let fuse: Fuse

  func sendHalf(_ message: Message) async throws(MessagingError) -> HalfMessage {
    fuse.pass(.sendHalf, .before)
    let half = try await broker.sendHalf(message)
    fuse.pass(.sendHalf, .after)
    return half
  }

  func commit(_ half: HalfMessage) async throws(MessagingError) -> CommitAnswer {
    fuse.pass(.commit, .before)
    let answer = try await broker.commit(half)
    fuse.pass(.commit, .after)
    return answer
  }

  func rollBack(_ half: HalfMessage) async throws(MessagingError) {
    fuse.pass(.rollBack, .before)
    try await broker.rollBack(half)
    fuse.pass(.rollBack, .after)
  }

  func send(_ message: Message) async throws(MessagingError) { try await broker.send(message) }

  func subscribe(_ group: ConsumerGroup, to topic: Topic) async throws(MessagingError) {
    try await broker.subscribe(group, to: topic)
  }

  func serveChecks(of topic: Topic, by checker: some MessageChecker) async throws(MessagingError) {
    try await broker.serveChecks(of: topic, by: FusedChecker(checker: checker, fuse: fuse))
  }

  func consume(
    _ topic: Topic,
    as group: ConsumerGroup,
    batchMax: Int,
    handler: some MessageHandler
  ) async throws(MessagingError) {
    let handler = FusedHandler(handler: handler, fuse: fuse)
    try await broker.consume(topic, as: group, batchMax: batchMax, handler: handler)
  }

  func trim(_ topic: Topic) async throws(MessagingError) -> Int { try await broker.trim(topic) }

  func status(of topic: Topic, for group: ConsumerGroup) async throws(MessagingError) -> TopicStatus {
    try await broker.status(of: topic, for: group)
  }

  func setAside(
    _ kind: SetAsideMessage.Kind,
    in topic: Topic,
    after id: String?,
    count: Int
  ) async throws(MessagingError) -> [SetAsideMessage] {
    try await broker.setAside(kind, in: topic, after: id, count: count)
  }

  func resume(_ kind: SetAsideMessage.Kind, id: String, in topic: Topic) async throws(MessagingError) -> Bool {
    try await broker.resume(kind, id: id, in: topic)
  }
}

private struct FusedChecker: MessageChecker {
  let checker: any MessageChecker
  let fuse: Fuse

  func check(_ half: HalfMessage) async -> CheckDecision {
    fuse.pass(.check, .before)
    let decision = await checker.check(half)
    fuse.pass(.check, .after)
    return decision
  }
}

private struct FusedHandler: MessageHandler {
  let handler: any MessageHandler
  let fuse: Fuse

  func handle(_ deliveries: [Delivery]) async -> [Disposition] {
    fuse.pass(.deliver, .before)
    let dispositions = await handler.handle(deliveries)
    fuse.pass(.deliver, .after)
    return dispositions
  }
}
