import RedisDriver
import Stock
import StockClient
import TestServers
import Testing

/// The sold-out cache and the servers' events. The events are published by hand, so that a test says when.
@Suite(.timeLimit(.minutes(10)), .serialized) struct SoldOutEventTests {
  private let cache = SoldOutCache(ageMax: .seconds(600), ageMaxUnwatched: .seconds(300))

  private var options: StockClientOptions { StockClientOptions(soldOut: cache) }

  private func watching(_ lines: String...) -> RedisServerOptions {
    .init(tcp: true, configLines: ["notify-keyspace-events Ed"] + lines)
  }

  private func publish(_ server: RedisServer, _ event: String, of bucket: String) throws {
    guard try server.call("PUBLISH", "__keyevent@0__:stock.\(event)", "doorbuster:{\(bucket)}") == 1 else {
      throw TestServerError.launch("nobody listens to stock.\(event)")
    }
  }

  private func declare(_ sale: ServersSale) {
    cache.declare(sale.sku, quantity: 1, asOf: .now)
    #expect(cache.isSoldOut(sale.sku, quantity: 1))
  }

  @Test("What comes back on sale elsewhere clears it; other products stay")
  func onSale() async throws {
    let server = try RedisServer(watching())
    try await ServersSale.run(.one(server.unixURL), buckets: 1, quantity: 1, options: options) { sale in
      try waitUntil("the watch") { cache.isWatched }
      #expect(sale.client.soldOutWatch == [.init(server: server.socketPath, state: .watching)])
      declare(sale)
      try publish(server, "onsale", of: "Y/0")
      try publish(server, "onsale", of: "X")
      try publish(server, "onsale", of: "X/0")
      try waitUntil("the event") { !cache.isSoldOut(sale.sku, quantity: 1) }
    }
    #expect(!cache.isWatched)
  }

  @Test("A sale of one bucket that has no unit left is sold out; one of several is not by that")
  func soldOut() async throws {
    let server = try RedisServer(watching())
    try await ServersSale.run(.one(server.unixURL), buckets: 1, quantity: 1, options: options) { sale in
      try waitUntil("the watch") { cache.isWatched }
      try publish(server, "soldout", of: "X/0")
      try publish(server, "onsale", of: "Z/0")
      #expect(!cache.isSoldOut(sale.sku, quantity: 1), "its number of buckets is not known")
      try await sale.client.verify(sale.all[0], buckets: 1)
      // An event counts from the last sign of life before it, which must be later than the start of the watch.
      try waitUntil("the event") {
        try publish(server, "soldout", of: "X/0")
        return cache.isSoldOut(sale.sku, quantity: 1)
      }
      _ = try await sale.client.add(Token("r"), quantity: 1, to: sale.all[0])
      #expect(!cache.isSoldOut(sale.sku, quantity: 1))
    }
  }

  @Test("Own changes clear it: restock, cancel, record")
  func ownChanges() async throws {
    let server = try RedisServer(watching())
    try await ServersSale.run(.one(server.unixURL), buckets: 1, quantity: 1, options: options) { sale in
      try waitUntil("the watch") { cache.isWatched }
      declare(sale)
      _ = try await sale.client.add(Token("r"), quantity: 1, to: sale.all[0])
      #expect(!cache.isSoldOut(sale.sku, quantity: 1))
      declare(sale)
      _ = try await sale.client.cancel(Token("t"), in: sale.all[0], fence: true, offSale: false)
      #expect(!cache.isSoldOut(sale.sku, quantity: 1))
    }
  }

  @Test(
    "While its server is gone nothing is believed for long, and what was known is forgotten; then it is watched again"
  )
  func reconnects() async throws {
    let server = try RedisServer(watching())
    try await ServersSale.run(.one(server.unixURL), buckets: 1, quantity: 1, options: options) { sale in
      try waitUntil("the watch") { cache.isWatched }
      declare(sale)
      try server.kill9()
      try waitUntil("the loss") { !cache.isWatched }
      #expect(!cache.isSoldOut(sale.sku, quantity: 1))
      guard case .down = sale.client.soldOutWatch.first?.state else {
        Issue.record("\(sale.client.soldOutWatch)")
        return
      }
      try server.restart()
      try waitUntil("the watch") { cache.isWatched }
      declare(sale)
      try publish(server, "onsale", of: "X/0")
      try waitUntil("the event") { !cache.isSoldOut(sale.sku, quantity: 1) }
    }
  }

  @Test("A server that hangs is not believed to be watched")
  func hangs() async throws {
    let server = try RedisServer(watching())
    try await ServersSale.run(.one(server.unixURL), buckets: 1, quantity: 1, options: options) { sale in
      try waitUntil("the watch") { cache.isWatched }
      server.pause()
      try waitUntil("the loss") { !cache.isWatched }
      server.resume()
      try waitUntil("the watch") { cache.isWatched }
    }
  }

  @Test(
    "A server that sends no such events is said to, with what it needs; set right, it is found at the next connection"
  )
  func deaf() async throws {
    let server = try RedisServer(.init(tcp: true))
    try await ServersSale.run(.one(server.unixURL), buckets: 1, quantity: 1, options: options) { sale in
      let why = try waitUntil("the verdict") { () -> String? in
        if case .deaf(let why)? = sale.client.soldOutWatch.first?.state { why } else { nil }
      }
      #expect(why.contains("CONFIG SET notify-keyspace-events Ed"))
      #expect(!cache.isWatched)
      cache.declare(sale.sku, quantity: 1, asOf: .now)
      #expect(cache.isSoldOut(sale.sku, quantity: 1), "it works, with the shorter bound")
      #expect(try server.call("CONFIG", "SET", "notify-keyspace-events", "Ed") == .ok)
      #expect(try server.call("CLIENT", "KILL", "TYPE", "pubsub") == 1)
      try waitUntil("the watch") { cache.isWatched }
    }
  }

  @Test("An ACL user with the rights that the page of the architecture names hears the events; without them it is said")
  func aclUser() async throws {
    let server = try RedisServer(watching())
    let base = ["ACL", "SETUSER", "seller", "on", ">secret", "resetchannels", "~doorbuster:*", "-@all"]
    let stock = ["+stock.create", "+stock.cancel", "+unlink"]
    let events = ["+config|get", "+subscribe", "+ping", "&__keyevent@*__:stock.*"]
    var url = server.unixURL
    (url.user, url.password) = ("seller", "secret")
    #expect(try server.connect().call(base + stock + events) == .ok)
    try await ServersSale.run(.one(url), buckets: 1, quantity: 1, options: options) { sale in
      try waitUntil("the watch") { cache.isWatched }
      declare(sale)
      try publish(server, "onsale", of: "X/0")
      try waitUntil("the event") { !cache.isSoldOut(sale.sku, quantity: 1) }
    }
    #expect(try server.call("DEL", "doorbuster:{X/0}") == 1)
    #expect(try server.connect().call(base + stock + ["-config", "-subscribe", "-ping", "resetchannels"]) == .ok)
    try await ServersSale.run(.one(url), buckets: 1, quantity: 1, options: options) { sale in
      let why = try waitUntil("the verdict") { () -> String? in
        if case .down(let why)? = sale.client.soldOutWatch.first?.state { why } else { nil }
      }
      #expect(why.contains("NOPERM") && !cache.isWatched)
    }
  }

  @Test("All masters of a cluster are watched, also one that was a replica when the watch began")
  func cluster() async throws {
    let cluster = try TestCluster(options: watching())
    try await ServersSale.run(cluster.redisServers, buckets: 3, quantity: 1, options: options) { sale in
      try waitUntil("the watch") { cache.isWatched }
      #expect(
        sale.client.soldOutWatch.map(\.server).sorted() == cluster.masters.map { "127.0.0.1:\($0.port)" }.sorted()
      )
      let owner = try cluster.owner(of: sale.all[0])
      declare(sale)
      try owner.kill9()
      try waitUntil("the loss") { !cache.isWatched }
      _ = try await sale.client.info(sale.all[0])
      try waitUntil("the watch") { cache.isWatched }
      let promoted = try cluster.replica(of: owner)
      declare(sale)
      try publish(promoted, "onsale", of: "X/0")
      try waitUntil("the event") { !cache.isSoldOut(sale.sku, quantity: 1) }
    }
  }
}
