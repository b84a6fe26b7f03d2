import Foundation
import TestServers
import Testing

/// Reports that can't be written, and files that can't.
@Suite struct OutputTests {
  private static let places = [">/dev/full", ">&-"]

  /// Runs the command line with its standard output sent somewhere by the shell.
  private func run(_ arguments: [String], to place: String, _ shop: Shop? = nil) throws -> Subprocess.Outcome {
    try Subprocess(
      "bash",
      ["-c", "\"$0\" \"$@\" \(place)", try BuiltFiles.commandLine()] + arguments + (shop?.flags ?? []),
      environment: Doorbuster.noSettings
    ).wait()
  }

  @Test("A report that can't be written is an error that names standard output", arguments: places)
  func lostReport(place: String) throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "5")
    let commands = [
      ["sale", "status", "p"], ["sale", "status", "p", "--json"], ["sale", "status", "p", "--watch"],
      ["messages", "list"], ["reconcile", "p", "--json"], ["rebalance"], ["demo", "--requests", "20", "--json"],
    ]
    for command in commands {
      let outcome = try run(command, to: place, shop)
      #expect(outcome.status == .exited(1), "\(command): \(outcome.stderr)")
      #expect(outcome.stderr.contains("Error: standard output can't be written: "), "\(command): \(outcome.stderr)")
    }
    let help = try run(["--help"], to: place)
    #expect(help.status == .exited(1) && help.stderr.contains("standard output can't be written"), "\(help.stderr)")
  }

  @Test("Where a purchase's answer can't be written, the error says that the purchase was made", arguments: places)
  func lostAnswer(place: String) throws {
    let shop = try Shop()
    _ = try shop.json("sale", "create", "p", "--stock", "1")
    let buy = ["buy", "p", "--user", "ann", "--token", "t", "--json"]
    for word in ["accepted", "duplicate"] {
      let outcome = try run(buy, to: place, shop)
      #expect(outcome.status == .exited(1), "\(outcome.stderr)")
      #expect(outcome.stderr.hasSuffix("; the purchase itself was made: \(word)\n"), "\(outcome.stderr)")
    }
    let refused = try run(["buy", "p", "--user", "bob", "--token", "u"], to: place, shop)
    #expect(refused.status == .exited(2) && !refused.stderr.contains("made"), "\(refused.stderr)")
    #expect(try shop.status("p")["buckets"][0]["sold"] == 1)
    #expect(try shop.json("reconcile", "p")["clean"] == true)
  }

  @Test("A reader that goes away is no error, and nothing is said")
  func readerGone() throws {
    let outcome = try run(["--help"], to: "| head -n 1")
    #expect(outcome.status == .exited(0) && outcome.stderr.isEmpty, "\(outcome.stderr)")
    #expect(outcome.stdout == "OVERVIEW: Flash-sale inventory that does not oversell.\n")
  }

  @Test("A plot's file that can't be written is told before anything is measured")
  func plot() throws {
    let files = try TemporaryDirectory()
    let directory = files.file("directory.svg")
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    for (file, culprit) in [
      (files.file("none/x.png"), "No such file or directory"), ("/proc/x.png", "can't be written: "),
      (directory, "Is a directory"),
    ] {
      for command in ["patterns", "database"] {
        let outcome = try Doorbuster.run(["bench", command, "--json", "--plot", file])
        expectRefusal(outcome, naming: "--plot is '\(file)'")
        #expect(outcome.stderr.contains(culprit), "\(outcome.stderr)")
      }
    }
  }
}
