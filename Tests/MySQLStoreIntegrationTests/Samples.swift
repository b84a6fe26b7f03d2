import Foundation
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

/// Runs what blocks (starting a server, say) where it holds up none of the few threads that all tests share.
func aside<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
  try await withCheckedThrowingContinuation { done in
    Thread.detachNewThread { done.resume(with: Result(catching: body)) }
  }
}

/// Waits without blocking a thread until `condition` holds, for two minutes at most.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
  let end = ContinuousClock.now + .seconds(120)
  while try await !condition() {
    guard ContinuousClock.now < end else { throw OrderStoreError(.unavailable, "waited in vain for \(what)") }
    try await Task.sleep(for: .milliseconds(2))
  }
}

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
