import Foundation
import Glibc
import TestServers
import Testing

/// The keys that the contract promises in the report of `demo` and `replay`.
let reportKeys: Set<String> = [
  "requests", "accepted", "soldOut", "duplicate", "limited", "failed", "unitsOnSale", "unitsSold", "redisAvailable",
  "databaseOrders", "databaseUnitsSold", "databaseStock", "oversold", "lost", "purchasesPerSecond",
  "ordersPersistedPerSecond",
]

/// Expects a report to have all its keys, and sums that hold.
func expectBalance(_ report: JSON, sourceLocation: SourceLocation = #_sourceLocation) throws {
  #expect(reportKeys.subtracting(report.keys).isEmpty, sourceLocation: sourceLocation)
  func number(_ key: String) throws -> Int {
    try #require(report[key].number, "\(key)", sourceLocation: sourceLocation)
  }
  let outcomes = try ["accepted", "soldOut", "duplicate", "limited", "failed"].map(number).reduce(0, +)
  #expect(try number("requests") == outcomes, sourceLocation: sourceLocation)
  #expect(try number("unitsOnSale") == number("unitsSold") + number("redisAvailable"), sourceLocation: sourceLocation)
  #expect(try number("databaseUnitsSold") == number("unitsSold"), sourceLocation: sourceLocation)
  #expect(try number("databaseStock") == number("redisAvailable"), sourceLocation: sourceLocation)
  #expect(report["oversold"] == 0, sourceLocation: sourceLocation)
  #expect(report["lost"] == 0, sourceLocation: sourceLocation)
}

@Suite struct DemoTests {
  /// A directory for all that a demo leaves behind.
  private let place: TemporaryDirectory

  init() throws { place = try TemporaryDirectory() }

  private func demo(_ arguments: String..., errorsToTerminal: Bool = false) throws -> Subprocess {
    try Doorbuster.start(
      ["demo", "--requests", "5000", "--stock", "2000", "--seed", "7"] + arguments,
      environment: ["TMPDIR": place.path, "TERM": "xterm"],
      errorsToTerminal: errorsToTerminal
    )
  }

  private var leftFiles: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: place.path) }
  }

  /// Processes with a file of the demo on their command line: its redis-server.
  private var leftProcesses: [String] {
    get throws {
      try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { name in
        guard name.allSatisfy(\.isNumber), let line = FileManager.default.contents(atPath: "/proc/\(name)/cmdline")
        else { return false }
        return String(decoding: line, as: UTF8.self).contains(place.path)
      }
    }
  }

  @Test("A demo prints one JSON object whose books balance, and leaves nothing behind")
  func report() throws {
    let outcome = try demo("--json").wait()
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    let report = try JSON(outcome.stdout)
    try expectBalance(report)
    #expect(report["requests"] == 5000)
    #expect(report["accepted"] == 2000)
    #expect(report["unitsOnSale"] == 2000)
    #expect(report["unitsSold"] == 2000)
    #expect(report["databaseOrders"] == 2000)
    #expect(report["failed"] == 0)
    // One in eight requests is a second click; those of buyers who got a unit are duplicates.
    #expect((100...500).contains(try #require(report["duplicate"].number)), "\(report)")
    #expect(try leftFiles == [])
    #expect(try leftProcesses == [])
  }

  @Test("A piped demo tells people the same report, without a trace of its progress line")
  func piped() throws {
    let outcome = try demo().wait()
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    #expect(outcome.stdout.contains("The books balance."))
    #expect(outcome.stdout.contains("accepted"))
    #expect(!(outcome.stdout + outcome.stderr).contains("\u{1B}"))
    #expect(!(outcome.stdout + outcome.stderr).contains("\r"))
    #expect(outcome.stderr.split(separator: "\n").count == 1, "\(outcome.stderr)")
  }

  @Test("On a terminal a demo shows its progress on standard error and clears it before the report")
  func terminal() throws {
    let outcome = try demo("--json", errorsToTerminal: true).wait()
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    try expectBalance(JSON(outcome.stdout))
    #expect(outcome.stderr.contains("of 5000 requests"))
    #expect(outcome.stderr.hasSuffix("\r\u{1B}[K"), "\(outcome.stderr.debugDescription)")
  }

  @Test(
    "A demo that is asked to stop answers what is under way, reports it, and leaves nothing behind",
    arguments: [
      (SIGINT, Int32(130)), (SIGTERM, Int32(143)),
    ]
  )
  func stops(signal: Int32, status: Int32) throws {
    let run = try Doorbuster.start(
      ["demo", "--json", "--requests", "100000000", "--stock", "100000000"],
      environment: ["TMPDIR": place.path, "TERM": "xterm"],
      errorsToTerminal: true
    )
    try waitUntil("the first purchases") { run.stderr.contains("accepted") }
    run.signal(signal)
    let outcome = try run.wait()
    #expect(outcome.status == .exited(status), "\(outcome.stderr)")
    let report = try JSON(outcome.stdout)
    try expectBalance(report)
    #expect((1..<100_000_000).contains(try #require(report["accepted"].number)))
    #expect(try leftFiles == [])
    #expect(try leftProcesses == [])
  }

  @Test("The server of a demo that was killed ends by itself, and its directory goes with it")
  func killed() throws {
    let run = try Doorbuster.start(
      ["demo", "--requests", "100000000", "--stock", "100000000"],
      environment: ["TMPDIR": place.path, "TERM": "xterm"],
      errorsToTerminal: true
    )
    try waitUntil("the first purchases") { run.stderr.contains("accepted") }
    #expect(try !leftProcesses.isEmpty)
    try run.kill9()
    try waitUntil("the end of the server") { try leftProcesses.isEmpty && leftFiles.isEmpty }
  }

  @Test("A demo on given servers leaves its sale there, balanced")
  func givenServers() throws {
    let shop = try Shop()
    let report = try shop.json("demo", "--requests", "300", "--stock", "100", "--seed", "9")
    try expectBalance(report)
    let status = try shop.status("demo-9")
    #expect(status["database"]["orders"]["sold"] == 100)
    #expect(status["buckets"][0]["sold"] == 100)
    #expect(status["settled"] == true)
  }

  @Test("A demo with more stock than requests keeps the rest, and one without stock sells nothing")
  func stockExtremes() throws {
    let shop = try Shop()
    let ample = try shop.json("demo", "--requests", "50", "--stock", "9007199254740992", "--seed", "1")
    try expectBalance(ample)
    #expect(ample["soldOut"] == 0)
    let none = try shop.json("demo", "--requests", "50", "--stock", "0", "--seed", "2")
    try expectBalance(none)
    #expect(none["soldOut"] == 50)
  }

  @Test("Without redis-server on the PATH the demo says what to install")
  func noServer() throws {
    let outcome = try Doorbuster.run(["demo"], environment: ["PATH": place.path, "TMPDIR": place.path])
    expectRefusal(outcome, naming: "redis-server")
    #expect(try leftFiles == [])
  }
}
