import Foundation
import TestServers
import Testing

@Suite("Four paths compared") struct PatternTests {
  private static let paths = ["database", "database", "redis-mq", "buckets", "combined"]

  private func isPositive(_ value: JSON) -> Bool {
    if case .number(let number) = value { number > 0 } else { false }
  }

  @Test("The same crowd goes through all four paths, and the books of each balance", arguments: [[], ["--mariadb"]])
  func compares(database: [String]) throws {
    let files = try TemporaryDirectory()
    let plot = files.file("plot.svg")
    let outcome = try Doorbuster.run(
      [
        "bench", "patterns", "--requests", "2000", "--stock", "900", "--buyers", "8,64", "--buckets", "3", "--json",
        "--plot", plot,
      ] + database,
      environment: ["TMPDIR": files.path]
    )
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    let report = try JSON(outcome.stdout)
    for index in 0..<10 {
      let run = report["runs"][index]
      let path = Self.paths[index % 5]
      #expect(run["path"] == .text(path) && run["buyers"] == (index < 5 ? 8 : 64))
      #expect(run["requests"] == 2_000 && run["accepted"] == 900, "\(path)")
      #expect(run["oversold"] == 0 && run["lost"] == 0 && run["balanced"] == true, "\(path)")
      for figure in ["ordersPerSecond", "answersPerSecond", "medianMs", "longestMs", "clientMicroseconds"] {
        #expect(isPositive(run[figure]), "\(path), \(figure)")
      }
      #expect(isPositive(run["redisMicroseconds"]) == (path != "database"), "\(path)")
    }
    let picture = try String(contentsOfFile: plot, encoding: .utf8)
    #expect(picture.contains("<svg") && picture.contains("combined"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: files.path) == ["plot.svg"])
  }

  @Test("A database of one's own is measured once, while it has no sales")
  func given() throws {
    let files = try TemporaryDirectory()
    let arguments = [
      "bench", "patterns", "--requests", "300", "--stock", "100", "--buyers", "4", "--paths", "database,buckets",
      "--strategies", "groupCommit", "--database", "sqlite:" + files.file("orders.sqlite"),
    ]
    let outcome = try Doorbuster.run(arguments)
    #expect(outcome.status == .exited(0), "\(outcome.stderr)")
    #expect(outcome.stdout.contains("The books balance in every run."))
    expectRefusal(try Doorbuster.run(arguments), naming: "which has sales")
  }

  @Test(
    "Wrong arguments are named",
    arguments: [
      (["--buyers", "8,0"], "--buyers", 64), (["--paths", "buckets,both"], "both", 64),
      (["--requests", "0"], "--requests", 64),
      (["--strategies", "inventoryHint"], "inventoryHint", 1), (["--plot", "plot.txt"], "plot.txt", 1),
      (["--mariadb", "--database", "sqlite:x"], "--mariadb", 64), (["--database", "oracle:x"], "oracle", 1),
    ] as [([String], String, Int32)]
  )
  func refused(arguments: [String], culprit: String, status: Int32) throws {
    expectRefusal(try Doorbuster.run(["bench", "patterns"] + arguments), status: status, naming: culprit)
  }
}
