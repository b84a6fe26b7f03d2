import Foundation
import GRDB
import Orders
import SQLiteStore
import Stock
import Testing

func makeSale(_ sku: String = "SKU-1", stock: Int64 = 100) throws -> Sale {
  Sale(sku: try SKU(sku), stock: stock, terms: SaleTerms(buckets: 3), path: .combined, createdAtMs: 1_700_000_000_000)
}

func makeOrder(_ token: String, sku: String = "SKU-1", quantity: Int64 = 1) throws -> Order {
  let purchase = try Purchase(sku: SKU(sku), user: UserID("u-\(token)"), token: Token(token), quantity: quantity)
  return Order(purchase: purchase, bucket: 0, createdAtMs: 1_700_000_000_000)
}

/// Looks into the file (and changes it) as another program would.
func inspect<Value>(_ path: String, _ body: (Database) throws -> Value) throws -> Value {
  let queue = try DatabaseQueue(path: path)
  defer { try? queue.close() }
  return try queue.writeWithoutTransaction(body)
}

func openingError(_ fixture: SQLiteFixture) async -> OrderStoreError? {
  do throws(OrderStoreError) {
    await (try fixture.openStore(busyTimeoutMs: 200)).close()
    Issue.record("the file was opened")
    return nil
  } catch {
    return error
  }
}

func codeOf<Value>(_ call: () async throws -> Value) async -> OrderStoreError.Code? {
  do {
    _ = try await call()
    return nil
  } catch {
    return (error as? OrderStoreError)?.code
  }
}
