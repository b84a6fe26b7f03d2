import RedisDriver
import Stock
import StockClient
import TestServers
import Testing

/// A sale over the buckets of a client's servers.
struct ServersSale: Sendable {
  let client: StockClient
  let sku: SKU
  let buckets: Int

  /// Puts `quantity` units on sale in each bucket.
  static func run(
    _ servers: RedisServers,
    buckets: Int,
    quantity: Int64,
    options: StockClientOptions = StockClientOptions(),
    configuration: RedisClient.Configuration = .patient,
    _ body: (ServersSale) async throws -> Void
  ) async throws {
    let client = try await StockClient.connect(servers, configuration: configuration, options: options)
    let sale = ServersSale(client: client, sku: try SKU("X"), buckets: buckets)
    do {
      for bucket in sale.all { try await client.create(bucket, quantity: quantity, terms: SaleTerms(buckets: buckets)) }
      try await body(sale)
    } catch {
      await client.close()
      throw error
    }
    await client.close()
  }

  var all: [BucketID] { (0..<buckets).map { BucketID(sku: sku, index: $0) } }

  func purchase(_ name: String, quantity: Int64 = 1) throws -> Purchase {
    try Purchase(sku: sku, user: UserID("user-\(name)"), token: Token("token-\(name)"), quantity: quantity)
  }

  /// One purchase at its buyer's home.
  func buy(_ name: String, within time: Duration = .seconds(60)) async throws -> DeductOutcome {
    let purchase = try purchase(name)
    let home = BucketID(sku: sku, index: purchase.user.homeBucket(among: buckets))
    try await client.verify(home, buckets: buckets)
    return try await client.deduct(purchase, from: home, before: .now + time)
  }

  func infos() async throws -> [BucketInfo] {
    var infos: [BucketInfo] = []
    for bucket in all { infos.append(try await client.info(bucket)) }
    return infos
  }

  /// What a promoted replica or a restarted server froze goes on selling.
  func thawAll() async throws {
    for bucket in all {
      let info = try await client.info(bucket)
      if info.frozen != nil { try await client.thaw(bucket, epoch: info.epoch) }
    }
  }
}

/// `#expect` of two equal values, for closures: its expansion loses that an enclosing closure throws.
func expect<Value: Equatable>(_ value: Value, is expected: Value, at place: SourceLocation = #_sourceLocation) {
  #expect(value == expected, sourceLocation: place)
}

/// The error that the call ends with; a test fails where it ends well.
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

extension DeductOutcome {
  var isAccepted: Bool {
    switch self {
    case .accepted: true
    case .refused, .cancelled, .unknown: false
    }
  }
}

extension TestCluster {
  var redisServers: RedisServers { .cluster(seeds: [seeds[0]]) }

  /// The server that has a bucket, by what the servers say.
  func owner(of bucket: BucketID) throws -> RedisServer { try owner(ofKey: "doorbuster:{\(bucket)}") }
}
