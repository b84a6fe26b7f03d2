import Testing

@testable import StockCore

@Suite("Growth and size")
struct GrowthTests {
  @Test("No command moves more than the slots of one segment, whatever it is")
  func steps() throws {
    var random = SeededGenerator(seed: 8)
    var bucket = Bucket.sample(1_000_000)
    var moved = 0
    var most = 0
    for index in 1...100_000 {
      let now = 1000 + Int64(index)
      switch index % 10 {
      case 0: bucket.play(.trim(keeping: .random(in: 0...3000, using: &random)))
      case 1: bucket.play(.fence(token: "fence-\(index)"), now: now)
      case 2: bucket.play(.add(token: "more-\(index)", quantity: 1), now: now)
      case 3: bucket.play(.cancel(token: "t\(Int.random(in: 0..<index, using: &random))"), now: now)
      case 4: bucket.play(.record(user: "u", token: "t\(index)", quantity: 1, as: .held), now: now)
      case 5: bucket.play(.expire(count: 100), now: now)
      default:
        let hold: Int64 = index % 2 == 0 ? 0 : .random(in: 1...20_000, using: &random)
        bucket.play(.deduct(user: "u", token: "t\(index)", quantity: 1, hold: hold), now: now)
      }
      most = max(most, bucket.slotsMoved - moved)
      moved = bucket.slotsMoved
    }
    #expect(most <= SlotTable.segmentSlots && most > SlotTable.segmentSlots / 2)
    #expect(bucket.lastChange.count <= 100)
    audit(bucket)
  }

  @Test("Hashes that agree in all bits fill a segment's reach and are then refused, without a trap")
  func collisions() {
    var table = SlotTable()
    var inserted: UInt64 = 0
    while inserted < 2000 {
      var place = table.find(0) { _ in false }
      guard table.reserve(0, &place) else { break }
      inserted += 1
      table.insert(0, inserted, at: place)
    }
    #expect(inserted == 64)
    #expect(table.find(0) { $0 == 64 }.address == 64)
    // Others still find their places.
    for hash in stride(from: UInt64(1), to: 5000, by: 7) {
      let mixed = hash &* 0x9e37_79b9_7f4a_7c15
      var place = table.find(mixed) { _ in false }
      #expect(table.reserve(mixed, &place))
      table.insert(mixed, 10_000 + hash, at: place)
    }
    #expect(table.find(0) { $0 == 1 }.address == 1)
  }

  @Test("The table finds every entry after every step of its growth")
  func findsAll() {
    var random = SeededGenerator(seed: 11)
    var table = SlotTable()
    var hashes: [UInt64] = []
    for index in 0..<30_000 {
      let hash = random.next()
      var place = table.find(hash) { _ in false }
      #expect(table.reserve(hash, &place))
      table.insert(hash, UInt64(index + 1), at: place)
      hashes.append(hash)
    }
    for (index, hash) in hashes.enumerated() {
      let address = UInt64(index + 1)
      #expect(table.find(hash) { $0 == address }.address == address)
    }
    #expect(table.find(random.next()) { _ in true }.address == 0)
  }

  @Test("The hash is SipHash-1-3, as CPython computes it with a key of zeros")
  func knownHashes() {
    let hashing = KeyedHash(low: 0, high: 0)
    for (text, expected) in Self.vectors {
      let hash = Array(text.utf8).withUnsafeBytes {
        hashing.hash(Bytes(start: $0.baseAddress, count: $0.count), .purchase)
      }
      #expect(hash == expected, "\(text)")
    }
  }

  private static let vectors: [(String, UInt64)] = [
    ("a", 0x4074_48d2_b89b_1813),
    ("1234567", 0xa33d_6515_94fd_ae81),
    ("12345678", 0x3489_9824_3056_0a87),
    ("token-000000000012-000000000012-0123", 0x2fe5_685a_3829_c3ca),
  ]
}
