import Synchronization
import Testing

@testable import RedisDriver

@Suite struct SubscriptionTests {
  private final class Heard: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }

    func hear(_ event: SubscriptionEvent) {
      let line =
        switch event {
        case .up(let answer): "up \(answer?.array?.last?.string ?? "-")"
        case .down(let cause): "down: \(cause.message)"
        case .message(let channel, let payload, let after):
          "\(channel) \(String(decoding: payload, as: UTF8.self)) after \(after.nanoseconds / 1_000_000)"
        }
      lines.withLock { $0.append(line) }
    }
  }

  private let heard = Heard()
  private let subscription: Subscription

  init() {
    let heard = heard
    subscription = Subscription(
      channels: ["c"],
      inquiry: nil,
      pingInterval: .milliseconds(250),
      pingTimeout: .seconds(1),
      handler: { heard.hear($0) }
    )
  }

  private func tape(_ text: String) throws -> ReplyTape {
    let parser = try #require(ReplyParser())
    Array(text.utf8).withUnsafeBytes { parser.feed($0) }
    #expect(parser.next() == .whole)
    return parser.tape
  }

  private func message(_ payload: String) throws -> ReplyTape {
    try tape("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$\(payload.utf8.count)\r\n\(payload)\r\n")
  }

  @Test("A message was said after the last question that is answered, and not only after it came")
  func after() throws {
    subscription.asked(at(10))
    subscription.learn(try tape("*2\r\n$1\r\nk\r\n$2\r\nEd\r\n"))
    subscription.up()
    #expect(subscription.pingDue == at(260))
    #expect(subscription.take(try message("m1")))
    subscription.asked(at(260))
    #expect(subscription.pingDue == .distantFuture)
    #expect(subscription.take(try message("m2")))
    subscription.answered()
    #expect(subscription.take(try message("m3")))
    #expect(subscription.pingDue == at(510))
    #expect(heard.all == ["up Ed", "c m1 after 10", "c m2 after 10", "c m3 after 260"])
  }

  @Test("After a loss nothing is known of the new connection until it has greeted")
  func loss() throws {
    subscription.asked(at(10))
    subscription.learn(try tape("*2\r\n$1\r\nk\r\n$2\r\nEd\r\n"))
    subscription.up()
    subscription.asked(at(260))
    subscription.down(RedisError(.replyLost, "gone"))
    #expect(subscription.pingDue == .distantFuture)
    subscription.answered()
    #expect(subscription.pingDue == .distantFuture)
    subscription.asked(at(1000))
    #expect(subscription.take(try message("early")))
    subscription.up()
    #expect(heard.all == ["up Ed", "down: gone", "c early after 10", "up -"])
  }

  @Test(
    "What is no message is left for whom it answers",
    arguments: [
      "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n", "+OK\r\n", "-ERR no\r\n",
      "*3\r\n$7\r\nmessage\r\n:1\r\n:2\r\n", "*0\r\n",
    ]
  )
  func others(text: String) throws {
    #expect(!subscription.take(try tape(text)))
    #expect(heard.all == [])
  }
}
