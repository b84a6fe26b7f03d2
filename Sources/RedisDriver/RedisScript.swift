/// A Lua script that servers know by the hash of its text.
public struct RedisScript: Sendable, Hashable {
  public let source: String
  /// What `EVALSHA` calls it: 40 hexadecimal digits.
  public let sha1: String

  public init(_ source: String) {
    self.source = source
    sha1 = SHA1.hexadecimal(of: Array(source.utf8))
  }
}

extension RedisClient {
  /// Runs a script: by its hash, and, where the server does not know it (any more), with its text, which makes it known.
  /// - Throws: `RedisError` as ``call(_:as:options:)-(RedisCommand,_,_)`` does.
  public nonisolated(nonsending) func evaluate<Value: RedisReply>(
    _ script: RedisScript,
    keys: [RedisCommand.Argument],
    arguments: [RedisCommand.Argument] = [],
    as type: Value.Type = Value.self,
    options: CallOptions = .once
  ) async throws(RedisError) -> Reply<Value> {
    let rest = [.init(keys.count)] + keys + arguments
    let lostSendings: Int
    do throws(RedisError) {
      return try await call(RedisCommand("EVALSHA", [.init(script.sha1)] + rest), as: Value.self, options: options)
    } catch {
      guard error.serverErrorPrefix == "NOSCRIPT" else { throw error }
      lostSendings = error.lostSendings
    }
    // A sending that got no reply may have run the script before a restart made the server forget it.
    do throws(RedisError) {
      let command = RedisCommand("EVAL", [.init(script.source)] + rest)
      var reply = try await call(command, as: Value.self, options: options)
      reply.lostSendings += lostSendings
      return reply
    } catch {
      var error = error
      error.lostSendings += lostSendings
      throw error
    }
  }
}

/// FIPS 180-4. Redis names scripts by it; nothing here relies on its strength.
enum SHA1 {
  static func hexadecimal(of message: [UInt8]) -> String {
    var state: [UInt32] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
    let padded = padded(message)
    for start in stride(from: 0, to: padded.count, by: 64) { mix(padded[start..<start + 64], into: &state) }
    let digits = Array("0123456789abcdef".utf8)
    let text = state.flatMap { word in
      stride(from: 28, through: 0, by: -4).map { digits[Int(word >> UInt32($0) & 15)] }
    }
    return String(decoding: text, as: UTF8.self)
  }

  private static func padded(_ message: [UInt8]) -> [UInt8] {
    let zeros = (119 - message.count % 64) % 64
    let length = UInt64(message.count) * 8
    return message + [0x80] + [UInt8](repeating: 0, count: zeros)
      + stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: length >> UInt64($0)) }
  }

  private static func mix(_ block: ArraySlice<UInt8>, into state: inout [UInt32]) {
    var words = stride(from: block.startIndex, to: block.endIndex, by: 4).map { index in
      block[index..<index + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    }
    for index in 16..<80 {
      words.append(rotated(words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16], 1))
    }
    var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
    for index in 0..<80 {
      let (choice, constant): (UInt32, UInt32) =
        switch index {
        case ..<20: ((b & c) | (~b & d), 0x5A82_7999)
        case ..<40: (b ^ c ^ d, 0x6ED9_EBA1)
        case ..<60: ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC)
        default: (b ^ c ^ d, 0xCA62_C1D6)
        }
      let sum = rotated(a, 5) &+ choice &+ e &+ constant &+ words[index]
      (a, b, c, d, e) = (sum, a, rotated(b, 30), c, d)
    }
    for (index, word) in [a, b, c, d, e].enumerated() { state[index] &+= word }
  }

  private static func rotated(_ word: UInt32, _ count: UInt32) -> UInt32 { word << count | word >> (32 - count) }
}
