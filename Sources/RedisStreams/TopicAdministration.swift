import Messaging
import RedisDriver

/// What operators ask for.
extension RedisStreamsBroker {
  /// A group that nobody subscribed has everything stored before it. `stored` counts the entries of the topic and
  /// the group's postponed messages, some of which may be in both.
  public func status(of topic: Topic, for group: ConsumerGroup) async throws(MessagingError) -> TopicStatus {
    let keys = try GroupKeys(keys(topic), group)
    let half = try await length("XLEN", keys.keys.half)
    let parked = try await length("XLEN", keys.keys.parked)
    let dead = try await length("XLEN", keys.keys.dead)
    let postponed = try await length("ZCARD", keys.due)
    let waiting = try await server.run(Scripts.waiting, as: [Int].self, keys: [keys.keys.topic]) { writer in
      writer.argument(group.name)
    }
    guard waiting.count == 2 else {
      throw MessagingError(.protocolViolation, "the script that counts a topic's messages answered \(waiting)")
    }
    return TopicStatus(
      half: half,
      parked: parked,
      dead: dead,
      unacknowledged: waiting[0] + postponed,
      stored: waiting[1] + postponed
    )
  }

  private func length(_ command: StaticString, _ key: [UInt8]) async throws(MessagingError) -> Int {
    try await server.call(command, as: Int.self, options: Self.reading) { $0.argument(key) }
  }

  public func setAside(
    _ kind: SetAsideMessage.Kind,
    in topic: Topic,
    after id: String?,
    count: Int
  ) async throws(MessagingError) -> [SetAsideMessage] {
    let key = try keys(topic).setAside(kind)
    if let id, StreamID(id) == nil {
      throw MessagingError(.refused, "after is \(id.prefix(80).debugDescription); it must be the id of a message")
    }
    let entries = try await server.call("XRANGE", as: [StreamEntry].self, options: Self.reading) { writer in
      writer.argument(key)
      writer.argument(id.map { "(\($0)" } ?? "-")
      writer.argument("+" as StaticString)
      writer.argument("COUNT" as StaticString)
      writer.argument(min(max(count, 1), 10_000))
    }
    return entries.map { $0.setAside(kind, in: topic) }
  }

  public func resume(
    _ kind: SetAsideMessage.Kind,
    id: String,
    in topic: Topic
  ) async throws(MessagingError) -> Bool {
    let keys = try keys(topic)
    guard StreamID(id) != nil else { return false }
    let target =
      switch kind {
      case .parked: keys.half
      case .dead: keys.topic
      }
    let moved = try await server.run(
      Scripts.resume,
      as: Int.self,
      keys: [keys.setAside(kind), target],
      options: StreamServer.producing
    ) { $0.argument(id) }
    return moved == 1
  }

  private static let reading = CallOptions(retry: .always, whenUnreachable: .wait)
}
