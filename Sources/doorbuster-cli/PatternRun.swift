import Doorbuster
import Foundation
import Orders
import RedisDriver
import Stock

#if canImport(Glibc)
  import Glibc
#endif

/// One path under one load, on servers of its own.
struct PatternRun {
  /// What came out. Times of the processor count until nothing is on its way any more.
  struct Figures: Encodable {
    var path: String
    /// Of the database.
    var strategy: String
    var buyers: Int
    var requests = 0
    var accepted = 0
    /// Requests answered over the time from the first to the last answer, whatever the answer.
    var answersPerSecond = 0.0
    /// Accepted ones over the same time.
    var purchasesPerSecond = 0.0
    /// Orders over the time from the first request until the last of them was in the database; 0 where the database did
    /// not get there.
    var ordersPerSecond = 0.0
    /// How long a request waited for its answer.
    var medianMs = 0.0
    var slowestPercentMs = 0.0
    var longestMs = 0.0
    /// Microseconds of a processor for each request; absent without Redis.
    var redisMicroseconds: Double?
    /// Of a mariadbd of the benchmark's own. SQLite works in this process, and a database that is given is not looked into.
    var databaseMicroseconds: Double?
    /// Of this process: buyers, worker, SQLite.
    var clientMicroseconds = 0.0
    var oversold: Int64 = 0
    var lost: Int64 = 0
    var balanced = false

    var name: String { path == SalePath.database.rawValue ? "\(path), \(strategy)" : path }
  }

  let path: SalePath
  let strategy: HotRowStrategy
  let buyers: Int
  let buckets: Int
  let stock: Int64
  let crowd: Crowd.Size
  let seed: UInt64

  private var needs: ServerNeeds { .of(path) }

  /// - Parameters:
  ///   - choice: servers to use; those that are not chosen are started.
  ///   - server: that has the database, where its processor time is to be counted.
  func measure(_ choice: ServerChoice, _ server: LocalMariaDBServer?, _ stop: StopSignal) async throws -> Figures {
    var choice = choice
    choice.strategy = strategy
    return try await RunEnvironment.with(choice, needing: needs) { environment in
      try await Deployment.with(environment.choice, needing: needs) { deployment in
        try await measure(deployment, server, stop)
      }
    }
  }

  private func measure(
    _ deployment: Deployment,
    _ server: LocalMariaDBServer?,
    _ stop: StopSignal
  ) async throws -> Figures {
    // A database that was given keeps the sales of former runs.
    let sku = try SKU("bench-\(path.rawValue)-\(UInt32.random(in: 0 ... .max))")
    let terms = SaleTerms(buckets: path == .buckets || path == .combined ? buckets : 1)
    _ = try await deployment.doorbuster.createSale(sku, stock: stock, terms: terms, path: path)
    // Every request is to reach the servers that are measured.
    let crowd = Crowd(sku: sku, size: crowd, seed: seed, isNew: false)
    let progress = ProgressLine()
    let run = SaleRun(
      deployment: deployment,
      skus: [sku],
      needs: needs,
      stop: stop,
      progress: progress,
      faults: FaultReport(command: "bench patterns", progress: progress),
      buyers: buyers,
      measuresWaits: true
    )
    let before = try await ProcessorTimes.read(deployment, needs, server)
    let outcome = try await run.run(expecting: self.crowd.requests) { try crowd.next() }
    let after = try await ProcessorTimes.read(deployment, needs, server)
    let books = try await deployment.doorbuster.books(sku)
    progress.clear()
    return figures(outcome, books, before, after)
  }

  private func figures(
    _ outcome: SaleRun.Outcome,
    _ books: SaleBooks,
    _ before: ProcessorTimes,
    _ after: ProcessorTimes
  ) -> Figures {
    func each(_ time: KeyPath<ProcessorTimes, Double?>) -> Double? {
      guard let start = before[keyPath: time], let end = after[keyPath: time] else { return nil }
      return (end - start) * 1_000_000 / Double(max(outcome.tally.requests, 1))
    }
    func wait(_ share: Double) -> Double {
      outcome.waits.isEmpty ? 0 : Double(outcome.waits[Int(Double(outcome.waits.count - 1) * share)]) / 1000
    }
    return Figures(
      path: path.rawValue,
      strategy: strategy.rawValue,
      buyers: buyers,
      requests: outcome.tally.requests,
      accepted: outcome.tally.accepted,
      answersPerSecond: Double(outcome.tally.requests) / outcome.buyingSeconds,
      purchasesPerSecond: Double(outcome.tally.accepted) / outcome.buyingSeconds,
      ordersPerSecond: outcome.recordedSeconds.map { Double(books.databaseOrders) / $0 } ?? 0,
      medianMs: wait(0.5),
      slowestPercentMs: wait(0.99),
      longestMs: wait(1),
      redisMicroseconds: each(\.redis),
      databaseMicroseconds: each(\.database),
      clientMicroseconds: each(\.client) ?? 0,
      oversold: books.oversold,
      lost: books.lost,
      balanced: books.isBalanced
    )
  }
}

/// Seconds that processors have spent, each counted from its process' start.
struct ProcessorTimes {
  var client: Double?
  var redis: Double?
  var database: Double?

  static func read(
    _ deployment: Deployment,
    _ needs: ServerNeeds,
    _ server: LocalMariaDBServer?
  ) async throws -> ProcessorTimes {
    ProcessorTimes(
      client: own,
      redis: needs.contains(.stock) ? try await redis(deployment) : nil,
      database: server?.processID.flatMap(process)
    )
  }

  private static var own: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1_000_000 }
  }

  private static func redis(_ deployment: Deployment) async throws -> Double? {
    guard let client = deployment.stock.router.clients.first else { return nil }
    let info = try await client.call(RedisCommand("INFO", "cpu"), as: String.self).value
    let seconds = info.split(whereSeparator: \.isNewline).compactMap { line -> Double? in
      let parts = line.split(separator: ":")
      guard parts.count == 2, parts[0] == "used_cpu_user" || parts[0] == "used_cpu_sys" else { return nil }
      return Double(parts[1])
    }
    return seconds.count == 2 ? seconds[0] + seconds[1] : nil
  }

  /// What Linux says of a process: behind its name, which may hold anything, the 12th and 13th word are its times.
  private static func process(_ id: Int32) -> Double? {
    guard let stat = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8),
      let name = stat.lastIndex(of: ")")
    else { return nil }
    let words = stat[name...].split(separator: " ")
    guard words.count > 13, let user = Double(words[12]), let system = Double(words[13]) else { return nil }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }
}
