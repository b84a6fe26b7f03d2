import StockCore
import Testing

@Suite("Histories against an independent model")
struct HistoryTests {
  @Test(
    "Random histories of one bucket give the model's replies, books and log, and the replica's too",
    arguments: seeds(40, from: 0x5eed)
  )
  func oneBucket(seed: UInt64) throws {
    _ = try run(seed: seed, buckets: 1, steps: 400, unit: 1)
  }

  @Test("Random histories of buckets that move stock between them do so too", arguments: seeds(30, from: 0xb0c5))
  func severalBuckets(seed: UInt64) throws {
    _ = try run(seed: seed, buckets: 2 + Int(seed % 3), steps: 500, unit: 1)
  }

  @Test(
    "Random histories of totals near 2^53 overflow where the model does, and nowhere else",
    arguments: seeds(24, from: 0xfa11)
  )
  func largeNumbers(seed: UInt64) throws {
    _ = try run(seed: seed, buckets: 1 + Int(seed % 2), steps: 300, unit: Limits.number >> (5 + seed % 3))
  }

  @Test("Random histories meet every effect, and every status and fault that a command can have")
  func coverage() throws {
    var statuses: [UInt8: Int] = [:]
    var faults: [UInt8: Int] = [:]
    var effects: [UInt8: Int] = [:]
    for seed: UInt64 in 1...16 {
      let unit = seed % 3 == 0 ? Limits.number >> 6 : 1
      for bucket in try run(seed: seed, buckets: 2, steps: 500, unit: unit).buckets {
        statuses.merge(bucket.statuses, uniquingKeysWith: +)
        faults.merge(bucket.faults, uniquingKeysWith: +)
        effects.merge(bucket.effects, uniquingKeysWith: +)
      }
    }
    // The create event is there before the first command.
    let expectedEffects = Set(Effect.create.rawValue + 1...Effect.thaw.rawValue)
    #expect(Set(effects.keys) == expectedEffects, "met \(effects)")
    #expect(Set(statuses.keys) == Set(Status.ok.rawValue...Status.unknown.rawValue), "met \(statuses)")
    let expectedFaults: [Fault] = [
      .none, .tokenMismatch, .transferMismatch, .overflow, .epochMismatch, .frozenByOperator,
    ]
    #expect(Set(faults.keys) == Set(expectedFaults.map(\.rawValue)), "met \(faults)")
  }

  private func run(seed: UInt64, buckets: Int, steps: Int, unit: Int64) throws -> Product {
    var script = RandomScript(seed: seed, buckets: buckets, unit: unit)
    let product = try script.makeProduct()
    for step in 0..<steps {
      try script.next(on: product, "seed \(seed), step \(step)")
      if step % 50 == 49 { try product.checkAll("seed \(seed), step \(step)") }
    }
    try product.checkAll("seed \(seed), end")
    return product
  }
}
