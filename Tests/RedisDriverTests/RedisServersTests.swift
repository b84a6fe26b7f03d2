import Testing

@testable import RedisDriver

@Suite struct RedisServersTests {
  private func url(_ text: String) throws -> RedisURL { try RedisURL(text) }

  @Test(
    "One server is one server",
    arguments: ["redis://h", "redis://me:p%2Cw@h:1/2", "unix:///tmp/a,b.sock", "unix:///tmp/x?db=3"]
  )
  func one(text: String) throws {
    #expect(try RedisServers(text) == .one(try RedisURL(text)))
    #expect(try RedisServers(text).canonicalText == "one server")
  }

  @Test("A list takes short forms, whole URLs and sockets, in their order")
  func lists() throws {
    #expect(
      try RedisServers("redis://a:1,b:2,c")
        == .list([try url("redis://a:1"), try url("redis://b:2"), try url("redis://c:6379")])
    )
    #expect(
      try RedisServers("redis://me:pw@a:1/3,b:2,redis://c:3,d:4,you:p2@e:5")
        == .list([
          try url("redis://me:pw@a:1/3"), try url("redis://me:pw@b:2/3"), try url("redis://c:3"),
          try url("redis://d:4"),
          try url("redis://you:p2@e:5"),
        ])
    )
    #expect(
      try RedisServers("unix:///tmp/a,b.sock,unix:///c.sock?db=1,redis://d")
        == .list([try url("unix:///tmp/a,b.sock"), try url("unix:///c.sock?db=1"), try url("redis://d")])
    )
  }

  @Test("A list's text is its order of addresses and databases, without user and password")
  func canonicalText() throws {
    let servers = try RedisServers("redis://me:secret@A.example:1/3,b:2,unix:///c.sock?db=1")
    #expect(servers.canonicalText == "redis://a.example:1/3,redis://b:2/3,unix:///c.sock?db=1")
    #expect(servers.description == "redis://A.example:1/3,redis://b:2/3,unix:///c.sock?db=1")
    let other = try RedisServers("redis://b:2,a.example:1")
    #expect(other.canonicalText != servers.canonicalText)
  }

  @Test("A cluster is named by some of its nodes, with one user for all")
  func clusters() throws {
    let seeds = [try url("redis://me:pw@a:1"), try url("redis://me:pw@b:6379"), try url("redis://me:pw@[::1]:3")]
    let servers = try RedisServers("redis-cluster://me:pw@a:1,b,[::1]:3")
    #expect(servers == .cluster(seeds: seeds))
    #expect(servers.description == "redis-cluster://a:1,b:6379,[::1]:3")
    #expect(try RedisServers("REDIS-CLUSTER://a") == .cluster(seeds: [try url("redis://a")]))
    #expect(servers.canonicalText == "a Redis Cluster")
  }

  @Test(
    "What is wrong is named, with its place in the list",
    arguments: [
      ("redis://a,,b", "server 2 of 3: URL: nothing between two commas"),
      ("redis://a,b:x", #"server 2 of 2: URL: port "x"; expected a number from 1 to 65535"#),
      ("redis://a,b/2", "server 2 of 2: URL: database 2 of one server alone; write each as redis://host:port/db"),
      ("redis://a,b,A:6379", "servers 1 and 3 of the list are the same: redis://A:6379"),
      ("redis-cluster://a/1", "URL: database 1; a cluster has database 0 only"),
      ("redis-cluster://", "URL: host is missing: redis://host:port/db"),
      ("redis-cluster://a,unix:///b", "URL: a node of a cluster has a host and a port, not a socket's path"),
      ("http://a,b", #"server 1 of 2: URL: scheme "http"; expected redis or unix"#),
    ]
  )
  func faults(text: String, message: String) {
    let error = expectError { () throws(RedisError) in _ = try RedisServers(text) }
    #expect(error?.code == .invalidURL)
    #expect(error?.message == message)
  }

  @Test("A password with a comma in it falls to pieces, and none of them is repeated")
  func passwordWithComma() {
    for text in ["redis://me:secret,word@a", "redis://:secret,word:9x@a", "redis-cluster://:secret,word@a"] {
      let error = expectError { () throws(RedisError) in _ = try RedisServers(text) }
      #expect(error?.message.contains("secret") == false && error?.message.contains("word:") == false)
      #expect(error?.message.contains("%2C") == true)
    }
  }

  @Test("A URL of several servers is no URL of one")
  func severalForOne() {
    let error = expectError { () throws(RedisError) in _ = try RedisURL("redis-cluster://a") }
    #expect(error?.message == "URL: scheme redis-cluster names several servers; one is expected here")
  }
}
