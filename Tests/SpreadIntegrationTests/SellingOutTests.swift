import Stock
import TestServers
import Testing

extension SpreadSales {
  /// Sales over 12 buckets on three real servers, through the whole orchestrator: they sell exactly the stock.
  @Suite("A sale over many buckets", .serialized, .timeLimit(.minutes(10)))
  struct SellingOutTests {
    enum Homes: String, CaseIterable, Sendable { case spread, one }

    private func user(_ number: Int, _ homes: Homes) throws -> UserID {
      switch homes {
      case .spread: try UserID("user-\(number)")
      case .one: try SpreadShop.user("user-\(number)", home: 7)
      }
    }

    @Test(
      "sells every single unit, whatever the homes of its buyers, and nobody hears sold out before",
      arguments: SpreadShop.Kind.allCases,
      Homes.allCases
    )
    func singles(kind: SpreadShop.Kind, homes: Homes) async throws {
      let shop = try SpreadShop.on(kind)
      let tally = try await Counter.open(shop, stock: 600) { counter in
        try await counter.crowd(800, atATime: 64) { counter, number in
          try await counter.buy(user(number, homes), "t-\(number)")
        }
        try await counter.settle()
        return counter.counts
      }
      #expect(tally.bought.count == 600 && tally.soldOut == 200)
      #expect(tally.others.isEmpty, "\(tally.others.prefix(3))")
      let audit = try BooksAudit(shop)
      try await audit.waitForTransfers()
      #expect(try audit.run(stock: 600, promised: Set(tally.bought.keys)) == 0)
      try audit.repeatTransfers()
    }

    @Test(
      "sells orders of several units, some larger than any bucket, until less is left than was refused",
      arguments: SpreadShop.Kind.allCases
    )
    func mixed(kind: SpreadShop.Kind) async throws {
      let shop = try SpreadShop.on(kind)
      let quantities: [Int64] = [5, 7, 11, 60]
      let tally = try await Counter.open(shop, stock: 480) { counter in
        try await counter.crowd(120, atATime: 16) { counter, number in
          let quantity = quantities[number % 4]
          try await counter.buy(user(number, number % 2 == 0 ? .one : .spread), "t-\(number)", quantity: quantity)
        }
        try await counter.settle()
        return counter.counts
      }
      #expect(tally.others.isEmpty, "\(tally.others.prefix(3))")
      // The first order of 60 comes while buckets have 40 at most.
      #expect(tally.bought.values.contains(60) && tally.soldOut > 0)
      let audit = try BooksAudit(shop)
      try await audit.waitForTransfers()
      let left = try audit.run(stock: 480, promised: Set(tally.bought.keys))
      #expect(left < tally.smallestRefused)
      try audit.repeatTransfers()
    }

    @Test(
      "ends with all of the last 100 units sold to 1,000 buyers, who cost the servers at most four commands each",
      arguments: SpreadShop.Kind.allCases,
      Homes.allCases
    )
    func tail(kind: SpreadShop.Kind, homes: Homes) async throws {
      let shop = try SpreadShop.on(kind)
      let (tally, commands) = try await Counter.open(shop, stock: 100, path: .buckets, .buyersOnly) { counter in
        let before = try Self.commands(shop)
        try await counter.crowd(1000, atATime: 256) { counter, number in
          try await counter.buy(user(number, homes), "t-\(number)")
        }
        return (counter.counts, try Self.commands(shop) - before)
      }
      #expect(tally.bought.count == 100 && tally.soldOut == 900)
      #expect(tally.others.isEmpty, "\(tally.others.prefix(3))")
      #expect(commands <= 4 * 1000, "\(commands) commands")
      print("tail on a \(kind), homes \(homes): \(commands) commands of 1,000 buyers")
      let buckets = try BooksAudit(shop).buckets()
      #expect(buckets.reduce(0) { $0 + $1.available } == 0 && buckets.allSatisfy(\.isConserved))
    }

    /// All commands that clients have sent to the servers of the buckets, but those that tests, cluster buses and pings need.
    private static func commands(_ shop: SpreadShop) throws -> Int64 {
      let apart = ["info", "ping", "cluster", "hello", "client", "config", "subscribe", "replconf", "psync"]
      var calls: Int64 = 0
      for server in shop.all {
        for line in try server.call("INFO", "commandstats").text?.split(whereSeparator: \.isNewline) ?? [] {
          guard line.hasPrefix("cmdstat_"), let colon = line.firstIndex(of: ":") else { continue }
          let name = line[line.index(line.startIndex, offsetBy: 8)..<colon].lowercased()
          if apart.contains(where: { name == $0 || name.hasPrefix($0 + "|") }) { continue }
          calls += Int64(line[colon...].dropFirst(":calls=".count).prefix(while: \.isNumber)) ?? 0
        }
      }
      return calls
    }
  }
}
