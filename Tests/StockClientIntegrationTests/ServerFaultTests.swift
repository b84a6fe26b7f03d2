import RedisDriver
import Stock
import StockClient
import TestServers
import Testing

/// What the client says where the server is not as it should be. Nothing is changed by any of it.
@Suite struct ServerFaultTests {
  private static let password = "correct horse"

  private func connectError(_ url: RedisURL) async throws -> StockError {
    try await stockError { try await StockClient.connect(url, configuration: .forTests(patience: .seconds(5))) }
  }

  @Test("Nobody there: unavailable, at once, with the address")
  func unreachable() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("no.sock")
    let error = try await connectError(RedisURL(endpoint: .unix(path: path)))
    #expect(error.code == .unavailable)
    #expect(error.message.contains(path))
    let refused = try await connectError(RedisURL(endpoint: .tcp(host: "127.0.0.1", port: 1)))
    #expect(refused.code == .unavailable)
    #expect(refused.message.contains("127.0.0.1:1"))
  }

  @Test("A server without the module: the error tells how to load it, and a bucket's command says the same")
  func noModule() async throws {
    let server = try RedisServer(.init(module: .none))
    let error = try await connectError(server.url)
    #expect(error.code == .noModule)
    #expect(error.message.contains("MODULE LOAD") && error.message.contains("--loadmodule"))
    let client = StockClient(try RedisClient(server.url, configuration: .forTests()))
    let bucket = BucketID(sku: try SKU("X"), index: 0)
    let deduct = try await stockError {
      let purchase = try Purchase(sku: bucket.sku, user: UserID("secret-user"), token: Token("secret-token"))
      return try await client.deduct(purchase, from: bucket, before: .now + .seconds(20))
    }
    await client.close()
    #expect(deduct.code == .noModule)
    #expect(deduct.message.contains("STOCK.DEDUCT doorbuster:{X/0}"))
    #expect(!deduct.message.contains("secret"))
  }

  @Test("A missing, a wrong and an unexpected password: not authorized, and none is repeated")
  func passwords() async throws {
    let guarded = try RedisServer(.init(configLines: ["requirepass \"\(Self.password)\""]))
    var url = guarded.url
    let missing = try await connectError(url)
    #expect(missing.code == .notAuthorized)
    url.password = "wrong pony"
    let wrong = try await connectError(url)
    #expect(wrong.code == .notAuthorized)
    #expect(!wrong.message.contains("pony") && !wrong.message.contains("horse"))
    url.password = Self.password
    let client = try await StockClient.connect(url, configuration: .forTests())
    await client.close()

    let open = try RedisServer()
    url = open.url
    url.password = "pony"
    let needless = try await connectError(url)
    #expect(needless.code == .notAuthorized)
    #expect(!needless.message.contains("pony"))
  }

  @Test("An ACL user with the STOCK commands and our keys is enough; one without them is told what it needs")
  func aclUsers() async throws {
    let server = try RedisServer()
    let stock = ["-@all", "+stock.cancel", "+stock.create", "+stock.deduct", "+stock.info"]
    let enough: [any RedisArgument] = ["ACL", "SETUSER", "seller", "on", ">\(Self.password)", "~doorbuster:*"]
    #expect(try server.connect().call(enough + stock) == .ok)
    var url = server.url
    url.user = "seller"
    url.password = Self.password
    let client = try await StockClient.connect(url, configuration: .forTests())
    let bucket = BucketID(sku: try SKU("X"), index: 0)
    try await client.create(bucket, quantity: 1, terms: SaleTerms())
    let denied = try await stockError { try await client.fence(Token("t"), in: bucket) }
    #expect(denied.code == .notAuthorized)
    #expect(denied.message.contains("STOCK.FENCE doorbuster:{X/0}") && denied.message.contains("NOPERM"))
    await client.close()

    #expect(try server.call("ACL", "SETUSER", "reader", "on", ">\(Self.password)", "~doorbuster:*", "+ping") == .ok)
    url.user = "reader"
    #expect(try await connectError(url).code == .notAuthorized)
  }

  @Test("A replica that takes no changes is refused when connecting, and named as one")
  func readOnlyReplica() async throws {
    let master = try RedisServer(.init(tcp: true))
    let replica = try RedisServer(.init(replicaOf: master))
    let error = try await connectError(replica.url)
    #expect(error.code == .readOnly)
    #expect(error.message.contains("replica") && error.message.contains(replica.socketPath))
  }

  @Test("A database index that the server has not: its own words")
  func databaseIndex() async throws {
    let server = try RedisServer()
    var url = server.url
    url.database = 99
    let error = try await connectError(url)
    #expect(error.code == .refused)
    #expect(error.message.contains("DB index"))
    url.database = 3
    let client = try await StockClient.connect(url, configuration: .forTests())
    try await client.create(BucketID(sku: try SKU("X"), index: 0), quantity: 1, terms: SaleTerms())
    await client.close()
    #expect(try server.call("EXISTS", "doorbuster:{X/0}") == 0)
  }

  @Test("Each fault of a command has its code, and names the key")
  func commandFaults() async throws {
    try await LiveServer.run { live in
      let (client, bucket) = (live.client, try live.bucket())
      let missing = try await stockError { try await client.info(bucket) }
      expect(missing.code, is: .noBucket)
      expect(missing.message.contains("STOCK.INFO doorbuster:{X/0}"), is: true)
      expect(try await stockError { try await live.deduct("t") }.code, is: .noBucket)

      try await client.create(bucket, quantity: 5, terms: SaleTerms())
      expect(
        try await stockError { try await client.create(bucket, quantity: 5, terms: SaleTerms()) }.code,
        is: .bucketExists
      )
      _ = try await live.deduct("t", quantity: 2)
      expect(try await stockError { try await live.deduct("t", quantity: 1) }.code, is: .tokenMismatch)
      expect(try await stockError { try await live.deduct("t", user: "x", quantity: 2) }.code, is: .tokenMismatch)
      let tooMuch = try await stockError { try await client.add(Token("r"), quantity: 1 << 53, to: bucket) }
      expect(tooMuch.code, is: .overflow)
      for quantity in [0, (1 << 53) + 1] as [Int64] {
        let error = try await stockError { try await client.add(Token("r"), quantity: quantity, to: bucket) }
        expect(error.code, is: .refused)
      }
      expect(try await client.info(bucket).available, is: 3)

      expect(try live.server.call("SET", "doorbuster:{X/1}", "text"), is: .ok)
      expect(try await stockError { try await live.deduct("t", from: 1) }.code, is: .wrongType)
    }
  }

  @Test("A server that may evict keys without expiry takes no bucket")
  func evictable() async throws {
    try await LiveServer.run(.init(configLines: ["maxmemory-policy allkeys-lru"])) { live in
      let error = try await stockError {
        try await live.client.create(live.bucket(), quantity: 5, terms: SaleTerms())
      }
      expect(error.code, is: .evictable)
    }
  }

  @Test("A full server refuses deductions and takes cancels")
  func outOfMemory() async throws {
    try await LiveServer.run { live in
      let bucket = try live.bucket()
      try await live.client.create(bucket, quantity: 5, terms: SaleTerms())
      _ = try await live.deduct("t1")
      expect(try live.server.call("CONFIG", "SET", "maxmemory", "1"), is: .ok)
      expect(try await stockError { try await live.deduct("t2") }.code, is: .outOfMemory)
      expect(try await live.client.cancel(Token("t1"), in: bucket, fence: false, offSale: false), is: .cancelled)
    }
  }
}
