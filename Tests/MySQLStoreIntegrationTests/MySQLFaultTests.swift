import Foundation
import MySQLStore
import Orders
import Stock
import TestServers
import Testing

@Suite("Faults of the server")
struct MySQLFaultTests {
  @Test("Wrong credentials and an unknown database are named, without the password")
  func refused() async throws {
    let server = try await SharedMariaDB.get()
    let port = server.port
    for (url, code) in [
      ("mysql://shop:wrong-hunter2@127.0.0.1:\(port)/shop", OrderStoreError.Code.notAuthorized),
      ("mysql://nobody:hunter2@127.0.0.1:\(port)/shop", .notAuthorized),
      (server.url(database: "mysql"), .notAuthorized),
      ("mysql://root@/nowhere?socket=\(server.socketPath)", .unknownDatabase),
      ("mysql://shop:hunter2@127.0.0.1:1/shop", .unavailable),
      ("mysql://shop:hunter2@/shop?socket=/nowhere", .unavailable),
    ] {
      let error = await errorOf { try await MySQLStore.open(MySQLURL(url), logger: MySQLFixture.logger) }
      #expect(error?.code == code, "\(url): \(String(describing: error))")
      #expect(error?.message.contains("hunter2") == false)
      #expect(error?.message.contains("mysql://") == true)
    }
  }

  @Test("Options outside their bounds are refused")
  func options() async throws {
    let url = try await MySQLFixture.make().url
    for options in [MySQLStoreOptions(connectionsMax: 0), MySQLStoreOptions(lockWaitMs: 0), .init(batchMax: 0)] {
      #expect(await codeOf { try await MySQLStore.open(url, options: options) } == .refused)
    }
  }

  @Test("An encrypted connection is demanded, and never silently plain")
  func tls() async throws {
    let fixture = try await MySQLFixture.make()
    let url = try MySQLURL("mysql://shop:secret@127.0.0.1:\(fixture.server.port)/\(fixture.database)?tls=required")
    let error = await errorOf { try await MySQLStore.open(url, logger: MySQLFixture.logger) }
    #expect(error?.code == .unavailable, "\(String(describing: error))")
  }

  @Test("With a certificate the connection is encrypted, and an authority that did not sign it is refused")
  func certificates() async throws {
    let files = try TemporaryDirectory()
    for name in ["good", "other"] {
      let made = try Subprocess(
        "openssl",
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
          + ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", files.file("\(name).key"), "-out", files.file(name)]
      ).wait(timeout: .seconds(60))
      #expect(made.status == .exited(0), "\(made.stderr)")
    }
    let server = try await startServer(
      .init(lines: [
        "ssl-cert=\(files.file("good"))", "ssl-key=\(files.file("good")).key", "require-secure-transport=ON",
      ])
    )
    let base = server.url(tcp: true)
    for query in ["?tls=required", "?tls=required&ca=\(files.file("good"))", "?tls=verify&ca=\(files.file("good"))"] {
      let store = try await MySQLStore.open(MySQLURL(base + query), logger: MySQLFixture.logger)
      #expect(try await store.sales() == [])
      await store.close()
    }
    for query in ["", "?tls=required&ca=\(files.file("other"))", "?tls=verify&ca=\(files.file("other"))"] {
      let error = await errorOf { try await MySQLStore.open(MySQLURL(base + query), logger: MySQLFixture.logger) }
      #expect(error != nil, "\(query)")
    }
  }

  @Test("A table that another connection has locked is waited for, for a bounded time")
  func lockedTable() async throws {
    let fixture = try await MySQLFixture.make(MySQLStoreOptions(lockWaitMs: 1_000))
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale())
    let locker = try Subprocess(
      "mariadb",
      ["--no-defaults", "--user=root", "--socket=\(fixture.server.socketPath)", fixture.database]
        + ["--execute", "LOCK TABLES orders WRITE; SELECT SLEEP(600)"]
    )
    try await eventually("the lock") {
      try await fixture.sql("SHOW PROCESSLIST").contains("SELECT SLEEP(600)")
    }
    let start = ContinuousClock.now
    let orders = [try makeOrder("a")]
    let error = await errorOf { try await store.record(orders) }
    #expect(error?.code == .unavailable && error?.message.contains("lock") == true, "\(String(describing: error))")
    #expect(start.duration(to: .now) < .seconds(20))
    #expect(error?.isTransient == true)
    let session = try await fixture.sql(
      "SELECT id FROM information_schema.processlist WHERE info LIKE '%SLEEP(600)%' AND info NOT LIKE '%processlist%'"
    )
    try await fixture.sql("KILL \(session)")
    _ = try await aside { try locker.wait(timeout: .seconds(60)) }
    #expect(try await store.record(orders) == [.recorded])
    await store.close()
  }

  @Test("A row that another transaction holds is waited for, for a bounded time, and the neighbours' rows are not")
  func lockedRow() async throws {
    let fixture = try await MySQLFixture.make(MySQLStoreOptions(lockWaitMs: 1_000))
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale())
    _ = try await store.create(makeSale("OTHER"))
    let locker = try Subprocess(
      "mariadb",
      ["--no-defaults", "--user=root", "--socket=\(fixture.server.socketPath)", fixture.database]
        + ["--execute", "BEGIN; UPDATE products SET stock = stock WHERE sku = 'SKU-1'; SELECT SLEEP(601)"]
    )
    try await eventually("the lock") {
      try await fixture.sql("SHOW PROCESSLIST").contains("SELECT SLEEP(601)")
    }
    let orders = [try makeOrder("a")]
    #expect(await codeOf { try await store.record(orders) } == .unavailable)
    #expect(try await store.record([makeOrder("b", sku: "OTHER")]) == [.recorded])
    #expect(try await store.order(SKU("SKU-1"), token: Token("a")) == nil)
    let session = try await fixture.sql(
      "SELECT id FROM information_schema.processlist WHERE info LIKE '%SLEEP(601)%' AND info NOT LIKE '%processlist%'"
    )
    try await fixture.sql("KILL \(session)")
    _ = try await aside { try locker.wait(timeout: .seconds(60)) }
    #expect(try await store.record(orders) == [.recorded])
    await store.close()
  }

  @Test("A connection that dies after COMMIT was sent leaves the outcome unknown, and the same order tells")
  func lostCommit() async throws {
    for isDone in [true, false] {
      let fixture = try await MySQLFixture.make()
      let cuts = Counter(0)
      let peer = try ScriptedServer(before: fixture.server) { command in
        guard command.isCommit, cuts.exchange(0) == 1 else { return .forward }
        return isDone ? .forwardAndCut : .cut
      }
      defer { peer.close() }
      let url = try MySQLURL(peer.url(database: fixture.database))
      let store = try await MySQLStore.open(url, logger: MySQLFixture.logger)
      _ = try await store.create(makeSale())
      cuts.exchange(1)
      let orders = try (0..<10).map { try makeOrder("t\($0)") }
      let error = await errorOf { try await store.record(orders) }
      #expect(error?.code == .outcomeUnknown && error?.isTransient == true)
      let told = try await store.record(orders)
      #expect(told == Array(repeating: isDone ? .alreadyRecorded(.sold) : .recorded, count: 10))
      #expect(try await store.totals(of: makeSale().sku)?.stock == 90)
      #expect(peer.failures == [])
      await store.close()
    }
  }

  @Test("A connection that dies before COMMIT is made anew, and the order goes through")
  func lostBefore() async throws {
    for prefix in ["INSERT INTO orders", "UPDATE products"] {
      let fixture = try await MySQLFixture.make()
      let cuts = Counter(0)
      let peer = try ScriptedServer(before: fixture.server) { command in
        guard command.isExecute(prefix), cuts.exchange(0) == 1 else { return .forward }
        return .forwardAndCut
      }
      defer { peer.close() }
      let url = try MySQLURL(peer.url(database: fixture.database))
      let store = try await MySQLStore.open(url, logger: MySQLFixture.logger)
      _ = try await store.create(makeSale())
      cuts.exchange(1)
      #expect(try await store.record([makeOrder("a")]) == [.recorded])
      #expect(try await store.totals(of: makeSale().sku)?.stock == 99)
      await store.close()
    }
  }

  @Test("Deadlocks and changed rows are tried again", arguments: [1_213, 1_205, 1_020] as [UInt16])
  func contention(code: UInt16) async throws {
    let fixture = try await MySQLFixture.make()
    let times = Counter(0)
    let peer = try ScriptedServer(before: fixture.server) { command in
      guard command.isExecute("UPDATE products") else { return .forward }
      guard times.add(1) < 3 else { return .forward }
      return .refuse(code: code, state: code == 1_213 ? "40001" : "HY000", message: "somebody was in the way")
    }
    defer { peer.close() }
    let url = try MySQLURL(peer.url(database: fixture.database))
    let store = try await MySQLStore.open(url, logger: MySQLFixture.logger)
    _ = try await store.create(makeSale())
    #expect(try await store.record([makeOrder("a"), makeOrder("b")]) == [.recorded, .recorded])
    #expect(try await store.totals(of: makeSale().sku)?.stock == 98)
    #expect(peer.commands.count { $0 == "ROLLBACK" } >= 3)
    await store.close()
  }

  @Test(
    "What the server refuses says what it means",
    arguments: [
      (1_021, "HY000", "Disk full", .full), (1_114, "HY000", "The table 'orders' is full", .full),
      (1_030, "HY000", "Got error 28 from storage engine", .full),
      (1_290, "HY000", "running with the --read-only option", .readOnly),
      (1_142, "42000", "INSERT denied", .notAuthorized),
      (1_712, "HY000", "Index orders is corrupted", .corrupt), (1_146, "42S02", "Table doesn't exist", .notOurs),
      (1_040, "08004", "Too many connections", .unavailable),
    ] as [(UInt16, String, String, OrderStoreError.Code)]
  )
  func meanings(code: UInt16, state: String, said: String, means: OrderStoreError.Code) async throws {
    let fixture = try await MySQLFixture.make()
    let isFaulty = Counter()
    let peer = try ScriptedServer(before: fixture.server) { command in
      guard command.isExecute("INSERT INTO orders"), isFaulty.value == 1 else { return .forward }
      return .refuse(code: code, state: state, message: said)
    }
    defer { peer.close() }
    let url = try MySQLURL(peer.url(database: fixture.database))
    let store = try await MySQLStore.open(url, logger: MySQLFixture.logger)
    _ = try await store.create(makeSale())
    isFaulty.exchange(1)
    let orders = [try makeOrder("a")]
    let error = await errorOf { try await store.record(orders) }
    #expect(error?.code == means)
    #expect(error?.message.contains("MySQL \(code)") == true)
    isFaulty.exchange(0)
    #expect(try await store.record(orders) == [.recorded])
    await store.close()
  }

  @Test("An order that a trigger of the shop's own refuses fails alone, and no message shows a token")
  func trigger() async throws {
    let fixture = try await MySQLFixture.make()
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale())
    try await fixture.sql(
      """
      CREATE TRIGGER no_thirteen BEFORE INSERT ON orders FOR EACH ROW
      IF NEW.token = 't13' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'unlucky'; END IF
      """,
      delimiter: "//"
    )
    let outcomes = try await store.record((0..<50).map { try makeOrder("t\($0)") })
    for (index, outcome) in outcomes.enumerated() {
      switch outcome {
      case .refused(let reason): #expect(index == 13 && reason.contains("unlucky") && !reason.contains("t13"))
      case .recorded: #expect(index != 13)
      default: Issue.record("order \(index) is \(outcome)")
      }
    }
    #expect(try await store.totals(of: makeSale().sku)?.stock == 51)
    await store.close()
  }

  @Test(
    "A batch that is larger than any message the server takes goes out in several, with array parameters or without",
    arguments: [true, false]
  )
  func smallPackets(usesArrays: Bool) async throws {
    let server = try await startServer(.init(flushLogAtCommit: 0, lines: ["max-allowed-packet=32768"]))
    let fixture = try await MySQLFixture.make(MySQLStoreOptions(usesArrays: usesArrays), on: server)
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale(stock: 1_000))
    let orders = try (0..<600).map { number in
      let name = "\(number)-" + String(repeating: "x", count: 120)
      return try makeOrder(name, user: name)
    }
    #expect(try await store.record(orders, as: .held, rejecting: true).allSatisfy { $0 == .recorded })
    // The rows are looked up by their tokens, get their sequences, and then another state.
    var position = LogPosition(epoch: 7, sequence: 0)
    for state in [OrderState.held, .sold] {
      let steps = orders.enumerated().map { index, order in
        LogBatch.Step(
          sequence: position.sequence + Int64(index) + 1,
          entry: .purchased(order, state: state, storeIfMissing: false)
        )
      }
      let bucket = BucketID(sku: try makeSale().sku, index: 0)
      position = try await store.follow(LogBatch(bucket: bucket, from: position, steps: steps)).position
    }
    let rows = try await fixture.sql("SELECT COUNT(*), MIN(sequence), MAX(sequence) FROM orders WHERE state = 'sold'")
    #expect(rows == "600\t1\t600\n")
    #expect(try await store.totals(of: makeSale().sku)?.stock == 400)
    await store.close()
  }

  @Test("A call is carried out though the client library blocks: readers go on while a writer waits")
  func blocking() async throws {
    let fixture = try await MySQLFixture.make(MySQLStoreOptions(connectionsMax: 3, lockWaitMs: 20_000))
    let store = try await fixture.openStore()
    _ = try await store.create(makeSale())
    let locker = try Subprocess(
      "mariadb",
      ["--no-defaults", "--user=root", "--socket=\(fixture.server.socketPath)", fixture.database]
        + ["--execute", "BEGIN; UPDATE products SET stock = stock WHERE sku = 'SKU-1'; SELECT SLEEP(602)"]
    )
    try await eventually("the lock") { try await fixture.sql("SHOW PROCESSLIST").contains("SELECT SLEEP(602)") }
    async let recorded = store.record([makeOrder("a")])
    for _ in 0..<20 { #expect(try await store.sale(SKU("SKU-1")) != nil) }
    let session = try await fixture.sql(
      "SELECT id FROM information_schema.processlist WHERE info LIKE '%SLEEP(602)%' AND info NOT LIKE '%processlist%'"
    )
    try await fixture.sql("KILL \(session)")
    #expect(try await recorded == [.recorded])
    _ = try await aside { try locker.wait(timeout: .seconds(60)) }
    await store.close()
  }
}
