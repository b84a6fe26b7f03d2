import Foundation
import TestServers
import Testing

/// Payloads of other versions, and changes in an AOF or from a master that are damaged.
@Suite struct PayloadFaultTests {
  @Test(
    "A RESTORE payload of a newer encoding, or with a newer payload in it, is refused and both versions are in the log"
  )
  func newerVersions() throws {
    let (stock, payload) = try DamagedPayloadTests.stage()
    let value = try #require(DumpedModuleValue(payload))
    // The encoding is in the last ten bits of the type's number, which ends at the ninth byte behind the type and its length.
    var newer = payload
    newer[9] = newer[9] &+ 1
    expectError(try stock.redis.call("RESTORE", "newer", 0, newer))
    #expect(stock.server.log.contains("version"))
    var inner = value
    let index = try #require(inner.items.firstIndex { if case .string(let text) = $0 { !text.isEmpty } else { false } })
    guard case .string(var part) = inner.items[index] else { return }
    let version = Int(part[0])
    part[0] += 1
    inner.items[index] = .string(part)
    expectError(try stock.redis.call("RESTORE", "newer", 0, inner.payload))
    let lines = stock.server.log.split(separator: "\n").filter { $0.contains("version") }
    #expect(lines.contains { $0.contains("\(version + 1)") && $0.contains("\(version)") }, "\(lines)")
    #expect(try stock.redis.call("EXISTS", "newer") == 0)
    #expect(try stock.redis.call("RESTORE", "same", 0, payload) == .ok)
  }

  @Test("An AOF full of damaged changes ends in sound buckets or none, and the server starts")
  func damagedAof() throws {
    let stock = try Stage(.init(appendOnly: true, rdbPreamble: false))
    try PersistenceTests.fill(stock, purchases: 8)
    let commands = try AppendOnlyFile.commands(of: stock.server)
    let changes = commands.compactMap { $0[0] == "STOCK.APPLY" ? $0[2].bytes : nil }
    try stock.server.stop()
    try withSeed { seed, random in
      var file = Data()
      for round in 0..<400 {
        let damaged = Int.random(in: 0..<changes.count, using: &random)
        for (index, change) in changes.enumerated() {
          var bytes = change
          if index == damaged { Self.damage(&bytes, &random) }
          file.append(contentsOf: RawRedis.encode(["STOCK.APPLY", "key:\(round)", bytes]))
        }
      }
      let name = try FileManager.default.contentsOfDirectory(atPath: stock.server.directory.file("appendonlydir"))
        .filter { $0.hasSuffix(".incr.aof") }.sorted().last
      let path = stock.server.directory.file("appendonlydir/" + (try #require(name)))
      try file.write(to: URL(fileURLWithPath: path))
      try stock.server.restart()
      let again = try stock.again()
      var found = 0
      for round in 0..<400 where try again.redis.call("EXISTS", "key:\(round)") == 1 {
        found += 1
        _ = try again.info("key:\(round)")
        let log = try #require(again("LOG", "key:\(round)", 0, "COUNT", 10_000).elements, "seed \(seed)")
        for (event, next) in zip(log, log.dropFirst()) { #expect(event[6] == next[5], "seed \(seed), round \(round)") }
        let payload = try #require(again.redis.call("DUMP", "key:\(round)").bytes)
        #expect(try again.redis.call("RESTORE", "again", 0, payload, "REPLACE") == .ok, "seed \(seed), round \(round)")
        #expect(try again.digest("again") == again.digest("key:\(round)"), "seed \(seed), round \(round)")
      }
      #expect(found > 200, "seed \(seed)")
    }
  }

  private static func damage(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
    let at = Int.random(in: 0..<bytes.count, using: &random)
    switch random.next() % 4 {
    case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 1: bytes.removeSubrange(at...)
    case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
    default: bytes[at] = UInt8.random(in: 0...255, using: &random)
    }
  }

  @Test("Tokens that agree in all that a plain hash would look at are sold as fast as others")
  func hostileTokens() throws {
    let stock = try Stage()
    let count = 20_000
    func microseconds(_ key: String, _ token: (Int) -> [UInt8]) throws -> Double {
      try stock("CREATE", key, count)
      try stock.redis.call("CONFIG", "RESETSTAT")
      let replies = try stock.redis.pipeline((0..<count).map { ["STOCK.DEDUCT", key, "u", token($0), 1] })
      #expect(replies.allSatisfy { $0[0] == .simple("OK") })
      let stats = try stock.redis.call("INFO", "commandstats").text ?? ""
      let line =
        stats.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix("cmdstat_stock.deduct:") } ?? ""
      let field = line.split(separator: ",").first { $0.hasPrefix("usec=") }
      return (field.flatMap { Double($0.dropFirst(5)) } ?? .infinity) / Double(count)
    }
    var random = SplitMix64(seed: 5)
    let plain = try microseconds("plain") { _ in (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) } }
    // Pairs of blocks whose sums, products by 31 and xors agree: `Aa` and `BB` in Java's hash, and for all that add up bytes.
    let colliding = try microseconds("colliding") { number in
      (0..<16).flatMap { bit in number >> bit & 1 == 0 ? Array("Aa".utf8) : Array("BB".utf8) }
    }
    #expect(colliding < plain * 3 + 1, "\(colliding) us, others \(plain) us")
  }
}
