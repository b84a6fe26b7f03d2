import Foundation
import TestServers
import Testing

/// How the module behaves inside the server and towards its administrator.
@Suite struct GoodCitizenTests {
  /// Each command of this state of the product: its arity and whether it writes and needs memory.
  static let commands: [(name: String, arity: Int64, writes: Bool, denyOom: Bool)] = [
    ("stock.create", -3, true, true), ("stock.schedule", -4, true, false), ("stock.deduct", -5, true, true),
    ("stock.cancel", -3, true, false), ("stock.fence", 3, true, false), ("stock.add", 4, true, true),
    ("stock.get", 3, false, false), ("stock.info", 2, false, false), ("stock.log", -3, false, false),
    ("stock.trim", -3, true, false),
  ]

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
      #expect([info[3], info[4], info[5]] == [1, 1, 1], "\(command.name)")
      // Redis 7.0 and 7.2 put the commands of modules into no category; later ones do, by their flags.
      let categories = Set(info[6]?.elements?.compactMap(\.text) ?? [])
      let expected = command.writes ? "@write" : "@read"
      #expect(categories.isEmpty || categories.contains(expected), "\(command.name): \(categories)")
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
      ["STOCK.TRIM", "k", 1, "EPOCH", 1],
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

  @Test("Without memory nothing is sold or put on sale, and what gives back still works")
  func outOfMemory() throws {
    let stock = try Stage()
    try stock("CREATE", "key", 10)
    try stock("DEDUCT", "key", "u", "t", 2)
    let digest = try stock.digest("key")
    try stock.redis.call("CONFIG", "SET", "maxmemory", 1)
    expectError(try stock("CREATE", "new", 10), "OOM")
    expectError(try stock("DEDUCT", "key", "u", "other", 2), "OOM")
    expectError(try stock("ADD", "key", "r", 2), "OOM")
    #expect(try stock.digest("key") == digest)
    #expect(try stock("GET", "key", "t")["state"] == "sold")
    #expect(try stock("FENCE", "key", "f")[0] == .simple("OK"))
    #expect(try stock("CANCEL", "key", "t") == .status("OK", 10, 4))
    #expect(try stock("SCHEDULE", "key", "CLOSES", 1) == .ok)
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
