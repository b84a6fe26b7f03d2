import Messaging
import Testing

@testable import RedisStreams

@Suite("What the broker keeps in the server")
struct CodecTests {
  @Test("A postponed message comes back as it was", arguments: [0, 1, 255, 65_536])
  func postponed(size: Int) {
    let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
    for (key, body) in [(bytes, []), ([], bytes), (bytes, bytes)] {
      let message = PostponedMessage(failures: 15, postponements: 70_000, key: key, body: body)
      #expect(PostponedMessage(decoding: message.encoded) == message)
    }
  }

  @Test("Bytes that are no postponed message become a body, whatever they are")
  func damagedPostponed() {
    let sound = PostponedMessage(failures: 1, postponements: 2, key: [7, 7, 7], body: [9]).encoded
    for count in 0..<15 {
      let cut = Array(sound.prefix(count))
      #expect(PostponedMessage(decoding: cut) == PostponedMessage(failures: 0, postponements: 0, key: [], body: cut))
    }
    let longKey = [UInt8](repeating: 0xFF, count: 40)
    #expect(PostponedMessage(decoding: longKey).body == longKey)
  }

  @Test("An id is two decimal numbers with a dash between, nothing else")
  func streamID() {
    #expect(StreamID("1700000000000-12") == StreamID("1700000000000-12"))
    #expect(StreamID("18446744073709551615-18446744073709551615")?.sequence == .max)
    for text in ["", "-", "1", "1-", "-1", "+1-1", "1-+1", "1-1-1", "a-1", "(1-1", "1-18446744073709551616", " 1-1"] {
      #expect(StreamID(text) == nil, "\(text)")
    }
  }

  @Test("A score tells when a half message is due and how often it was checked")
  func checkScore() {
    for (dueMs, checks) in [(0, 0), (1_795_420_800_000, 15), (8_000_000_000_000, 1023)] as [(Int64, Int)] {
      let score = CheckScore(dueMs: dueMs, checks: checks)
      #expect(CheckScore(score: score.score) == score)
      // A sorted set keeps scores as doubles.
      #expect(Int(Double(score.score)) == score.score)
      #expect(score.score <= CheckScore.latestDue(atMs: dueMs))
      #expect(score.score > CheckScore.latestDue(atMs: dueMs - 1))
    }
  }

  @Test("All keys of a topic share one hash tag")
  func keys() throws {
    let keys = try TopicKeys(Topic("a.b_c-9"))
    let group = try GroupKeys(keys, ConsumerGroup("orders"))
    for key in [keys.topic, keys.half, keys.checks, keys.checker, keys.parked, keys.dead, group.due, group.retry] {
      #expect(String(decoding: key, as: UTF8.self).hasPrefix("doorbuster:mq:{a.b_c-9}"))
    }
  }
}
