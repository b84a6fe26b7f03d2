import Messaging
import RedisDriver

/// An entry of one of the broker's streams. A field that is missing is empty: whoever gets such a message refuses it
/// by its body, which is better than a loop that stumbles over a stranger's entry for ever.
struct StreamEntry: RedisReply, Hashable {
  var id: String
  var key: [UInt8] = []
  var body: [UInt8] = []
  var reason: [UInt8] = []
  var attempts = 0

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    guard try reply.array() == 2 else { throw Self.mismatch }
    id = try reply.string()
    // XCLAIM of older servers shows a deleted entry as null.
    if reply.null() { return }
    let parts = try reply.array()
    guard parts.isMultiple(of: 2) else { throw Self.mismatch }
    for _ in 0..<(parts / 2) { try readField(&reply) }
  }

  private mutating func readField(_ reply: inout ReplyCursor) throws(RedisError) {
    // 0 stands for any longer name, which is none of ours.
    let name = try reply.withBytes { $0.count == 1 ? $0[0] : 0 }
    switch name {
    case UInt8(ascii: "k"): key = try reply.bytes()
    case UInt8(ascii: "b"): body = try reply.bytes()
    case UInt8(ascii: "r"): reason = try reply.bytes()
    case UInt8(ascii: "a"): attempts = Int(String(decoding: try reply.bytes(), as: UTF8.self)) ?? 0
    default: try reply.skip()
    }
  }

  private static var mismatch: RedisError { RedisError(.unexpectedReply, "unexpected reply: not a stream's entry") }

  func message(in topic: Topic) -> Message { Message(topic: topic, key: key, body: body) }

  /// The server's clock when the entry came, ms since 1970.
  var timestampMs: Int64 { Int64(clamping: StreamID(id)?.milliseconds ?? 0) }

  func half(in topic: Topic, checks: Int) -> HalfMessage {
    HalfMessage(id: id, message: message(in: topic), sentAtMs: timestampMs, checks: checks)
  }

  func setAside(_ kind: SetAsideMessage.Kind, in topic: Topic) -> SetAsideMessage {
    SetAsideMessage(
      id: id,
      kind: kind,
      message: message(in: topic),
      reason: String(decoding: reason, as: UTF8.self),
      attempts: attempts,
      setAsideAtMs: timestampMs
    )
  }
}

/// What `XREADGROUP` of one stream answers: null, or one pair of the stream's name and its entries.
struct ReadEntries: RedisReply {
  var entries: [StreamEntry]

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    if reply.null() {
      entries = []
      return
    }
    guard try reply.array() == 1, try reply.array() == 2 else {
      throw RedisError(.unexpectedReply, "unexpected reply: not the entries of one stream")
    }
    try reply.skip()
    entries = try [StreamEntry](decoding: &reply)
  }
}

/// What `XAUTOCLAIM` answers: where to go on, the entries, and (not looked at) the ids that the stream has lost.
struct ClaimedEntries: RedisReply {
  var next: String
  var entries: [StreamEntry]

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    let parts = try reply.array()
    guard parts >= 2 else { throw RedisError(.unexpectedReply, "unexpected reply: not that of XAUTOCLAIM") }
    next = try reply.string()
    entries = try [StreamEntry](decoding: &reply)
    for _ in 2..<parts { try reply.skip() }
  }
}

/// A message that waits to be tried again, as the hash `retry` keeps it: three 32-bit little-endian numbers
/// (failures, postponements, length of the key), the key, the body.
struct PostponedMessage: Hashable, Sendable {
  /// How often it failed for its own sake.
  var failures: Int
  /// How often it was put off for another cause.
  var postponements: Int
  var key: [UInt8]
  var body: [UInt8]

  init(failures: Int, postponements: Int, key: [UInt8], body: [UInt8]) {
    self.failures = failures
    self.postponements = postponements
    self.key = key
    self.body = body
  }

  var encoded: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(12 + key.count + body.count)
    for number in [failures, postponements, key.count] {
      let word = UInt32(clamping: number)
      for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(shift))) }
    }
    return bytes + key + body
  }

  /// Bytes of another form become a body without a key: whoever handles it refuses it, and nothing is lost.
  init(decoding bytes: [UInt8]) {
    let keyCount = bytes.count >= 12 ? Self.word(bytes, at: 8) : .max
    guard bytes.count >= 12, keyCount <= bytes.count - 12 else {
      self.init(failures: 0, postponements: 0, key: [], body: bytes)
      return
    }
    self.init(
      failures: Self.word(bytes, at: 0),
      postponements: Self.word(bytes, at: 4),
      key: Array(bytes[12..<(12 + keyCount)]),
      body: Array(bytes[(12 + keyCount)...])
    )
  }

  private static func word(_ bytes: [UInt8], at start: Int) -> Int {
    (0..<4).reduce(0) { $0 | Int(bytes[start + $1]) << (8 * $1) }
  }
}

/// What the script ``Scripts/takeDue`` answers: how many are postponed altogether, and what was taken.
struct TakenPostponed: RedisReply {
  var postponed: Int
  var messages: [(id: String, message: PostponedMessage)] = []

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    guard try reply.array() == 2 else {
      throw RedisError(.unexpectedReply, "unexpected reply: not what the script takeDue answers")
    }
    postponed = try reply.integer()
    let parts = try reply.array()
    for _ in 0..<(parts / 2) {
      let id = try reply.string()
      messages.append((id, PostponedMessage(decoding: try reply.bytes())))
    }
  }
}
