import Testing

@testable import StockCore

/// Whatever the bytes are: they are refused, or make a bucket all of whose memory agrees. Nothing traps.
@Suite("Damaged payloads")
struct DamagedPayloadTests {
  /// The sample with its log trimmed so far: not at all, in the middle of everything, to the end.
  private func payloads(limit: Int64 = 0) throws -> [[UInt8]] {
    var payloads: [[UInt8]] = []
    for sequence: Int64 in [0, 24, 40, .max] {
      var bucket = Bucket.richSample(limit: limit)
      _ = try bucket.trim(to: min(sequence, bucket.figures.log_last))
      try payloads.append(#require(bucket.payloads().first))
    }
    return payloads
  }

  /// Reads a damaged payload; whether it was refused.
  private func isRefused(_ payload: [UInt8], _ comment: @autoclosure () -> Comment) -> Bool {
    guard let bucket = try? Bucket.restored(from: [payload]) else { return true }
    audit(bucket, comment())
    return false
  }

  @Test("A payload cut anywhere is refused: its end says that nothing is missing")
  func truncated() throws {
    for payload in try payloads(limit: 1000) {
      var read = 0
      for count in 0..<payload.count where !isRefused(Array(payload.prefix(count)), "cut at \(count)") { read += 1 }
      #expect(read == 0)
    }
  }

  @Test(
    "A payload with any bit flipped is refused or gives a bucket that agrees with itself",
    arguments: [0, 1000] as [Int64]
  )
  func flipped(limit: Int64) throws {
    for payload in try payloads(limit: limit) {
      var read = 0
      for index in payload.indices {
        for bit in 0..<8 {
          var damaged = payload
          damaged[index] ^= 1 << bit
          if !isRefused(damaged, "bit \(bit) of byte \(index)") { read += 1 }
        }
      }
      // Times, names and the key may be any.
      #expect(read > 0)
    }
  }

  @Test("A payload with any byte set to a bound of what a byte can mean is refused or agrees with itself")
  func replaced() throws {
    for payload in try payloads() {
      for index in payload.indices {
        for value: UInt8 in [0, 1, 8, 0x40, 0xf8, 0xff] where payload[index] != value {
          var damaged = payload
          damaged[index] = value
          _ = isRefused(damaged, "byte \(index) as \(value)")
        }
      }
    }
  }

  @Test("A payload with some of it left out or twice is refused or agrees with itself")
  func spliced() throws {
    for payload in try payloads() {
      for start in stride(from: 0, to: payload.count, by: 7) {
        for count in [1, 2, 9, 40] where start + count <= payload.count {
          let (head, middle) = (payload.prefix(start), payload[start..<(start + count)])
          let tail = payload[(start + count)...]
          _ = isRefused(Array(head + tail), "without \(count) at \(start)")
          _ = isRefused(Array(head + middle + middle + tail), "with \(count) at \(start) twice")
        }
      }
    }
  }

  @Test("Random bytes behind a good start are refused or agree with themselves", arguments: seeds(80, from: 0))
  func garbage(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    for payload in try payloads() {
      var bytes = Array(payload.prefix(.random(in: 0...payload.count, using: &random)))
      for _ in 0..<Int.random(in: 1...60, using: &random) {
        // Half of them small: lengths, tags of events, and short numbers.
        let isSmall = Bool.random(using: &random)
        bytes.append(isSmall ? .random(in: 0...30, using: &random) : .random(in: 0...255, using: &random))
      }
      _ = isRefused(bytes, "seed \(seed)")
    }
  }

  @Test("A damaged change is refused by a replica, which agrees with itself and goes on with the right one")
  func damagedChanges() throws {
    var master = Bucket.richSample()
    _ = try master.trim(to: 30)
    master.play(.thaw(.none))
    master.play(.thaw(.none))
    let plays: [Play] = [
      .deduct(user: "u", token: "new", quantity: 1, hold: 9), .confirm(token: "held-long"), .cancel(token: "new"),
      .schedule(limit: 5, opens: 0, closes: 0), .freeze, .settle(transfer: "out-open"), .trim(keeping: 3), .thaw(),
      .record(user: "u", token: "r-held", quantity: 1, as: .sold), .withdraw(transfer: "x", quantity: 1, to: 1),
    ]
    for play in plays {
      let payloads = master.payloads()
      let outcome = master.play(play, now: 1000)
      #expect(outcome.changed, "\(play)")
      let change = master.lastChange
      for index in change.indices {
        for bit in 0..<8 {
          var damaged = change
          damaged[index] ^= 1 << bit
          var replica = try Bucket.restored(from: payloads)
          let fault = replica.apply(damaged)
          if bit % 3 == 0 { audit(replica, "\(play): bit \(bit) of byte \(index)") }
          // What stands before the fault may have been an event of another kind, and stays.
          guard fault != .none, replica.payloads() == payloads else { continue }
          if replica.apply(change) != .none { Issue.record("\(play): bit \(bit) of byte \(index) has left a trace") }
        }
      }
    }
  }
}
