import Foundation
import TestServers
import Testing

/// The real orders, replayed by the command line itself while parts of the system are killed.
@Suite("A crash in mid-replay", .inTurns)
struct ReplayCrashTests {
  private static let file = BuiltFiles.root + "/examples/cd-orders.csv"
  /// The busiest product of the file.
  private static let busiest = "drop-1997-03"

  @Test("of a worker beside it: another one records what it had taken")
  func worker() async throws {
    let shop = try Shop()
    // A worker asks the broker for nothing before there is a sale that delivers by messages.
    _ = try await shop.doorbuster("sale", "create", "early", "--stock", "1").endedWell()
    let worker = try shop.doorbuster("worker")
    let redis = try shop.server.connect()
    try await eventually("the worker to wait for messages") {
      try redis.call("CLIENT", "LIST").text?.contains("cmd=xreadgroup") ?? false
    }
    let replay = try shop.doorbuster("replay", Self.file, "--json")
    try await waitUntilSold(200, in: shop)
    try await stopHoldingMessages(worker, in: shop)
    try worker.kill9()
    #expect(replay.isRunning, "the worker was killed too late")
    let accepted = try await accepted(by: replay)
    #expect(accepted == Self.tokens)
    var audit = try Audit(shop)
    try audit.run(accepted: accepted, others: Self.tokens)
    #expect(audit.sold == Self.tokens)
  }

  @Test("of the replay itself: replayed again, each token is one order or no purchase at all")
  func replay() async throws {
    let shop = try Shop()
    let killed = try shop.doorbuster("replay", Self.file, "--json")
    try await waitUntilSold(300, in: shop)
    try killed.kill9()
    let soldBefore = try sold(in: shop)
    #expect(soldBefore < Self.busiestUnits, "the replay was killed too late")
    #expect(try shop.server.call("XLEN", Audit.topic + ":half") != 0, "nothing was half done")

    let accepted = try await accepted(by: shop.doorbuster("replay", Self.file, "--json"))
    var audit = try Audit(shop)
    try audit.run(accepted: accepted, others: Self.tokens)
    expectWhole(audit, accepted)
  }

  @Test(
    "of redis-server: it comes back with every promise, and the replay goes on",
    arguments: [1, 2]
  )
  func server(crashes: Int) async throws {
    let shop = try Shop()
    let replay = try shop.doorbuster("replay", Self.file, "--json")
    for crash in 1...crashes {
      try await waitUntilSold(300 * Int64(crash), in: shop)
      #expect(try sold(in: shop) < Self.busiestUnits, "the server is killed too late")
      try shop.server.kill9()
      try shop.server.restart()
    }
    let first = try await accepted(by: replay)
    // Buyers who heard nothing certain ask again.
    let second = try await accepted(by: shop.doorbuster("replay", Self.file, "--json"))
    #expect(second.isSuperset(of: first))
    var audit = try Audit(shop)
    try audit.run(accepted: first.union(second), others: Self.tokens)
    expectWhole(audit, second)
  }

  /// Stops a worker where it has taken messages and not acknowledged them. Its consumer's name begins with its pid.
  private func stopHoldingMessages(_ worker: Subprocess, in shop: Shop) async throws {
    let redis = try shop.server.connect()
    try await eventually("messages in the worker's hands") {
      worker.signal(SIGSTOP)
      let consumers = try redis.call("XINFO", "CONSUMERS", Audit.topic, Audit.group).elements ?? []
      let own = consumers.first { $0["name"]?.text?.hasPrefix("\(worker.pid)-") ?? false }
      if let held = own?["pending"]?.integer, held > 0 { return true }
      worker.signal(SIGCONT)
      return false
    }
  }

  /// A token that a check-back gave up is over: its buyer was told, and needs a new one. All others are orders.
  private func expectWhole(_ audit: Audit, _ accepted: Set<String>) {
    #expect(audit.sold == accepted)
    #expect(audit.sold.isDisjoint(with: audit.dead))
    #expect(audit.sold.union(audit.dead) == Self.tokens)
    #expect(audit.rejected.isEmpty)
  }

  /// Waits for a replay's end. The tokens that it does not report as failed: with ample stock these were accepted.
  private func accepted(by replay: Subprocess) async throws -> Set<String> {
    let outcome = try await replay.outcome(timeout: .seconds(90))
    #expect(outcome.status == .exited(0), "\(outcome.stdout) \(outcome.stderr.suffix(2_000))")
    let failed = outcome.stderr.split(separator: "\n").compactMap { line -> String? in
      guard let start = line.range(of: "replay: token ") else { return nil }
      return line[start.upperBound...].split(separator: ":").first.map(String.init)
    }
    let report = try JSONDecoder().decode(Report.self, from: Data(outcome.stdout.utf8))
    #expect(report.oversold == 0)
    #expect(report.lost == 0)
    #expect(report.soldOut == 0)
    #expect(report.failed == failed.count)
    #expect(report.requests == Self.tokens.count)
    return Self.tokens.subtracting(failed)
  }

  private struct Report: Decodable {
    let requests: Int
    let soldOut: Int
    let failed: Int
    let oversold: Int
    let lost: Int
  }

  private func waitUntilSold(_ units: Int64, in shop: Shop) async throws {
    let redis = try shop.server.connect()
    try await eventually("\(units) units sold", timeout: .seconds(60)) {
      soldUnits(try redis.call("STOCK.INFO", Audit.key(Self.busiest))) >= units
    }
  }

  private func sold(in shop: Shop) throws -> Int64 {
    soldUnits(try shop.server.call("STOCK.INFO", Audit.key(Self.busiest)))
  }

  /// 0 for a bucket that is not there yet.
  private func soldUnits(_ info: RESP) -> Int64 { info["sold"]?.integer ?? 0 }

  private static let lines: [[Substring]] =
    ((try? String(contentsOfFile: file, encoding: .utf8)) ?? "").split(separator: "\n").dropFirst()
    .map { $0.split(separator: ",", omittingEmptySubsequences: false) }
  private static let tokens = Set(lines.map { String($0[0]) })
  private static let busiestUnits = lines.filter { $0[2] == busiest }.reduce(0) { $0 + (Int64($1[3]) ?? 0) }
}
