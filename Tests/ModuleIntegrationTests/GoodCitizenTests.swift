import Foundation
import TestServers
import Testing

/// How the module behaves inside the server and towards its administrator.
@Suite struct GoodCitizenTests {
  /// Each command: its arity and whether it writes and needs memory.
  static let commands: [(name: String, arity: Int64, writes: Bool, denyOom: Bool)] = [
    ("stock.create", -3, true, true), ("stock.schedule", -4, true, false), ("stock.deduct", -5, true, true),
    ("stock.cancel", -3, true, false), ("stock.fence", 3, true, false), ("stock.add", 4, true, true),
    ("stock.get", 3, false, false), ("stock.info", 2, false, false), ("stock.log", -3, false, false),
    ("stock.trim", -3, true, false), ("stock.confirm", 3, true, false), ("stock.withdraw", 6, true, true),
    ("stock.deposit", 6, true, false), ("stock.settle", 3, true, false), ("stock.transfers", -2, false, false),
    ("stock.freeze", 2, true, false), ("stock.thaw", -2, true, false), ("stock.record", -5, true, false),
    ("stock.rebalance", -3, true, false),
  ]

  @Test("The module has these commands, STOCK.APPLY, and no other")
  func commandList() throws {
    let stock = try Stage()
    let listed = try stock.redis.call("COMMAND", "LIST", "FILTERBY", "MODULE", "doorbuster").elements ?? []
    #expect(Set(listed.compactMap { $0.text?.lowercased() }) == Set(Self.commands.map(\.name) + ["stock.apply"]))
  }

  @Test("COMMAND INFO tells each command's arity, flags, key and categories")
  func commandInfo() throws {
    let stock = try Stage()
    for command in Self.commands {
      let info = try #require(stock.redis.call("COMMAND", "INFO", command.name)[0], "\(command.name)")
      #expect(info[1] == .integer(command.arity), "\(command.name)")
      let flags = Set(info[2]?.elements?.compactMap(\.text) ?? [])
      #expect(flags.contains(command.writes ? "write" : "readonly"), "\(command.name): \(flags)")
      #expect(!flags.contains(command.writes ? "readonly" : "write"), "\(command.name): \(flags)")
      #expect(flags.contains("denyoom") == command.denyOom, "\(command.name): \(flags)")
      if command.name != "stock.rebalance" { #expect([info[3], info[4], info[5]] == [1, 1, 1], "\(command.name)") }
      // Redis 7.0 puts the commands of modules into no category.
      let categories = Set(info[6]?.elements?.compactMap(\.text) ?? [])
      let expected = [command.writes ? "@write" : "@read", flags.contains("fast") ? "@fast" : "@slow"]
      #expect(
        categories.isEmpty || categories.subtracting(["@doorbuster"]) == Set(expected),
        "\(command.name): \(categories)"
      )
      let keys = try #require(info[8]?[0], "\(command.name)")
      let keyFlags = Set(keys["flags"]?.elements?.compactMap(\.text) ?? [])
      #expect(keyFlags.contains(command.writes ? "RW" : "RO") || keyFlags.contains("OW"), "\(keyFlags)")
    }
  }

  @Test("COMMAND DOCS describes each command and its arguments")
  func commandDocs() throws {
    let stock = try Stage()
    for command in Self.commands {
      let reply = try stock.redis.call("COMMAND", "DOCS", command.name)
      #expect(reply[0]?.text?.lowercased() == command.name)
      let docs = try #require(reply[1], "\(command.name)")
      #expect(try #require(docs["summary"]?.text).count > 10, "\(command.name)")
      #expect(docs["complexity"]?.text?.isEmpty == false, "\(command.name)")
      #expect(docs["module"] != nil, "\(command.name)")
      let arguments = docs["arguments"]?.elements ?? []
      #expect(arguments.first?["type"]?.text == "key", "\(command.name)")
    }
  }

  @Test("COMMAND GETKEYS finds the key in every command")
  func getKeys() throws {
    let stock = try Stage()
    let samples: [[any RedisArgument]] = [
      ["STOCK.CREATE", "k", 1, "LIMIT", 2], ["STOCK.SCHEDULE", "k", "LIMIT", 2], ["STOCK.DEDUCT", "k", "u", "t", 1],
      ["STOCK.CANCEL", "k", "t", "FENCE"], ["STOCK.FENCE", "k", "t"], ["STOCK.ADD", "k", "t", 1],
      ["STOCK.GET", "k", "t"], ["STOCK.INFO", "k"], ["STOCK.LOG", "k", 0, "COUNT", 1],
      ["STOCK.TRIM", "k", 1, "EPOCH", 1], ["STOCK.CONFIRM", "k", "t"], ["STOCK.WITHDRAW", "k", "t", 1, "TO", 1],
      ["STOCK.DEPOSIT", "k", "t", 1, "FROM", 1], ["STOCK.SETTLE", "k", "t"], ["STOCK.TRANSFERS", "k", "AFTER", "t"],
      ["STOCK.FREEZE", "k"], ["STOCK.THAW", "k", "EPOCH", 1], ["STOCK.RECORD", "k", "u", "t", 1, "sold"],
      ["STOCK.RECORD", "k", "TRANSFER", "t", "IN", 1, 1], ["STOCK.RECORD", "k", "RESTOCK", "t", 1],
    ]
    for words in samples {
      #expect(try stock.redis.call(["COMMAND", "GETKEYS"] + words) == ["k"], "\(words)")
    }
  }

  @Test("ACL users get what their commands, keys and kinds of access allow")
  func accessControl() throws {
    let stock = try Stage()
    try stock("CREATE", "shop:a", 5)
    let reads = Self.commands.filter { !$0.writes }.map { "+" + $0.name }
    let writes = Self.commands.filter(\.writes).map { "+" + $0.name }
    try stock.redis.call(["ACL", "SETUSER", "reader", "on", ">p"] + reads + ["~shop:*"])
    try stock.redis.call(["ACL", "SETUSER", "seller", "on", ">p"] + reads + writes + ["~shop:*"])
    try stock.redis.call(["ACL", "SETUSER", "looker", "on", ">p", "+@all", "%R~shop:*"])
    func user(_ name: String) throws -> RawRedis {
      let redis = try stock.server.connect()
      #expect(try redis.call("AUTH", name, "p") == .ok)
      return redis
    }
    let (reader, seller, looker) = (try user("reader"), try user("seller"), try user("looker"))
    #expect(try seller.call("STOCK.DEDUCT", "shop:a", "u", "t", 1)[0] == .simple("OK"))
    expectError(try seller.call("STOCK.CREATE", "other", 1), "NOPERM")
    expectError(try seller.call("STOCK.GET", "other", "t"), "NOPERM")
    for redis in [reader, looker] {
      #expect(try redis.call("STOCK.INFO", "shop:a")["sold"] == 1)
      #expect(try redis.call("STOCK.GET", "shop:a", "t")["state"] == "sold")
      #expect(try redis.call("STOCK.LOG", "shop:a", 0).elements?.count == 2)
      expectError(try redis.call("STOCK.DEDUCT", "shop:a", "u", "t2", 1), "NOPERM")
      expectError(try redis.call("STOCK.CANCEL", "shop:a", "t"), "NOPERM")
      expectError(try redis.call("STOCK.CREATE", "shop:b", 1), "NOPERM")
      expectError(try redis.call("STOCK.INFO", "other"), "NOPERM")
    }
  }

  @Test("Where the server has no categories for modules a rule by category does nothing to them; else it does")
  func categories() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 5)
    let hasCategories = try stock.redis.call("COMMAND", "INFO", "stock.deduct")[0]?[6]?.elements?.isEmpty == false
    let rules: [(rules: [String], sells: Bool, reads: Bool)] = [
      (["+@all", "-@write"], !hasCategories, true), (["+@all", "-@read"], true, !hasCategories),
      (["+@write"], hasCategories, false), (["+@read"], false, hasCategories),
      (["+@all", "-stock.deduct"], false, true),
    ]
    for (number, (rules, sells, reads)) in rules.enumerated() {
      try stock.redis.call(
        ["ACL", "SETUSER", "user\(number)", "on", ">p", "~*"] + rules.map { $0 as any RedisArgument }
      )
      let redis = try stock.server.connect()
      #expect(try redis.call("AUTH", "user\(number)", "p") == .ok)
      let reply = try redis.call("STOCK.DEDUCT", "key", "u", "t\(number)", 1)
      #expect(reply.errorCode == (sells ? nil : "NOPERM"), "\(rules): \(reply)")
      #expect(try redis.call("STOCK.INFO", "key").errorCode == (reads ? nil : "NOPERM"), "\(rules)")
    }
  }

  @Test("A server that has categories for modules is given those of the flags, and a category of the module's own")
  func categoriesOfLaterServers() throws {
    let slow = ["stock.schedule", "stock.log", "stock.trim", "stock.transfers", "stock.rebalance"]
    func given(_ functions: [String]) throws -> [String] {
      let names = functions.map { "RedisModule_" + $0 }
      let run = try Subprocess.run(BuiltFiles.beside("loading-probe"), [BuiltFiles.module()] + names)
      #expect(run.status == .exited(0), "\(run.stderr)")
      return run.stdout.split(separator: "\n").map { $0.lowercased() }.sorted()
    }
    func expected(_ own: String) -> [String] {
      let apply = "stock.apply: write slow admin dangerous\(own)"
      return Self.commands.map { command in
        let speed = slow.contains(command.name) ? "slow" : "fast"
        return "\(command.name): \(command.writes ? "write" : "read") \(speed)\(own)"
      } + [apply]
    }
    #expect(try given([]) == [])
    #expect(try given(["AddACLCategory"]) == [])
    #expect(try given(["SetCommandACLCategories"]) == expected("").sorted())
    #expect(
      try given(["SetCommandACLCategories", "AddACLCategory"])
        == (expected(" doorbuster") + ["added doorbuster"]).sorted()
    )
  }

  @Test("Without memory nothing is sold or put on sale, and what gives back still works")
  func outOfMemory() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    try stock("DEDUCT", "key", "u", "t", 2)
    for token in ["held", "due"] { try stock("DEDUCT", "key", "u", token, 1, "HOLD", token == "due" ? 50 : 600_000) }
    try stock("CREATE", "other", 4)
    let digest = try stock.digest("key")
    try stock.redis.call("CONFIG", "SET", "maxmemory", 1)
    expectError(try stock("CREATE", "new", 10), "OOM")
    expectError(try stock("DEDUCT", "key", "u", "other", 2), "OOM")
    expectError(try stock("ADD", "key", "r", 2), "OOM")
    expectError(try stock("WITHDRAW", "key", "w", 2, "TO", 1), "OOM")
    #expect(try stock.digest("key") == digest)
    #expect(try stock("GET", "key", "t")["state"] == "sold")
    // What gives back, recovers or tells works, and holds go on expiring.
    try stock.waitForHeld("key", 1)
    for (words, status) in [
      (["FENCE", "key", "f"], "OK"), (["CANCEL", "key", "t"], "OK"), (["CONFIRM", "key", "held"], "OK"),
      (["DEPOSIT", "key", "d", "3", "FROM", "1"], "OK"), (["SETTLE", "key", "d"], "OK"),
      (["RECORD", "key", "u", "lost", "1", "sold"], "OK"),
    ] {
      let reply = try stock.redis.call(["STOCK." + words[0]] + words.dropFirst().map { $0 as any RedisArgument })
      #expect(reply[0] == .simple(status), "\(words): \(reply)")
    }
    #expect(try stock("SCHEDULE", "key", "CLOSES", 1) == .ok)
    #expect(try stock("FREEZE", "key") == .ok)
    #expect(try stock("THAW", "key") == .ok)
    #expect(try stock("REBALANCE", "key", "other").elements?.count == 2)
    #expect(try stock("TRIM", "key", 3) == 3)
    #expect(try stock("TRANSFERS", "key", "ALL").elements?.count == 1)
    try stock.redis.call("CONFIG", "SET", "maxmemory", 0)
    #expect(try stock("ADD", "key", "r", 2)[0] == .simple("OK"))
  }

  @Test("No bucket is created where the server could evict it, whatever maxmemory is")
  func evictable() throws {
    let stock = try Stage()
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
      for memory in [0, 1_000_000_000] {
        try stock.redis.call("CONFIG", "SET", "maxmemory", memory)
        #expect(try stock.redis.call("CONFIG", "SET", "maxmemory-policy", policy) == .ok)
        expectError(try stock("CREATE", "key", 10), "EVICTABLE", comment: policy)
        #expect(try stock.redis.call("EXISTS", "key") == 0)
      }
    }
    for policy in ["noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
      try stock.redis.call("CONFIG", "SET", "maxmemory-policy", policy)
      #expect(try stock("CREATE", policy, 10) == .ok)
    }
    try stock.redis.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    #expect(try stock("DEDUCT", "noeviction", "u", "t", 1)[0] == .simple("OK"))
  }

  @Test("MODULE LOAD and loadmodule both bring the commands, once")
  func loading() throws {
    let server = try RedisServer(.init(module: .none))
    let redis = try server.connect()
    expectError(try redis.call("STOCK.CREATE", "key", 1))
    #expect(try redis.call("MODULE", "LOAD", BuiltFiles.module()) == .ok)
    #expect(try redis.call("STOCK.CREATE", "key", 1) == .ok)
    #expect(try redis.call("MODULE", "LOAD", BuiltFiles.module()).errorCode == "ERR")
    let modules = try redis.call("MODULE", "LIST")
    #expect(modules.elements?.count == 1)
    #expect(modules[0]?["name"] == "doorbuster")
    #expect(try redis.call("STOCK.DEDUCT", "key", "u", "t", 1) == .status("OK", 0, 2))
    // A module with a data type can't be unloaded while keys may hold it.
    expectError(try redis.call("MODULE", "UNLOAD", "doorbuster"))
    #expect(try redis.call("STOCK.INFO", "key")["sold"] == 1)
  }

  @Test("Ordinary key commands work on a bucket")
  func keyCommands() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1)
    let redis = stock.redis
    #expect(try redis.call("TYPE", "key") == .simple("doorbustr"))
    #expect(try redis.call("OBJECT", "REFCOUNT", "key") == 1)
    #expect(try redis.call("SCAN", 0, "TYPE", "doorbustr")[1] == ["key"])
    #expect(try redis.call("TOUCH", "key") == 1)
    #expect(try redis.call("MOVE", "key", 3) == 1)
    #expect(try redis.call("SWAPDB", 0, 3) == .ok)
    #expect(try stock.info("key")["available"] == 1)
    #expect(try redis.call("PEXPIRE", "key", 1) == 1)
    try waitUntil("the expiry") { try redis.call("EXISTS", "key") == 0 }
    #expect(try stock("CREATE", "key", 1) == .ok)
    #expect(try redis.call("DEBUG", "OBJECT", "key").errorCode == nil)
    #expect(try redis.call("FLUSHALL") == .ok)
    expectError(try stock("INFO", "key"), "NOBUCKET")
  }

  @Test("A watched bucket that changes breaks the transaction, and one that only refuses does not")
  func watch() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1)
    let other = try stock.server.connect()
    func transaction(after words: any RedisArgument...) throws -> RESP {
      try stock.redis.call("WATCH", "key")
      try other.call(words)
      try stock.redis.call("MULTI")
      try stock.redis.call("PING")
      return try stock.redis.call("EXEC")
    }
    #expect(try transaction(after: "STOCK.INFO", "key") == [.simple("PONG")])
    #expect(try transaction(after: "STOCK.DEDUCT", "key", "u", "big", 2) == [.simple("PONG")])
    #expect(try transaction(after: "STOCK.DEDUCT", "key", "u", "t", 1) == nil)
    #expect(try transaction(after: "STOCK.DEDUCT", "key", "u", "t", 1) == [.simple("PONG")])
    #expect(try transaction(after: "STOCK.CANCEL", "key", "t") == nil)
    #expect(try transaction(after: "STOCK.ADD", "key", "r", 1) == nil)
    #expect(try transaction(after: "STOCK.SCHEDULE", "key", "LIMIT", 1) == nil)
    #expect(try transaction(after: "STOCK.FENCE", "key", "f") == nil)
    #expect(try transaction(after: "STOCK.WITHDRAW", "key", "w", 1, "TO", 1) == nil)
    #expect(try transaction(after: "STOCK.WITHDRAW", "key", "w", 1, "TO", 1) == [.simple("PONG")])
    #expect(try transaction(after: "STOCK.DEPOSIT", "key", "d", 1, "FROM", 1) == nil)
    #expect(try transaction(after: "STOCK.SETTLE", "key", "d") == nil)
    #expect(try transaction(after: "STOCK.FREEZE", "key") == nil)
    #expect(try transaction(after: "STOCK.FENCE", "key", "cold") == [.simple("PONG")])
    #expect(try transaction(after: "STOCK.THAW", "key") == nil)
    #expect(try transaction(after: "STOCK.RECORD", "key", "u", "lost", 1, "sold") == nil)
    #expect(try transaction(after: "STOCK.RECORD", "key", "u", "lost", 1, "sold") == [.simple("PONG")])
    #expect(try transaction(after: "STOCK.TRIM", "key", 3) == nil)
    try stock("CREATE", "other", 9)
    #expect(try transaction(after: "STOCK.REBALANCE", "other", "key") == nil)
    #expect(try transaction(after: "STOCK.REBALANCE", "other", "key") == [.simple("PONG")])
  }

  @Test("A client that caches a bucket hears of each change, also of a timer's, and of no refusal")
  func tracking() throws {
    let stock = try Stage(resp: 3)
    try stock("CREATE", "key", 2)
    #expect(try stock.redis.call("CLIENT", "TRACKING", "ON") == .ok)
    let other = try stock.server.connect()
    /// Whether the cached reading was invalidated: the push comes before the next reply.
    func isInvalidated(_ change: () throws -> Void) throws -> Bool {
      _ = try stock("INFO", "key")
      try change()
      try stock.redis.send(["PING"])
      let first = try stock.redis.receive()
      if case .push = first {
        #expect(try stock.redis.receive() == .simple("PONG"))
        return true
      }
      #expect(first == .simple("PONG"))
      return false
    }
    #expect(try isInvalidated { try other.call("STOCK.DEDUCT", "key", "u", "t", 1) })
    #expect(try !isInvalidated { try other.call("STOCK.DEDUCT", "key", "u", "t", 1) })
    #expect(try !isInvalidated { try other.call("STOCK.DEDUCT", "key", "u", "big", 5) })
    #expect(try isInvalidated { try other.call("STOCK.DEDUCT", "key", "u", "h", 1, "HOLD", 40) })
    #expect(
      try isInvalidated {
        try waitUntil("the expiry") { try other.call("STOCK.INFO", "key")["held"] == 0 }
      }
    )
  }

  @Test("MEMORY USAGE grows with all that a bucket keeps, and lazy freeing gives it back")
  func memory() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1_000_000)
    func usage() throws -> Int64 { try #require(stock.redis.call("MEMORY", "USAGE", "key").integer) }
    var last = try usage()
    let kinds: [(String, (Int) -> [any RedisArgument])] = [
      ("purchases", { ["STOCK.DEDUCT", "key", "u\($0)", "t\($0)", 1] }),
      ("holds", { ["STOCK.DEDUCT", "key", "u\($0)", "h\($0)", 1, "HOLD", 600_000] }),
      ("transfers", { ["STOCK.WITHDRAW", "key", "w\($0)", 1, "TO", 1] }),
    ]
    for (name, command) in kinds {
      _ = try stock.redis.pipeline((0..<20_000).map(command))
      let now = try usage()
      #expect(now > last + 20_000 * 30, "\(name): \(now) after \(last)")
      last = now
    }
    #expect(try #require(stock.info("key")["bytes"]?.integer) <= last)
    func used() throws -> Int64 {
      let lines = try stock.redis.call("INFO", "memory").text?.split(whereSeparator: \.isNewline) ?? []
      return Int64(lines.first { $0.hasPrefix("used_memory:") }?.dropFirst(12) ?? "") ?? 0
    }
    let before = try used()
    #expect(try stock.redis.call("UNLINK", "key") == 1)
    try waitUntil("the memory") { try used() < before - last / 2 }
    let freed = try stock.redis.call("INFO", "stats").text ?? ""
    #expect(!freed.contains("lazyfreed_objects:0"), "a big bucket is freed in the background")
  }

  @Test("A script can sell, and hears the same replies")
  func script() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 1)
    let script = "local r = redis.call('STOCK.DEDUCT', KEYS[1], 'u', ARGV[1], '1') return {r[1]['ok'], r[2], r[3]}"
    #expect(try stock.redis.call("EVAL", script, 1, "key", "t") == ["OK", 0, 2])
    #expect(try stock.redis.call("EVAL", script, 1, "key", "t") == ["DUPLICATE", 0, 2])
    #expect(try stock.redis.call("EVAL", script, 1, "none", "t").errorCode == "NOBUCKET")
  }

  @Test("The built module needs libc and nothing of Swift, and is under 300 KB")
  func builtFile() throws {
    let path = try BuiltFiles.module()
    let libraries = try Subprocess.run("ldd", [path]).stdout.split(separator: "\n").compactMap {
      $0.split(whereSeparator: \.isWhitespace).first.map(String.init)
    }
    #expect(libraries.contains { $0.hasPrefix("libc.so") })
    for library in libraries {
      let expected = ["linux-vdso", "libc.so", "/lib64/ld-linux", "/lib/ld-linux"].contains { library.hasPrefix($0) }
      #expect(expected, "\(library)")
    }
    let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
    #expect(try #require(size) < 300_000)
  }
}
