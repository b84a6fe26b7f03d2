import Foundation
import Orders
import SQLiteStore
import Stock

/// A process of its own beside the tests, which can be killed, can give up its rights, and can share a file.
///
///     sqlite-store-probe record PATH PREFIX COUNT     prints the number of each order once it is recorded
///     sqlite-store-probe open-as-nobody PATH          prints the code of the error
///     sqlite-store-probe bench PATH STRATEGY ORDERS CALLERS
@main
struct Probe {
  static func main() async throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    switch (arguments.first, arguments.count) {
    case ("record", 4):
      try await record(path: arguments[1], prefix: arguments[2], count: Int(arguments[3]) ?? 0)
    case ("open-as-nobody", 2):
      try await openAsNobody(path: arguments[1])
    case ("bench", 5):
      guard let strategy = HotRowStrategy(rawValue: arguments[2]), let orders = Int(arguments[3]),
        let callers = Int(arguments[4])
      else { fallthrough }
      try await Bench(path: arguments[1], strategy: strategy, orders: orders, callers: callers).run()
    default:
      FileHandle.standardError.write(Data("usage: see the top of Probe.swift\n".utf8))
      exit(2)
    }
  }

  /// The sale is `PROBE`; tokens are PREFIX-0, PREFIX-1, …
  private static func record(path: String, prefix: String, count: Int) async throws {
    let store = try await SQLiteStore.open(path: path, busyTimeoutMs: 60_000)
    let sku = try SKU("PROBE")
    try await withThrowingTaskGroup(of: Void.self) { group in
      for caller in 0..<16 {
        group.addTask {
          for index in stride(from: caller, to: count, by: 16) {
            let purchase = try Purchase(sku: sku, user: UserID("user-\(index)"), token: Token("\(prefix)-\(index)"))
            let outcome = try await store.record([Order(purchase: purchase, bucket: 0, createdAtMs: 1)])
            guard outcome == [.recorded] || outcome == [.alreadyRecorded(.sold)] else { throw CancellationError() }
            // Past stdio's buffer, which would not survive a kill.
            try FileHandle.standardOutput.write(contentsOf: Data("\(index)\n".utf8))
          }
        }
      }
      try await group.waitForAll()
    }
    await store.close()
  }

  private static func openAsNobody(path: String) async throws {
    if geteuid() == 0, setgroups(0, nil) != 0 || setgid(65_534) != 0 || setuid(65_534) != 0 { exit(3) }
    do throws(OrderStoreError) {
      await (try SQLiteStore.open(path: path)).close()
      print("opened")
    } catch {
      print("\(error.code): \(error)")
    }
  }
}
