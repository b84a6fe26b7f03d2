import Testing

@testable import StockCore

@Suite("The held tokens of a trimmed log")
struct HeldTokensTests {
  /// Some record of so many bytes: they lie in the classes of 16-byte steps.
  private func add(_ size: Int, _ sequence: Int64, to held: inout HeldTokens) -> UInt64 {
    let entry = held.append(size: size, sequence: sequence)
    for offset in 0..<size {
      entry.memory.storeBytes(of: UInt8(truncatingIfNeeded: sequence), toByteOffset: offset, as: UInt8.self)
    }
    return entry.address
  }

  private func list(_ held: borrowing HeldTokens) -> [Int64] {
    var found: [Int64] = []
    var position: UInt64 = 0
    while let address = held.next(&position) { found.append(held.sequence(at: address)) }
    return found
  }

  @Test("A slot serves the next of its size, and iteration meets each record once", arguments: 0..<6)
  func slots(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var held = HeldTokens()
    var known: [Int64: UInt64] = [:]
    var largest = 0
    for index in 1...6000 {
      let sequence = Int64(index)
      if known.count < 400 && Int.random(in: 0..<5, using: &random) > 0 || known.isEmpty {
        let address = add(.random(in: 16...294, using: &random), sequence, to: &held)
        #expect(HeldTokens.isHeld(address) && !KeptTokens.isKept(address))
        known[sequence] = address
      } else {
        let keys = known.keys.sorted()
        let gone = keys[.random(in: keys.indices, using: &random)]
        if let address = known.removeValue(forKey: gone) { held.remove(at: address) }
      }
      largest = max(largest, held.bytes)
      #expect(held.count == Int64(known.count))
      if index % 500 == 0 {
        let found = list(held).sorted()
        #expect(found == known.keys.sorted())
        for (sequence, address) in known { #expect(held.sequence(at: address) == sequence) }
      }
    }
    // 400 of the largest slots take 122 KB; of each class there may have been many at one time.
    #expect(largest <= 600_000)
    for address in known.values { held.remove(at: address) }
    let left = list(held)
    #expect(held.count == 0 && held.bytes == 0 && held.pieceTotal == 0 && left.isEmpty)
    _ = add(20, 5, to: &held)
    let again = list(held)
    #expect(again == [5])
  }

  @Test("What lies in a slot stays as it is, whatever comes and goes around it")
  func contents() {
    var held = HeldTokens()
    var addresses: [UInt64] = []
    for index in 0..<4000 { addresses.append(add(13 + index % 280, Int64(index + 1), to: &held)) }
    for index in stride(from: 0, to: 4000, by: 3) { held.remove(at: addresses[index]) }
    for index in stride(from: 0, to: 4000, by: 6) {
      addresses[index] = add(13 + index % 280, Int64(index + 1), to: &held)
    }
    for index in 0..<4000 where index % 3 != 0 || index % 6 == 0 {
      var copy = [UInt8](repeating: 0, count: 13 + index % 280)
      copy.withUnsafeMutableBytes { bytes in
        guard let start = bytes.baseAddress else { return }
        held.record(at: addresses[index]).copy(size: bytes.count, to: start)
      }
      #expect(copy.allSatisfy { $0 == UInt8(truncatingIfNeeded: index + 1) })
    }
  }

  @Test("Sequences of 2^53 are told")
  func largeSequences() {
    var held = HeldTokens()
    let address = add(294, Limits.number, to: &held)
    #expect(held.sequence(at: address) == Limits.number)
  }

  @Test("Memory does not grow with how many have come and gone, in a bucket that is trimmed as it sells")
  func steady() throws {
    var bucket = Bucket.sample(1_000_000)
    var most: UInt64 = 0
    for index in 0..<20_000 {
      let now = 1000 + Int64(index)
      bucket.play(.deduct(user: "u", token: "t\(index)", quantity: 1, hold: 50), now: now)
      // Ten in turn are held, and trimmed long before their end, which is a confirmation for most.
      if index >= 10 { bucket.play(.confirm(token: "t\(index - 10)"), now: now) }
      _ = try bucket.trim(to: bucket.figures.log_last)
      #expect(bucket.held.count <= 11)
      most = max(most, UInt64(bucket.held.bytes))
    }
    #expect(most <= 4096 + 8 * 22 + 64)
  }
}
