import MySQLStore
import Orders
import Stock
import Synchronization
import TestServers

func makeSale(_ sku: String = "SKU-1", stock: Int64 = 100) throws -> Sale {
  Sale(sku: try SKU(sku), stock: stock, terms: SaleTerms(buckets: 3), path: .combined, createdAtMs: 1_700_000_000_000)
}

func makeOrder(_ token: String, user: String? = nil, sku: String = "SKU-1", quantity: Int64 = 1) throws -> Order {
  let purchase = try Purchase(
    sku: SKU(sku),
    user: UserID(user ?? "u-\(token)"),
    token: Token(token),
    quantity: quantity
  )
  return Order(purchase: purchase, bucket: 0, createdAtMs: 1_700_000_000_000)
}

func errorOf<Value>(_ call: () async throws -> Value) async -> OrderStoreError? {
  do {
    _ = try await call()
    return nil
  } catch {
    return error as? OrderStoreError
  }
}

func codeOf<Value>(_ call: () async throws -> Value) async -> OrderStoreError.Code? { await errorOf(call)?.code }

/// A number that tasks and scripts share.
final class Counter: Sendable {
  private let number: Atomic<Int>

  init(_ number: Int = 0) { self.number = Atomic(number) }

  var value: Int { number.load(ordering: .sequentiallyConsistent) }

  /// - Returns: the number before.
  @discardableResult
  func add(_ more: Int) -> Int { number.wrappingAdd(more, ordering: .sequentiallyConsistent).oldValue }

  /// - Returns: the number before.
  @discardableResult
  func exchange(_ new: Int) -> Int { number.exchange(new, ordering: .sequentiallyConsistent) }
}

/// A server of a test's own.
func startServer(_ options: MariaDBServerOptions = .init()) async throws -> MariaDBServer {
  try await aside { try MariaDBServer(options) }
}
