import StockCore

/// Writes payloads byte by byte, well-formed or not, after the description of the format alone.
struct PayloadBuilder {
  var bytes: [UInt8]

  init(version: UInt8 = 3) { bytes = [version] }

  mutating func byte(_ value: Int) { bytes.append(UInt8(truncatingIfNeeded: value)) }

  mutating func word(_ value: UInt64) {
    for index in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
  }

  /// The bytes that a number needs, the lowest first, behind their number.
  mutating func number(_ value: Int64) {
    var low: [UInt8] = []
    var rest = UInt64(bitPattern: value)
    while rest > 0 {
      low.append(UInt8(truncatingIfNeeded: rest))
      rest >>= 8
    }
    byte(low.count)
    bytes += low
  }

  mutating func name(_ value: String) { name(Array(value.utf8)) }

  mutating func name(_ value: [UInt8]) {
    byte(value.count)
    bytes += value
  }

  /// A bucket's header, with a hash key of zeros but for the first byte.
  mutating func header(
    epoch: Int64 = 7,
    buckets: Int64 = 1,
    limit: Int64 = 0,
    opens: Int64 = 0,
    closes: Int64 = 0,
    flags: Int = 0,
    freezing: Int = 0
  ) {
    byte(0xf1)
    number(epoch)
    bytes += [9] + [UInt8](repeating: 0, count: 15)
    number(buckets)
    number(limit)
    number(opens)
    number(closes)
    byte(flags)
    byte(freezing)
  }

  /// The books where a log begins, and how many tokens and transfers are to come.
  mutating func trimmedLog(
    _ sequence: Int64,
    created: Int64 = 0,
    added: Int64 = 0,
    available: Int64 = 0,
    held: Int64 = 0,
    sold: Int64 = 0,
    cancelled: Int64 = 0,
    transferredIn: Int64 = 0,
    transferredOut: Int64 = 0,
    keptTokens: Int64 = 0,
    heldTokens: Int64 = 0,
    transfers: Int64 = 0
  ) {
    byte(0xf8)
    number(sequence)
    number(created)
    byte(added < 0 ? 0x40 : 0)
    number(abs(added))
    for total in [available, held, sold, cancelled, transferredIn, transferredOut] { number(total) }
    number(keptTokens)
    number(heldTokens)
    number(transfers)
  }

  enum Kind: Int { case purchase, fence, restock }

  mutating func keptToken(
    _ kind: Kind = .purchase,
    low: UInt64,
    high: UInt64 = 1,
    user: UInt64 = 5,
    sequence: Int64,
    quantity: Int64 = 1,
    isCancelled: Bool = false
  ) {
    byte(0xf9)
    byte(kind.rawValue | (isCancelled ? 0x08 : 0) | (quantity < 0 ? 0x40 : 0))
    word(low)
    word(high)
    if kind == .purchase { word(user) }
    number(sequence)
    if kind != .fence { number(abs(quantity)) }
  }

  mutating func transfer(
    _ transfer: String,
    flags: Int = 0,
    peer: Int64 = 1,
    sequence: Int64,
    timestamp: Int64 = 5,
    quantity: Int64 = 1
  ) {
    byte(0xfc)
    byte(flags)
    number(peer)
    number(sequence)
    number(timestamp)
    number(quantity)
    name(transfer)
  }

  mutating func event(
    _ effect: Effect,
    _ sequence: Int64,
    timestamp: Int64 = 1000,
    to: Int64,
    quantity: Int64 = 0,
    expires: Int64 = 0,
    peer: Int64 = 0,
    token: String = "",
    user: String = ""
  ) {
    byte(Int(effect.rawValue) | (quantity < 0 ? 0x40 : 0))
    number(sequence)
    number(timestamp)
    number(to)
    number(abs(quantity))
    if effect == .hold { number(expires) }
    if [Effect.withdraw, .deposit, .recordOut, .recordIn].contains(effect) { number(peer) }
    name(token)
    name(user)
  }

  /// A purchase that was held where the log begins, with what was available before it.
  mutating func heldToken(
    _ token: String,
    effect: Effect = .hold,
    sequence: Int64,
    from: Int64,
    quantity: Int64 = 1,
    expires: Int64 = 2000,
    user: String = "u"
  ) {
    byte(0xfb)
    event(effect, sequence, to: from - quantity, quantity: quantity, expires: expires, token: token, user: user)
    number(from)
  }

  mutating func settings(limit: Int64, opens: Int64 = 0, closes: Int64 = 0) {
    byte(0xf2)
    number(limit)
    number(opens)
    number(closes)
  }

  mutating func freezing(_ flags: Int) {
    byte(0xf3)
    byte(flags)
  }

  mutating func settled(_ transfer: String) {
    byte(0xf4)
    name(transfer)
  }

  mutating func trim(_ first: Int64, _ last: Int64) {
    byte(0xfa)
    number(first)
    number(last)
  }
}
