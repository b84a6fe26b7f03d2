import Doorbuster
import Foundation
import Logging
import Messaging
import MySQLStore
import Orders
import RedisDriver
import RedisStreams
import SQLiteStore
import Stock
import StockClient

/// An orchestrator in a process of its own, on real servers, which kills itself at a chosen step.
///
///     crash-probe redis=URL database=PATH|URL sku=SKU stock=N [more=SKU,SKU] [broker=URL] [buckets=N] [path=P] [check=MS]
///         [seed=N clicks=N [twins=yes] [home=BUCKET] [quantity=N]] [seed=N carts=N] [recover=yes] [work=yes|always]
///         [crash=STEP/SIDE/K | stop=STEP/SIDE/K]
///
/// With several servers in `redis` the messages are on the first, unless `broker` names another. It puts the products on
/// sale (once), lets a crowd buy, carts of several products too, and prints the token of each accepted purchase as its
/// buyer hears of it. With `recover` it recovers the sale first, which must be there. With `work` it also runs worker and
/// check-back, and ends once nothing is on its way; with `work=always` it says `ready` and does nothing else, on a sale
/// that is there, until it is killed. At `crash` it kills itself, at `stop` it stops itself until it is told to go on.
@main
struct Probe {
  static func main() async {
    do {
      try await Probe(Settings(CommandLine.arguments.dropFirst())).run()
    } catch {
      FileHandle.standardError.write(Data("crash-probe: \(error)\n".utf8))
      exit(1)
    }
  }

  private let settings: Settings
  private let sku: SKU
  /// All products, ``sku`` the first.
  private let skus: [SKU]
  private let stock: StockClient
  private let store: any OrderStore
  private let doorbuster: Doorbuster

  private init(_ settings: Settings) async throws {
    self.settings = settings
    sku = try SKU(settings.text("sku"))
    skus = [sku] + (try settings.list("more").map { try SKU($0) })
    var logger = Logger(label: "crash-probe") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = .warning
    let stop = try settings.crashPoint("stop")
    let fuse = try Fuse(stop ?? settings.crashPoint("crash"), stopsOnly: stop != nil)
    let checkMs = try settings.number("check", default: 1_000)
    let configuration = Self.configuration(checkMs: checkMs)
    store = try await Self.open(settings.text("database"), logger)
    stock = try await StockClient.connect(RedisServers(settings.text("redis")))
    let client = try settings.text("broker", default: nil).map { try RedisClient(RedisURL($0)) }
    let broker = RedisStreamsBroker(
      client ?? stock.router.clients[0],
      options: Self.options(configuration),
      logger: logger
    )
    doorbuster = try Doorbuster(
      stock: FusedStock(stock: stock, fuse: fuse),
      broker: FusedBroker(broker: broker, fuse: fuse),
      orders: FusedStore(orders: store, fuse: fuse),
      configuration: configuration,
      logger: logger
    )
  }

  private static func open(_ database: String, _ logger: Logger) async throws -> any OrderStore {
    guard database.hasPrefix("mysql://") else {
      return try await SQLiteStore.open(path: database, strategy: .groupCommit, logger: logger)
    }
    return try await MySQLStore.open(MySQLURL(database), logger: logger)
  }

  /// Scaled down, so that a test sees all bounds pass in seconds.
  private static func configuration(checkMs: Int64) -> DoorbusterConfiguration {
    var configuration = DoorbusterConfiguration()
    configuration.firstCheck = .milliseconds(checkMs)
    configuration.purchaseDeadline = .milliseconds(checkMs * 7 / 10)
    configuration.storeFromLogAfter = .milliseconds(checkMs * 12 / 10)
    configuration.cartHold = .milliseconds(checkMs * 6)
    configuration.batchMax = 8
    configuration.logInterval = .milliseconds(20)
    configuration.logBatchMax = 16
    configuration.logKept = 0
    configuration.bucketLease = .milliseconds(500)
    configuration.upkeepInterval = .milliseconds(100)
    configuration.recovery.restartGrace = .milliseconds(800)
    return configuration
  }

  private static func options(_ configuration: DoorbusterConfiguration) -> RedisStreamsOptions {
    RedisStreamsOptions(
      checkAfter: configuration.firstCheck,
      checkInterval: .milliseconds(50),
      checkDelay: .milliseconds(200),
      retryDelay: .milliseconds(100),
      visibility: .milliseconds(700),
      pollInterval: .milliseconds(50)
    )
  }

  private func run() async throws {
    if settings.worksAlways {
      tell("ready")
    } else if settings.says("recover") {
      let report = try await doorbuster.recover(sku)
      guard report.isComplete else { throw ProbeError("not all was mended: \(report.findings)") }
    } else {
      try await createSales()
    }
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for service in services() {
        group.addTask {
          try await service()
          return false
        }
      }
      group.addTask {
        while settings.worksAlways { try await Task.sleep(for: .seconds(3600)) }
        try await buy()
        try await buyCarts()
        if settings.works { try await waitUntilSettled() }
        return true
      }
      while let isDone = try await group.next() {
        guard isDone else { throw ProbeError("a service ended before the run did") }
        break
      }
      group.cancelAll()
    }
    await stock.close()
    await store.close()
  }

  private func createSales() async throws {
    let terms = SaleTerms(buckets: Int(try settings.number("buckets", default: 1)))
    let path = try settings.path() ?? (terms.buckets == 1 ? .redisMQ : .combined)
    for sku in skus {
      _ = try await doorbuster.createSale(sku, stock: try settings.number("stock"), terms: terms, path: path)
    }
  }

  private func services() -> [@Sendable () async throws -> Void] {
    var services: [@Sendable () async throws -> Void] = [{ try await doorbuster.run() }]
    if settings.works {
      services.append { try await doorbuster.worker().run() }
      services.append { try await doorbuster.checkBack().run() }
    }
    return services
  }

  private func buy() async throws {
    let clicks = Int(try settings.number("clicks", default: 0))
    let seed = UInt64(try settings.number("seed", default: 0))
    let buckets = Int(try settings.number("buckets", default: 1))
    let home = settings.text("home", default: nil).flatMap(Int.init)
    let quantity = try settings.number("quantity", default: 0)
    let crowd = try Crowd(
      sku: sku,
      seed: seed,
      clicks: clicks,
      twins: settings.says("twins"),
      home: home.map { ($0, buckets) },
      quantity: quantity > 0 ? quantity : nil
    )
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          while let click = crowd.click() { await buy(click) }
        }
      }
    }
  }

  /// A buyer who hears nothing certain asks again, a bounded number of times.
  private func buy(_ click: Purchase) async {
    for _ in 0..<20 {
      switch await doorbuster.purchase(click) {
      case .accepted, .held: return tell(click.token.description)
      case .refused, .cancelled: return
      case .unknown, .failed: continue
      }
    }
  }

  private func buyCarts() async throws {
    let clicks = Int(try settings.number("carts", default: 0))
    let seed = UInt64(try settings.number("seed", default: 0))
    let crowd = try CartCrowd(skus: skus, seed: seed, clicks: clicks)
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          while let click = crowd.click() { await buy(click) }
        }
      }
    }
  }

  private func buy(_ cart: Cart) async {
    for _ in 0..<20 {
      switch await doorbuster.purchase(cart: cart) {
      case .accepted: return tell(cart.token.description)
      case .refused, .cancelled: return
      case .unknown, .failed: continue
      }
    }
  }

  /// By `write`, past every buffer that would die with the process.
  private func tell(_ text: String) {
    let line = Array((text + "\n").utf8)
    _ = write(1, line, line.count)
  }

  private func waitUntilSettled() async throws {
    for sku in skus {
      while try await !doorbuster.status(sku).isSettled { try await Task.sleep(for: .milliseconds(5)) }
    }
  }
}

struct ProbeError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// The arguments, each `name=value`.
struct Settings: Sendable {
  private var values: [String: String] = [:]

  init(_ arguments: some Sequence<String>) throws {
    for argument in arguments {
      let words = argument.split(separator: "=", maxSplits: 1).map(String.init)
      guard words.count == 2 else { throw ProbeError("'\(argument)' is not name=value") }
      values[words[0]] = words[1]
    }
  }

  func says(_ name: String) -> Bool { values[name] == "yes" }

  var works: Bool { says("work") || worksAlways }

  var worksAlways: Bool { values["work"] == "always" }

  func text(_ name: String) throws -> String {
    guard let value = values[name] else { throw ProbeError("\(name) is missing") }
    return value
  }

  /// What is written with commas between; nothing where it is absent.
  func list(_ name: String) -> [String] { values[name]?.split(separator: ",").map(String.init) ?? [] }

  func text(_ name: String, default absent: String?) -> String? { values[name] ?? absent }

  func number(_ name: String, default absent: Int64? = nil) throws -> Int64 {
    guard let text = values[name] else {
      guard let absent else { throw ProbeError("\(name) is missing") }
      return absent
    }
    guard let number = Int64(text) else { throw ProbeError("\(name) is '\(text)', which is no number") }
    return number
  }

  func path() throws -> SalePath? {
    guard let text = values["path"] else { return nil }
    guard let path = SalePath(rawValue: text) else { throw ProbeError("path is '\(text)', which is no path") }
    return path
  }

  func crashPoint(_ name: String) throws -> CrashPoint? {
    guard let text = values[name] else { return nil }
    guard let point = CrashPoint(text) else { throw ProbeError("\(name) is '\(text)', which is no crash point") }
    return point
  }
}
