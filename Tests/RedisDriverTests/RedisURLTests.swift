import Testing

@testable import RedisDriver

@Suite struct RedisURLTests {
  struct Good: Sendable, CustomTestStringConvertible {
    let text: String
    let url: RedisURL
    let description: String
    var testDescription: String { text }

    init(
      _ text: String,
      _ endpoint: RedisURL.Endpoint,
      user: String? = nil,
      password: String? = nil,
      database: Int = 0,
      shown: String
    ) {
      self.text = text
      url = RedisURL(endpoint: endpoint, user: user, password: password, database: database)
      description = shown
    }
  }

  static let good: [Good] = [
    Good("redis://host", .tcp(host: "host", port: 6379), shown: "redis://host:6379"),
    Good("REDIS://host:1", .tcp(host: "host", port: 1), shown: "redis://host:1"),
    Good("redis://host:65535/", .tcp(host: "host", port: 65535), shown: "redis://host:65535"),
    Good("redis://host/15", .tcp(host: "host", port: 6379), database: 15, shown: "redis://host:6379/15"),
    Good("redis://:pw@host", .tcp(host: "host", port: 6379), password: "pw", shown: "redis://host:6379"),
    Good(
      "redis://me:pw@host:7/2",
      .tcp(host: "host", port: 7),
      user: "me",
      password: "pw",
      database: 2,
      shown: "redis://host:7/2"
    ),
    Good("redis://me@host", .tcp(host: "host", port: 6379), user: "me", password: "", shown: "redis://host:6379"),
    Good("redis://:@host", .tcp(host: "host", port: 6379), shown: "redis://host:6379"),
    Good(
      "redis://m%40e:p%3Aw%2F%25@host",
      .tcp(host: "host", port: 6379),
      user: "m@e",
      password: "p:w/%",
      shown: "redis://host:6379"
    ),
    Good(
      "redis://me:p:w@x@host",
      .tcp(host: "host", port: 6379),
      user: "me",
      password: "p:w@x",
      shown: "redis://host:6379"
    ),
    Good(
      "redis://me:%E2%82%AC@host",
      .tcp(host: "host", port: 6379),
      user: "me",
      password: "€",
      shown: "redis://host:6379"
    ),
    Good("redis://[::1]", .tcp(host: "::1", port: 6379), shown: "redis://[::1]:6379"),
    Good(
      "redis://me:pw@[fe80::1]:8/1",
      .tcp(host: "fe80::1", port: 8),
      user: "me",
      password: "pw",
      database: 1,
      shown: "redis://[fe80::1]:8/1"
    ),
    Good("unix:///run/r.sock", .unix(path: "/run/r.sock"), shown: "unix:///run/r.sock"),
    Good("unix:///run/r%20s?db=3", .unix(path: "/run/r s"), database: 3, shown: "unix:///run/r s?db=3"),
    Good("unix://me:pw@/r.sock", .unix(path: "/r.sock"), user: "me", password: "pw", shown: "unix:///r.sock"),
    Good("unix://:pw@/r.sock?db=1", .unix(path: "/r.sock"), password: "pw", database: 1, shown: "unix:///r.sock?db=1"),
  ]

  @Test("A URL gives endpoint, user, password and database, and shows neither user nor password", arguments: good)
  func parts(_ row: Good) throws {
    let url = try RedisURL(row.text)
    #expect(url == row.url)
    #expect(url.description == row.description)
    #expect(String(reflecting: url) == row.description)
  }

  static let bad: [(String, String)] = [
    ("", "redis://host or unix:///path"),
    ("host:6379", "redis://host or unix:///path"),
    ("http://host", "scheme \"http\""),
    ("rediss://host", "TLS"),
    ("redis://", "host is missing"),
    ("redis://:pw@", "host is missing"),
    ("redis:///0", "host is missing"),
    ("redis://host:", "port \"\""),
    ("redis://host:0", "port \"0\""),
    ("redis://host:65536", "port \"65536\""),
    ("redis://host:+1", "port \"+1\""),
    ("redis://host:99999999999999999999", "port"),
    ("redis://host/x", "database index \"x\""),
    ("redis://host/-1", "database index \"-1\""),
    ("redis://host/1/2", "database index"),
    ("redis://host/99999999999", "database index"),
    ("redis://host?db=1", "no \"?\" part"),
    ("redis://host/1#x", "no \"#\" part"),
    ("redis://ho st", "blank"),
    ("redis://[::1", "without \"]\""),
    ("redis://[::1]x", "after \"]\""),
    ("redis://::1", "port"),
    ("redis://me:%zz@host", "password: \"%\""),
    ("redis://%4:pw@host", "user: \"%\""),
    ("redis://me:%FF@host", "password is not UTF-8"),
    ("unix://", "path is missing"),
    ("unix://run/r.sock", "must start with \"/\""),
    ("unix:///r.sock?db=", "database index \"\""),
    ("unix:///r.sock?x=1", "?db=N"),
    ("unix:///r%00", "none of them 0"),
    ("unix:///" + String(repeating: "x", count: 107), "at most 107"),
  ]

  @Test("A malformed URL is refused with an error that names the wrong part", arguments: bad)
  func refusal(_ text: String, _ named: String) {
    let error = #expect(throws: RedisError.self) { try RedisURL(text) }
    #expect(error?.code == .invalidURL)
    #expect(error?.message.contains(named) == true, "\(error?.message ?? "")")
  }

  @Test(
    "No error and no dump repeats a password, wherever it was mistyped",
    arguments: [
      "redis://me:s3cretword%zz@host", "s3cretword://me@host", "redis://me:s3cretword_@host:x",
      "redis://host/s3cretword_",
      "redis://host:s3cretword_", "redis://me:s3cretword@ho st", "unix://me:s3cretword", "redis://me:s3cretword@host",
    ]
  )
  func secret(_ text: String) {
    var shown = ""
    do throws(RedisError) {
      let url = try RedisURL(text)
      dump(url, to: &shown)
      shown += "\(url)" + String(reflecting: url)
    } catch {
      shown = "\(error)" + String(reflecting: error.message)
    }
    #expect(!shown.contains("s3cretword") || text.hasPrefix("s3cretword"))
  }

  @Test("A socket path of 107 bytes fits")
  func longestPath() throws {
    let path = "/" + String(repeating: "x", count: 106)
    #expect(try RedisURL("unix://" + path).endpoint == .unix(path: path))
  }
}
