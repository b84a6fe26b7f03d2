import Logging
import RedisDriver
import Stock
import StockClient
import TestServers
import Testing

/// A private server with the module, and a client of it.
struct LiveServer {
  let server: RedisServer
  let client: StockClient

  static func run(
    _ options: RedisServerOptions = .init(),
    timeout: Duration = .seconds(5),
    _ body: (LiveServer) async throws -> Void
  ) async throws {
    let server = try RedisServer(options)
    let client = try await StockClient.connect(server.url, configuration: .forTests(timeout: timeout))
    do {
      try await body(LiveServer(server: server, client: client))
    } catch {
      await client.close()
      throw error
    }
    await client.close()
  }

  func bucket(_ index: Int = 0, of sku: String = "X") throws -> BucketID {
    BucketID(sku: try SKU(sku), index: index)
  }

  /// One deduction by `user`, within a time that no test gets near.
  func deduct(
    _ token: String,
    user: String = "user",
    quantity: Int64 = 1,
    from index: Int = 0
  ) async throws -> DeductOutcome {
    let bucket = try bucket(index)
    let purchase = try Purchase(sku: bucket.sku, user: UserID(user), token: Token(token), quantity: quantity)
    return try await client.deduct(purchase, from: bucket, before: .now + .seconds(30))
  }
}

extension RedisServer {
  var url: RedisURL { RedisURL(endpoint: .unix(path: socketPath)) }
}

extension RedisClient.Configuration {
  static func forTests(timeout: Duration = .seconds(5), patience: Duration = .seconds(20)) -> Self {
    Self(
      timeout: timeout,
      patience: patience,
      backOff: BackOff(first: .milliseconds(1), longest: .milliseconds(20)),
      logger: Logger(label: "silent") { _ in SwiftLogNoOpLogHandler() }
    )
  }
}

/// The error that `body` ends with; a test fails where it ends well.
func stockError<Value>(
  at place: SourceLocation = #_sourceLocation,
  _ body: () async throws -> Value
) async throws -> StockError {
  do {
    let value = try await body()
    Issue.record("expected an error, got \(value)", sourceLocation: place)
    throw StockError(.refused, "no error")
  } catch let error as StockError {
    return error
  }
}

/// `#expect` of two equal values, for closures: its expansion loses that an enclosing closure throws.
func expect<Value: Equatable>(_ value: Value, is expected: Value, at place: SourceLocation = #_sourceLocation) {
  #expect(value == expected, sourceLocation: place)
}
