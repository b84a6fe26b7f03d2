import Foundation
import Logging
import OrderStoreContract
import Orders
import SQLiteStore
import Stock

/// A directory of its own with one database, removed at the end of its test.
final class SQLiteFixture: OrderStoreFixture {
  let directory: URL
  let strategy: HotRowStrategy
  var path: String { directory.appendingPathComponent("orders.db").path }

  init(strategy: HotRowStrategy = .groupCommit) throws {
    self.strategy = strategy
    directory = FileManager.default.temporaryDirectory.appendingPathComponent("doorbuster-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: directory) }

  func open() async throws -> any OrderStore { try await openStore() }

  func openStore(busyTimeoutMs: Int = 30_000) async throws(OrderStoreError) -> SQLiteStore {
    try await SQLiteStore.open(path: path, strategy: strategy, busyTimeoutMs: busyTimeoutMs)
  }
}
