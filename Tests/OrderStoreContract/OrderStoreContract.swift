import Orders
import Stock
import Testing

/// A database of one test, empty at first.
public protocol OrderStoreFixture: Sendable {
  /// Another store on the same database, as another process would have it.
  func open() async throws -> any OrderStore
}

/// What every order store does, whatever its database and hot-row strategy.
public struct OrderStoreBehaviour: Sendable, CustomTestStringConvertible {
  public let name: String
  public let check: @Sendable (any OrderStoreFixture) async throws -> Void

  public init(_ name: String, check: @escaping @Sendable (any OrderStoreFixture) async throws -> Void) {
    self.name = name
    self.check = check
  }

  public var testDescription: String { name }

  public static let all: [OrderStoreBehaviour] = [
    sales, recording, carts, concurrency, log, states, restocks, audits, leases, repairs, selling, histories,
  ].flatMap { $0 }
}

// MARK: - What the behaviours are written with

let sku = makeSKU("SKU-1")
let otherSKU = makeSKU("sku-1")
let bucket = BucketID(sku: sku, index: 0)

private func makeSKU(_ text: String) -> SKU {
  guard let sku = try? SKU(text) else { preconditionFailure("\(text) is no SKU") }
  return sku
}

func makeSale(_ sku: SKU = sku, stock: Int64 = 100, buckets: Int = 4) -> Sale {
  Sale(
    sku: sku,
    stock: stock,
    terms: SaleTerms(buckets: buckets, limit: 2, opensMs: 1_000, closesMs: 9_007_199_254_740_993),
    path: .combined,
    createdAtMs: 1_700_000_000_123
  )
}

func makeOrder(
  _ token: String,
  user: String = "u",
  quantity: Int64 = 1,
  bucket: Int = 0,
  sku: SKU = sku,
  sequence: Int64? = nil
) throws -> Order {
  try makeOrder(token: Array(token.utf8), user: Array(user.utf8), quantity: quantity, bucket: bucket, sku: sku)
    .numbered(sequence)
}

func makeOrder(token: [UInt8], user: [UInt8], quantity: Int64 = 1, bucket: Int = 0, sku: SKU = sku) throws -> Order {
  let purchase = try Purchase(
    sku: sku,
    user: UserID(bytes: user),
    token: Token(bytes: token),
    quantity: quantity
  )
  return Order(purchase: purchase, bucket: bucket, createdAtMs: 1_700_000_000_000)
}

extension Order {
  func numbered(_ sequence: Int64?) -> Order {
    var order = self
    order.sequence = sequence
    return order
  }
}

extension OrderStoreFixture {
  /// A store with one sale of `stock` units.
  func openWithSale(stock: Int64 = 100) async throws -> any OrderStore {
    let store = try await open()
    _ = try await store.create(makeSale(stock: stock))
    return store
  }
}

extension OrderStore {
  func state(_ token: String) async throws -> OrderState? { try await order(sku, token: Token(token))?.state }

  func stock(_ product: SKU = sku) async throws -> Int64? { try await totals(of: product)?.stock }

  func sequence(_ token: String) async throws -> Int64? { try await order(sku, token: Token(token))?.order.sequence }

  /// Follows the steps, numbered on from the stored position.
  func follow(_ entries: LogBatch.Entry?...) async throws -> LogBatchOutcome {
    let from = try await position(of: bucket) ?? LogPosition(epoch: 7, sequence: 0)
    return try await follow(makeBatch(from: from, entries))
  }
}

func makeBatch(_ bucket: BucketID = bucket, from: LogPosition, _ entries: [LogBatch.Entry?]) -> LogBatch {
  LogBatch(
    bucket: bucket,
    from: from,
    steps: entries.enumerated().map { index, entry in
      LogBatch.Step(sequence: from.sequence + Int64(index) + 1, entry: entry)
    }
  )
}

/// Runs a call that must fail.
func errorOf<Value>(
  _ call: () async throws -> Value,
  sourceLocation: SourceLocation = #_sourceLocation
) async -> OrderStoreError.Code? {
  do {
    _ = try await call()
    Issue.record("the call succeeded", sourceLocation: sourceLocation)
    return nil
  } catch let error as OrderStoreError {
    #expect(!error.message.isEmpty, sourceLocation: sourceLocation)
    return error.code
  } catch {
    Issue.record(error, sourceLocation: sourceLocation)
    return nil
  }
}
