import CStockABI

/// Bytes as a payload: refused, or a bucket that is sound and goes on.
enum PayloadFuzz {
  /// What separates the parts of an input; a payload may have it too, and is then cut there.
  private static let separator: [UInt8] = [0xfe, 0xff, 0xfe]

  static func run(_ input: [UInt8]) {
    let parts = split(input)
    if var bucket = try? Bucket.restored(from: parts) {
      requireSound(bucket)
      requireCarried(bucket)
      use(&bucket)
    }
    // As a change of a master, to a bucket with some of everything.
    guard var replica = try? Bucket.restored(from: sample.payloads()) else { fatalError("the sample is refused") }
    for part in parts { _ = replica.apply(part) }
    if replica.restoration.isDone {
      requireSound(replica)
      use(&replica)
    }
  }

  static var seeds: [[UInt8]] {
    var whole = sample
    var seeds = [sample.payloads().reduce([], +), Array(sample.payloads(partBytes: 512).joined(separator: separator))]
    _ = try? whole.trim(to: whole.figures.log_last - 3)
    seeds.append(whole.payloads().reduce([], +))
    seeds.append(whole.lastChange)
    _ = whole.deduct(user: [1], token: [2], quantity: 1, hold: 5, now: 50)
    seeds.append(whole.lastChange)
    _ = whole.expire(count: 9, now: 900_000)
    seeds.append(whole.lastChange)
    _ = whole.settle(transfer: Array("in".utf8))
    return seeds + [whole.lastChange]
  }

  private static func split(_ input: [UInt8]) -> [[UInt8]] {
    var (parts, start, at): ([[UInt8]], Int, Int) = ([], 0, 0)
    while at + separator.count <= input.count {
      if input[at..<at + separator.count].elementsEqual(separator) {
        parts.append(Array(input[start..<at]))
        at += separator.count
        start = at
      } else {
        at += 1
      }
    }
    return parts + [Array(input[start...])]
  }

  /// Every command once, with names that the sample knows and others.
  private static func use(_ bucket: inout Bucket) {
    let last = bucket.figures.log_last
    for name in ["sold", "held", "kept", "in", "new"].map({ Array($0.utf8) }) {
      _ = bucket.deduct(user: Array("u".utf8), token: name, quantity: 2, hold: 10, now: 100)
      _ = bucket.confirm(token: name, now: 101)
      _ = bucket.record(user: Array("u".utf8), token: name, quantity: 2, as: .cancelled, now: 102)
      _ = bucket.add(token: name, quantity: -1, now: 103)
      _ = bucket.withdraw(transfer: name, quantity: 3, to: 1, now: 104)
      _ = bucket.deposit(transfer: name, quantity: 3, from: 1, now: 105)
      _ = bucket.settle(transfer: name)
      _ = bucket.cancel(token: name, fence: true, offSale: true, now: 106)
    }
    _ = bucket.expire(count: 100, now: Limits.time)
    requireSound(bucket)
    _ = try? bucket.trim(to: last)
    requireSound(bucket)
    requireCarried(bucket)
  }

  private static var sample: Bucket {
    let settings = Settings(buckets: 3, limit: 50, opens: 0, closes: 0)
    var bucket = Bucket(quantity: 90, settings: settings, epoch: 7, hashKey: Array(0..<16), now: 1)
    let user = Array("u".utf8)
    func name(_ text: String) -> [UInt8] { Array(text.utf8) }
    for text in ["sold", "sold2", "gone"] { _ = bucket.deduct(user: user, token: name(text), quantity: 2, now: 2) }
    for text in ["held", "kept"] { _ = bucket.deduct(user: user, token: name(text), quantity: 2, hold: 60_000, now: 3) }
    _ = bucket.confirm(token: name("kept"), now: 4)
    _ = bucket.cancel(token: name("gone"), now: 5)
    _ = bucket.fence(token: name("fenced"), now: 6)
    _ = bucket.add(token: name("more"), quantity: 300, now: 7)
    _ = bucket.withdraw(transfer: name("out"), quantity: 5, to: 1, now: 8)
    _ = bucket.deposit(transfer: name("in"), quantity: 6, from: 2, now: 9)
    _ = bucket.settle(transfer: name("out"))
    _ = bucket.record(user: user, token: name("lost"), quantity: 1, as: .rejected, now: 10)
    _ = bucket.freeze(now: 11)
    _ = bucket.thaw(epoch: 0, now: 12)
    _ = bucket.schedule(limit: 40, opens: 1, closes: 0, now: 13)
    return bucket
  }
}
