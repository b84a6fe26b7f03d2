import RedisDriver
import Stock
import StockClient
import TestServers
import Testing

/// A static list of independent servers.
@Suite(.timeLimit(.minutes(10)), .serialized) struct ServerListTests {
  private func list(_ servers: [RedisServer]) -> RedisServers { .list(servers.map(\.unixURL)) }

  private func servers() throws -> [RedisServer] { try (0..<3).map { _ in try RedisServer() } }

  @Test("Bucket i is on server i modulo n, and says so")
  func places() async throws {
    let servers = try servers()
    try await ServersSale.run(list(servers), buckets: 8, quantity: 5) { sale in
      for (index, bucket) in sale.all.enumerated() {
        #expect(try servers[index % 3].call("EXISTS", "doorbuster:{X/\(index)}") == 1)
        expect(await sale.client.server(of: bucket), is: servers[index % 3].socketPath)
      }
      for name in 0..<20 { expect(try await sale.buy("\(name)").isAccepted, is: true) }
      expect(try await sale.infos().reduce(0) { $0 + $1.sold }, is: 20)
      // A cluster's restriction does not hold here, but two servers still share nothing in one step.
      let error = try await stockError {
        try await sale.client.rebalance(sale.sku, buckets: [0, 3, 1], weights: nil)
      }
      #expect(error.code == .bucketsApart && error.message.contains("bucket X/1 is not on its server"))
    }
  }

  @Test("The list in another order is another list: what was recorded is compared, and both are named")
  func order() async throws {
    let servers = try servers()
    let text = list(servers).canonicalText
    try await ServersSale.run(list(servers), buckets: 3, quantity: 5) { sale in
      #expect(sale.client.serversText == text)
      try sale.client.verify(servers: text)
    }
    let other = try await StockClient.connect(list(servers.reversed()), configuration: .patient)
    let error = try await stockError { try other.verify(servers: text) }
    #expect(error.code == .serversMismatch)
    #expect(error.message.contains(text) && error.message.contains(other.serversText))
    await other.close()
  }

  @Test("A server that hangs or is dead holds up its own buckets and no others")
  func oneInTrouble() async throws {
    let servers = try servers()
    try await ServersSale.run(list(servers), buckets: 3, quantity: 1000) { sale in
      func sell(_ bucket: BucketID, _ name: String, within time: Duration = .seconds(60)) async throws -> DeductOutcome
      {
        try await sale.client.deduct(sale.purchase(name), from: bucket, before: .now + time)
      }
      servers[1].pause()
      async let held = sell(sale.all[1], "held")
      let start = ContinuousClock.now
      for number in 0..<200 {
        expect(try await sell(sale.all[number % 2 * 2], "\(number)").isAccepted, is: true)
      }
      // The driver's own time-out is 40 s.
      #expect(start.duration(to: .now) < .seconds(30))
      servers[1].resume()
      expect(try await held.isAccepted, is: true)

      try servers[2].kill9()
      for number in 200..<300 { expect(try await sell(sale.all[number % 2], "\(number)").isAccepted, is: true) }
      let error = try await stockError { try await sell(sale.all[2], "dead", within: .milliseconds(100)) }
      #expect(error.code == .unavailable && error.message.contains(servers[2].socketPath))
    }
  }

  @Test("Each server is looked at before the list is used")
  func connecting() async throws {
    let servers = [try RedisServer(), try RedisServer(.init(module: .none))]
    let error = try await stockError { try await StockClient.connect(list(servers), configuration: .patient) }
    #expect(error.code == .noModule && error.message.contains(servers[1].socketPath))
  }

  @Test("A transaction goes to its bucket's server as a whole")
  func transactions() async throws {
    let servers = try servers()
    try await ServersSale.run(list(servers), buckets: 3, quantity: 5) { sale in
      struct Place: KeyPlace {
        var position: Int
        var slot: HashSlot { HashSlot(ofKey: []) }
        var replicationMark: String { "mark" }
      }
      let key: RedisCommand.Argument = "doorbuster:{X/2}"
      let commands: [RedisCommand] = [
        ["STOCK.ADD", key, "r", 3], ["STOCK.DEDUCT", key, "u", "t", 8], ["STOCK.DEDUCT", key, "u", "t2", 1],
      ]
      let replies = try await sale.client.router.transaction(commands, at: Place(position: 2)).value
      #expect(replies.map { $0.array?.first?.string } == ["OK", "OK", "SOLDOUT"])
    }
  }
}
