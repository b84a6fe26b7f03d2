import Testing

@testable import RedisDriver

@Suite struct GreetingTests {
  @Test(
    "A greeting says what the URL asks for",
    arguments: [
      ("redis://h", "*1\r\n$4\r\nPING\r\n"),
      ("redis://:pw@h", "*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n*1\r\n$4\r\nPING\r\n"),
      ("redis://me:pw@h", "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$2\r\npw\r\n*1\r\n$4\r\nPING\r\n"),
      ("redis://me@h", "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n"),
      ("redis://h/7", "*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n*1\r\n$4\r\nPING\r\n"),
    ]
  )
  func bytes(_ text: String, _ bytes: String) throws {
    let url = try RedisURL(text)
    let greeting = Greeting(url)
    var writer = CommandWriter()
    greeting.write(url, to: &writer)
    #expect(String(decoding: writer.buffer.bytes, as: UTF8.self) == bytes)
    #expect(bytes.split(separator: "*").count == greeting.steps.count)
  }

  @Test("A replica is asked to let reads through; a subscriber asks what it wants to know, and subscribes")
  func roles() throws {
    let url = try RedisURL("redis://:pw@h")
    let subscription = Subscription(
      channels: ["a", "b"],
      inquiry: ["CONFIG", "GET", "x"],
      pingInterval: .seconds(1),
      pingTimeout: .seconds(1)
    ) { _ in
    }
    func words(_ role: LinkRole) -> [String] {
      var writer = CommandWriter()
      Greeting(url, role).write(url, to: &writer)
      let lines = String(decoding: writer.buffer.bytes, as: UTF8.self).split(separator: "\r\n")
      return lines.filter { !$0.hasPrefix("$") && !$0.hasPrefix("*") }.map(String.init)
    }
    #expect(words(.replicaReads) == ["AUTH", "pw", "PING", "READONLY"])
    let expected = ["AUTH", "pw", "PING", "CONFIG", "GET", "x", "SUBSCRIBE", "a", "SUBSCRIBE", "b"]
    #expect(words(.subscription(subscription)) == expected)
    #expect(Greeting(url, .subscription(subscription)).steps.count == 5)
  }

  @Test("An answer to the greeting lets commands go, asks to come again, or ends the hope")
  func verdicts() throws {
    let greeting = Greeting(try RedisURL("redis://:pw@h/1"))
    let rows: [(Greeting.Step, String?, Greeting.Verdict)] = [
      (.authenticate, nil, .ok), (.selectDatabase, nil, .ok), (.ping, nil, .ok),
      (.authenticate, "WRONGPASS invalid", .refused("WRONGPASS invalid")),
      (.authenticate, "ERR AUTH <password> called without", .refused("ERR AUTH <password> called without")),
      (.selectDatabase, "ERR DB index is out of range", .refused("ERR DB index is out of range")),
      (.selectDatabase, "NOPERM select", .refused("NOPERM select")),
      (.ping, "NOAUTH Authentication required.", .refused("NOAUTH Authentication required.")),
      (.ping, "NOPERM ping", .ok),
      (.ping, "LOADING Redis", .notNow("LOADING Redis")),
      (.ping, "BUSY Redis", .notNow("BUSY Redis")),
      (.ping, "MASTERDOWN Link", .notNow("MASTERDOWN Link")),
      (.authenticate, "ERR max number of clients reached", .notNow("ERR max number of clients reached")),
      (.inquire, "NOPERM config", .ok),
      (.readOnly, "ERR cluster support disabled", .refused("ERR cluster support disabled")),
      (.subscribe(channel: "a"), "NOPERM channel", .refused("NOPERM channel")),
    ]
    for (step, error, verdict) in rows { #expect(greeting.judge(step, error: error) == verdict) }
  }
}
