import Orders
import Stock

/// Many buyers of one product, which is one hot row in the database: how many orders a second become durable.
public struct HotRowBenchmark: Sendable {
  /// One strategy under one load.
  public struct Point: Sendable, Hashable, Codable {
    public var strategy: String
    /// Buyers at a time, each waiting for his order before he places the next.
    public var buyers: Int
    public var orders: Int
    public var ordersPerSecond: Double
    /// How long a buyer waited for one order: the median, and what one in a hundred exceeded.
    public var medianMs: Double
    public var slowestPercentMs: Double
  }

  public static let loads = [1, 16, 64, 256, 1_024]

  private let open: @Sendable (HotRowStrategy) async throws -> any OrderStore
  private let strategies: [HotRowStrategy]
  private let loads: [Int]
  private let seconds: Double
  private let rounds: Int

  /// - Parameters:
  ///   - seconds: how long each strategy is measured under each load, in each round.
  ///   - rounds: how often; each strategy's best under each load counts.
  ///   - open: a store of that strategy. It gets a sale of its own for each point, and is closed.
  public init(
    strategies: [HotRowStrategy] = HotRowStrategy.allCases,
    loads: [Int] = Self.loads,
    seconds: Double,
    rounds: Int = 1,
    open: @escaping @Sendable (HotRowStrategy) async throws -> any OrderStore
  ) {
    self.strategies = strategies
    self.loads = loads
    self.seconds = seconds
    self.rounds = max(rounds, 1)
    self.open = open
  }

  /// Load by load, the strategies side by side, so that a machine that is slow for a while is slow for all of them.
  public func run(_ report: (Point) -> Void) async throws -> [Point] {
    var best: [Point] = []
    for _ in 0..<rounds {
      for buyers in loads {
        for strategy in strategies {
          let point = try await measure(strategy, buyers: buyers)
          report(point)
          if let place = best.firstIndex(where: { $0.strategy == point.strategy && $0.buyers == point.buyers }) {
            if best[place].ordersPerSecond < point.ordersPerSecond { best[place] = point }
          } else {
            best.append(point)
          }
        }
      }
    }
    return best
  }

  private func measure(_ strategy: HotRowStrategy, buyers: Int) async throws -> Point {
    let store = try await open(strategy)
    return try await store.closing { try await measure(store, strategy, buyers: buyers) }
  }

  private func measure(_ store: any OrderStore, _ strategy: HotRowStrategy, buyers: Int) async throws -> Point {
    let sku = try SKU("bench-\(UInt64.random(in: 0...UInt64.max))")
    _ = try await store.create(
      Sale(
        sku: sku,
        stock: StockLimits.quantityMax,
        terms: SaleTerms(),
        path: .combined,
        createdAtMs: 1_700_000_000_000
      )
    )
    // Connections, statements and pages are made before the clock starts.
    _ = try await buy(from: store, sku, buyers: buyers, for: .milliseconds(300))
    let start = ContinuousClock.now
    var waits = try await buy(from: store, sku, buyers: buyers, for: .seconds(seconds))
    let elapsed = start.duration(to: .now) / .seconds(1)
    waits.sort()
    func wait(_ share: Double) -> Double {
      waits.isEmpty ? 0 : Double(waits[Int(Double(waits.count - 1) * share)]) / 1_000
    }
    return Point(
      strategy: strategy.rawValue,
      buyers: buyers,
      orders: waits.count,
      ordersPerSecond: Double(waits.count) / elapsed,
      medianMs: wait(0.5),
      slowestPercentMs: wait(0.99)
    )
  }

  /// - Returns: how long each order took, in microseconds.
  private func buy(
    from store: any OrderStore,
    _ sku: SKU,
    buyers: Int,
    for duration: Duration
  ) async throws -> [Int32] {
    let end = ContinuousClock.now + duration
    return try await withThrowingTaskGroup(of: [Int32].self) { group in
      for _ in 0..<buyers {
        group.addTask {
          // The system's generator would cost two calls of the kernel for each order.
          var random = SplitMix64(state: .random(in: 0...UInt64.max))
          var waits: [Int32] = []
          var begun = ContinuousClock.now
          while begun < end {
            let order = try Self.order(of: sku, &random)
            guard try await store.record([order]) == [.recorded] else {
              throw OrderStoreError(.corrupt, "an order of the benchmark was not recorded")
            }
            let now = ContinuousClock.now
            waits.append(Int32(clamping: Int64(begun.duration(to: now) / .microseconds(1))))
            begun = now
          }
          return waits
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
  }

  /// Tokens are as long and as random as UUIDs written out.
  private static func order(of sku: SKU, _ random: inout some RandomNumberGenerator) throws -> Order {
    let (high, low): (UInt64, UInt64) = (random.next(), random.next())
    var token = [UInt8](repeating: UInt8(ascii: "-"), count: 36)
    for digit in 0..<32 {
      let word = digit < 16 ? high : low
      token[digit] = Self.digits[Int(word >> UInt64(digit % 16 * 4) & 15)]
    }
    let purchase = try Purchase(sku: sku, user: UserID("user-\(high % 300_000)"), token: Token(bytes: token))
    return Order(purchase: purchase, bucket: 0, createdAtMs: 1_700_000_000_000)
  }

  private static let digits = Array("0123456789abcdef".utf8)
}

private struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }
}
