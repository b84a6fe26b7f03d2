import TestServers
import Testing

/// Arguments that no command takes. Each is refused before any server is asked.
@Suite struct BadInputTests {
  private static let longest = String(repeating: "x", count: 128)

  static let wrongArguments: [(arguments: [String], culprit: String)] = [
    (["nonsense"], "nonsense"),
    (["sale", "nonsense"], "nonsense"),
    (["sale", "create", "p"], "--stock"),
    (["sale", "create", "--stock", "10"], "<sku>"),
    (["sale", "create", "p", "--stock", "10", "--bogus"], "--bogus"),
    (["sale", "create", "p", "--stock"], "--stock"),
    (["sale", "create", "p", "q", "--stock", "1"], "'q'"),
    (["sale", "create", "", "--stock", "1"], "SKU is ''"),
    (["sale", "create", "a b", "--stock", "1"], "SKU is 'a b'"),
    (["sale", "create", "p/0", "--stock", "1"], "SKU is 'p/0'"),
    (["sale", "create", "{p}", "--stock", "1"], "SKU is '{p}'"),
    (["sale", "create", "näh", "--stock", "1"], "SKU is 'n"),
    (["sale", "create", String(repeating: "p", count: 65), "--stock", "1"], "SKU is 'ppp"),
    (["sale", "create", "p", "--stock", "10", "--buckets", "2"], "--buckets is '2'"),
    (["sale", "create", "p", "--stock", "10", "--path", "streams"], "--path is 'streams'"),
    (["sale", "create", "p", "--stock", "10", "--path", "database", "--buckets", "4"], "--buckets is '4'"),
    (["sale", "create", "p", "--stock", "10", "--path", "combined", "--buckets", "16385"], "--buckets"),
    (["buy", "p", "--user", "ann", "--token", "t", "--hold", "0"], "--hold"),
    (["buy", "p", "--user", "ann", "--token", "t", "--hold", "1.5"], "--hold"),
    (["confirm", "p", ""], "token"),
    (["confirm", "p q", "t"], "SKU"),
    (["sale", "create", "p", "--stock", "10", "--limit", "-1"], "--limit is '-1'"),
    (["sale", "create", "p", "--stock", "10", "--opens", "tomorrow"], "--opens is 'tomorrow'"),
    (["sale", "create", "p", "--stock", "10", "--closes", "1.5"], "--closes is '1.5'"),
    (
      ["sale", "create", "p", "--stock", "10", "--opens", "20", "--closes", "10"],
      "--opens is '20' and --closes is '10'"
    ),
    (
      ["sale", "create", "p", "--stock", "10", "--opens", "20", "--closes", "20"],
      "--opens is '20' and --closes is '20'"
    ),
    (["cancel", "p", "--token-hex", "0"], "--token-hex is '0'"),
    (["cancel", "p", "--token-hex", "xx"], "--token-hex is 'xx'"),
    (["confirm", "p", "--token-hex", ""], "token is ''"),
    (["confirm", "p", "t", "--token-hex", "74"], "give one of them"),
    (["sale", "status"], "<sku>"),
    (["buy", "p", "--user", "ann"], "--token"),
    (["buy", "p", "--token", "t"], "--user"),
    (["buy", "p", "--user", "", "--token", "t"], "user is ''"),
    (["buy", "p", "--user", "ann", "--token", ""], "token is ''"),
    (["buy", "p", "--user", longest + "x", "--token", "t"], "user is 'xxx"),
    (["buy", "p", "--user", "ann", "--token", longest + "x"], "token is 'xxx"),
    (["cancel", "p"], "<token>"),
    (["cancel", "p", ""], "token is ''"),
    (["cancel", "p", longest + "x"], "token is 'xxx"),
    (["demo", "--requests", "0"], "--requests is '0'"),
    (["demo", "--requests", "100000001"], "--requests is '100000001'"),
    (["demo", "--stock", "-1"], "--stock is '-1'"),
    (["demo", "--stock", "9007199254740993"], "--stock is '9007199254740993'"),
    (["demo", "--seed", "x"], "--seed is 'x'"),
    (["replay"], "<file.csv>"),
    (["replay", "orders.csv", "--stock", "+5"], "--stock is '+5'"),
    (["worker", "now"], "now"),
    (["bench", "database", "--buyers", "1,,2"], "--buyers is ''"),
    (["bench", "database", "--buyers", "0"], "--buyers is '0'"),
    (["bench", "database", "--strategies", "rowLock,none"], "'none'"),
    (["bench", "database", "--seconds", "0"], "--seconds is '0'"),
    (["bench", "log", "--batch", "10001"], "--batch is '10001'"),
    (["messages", "list", "--kind", "lost"], "lost"),
  ]

  @Test(
    "A token or user that is not UTF-8 is refused, as it would become the same as others",
    arguments: ["--user ann --token $'\\xff\\xfe'", "--user $'\\xff' --token t"]
  )
  func notUTF8(options: String) throws {
    let command = "exec \"$0\" buy p \(options)"
    let outcome = try Subprocess("bash", ["-c", command, try BuiltFiles.commandLine()]).wait()
    #expect(outcome.status == .exited(64))
    #expect(outcome.stdout.isEmpty)
    #expect(outcome.stderr.contains("must be UTF-8"))
  }

  @Test("A wrong argument is named with what it must be", arguments: wrongArguments)
  func wrongArgument(arguments: [String], culprit: String) throws {
    let outcome = try Doorbuster.run(arguments, environment: ["DOORBUSTER_REDIS": "unix:///nowhere"])
    expectRefusal(outcome, status: 64, naming: culprit)
  }

  @Test(
    "A quantity is a plain decimal number from 1 to 2^53",
    arguments: [
      "0", "-1", "9007199254740993", "99999999999999999999", "1e3", "+1", " 1", "1 ", "01", "1.0", "0x1", "", "١",
    ]
  )
  func quantity(text: String) throws {
    for arguments in [
      ["buy", "p", "--user", "ann", "--token", "t", "--quantity", text],
      ["sale", "restock", "p", "--token", "t", "--quantity", text],
    ] where !(arguments[0] == "sale" && text == "-1") {
      let outcome = try Doorbuster.run(arguments, environment: ["DOORBUSTER_REDIS": "unix:///nowhere"])
      expectRefusal(outcome, status: 64, naming: "--quantity is '")
    }
  }

  static let wrongServers: [(arguments: [String], culprit: String)] = [
    (["--redis", "http://127.0.0.1"], "'http:'"),
    (["--redis", "rediss://127.0.0.1"], "'rediss:'"),
    (["--redis", "redis-cluster://127.0.0.1"], "--broker: the Redis Cluster of --redis keeps no messages"),
    (["--redis", "redis-cluster://ann:sekret@127.0.0.1/2"], "database 2"),
    (["--redis", "redis-clusters://127.0.0.1"], "'redis-clusters:'"),
    (["--redis", "redis://127.0.0.1:1,redis://127.0.0.1:1"], "are the same"),
    (["--redis", "127.0.0.1"], "--redis has no scheme"),
    (["--redis", "sekret@127.0.0.1:6379"], "--redis has no scheme"),
    (["--redis", "redis://ann:sekret@127.0.0.1:99999"], "99999"),
    (["--redis", "redis:ann:sekret"], "--redis"),
    (["--redis", "redis://ann:sekret@"], "host"),
    (["--redis", "redis://ann:sekret@127.0.0.1/first"], "database index"),
    (["--redis", "unix://relative"], "path"),
    (["--broker", "rocketmq://127.0.0.1:9876"], "'rocketmq:'"),
    (["--broker", "redis://127.0.0.1"], "'redis:'"),
    (["--broker", "redis-streams://ann:sekret@127.0.0.1:x"], "--broker"),
    (["--database", "postgres://ann:sekret@127.0.0.1/shop"], "'postgres:'"),
    (["--database", "mysql://ann:sekret@127.0.0.1"], "database is missing"),
    (["--database", "mysql://ann:sekret@127.0.0.1:99999/shop"], "99999"),
    (["--database", "mysql://ann:sekret@127.0.0.1/shop?tsl=required"], "unknown part"),
    (["--database", "orders.sqlite"], "--database has no scheme"),
    (["--database", "sqlite:"], "--database names no file"),
  ]

  @Test(
    "A server of a kind that is not known here is named by its setting, and no password is shown",
    arguments: wrongServers
  )
  func wrongServer(arguments: [String], culprit: String) throws {
    for command in [["sale", "status", "p"], ["worker"], ["demo", "--requests", "1"]] {
      let outcome = try Doorbuster.run(command + arguments)
      expectRefusal(outcome, naming: culprit)
      #expect(outcome.stderr.contains(arguments[0]), "\(outcome.stderr)")
      #expect(!outcome.stderr.contains("sekret"), "\(outcome.stderr)")
    }
  }

  @Test("A wrong URL from the environment is named by its variable, and a flag's by the flag")
  func wrongVariable() throws {
    let wrong = [
      ("DOORBUSTER_REDIS", "--redis", "http://x"), ("DOORBUSTER_REDIS", "--redis", "redis://x:0"),
      ("DOORBUSTER_BROKER", "--broker", "kafka://x"), ("DOORBUSTER_BROKER", "--broker", "redis-streams://x:y"),
      ("DOORBUSTER_DATABASE", "--database", "oracle:x"), ("DOORBUSTER_DATABASE", "--database", "sqlite:"),
      ("DOORBUSTER_DATABASE", "--database", "mysql://ann:sekret@127.0.0.1"),
    ]
    for (variable, flag, url) in wrong {
      let fromVariable = try Doorbuster.run(["worker"], environment: [variable: url])
      expectRefusal(fromVariable, naming: "Error: $" + variable)
      #expect(!fromVariable.stderr.contains(flag) && !fromVariable.stderr.contains("sekret"))
      expectRefusal(try Doorbuster.run(["worker", flag, url], environment: [variable: "x"]), naming: "Error: " + flag)
    }
  }
}
