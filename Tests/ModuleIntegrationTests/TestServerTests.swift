import Foundation
import Glibc
import TestServers
import Testing

/// The machinery under the other tests: what it promises them.
@Suite struct TestServerTests {
  static let plain = RedisServerOptions(module: .none)

  @Test("A server answers on its socket, and its data outlive a kill when the AOF is always flushed")
  func restarts() throws {
    let server = try RedisServer(.init(module: .none, appendOnly: true))
    let connection = try server.connect()
    #expect(try connection.call("SET", "key", "value") == .ok)
    let before = try #require(server.pid)
    try server.kill9()
    #expect(server.pid == nil)
    #expect(throws: TestServerError.self) { try connection.call("PING") }
    try server.restart()
    #expect(server.pid != before)
    #expect(try server.call("GET", "key") == "value")
    #expect(try AppendOnlyFile.commands(of: server) == [["SET", "key", "value"]])
  }

  @Test("A server's process and directory are gone when it goes")
  func leavesNothing() throws {
    var server: RedisServer? = try RedisServer(Self.plain)
    let pid = try #require(server?.pid)
    let path = try #require(server?.directory.path)
    server = nil
    #expect(kill(pid, 0) == -1)
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test("A server that goes in the middle of a rewrite leaves nothing either")
  func leavesNothingOfARewrite() throws {
    for _ in 0..<4 {
      var server: RedisServer? = try RedisServer(.init(module: .none, appendOnly: true))
      let path = try #require(server?.directory.path)
      try server?.call("DEBUG", "POPULATE", 3_000)
      try server?.call("BGREWRITEAOF")
      server = nil
      #expect(!FileManager.default.fileExists(atPath: path))
    }
  }

  @Test("A server that refuses its configuration is an error with its log")
  func refusesConfiguration() throws {
    let error = #expect(throws: TestServerError.self) {
      try RedisServer(.init(module: .none, configLines: ["no-such-setting 1"]))
    }
    #expect("\(error as Any)".contains("no-such-setting"))
  }

  @Test("Servers on ports keep them over a restart, and a replica gets in step")
  func replicates() throws {
    let master = try RedisServer(.init(module: .none, appendOnly: true, tcp: true))
    #expect(try RawRedis(port: master.port).call("SET", "key", "1") == .ok)
    let port = master.port
    try master.restart()
    #expect(master.port == port)
    let replica = try RedisServer(.init(module: .none, replicaOf: master))
    #expect(try replica.call("GET", "key") == "1")
    #expect(try master.call("INCR", "key") == 2)
    try replica.waitForSync(with: master)
    #expect(try replica.call("GET", "key") == "2")
  }

  @Test("The replication stream gives the literal list of propagated commands, in batches")
  func stream() throws {
    let server = try RedisServer(Self.plain)
    let stream = try ReplicationStream(server)
    #expect(try stream.commands() == [])
    try server.call("SET", "a", "1")
    try server.call("GET", "a")
    try server.call("DEL", "missing")
    #expect(try stream.commands() == [["SET", "a", "1"]])
    #expect(try stream.commands() == [])
  }

  @Test("Replies of both protocols come as they are, pipelined and binary")
  func protocols() throws {
    let server = try RedisServer(Self.plain)
    let connection = try server.connect()
    let bytes: [UInt8] = [0, 13, 10, 255]
    #expect(
      try connection.pipeline([["SET", bytes, bytes], ["GET", bytes], ["GET", "none"]]) == [.ok, .bulk(bytes), nil]
    )
    #expect(try connection.call("HSET", "h", "f", 1) == 1)
    #expect(try connection.call("HGETALL", "h") == ["f", "1"])
    #expect(try connection.call("HELLO", 3)["proto"] == 3)
    #expect(try connection.call("HGETALL", "h") == .map([RESPPair("f", "1")]))
    #expect(try connection.call("HGETALL", "h")["f"] == "1")
    #expect(try connection.call("DEBUG", "PROTOCOL", "double") == .double(3.141))
    #expect(try connection.call("DEBUG", "PROTOCOL", "true") == .boolean(true))
    #expect(try connection.call("INCR", "h").errorCode == "WRONGTYPE")
    connection.timeout = .milliseconds(20)
    try connection.send(["BLPOP", "nothing", "0"])
    #expect(throws: TestServerError.self) { try connection.receive() }
  }

  @Test("Waiting ends with what was waited for, or with an error that names it")
  func waiting() throws {
    var looks = 0
    try waitUntil("the third look") {
      looks += 1
      return looks == 3
    }
    #expect(looks == 3)
    #expect(
      try waitUntil("the fifth look") {
        looks += 1
        return looks == 5 ? looks : nil
      } == 5
    )
    let error = #expect(throws: TestServerError.self) {
      try waitUntil("what never comes", timeout: .milliseconds(5)) { false }
    }
    #expect("\(error as Any)".contains("what never comes"))
  }

  @Test("A program's output, errors and status are told, and a signal ends it")
  func subprocess() throws {
    let done = try Subprocess.run("sh", ["-c", "cat; echo $WORD >&2; exit 3"], environment: ["WORD": "x"], input: [65])
    #expect(done.status == .exited(3))
    #expect(done.stdout == "A")
    #expect(done.stderr == "x\n")
    let endless = try Subprocess("sh", ["-c", "echo up; exec sleep 600"])
    try waitUntil("the first line") { endless.stdout == "up\n" }
    #expect(endless.isRunning)
    endless.signal(SIGTERM)
    #expect(try endless.wait().status == .signalled(SIGTERM))
  }

  @Test("A program's errors can go to a terminal, however many they are")
  func terminal() throws {
    let program = "[ -t 2 ] && [ ! -t 1 ] && yes 0123456789 | head -n 20000 >&2 && echo done"
    let outcome = try Subprocess("sh", ["-c", program], errorsToTerminal: true).wait()
    #expect(outcome.status == .exited(0))
    #expect(outcome.stdout == "done\n")
    #expect(outcome.stderr == String(repeating: "0123456789\r\n", count: 20_000))
  }

  @Test("What a process started is gone soon after it was killed")
  func reaps() throws {
    // The same shell script that watches over this process, watching over one that dies.
    let (left, ended) = (try Subprocess("sleep", ["600"]), try Subprocess("sleep", ["600"]))
    let lines = "group \(left.pid)\ngroup \(ended.pid)\nended \(ended.pid)\n"
    let watcher = try Subprocess("sh", ["-c", Reaping.script], input: Array(lines.utf8))
    #expect(try watcher.wait().status == .exited(0))
    #expect(try left.wait().status == .signalled(SIGKILL))
    #expect(ended.isRunning)
  }
}
