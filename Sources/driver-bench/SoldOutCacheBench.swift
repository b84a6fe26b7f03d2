import ArgumentParser
import Foundation
import Stock

/// Refusals that the sold-out cache gives in process, on one core.
struct SoldOutCacheBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sold-out-cache",
    abstract: "Asks the sold-out cache on one thread and prints refusals per second as JSON. Needs no server."
  )

  @Option(help: "How often to ask.")
  var requests = 20_000_000

  @Option(help: "Products known to be sold out.")
  var products = 100

  func validate() throws {
    guard requests > 0, (1...SoldOutCache.productsMax).contains(products) else {
      throw ValidationError("--requests must be at least 1, --products 1 to \(SoldOutCache.productsMax)")
    }
  }

  struct Report: Encodable {
    var requests: Int
    var refused: Int
    var products: Int
    var seconds: Double
    var refusalsPerSecond: Double
  }

  func run() throws {
    let cache = SoldOutCache(ageMax: .seconds(3600))
    cache.watch(true)
    let skus = try (0..<products).map { try SKU("product-on-sale-\($0)") }
    let start = ContinuousClock.now
    for sku in skus { cache.declare(sku, quantity: 1, asOf: start) }
    var refused = 0
    var next = 0
    for _ in 0..<requests {
      // With a clock read each, as a purchase has it.
      if cache.isSoldOut(skus[next], quantity: 1) { refused += 1 }
      next = next + 1 == products ? 0 : next + 1
    }
    let seconds = start.duration(to: .now) / .seconds(1)
    let report = Report(
      requests: requests,
      refused: refused,
      products: products,
      seconds: seconds,
      refusalsPerSecond: Double(refused) / seconds
    )
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    print(String(decoding: try encoder.encode(report), as: UTF8.self))
  }
}
