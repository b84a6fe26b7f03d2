import RedisDriver
import Stock
import StockClient
import TestServers
import Testing

/// `WAIT` against a real replica.
@Suite(.timeLimit(.minutes(10)), .serialized) struct ReplicaWaitTests {
  private func run(_ body: (ServersSale, _ master: RedisServer, _ replica: RedisServer) async throws -> Void)
    async throws
  {
    let master = try RedisServer(.init(tcp: true))
    let replica = try RedisServer(.init(replicaOf: master))
    let options = StockClientOptions(replication: Replication(count: 1, timeout: .milliseconds(500)))
    try await ServersSale.run(.one(master.unixURL), buckets: 1, quantity: 10_000, options: options) { sale in
      try await body(sale, master, replica)
    }
  }

  @Test("What a replica has is accepted; while it hangs outcomes are unknown; afterwards the token tells")
  func shortfall() async throws {
    try await run { sale, master, replica in
      for number in 0..<50 { expect(try await sale.buy("\(number)").isAccepted, is: true) }
      replica.pause()
      let outcome = try await sale.buy("late")
      guard case .unknown(let reason) = outcome else {
        Issue.record("it was \(outcome)")
        return
      }
      #expect(reason.contains("fewer than 1 replicas"))
      replica.resume()
      let again = try await sale.buy("late")
      guard case .accepted(_, _, isRepeat: true) = again else {
        Issue.record("it was \(again)")
        return
      }
      expect(try await sale.client.info(sale.all[0]).sold, is: 51)
    }
  }

  @Test("What another connection wrote counts too: a repetition is not accepted before the replica has the first")
  func writtenElsewhere() async throws {
    try await run { sale, master, replica in
      replica.pause()
      let words: [any RedisArgument] = ["STOCK.DEDUCT", "doorbuster:{X/0}", "user-a", "token-a", 1]
      #expect(try master.connect().call(words)[0] == .simple("OK"))
      let outcome = try await sale.buy("a")
      guard case .unknown = outcome else {
        Issue.record("it was \(outcome)")
        return
      }
      replica.resume()
      expect(try await sale.buy("a").isAccepted, is: true)
      // What covers another connection's change on later versions of the server, too.
      #expect(try master.calls("set") == 2)
      try await eventually("the mark to expire") {
        try master.call("EXISTS", "doorbuster:{X/0}:replicated") == .integer(0)
      }
    }
  }

  @Test("A crowd shares few WAITs, and a refusal waits for none")
  func shared() async throws {
    try await run { sale, master, replica in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<500 {
          group.addTask(executorPreference: sale.client.taskExecutor) {
            guard try await sale.buy("\(task)").isAccepted else { throw Unexpected() }
          }
        }
        for try await _ in group {}
      }
      let waits = try master.calls("wait")
      #expect(waits > 0 && waits < 250, "\(waits) for 500 deductions")
      replica.pause()
      let purchase = try sale.purchase("greedy", quantity: 100_000)
      let refused = try await sale.client.deduct(purchase, from: sale.all[0], before: .now + .seconds(10))
      guard case .refused(.soldOut, _) = refused else {
        Issue.record("it was \(refused)")
        return
      }
      #expect(try master.calls("wait") == waits)
      replica.resume()
    }
  }
}
