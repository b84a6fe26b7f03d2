import Stock
import StockClient
import TestServers
import Testing

/// A server that is killed in the middle of a sale and comes back with all that it had acknowledged.
@Suite struct CrashTests {
  @Test(
    "A crash and a restart under load: the sale goes on, nothing is oversold, no outcome is false",
    .timeLimit(.minutes(10))
  )
  func killedUnderLoad() async throws {
    try await LiveServer.run(.init(appendOnly: true)) { live in
      let bucket = try live.bucket()
      let (stock, buyers) = (1500, 3000)
      try await live.client.create(bucket, quantity: Int64(stock), terms: SaleTerms())
      let outcomes = try await withThrowingTaskGroup(of: (String, DeductOutcome)?.self) { group in
        for task in 0..<30 {
          for buyer in stride(from: task, to: buyers, by: 30) {
            group.addTask { ("token-\(buyer)", try await live.deduct("token-\(buyer)", user: "user-\(buyer)")) }
          }
        }
        group.addTask {
          for _ in 0..<3 {
            let sold = try await live.client.info(bucket).sold
            while try await live.client.info(bucket).sold < min(sold + 100, Int64(stock)) {}
            try live.server.kill9()
            try live.server.restart()
          }
          return nil
        }
        return try await group.reduce(into: [(String, DeductOutcome)]()) { if let pair = $1 { $0.append(pair) } }
      }
      try await check(outcomes, live, bucket, stock)
    }
  }

  private func check(
    _ outcomes: [(String, DeductOutcome)],
    _ live: LiveServer,
    _ bucket: BucketID,
    _ stock: Int
  ) async throws {
    var accepted = 0
    for (token, outcome) in outcomes {
      let state = try await live.client.purchase(Token(token), in: bucket)?.state
      switch outcome {
      case .accepted:
        accepted += 1
        #expect(state == .sold, "\(token) was accepted")
      case .refused: #expect(state != .sold, "\(token) was refused")
      case .cancelled: Issue.record("nobody cancelled \(token)")
      case .unknown(let why): Issue.record("\(token) had time enough: \(why)")
      }
    }
    #expect(accepted <= stock)
    let info = try await live.client.info(bucket)
    #expect(info.sold == Int64(accepted))
    #expect(info.sold + info.available == Int64(stock))
  }

  @Test("A server that hangs beyond the deadline leaves the outcome unknown; asked again later, the token tells it")
  func hangs() async throws {
    try await LiveServer.run(timeout: .milliseconds(300)) { live in
      let bucket = try live.bucket()
      try await live.client.create(bucket, quantity: 5, terms: SaleTerms())
      let purchase = try Purchase(sku: bucket.sku, user: UserID("u"), token: Token("t"))
      live.server.pause()
      // The connection's time-out is what ends the wait for a reply; the server reads the command when it goes on.
      let outcome = try await live.client.deduct(purchase, from: bucket, before: .now + .milliseconds(200))
      live.server.resume()
      guard case .unknown = outcome else {
        Issue.record("the outcome was \(outcome)")
        return
      }
      let again = try await live.client.deduct(purchase, from: bucket, before: .now + .seconds(20))
      expect(again, is: .accepted(remaining: 4, sequence: 2, isRepeat: true))
    }
  }
}
