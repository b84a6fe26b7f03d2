import Foundation
import TestServers
import Testing

/// A user of Redis who has the rights that docs/errors.md lists, and no others.
@Suite struct RightsTests {
  /// The words of the section's blocks, in order: the stock's rights, then the broker's.
  private static func listedRights() throws -> [[String]] {
    let text = try String(contentsOfFile: BuiltFiles.root + "/docs/errors.md", encoding: .utf8)
    let section = try #require(text.components(separatedBy: "\n## ").first { $0.hasPrefix("Rights of an ACL user") })
    let blocks = section.components(separatedBy: "```\n").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
    return blocks.map { $0.split(whereSeparator: \.isWhitespace).map(String.init) }
  }

  private func admit(_ rights: [String], to server: RedisServer) throws {
    let words = ["ACL", "SETUSER", "clerk", "on", ">sekret", "resetchannels", "-@all"] + rights
    try #require(try server.connect().call(words).text == "OK")
  }

  private func flags(_ server: RedisServer, _ files: TemporaryDirectory) -> [String] {
    [
      "--redis", "redis://clerk:sekret@127.0.0.1:\(server.port)", "--database",
      "sqlite:" + files.file("orders.sqlite"),
    ]
  }

  @Test("A sale goes from its creation to its reconciliation with the listed rights, and no right was missed")
  func listedRightsDo() throws {
    let rights = try Self.listedRights()
    #expect(rights.count == 2)
    let server = try RedisServer(RedisServerOptions(tcp: true, configLines: ["notify-keyspace-events Ed"]))
    let files = try TemporaryDirectory()
    try admit(rights.flatMap { $0 }, to: server)
    let flags = flags(server, files)
    func run(_ arguments: String..., status: Int32 = 0) throws -> String {
      let outcome = try Doorbuster.run(arguments + flags)
      #expect(outcome.status == .exited(status), "\(arguments): \(outcome.stderr)")
      return outcome.stdout
    }
    _ = try run("demo", "--path", "combined", "--requests", "2000", "--stock", "900")
    _ = try run("sale", "create", "p", "--stock", "50")
    _ = try run("sale", "create", "q", "--stock", "50", "--path", "combined")
    _ = try run("sale", "restock", "q", "--token", "r", "--quantity", "4")
    _ = try run("buy", "p", "--user", "ann", "--token", "t")
    _ = try run("buy", "q", "--user", "ann", "--token", "t", "--quantity", "30")
    _ = try run("buy", "q", "--user", "bob", "--token", "h", "--hold", "600000")
    _ = try run("buy", "--item", "p=1", "--item", "q=1", "--user", "eve", "--token", "c")
    _ = try run("buy", "q", "--user", "ann", "--token", "u", "--quantity", "300", status: 2)
    _ = try run("confirm", "q", "h")
    // Messages that can't be read: the one is checked back and parked, the other dies.
    let topic = "doorbuster:mq:{doorbuster.purchases}"
    try server.call("XADD", topic + ":half", "*", "k", "x", "b", "unreadable")
    try server.call("XADD", topic, "*", "k", "y", "b", "unreadable")
    let worker = try Doorbuster.start(["worker", "--check-after", "100", "--checks-max", "2", "--json"] + flags)
    try waitUntil("the orders; the worker says: \(worker.stderr)") {
      let states = try ["p", "q"].map { try JSON(run("sale", "status", $0, "--json"))["database"]["orders"]["sold"] }
      return states == [2, 3]
    }
    try waitUntil("the half message's end; the worker says: \(worker.stderr)") {
      try server.call("XLEN", topic + ":half") == 0
    }
    worker.signal(SIGTERM)
    let ended = try worker.wait()
    #expect(ended.status == .exited(0), "\(ended.stderr)")
    _ = try run("messages", "list")
    _ = try run("messages", "resume", "--all")
    _ = try run("messages", "replay", "--all")
    _ = try run("cancel", "p", "t")
    _ = try run("rebalance")
    _ = try run("reconcile", "q")
    _ = try run("reconcile", "p", "--repair")
    try server.call("DEL", "doorbuster:{q/0}")
    _ = try run("recover", "q")
    let denied = try server.call("ACL", "LOG").elements ?? []
    #expect(denied.isEmpty, "\(denied.map { $0["object"]?.text ?? "" })")
  }

  @Test("A right that is missing within a script is told as one, and not as a script's error")
  func missingInScript() throws {
    let server = try RedisServer(RedisServerOptions(tcp: true))
    let files = try TemporaryDirectory()
    let rights = try Self.listedRights().flatMap { $0 }
    try admit(rights + ["-time"], to: server)
    let flags = flags(server, files)
    #expect(try Doorbuster.run(["sale", "create", "p", "--stock", "5"] + flags).status == .exited(0))
    let outcome = try Doorbuster.run(["worker"] + flags)
    #expect(outcome.status == .exited(1))
    #expect(outcome.stderr.contains("the user lacks a right that the broker's scripts need"), "\(outcome.stderr)")
  }
}
