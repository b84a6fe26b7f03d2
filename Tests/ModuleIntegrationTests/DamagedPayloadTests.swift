import TestServers
import Testing

/// Damaged `RESTORE` payloads whose checksum is right: refused, or taken as a bucket that is sound, and the server lives.
@Suite struct DamagedPayloadTests {
  /// The RDB version and the checksum at a payload's end, which Redis itself checks.
  static let footer = 10

  /// A server that does not look at checksums, and the dump of a small bucket with a bit of everything.
  ///
  /// Redis compresses the strings that it stores, so that damage meets its own reader first: mostly not, here.
  static func stage(compressed: Bool = false) throws -> (Stage, [UInt8]) {
    let compression = "rdbcompression \(compressed ? "yes" : "no")"
    let stock = try Stage(.init(configLines: ["sanitize-dump-payload yes", compression]))
    try PersistenceTests.fill(stock, purchases: 6)
    let payload = try #require(stock.redis.call("DUMP", "key").bytes)
    #expect(try stock.redis.call("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", 1) == .ok)
    return (stock, payload)
  }

  /// Restores `payload` and, if it is taken, uses the bucket in every way. Throws if the server is gone.
  static func expectRefusedOrSound(_ stock: Stage, _ payload: [UInt8], _ comment: String) throws -> Bool {
    let replies: [RESP]
    do {
      let reply = try stock.redis.call("RESTORE", "damaged", 0, payload, "REPLACE")
      if reply.errorCode != nil { return false }
      replies = try stock.redis.pipeline([
        ["STOCK.LOG", "damaged", 0, "COUNT", 10_000], ["STOCK.GET", "damaged", "sold:1"],
        ["STOCK.DEDUCT", "damaged", "user:1", "sold:1", 2], ["STOCK.CANCEL", "damaged", "sold:2"],
        ["STOCK.DEDUCT", "damaged", "user:3", "new", 1], ["STOCK.ADD", "damaged", "restock", 50],
        ["STOCK.ADD", "damaged", "another", 1], ["STOCK.FENCE", "damaged", "other"], ["MEMORY", "USAGE", "damaged"],
        ["DEBUG", "DIGEST-VALUE", "damaged"], ["DUMP", "damaged"], ["TYPE", "damaged"],
      ])
    } catch {
      Issue.record("\(comment): \(error)\n\(stock.server.log.suffix(4000))\npayload: \(payload)")
      throw error
    }
    guard replies[11] == .simple("doorbustr") else { return false }
    _ = try stock.info("damaged")
    let log = try #require(replies[0].elements, "\(comment): \(replies[0])")
    let sequences = log.compactMap { $0[0]?.integer }
    #expect(zip(sequences, sequences.dropFirst()).allSatisfy { $0 + 1 == $1 }, "\(comment)")
    // What was taken can be carried further and is then the same, as long as no hold ends meanwhile.
    let again = try #require(replies[10].bytes, "\(comment)")
    let copy = try stock.redis.pipeline([
      ["RESTORE", "again", 0, again, "REPLACE"], ["DEBUG", "DIGEST-VALUE", "again"],
    ])
    #expect(copy == [.ok, replies[9]], "\(comment)")
    return true
  }

  @Test("A payload that ends early is refused, wherever it ends")
  func truncated() throws {
    let (stock, payload) = try Self.stage()
    let (body, footer) = (payload.dropLast(Self.footer), payload.suffix(Self.footer))
    for length in 1..<body.count {
      let taken = try Self.expectRefusedOrSound(stock, Array(body.prefix(length) + footer), "cut to \(length)")
      #expect(!taken, "cut to \(length)")
    }
    #expect(try Self.expectRefusedOrSound(stock, payload, "whole"))
  }

  @Test("A payload with any one bit turned is refused, or is a bucket that is sound")
  func bits() throws {
    let (stock, payload) = try Self.stage()
    var refused = 0
    // The first byte is the type of Redis' own formats, which are not ours to check.
    for bit in 8..<(payload.count - Self.footer) * 8 {
      var damaged = payload
      damaged[bit / 8] ^= 1 << (bit % 8)
      if try !Self.expectRefusedOrSound(stock, damaged, "bit \(bit)") { refused += 1 }
    }
    #expect(refused > payload.count)
    #expect(try Self.expectRefusedOrSound(stock, payload, "whole"))
  }

  @Test("Payloads damaged at random are refused, or are buckets that are sound", arguments: [false, true])
  func random(compressed: Bool) throws {
    let (stock, payload) = try Self.stage(compressed: compressed)
    let end = payload.count - Self.footer
    try withSeed { seed, random in
      for round in 0..<3_000 {
        var body = Array(payload[..<end])
        for _ in 0...Int.random(in: 0..<4, using: &random) { Self.damage(&body, &random) }
        _ = try Self.expectRefusedOrSound(stock, body + payload[end...], "seed \(seed), round \(round)")
      }
    }
    #expect(try Self.expectRefusedOrSound(stock, payload, "whole"))
  }

  @Test("Damage to what the module wrote, in a frame that is right, is refused or gives a bucket that is sound")
  func framed() throws {
    let (stock, payload) = try Self.stage()
    let value = try #require(DumpedModuleValue(payload))
    #expect(value.payload == payload)
    func expectRefused(_ change: (inout DumpedModuleValue) -> Void, _ comment: String) throws {
      var damaged = value
      change(&damaged)
      let taken = try Self.expectRefusedOrSound(stock, damaged.payload, comment)
      #expect(!taken, "\(comment)")
    }
    for (index, item) in value.items.enumerated() {
      try expectRefused({ $0.items.remove(at: index) }, "without item \(index)")
      switch item {
      case .unsigned(let number):
        for other in [0, number &+ 1, number &- 1, 1 << 53, 1 << 63, .max] where other != number {
          try expectRefused({ $0.items[index] = .unsigned(other) }, "item \(index) is \(other)")
        }
      case .string(let text):
        for count in 0..<text.count {
          try expectRefused({ $0.items[index] = .string(Array(text.prefix(count))) }, "item \(index) cut to \(count)")
        }
        for byte in [UInt8(0), 1, 0x7f, 0xff] where !text.isEmpty {
          try expectRefused({ $0.items[index] = .string(text + [byte]) }, "item \(index) longer by \(byte)")
        }
        if !text.isEmpty { try expectRefused({ $0.items.insert(item, at: index) }, "item \(index) twice") }
      }
    }
    try withSeed { seed, random in
      for round in 0..<3_000 {
        var damaged = value
        damaged.items = value.items.map { item in
          guard case .string(var text) = item, text.count > 24 else { return item }
          for _ in 0...Int.random(in: 0..<3, using: &random) { Self.damage(&text, &random) }
          return .string(text)
        }
        _ = try Self.expectRefusedOrSound(stock, damaged.payload, "seed \(seed), round \(round)")
      }
    }
    #expect(try Self.expectRefusedOrSound(stock, payload, "whole"))
  }

  private static func damage(_ body: inout [UInt8], _ random: inout SplitMix64) {
    guard body.count > 24 else { return }
    let at = Int.random(in: 1..<body.count - 8, using: &random)
    switch random.next() % 6 {
    case 0: body[at] = UInt8.random(in: 0...255, using: &random)
    case 1: body[at] = [0, 1, 0x7f, 0x80, 0x81, 0xff].randomElement(using: &random) ?? 0
    case 2: for offset in 0..<8 { body[at + offset] = 0xff }
    case 3: body.remove(at: at)
    case 4: body.insert(UInt8.random(in: 0...255, using: &random), at: at)
    default:
      let other = Int.random(in: 1..<body.count - 8, using: &random)
      for offset in 0..<8 { body.swapAt(at + offset, other + offset) }
    }
  }

  @Test("A wrong checksum is refused by the server")
  func checksum() throws {
    let (stock, payload) = try Self.stage()
    try stock.redis.call("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", 0)
    var damaged = payload
    damaged[20] ^= 1
    expectError(try stock.redis.call("RESTORE", "damaged", 0, damaged))
    #expect(try stock.redis.call("RESTORE", "damaged", 0, payload) == .ok)
  }
}
