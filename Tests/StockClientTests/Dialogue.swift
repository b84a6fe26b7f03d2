import Logging
import RedisDriver
import Stock
import Synchronization
import Testing

@testable import StockClient

/// A client and a peer that reacts to its commands in a given order, and fails the test for any further one.
struct Dialogue {
  let peer: ScriptedPeer
  let client: StockClient

  static func run(
    _ reactions: [ScriptedPeer.Reaction],
    timeout: Duration = .seconds(5),
    patience: Duration = .seconds(10),
    options: StockClientOptions = StockClientOptions(),
    _ body: (Dialogue) async throws -> Void
  ) async throws {
    let left = Mutex(reactions[...])
    let peer = try ScriptedPeer { command in
      if let next = left.withLock({ $0.popFirst() }) { return next }
      Issue.record("\(command) was not expected")
      return .hangUp
    }
    try await run(peer, timeout: timeout, patience: patience, options: options, body)
    #expect(left.withLock { $0.count } == 0, "reactions that nothing asked for")
  }

  static func run(
    _ peer: ScriptedPeer,
    timeout: Duration = .seconds(5),
    patience: Duration = .seconds(10),
    options: StockClientOptions = StockClientOptions(),
    _ body: (Dialogue) async throws -> Void
  ) async throws {
    let backOff = BackOff(first: .milliseconds(1), longest: .milliseconds(5))
    let silent = Logger(label: "silent") { _ in SwiftLogNoOpLogHandler() }
    let configuration = RedisClient.Configuration(
      timeout: timeout,
      patience: patience,
      backOff: backOff,
      logger: silent
    )
    let client = StockClient(try RedisClient(peer.url, configuration: configuration), options: options)
    do {
      try await body(Dialogue(peer: peer, client: client))
    } catch {
      await client.close()
      peer.stopListening()
      throw error
    }
    await client.close()
    peer.stopListening()
  }

  func deduct(within time: Duration = .seconds(20)) async throws(StockError) -> DeductOutcome {
    try await client.deduct(Sample.purchase, from: Sample.bucket, before: .now + time)
  }

  /// The error that the call ends with.
  func error<Value>(_ body: (StockClient) async throws(StockError) -> Value) async -> StockError? {
    do throws(StockError) {
      let value = try await body(client)
      Issue.record("expected an error, got \(value)")
      return nil
    } catch {
      return error
    }
  }
}

/// `#expect` of two equal values, for closures: its expansion loses that an enclosing closure throws.
func expect<Value: Equatable>(_ value: Value, is expected: Value, at place: SourceLocation = #_sourceLocation) {
  #expect(value == expected, sourceLocation: place)
}

enum Sample {
  static let bucket = BucketID(sku: sku, index: 0)
  static let token = made { () throws(InvalidInput) in try Token("token-1") }
  static let purchase = made { () throws(InvalidInput) in
    try Purchase(sku: sku, user: try UserID("user-1"), token: token, quantity: 2)
  }
  static let transfer = made { () throws(InvalidInput) in try TransferName("transfer-1") }
  private static let sku = made { () throws(InvalidInput) in try SKU("X") }

  private static func made<Value>(_ body: () throws(InvalidInput) -> Value) -> Value {
    do { return try body() } catch { preconditionFailure("\(error)") }
  }
}

extension ScriptedPeer.Reaction {
  /// `[status, remaining, sequence]`.
  static func status(_ word: String, _ remaining: Int = 0, _ sequence: Int = 0) -> Self {
    .reply("*3\r\n+\(word)\r\n:\(remaining)\r\n:\(sequence)\r\n")
  }

  static func error(_ text: String) -> Self { .reply("-\(text)\r\n") }

  static let ok = Self.reply("+OK\r\n")

  /// `STOCK.GET` of a purchase of 2 units by that user.
  static func record(user: String, state: String = "sold") -> Self {
    let fields: [(String, String)] = [
      ("user", "$\(user.utf8.count)\r\n\(user)"), ("quantity", ":2"), ("state", "$\(state.utf8.count)\r\n\(state)"),
    ]
    return .reply(map(fields))
  }

  /// `STOCK.INFO` of a bucket in its first state.
  static func info(
    created: Int = 10,
    buckets: Int = 1,
    limit: Int = 0,
    opens: Int = 0,
    closes: Int = 0,
    frozen: String = "no"
  ) -> Self {
    let fields: [(String, String)] = [
      ("created", ":\(created)"), ("added", ":0"), ("available", ":\(created)"), ("held", ":0"), ("sold", ":0"),
      ("cancelled", ":0"), ("transferredIn", ":0"), ("transferredOut", ":0"), ("buckets", ":\(buckets)"),
      ("limit", ":\(limit)"), ("opens", ":\(opens)"), ("closes", ":\(closes)"),
      ("frozen", "$\(frozen.utf8.count)\r\n\(frozen)"),
      ("epoch", ":77"), ("tokens", ":0"), ("transfers", ":0"), ("logFirst", ":1"), ("logLast", ":1"),
      ("bytes", ":500"),
    ]
    return .reply(map(fields))
  }

  private static func map(_ fields: [(String, String)]) -> String {
    "*\(fields.count * 2)\r\n" + fields.map { "$\($0.utf8.count)\r\n\($0)\r\n\($1)\r\n" }.joined()
  }
}
