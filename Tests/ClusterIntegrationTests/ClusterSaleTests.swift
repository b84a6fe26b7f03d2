import RedisDriver
import Stock
import StockClient
import Synchronization
import TestServers
import Testing

/// Sales over many buckets on a real cluster with the module.
@Suite(.timeLimit(.minutes(5)), .serialized) struct ClusterSaleTests {
  @Test("A sale over 12 buckets on three masters sells each unit once, and says where each bucket is")
  func sells() async throws {
    let cluster = try TestCluster(withReplicas: false)
    try await ServersSale.run(cluster.redisServers, buckets: 12, quantity: 20) { sale in
      let outcomes = try await withThrowingTaskGroup(of: DeductOutcome.self) { group in
        for task in 0..<40 {
          group.addTask(executorPreference: task % 2 == 0 ? sale.client.taskExecutor : nil) {
            var last = DeductOutcome.cancelled
            // Each buyer clicks twice.
            for _ in 0..<2 { last = try await sale.buy("\(task)") }
            return last
          }
          group.addTask { try await sale.buy("single-\(task)") }
        }
        return try await group.reduce(into: [DeductOutcome]()) { $0.append($1) }
      }
      let infos = try await sale.infos()
      #expect(outcomes.count(where: \.isAccepted) == 80)
      #expect(infos.reduce(0) { $0 + $1.sold } == 80)
      #expect(infos.allSatisfy { $0.created == 20 && $0.buckets == 12 && $0.available + $0.sold == 20 })
      var servers: Set<String> = []
      for bucket in sale.all {
        let server = try #require(await sale.client.server(of: bucket))
        #expect(server == "127.0.0.1:\(try cluster.owner(of: bucket).port)")
        servers.insert(server)
      }
      #expect(servers.count == 3)
      #expect(sale.client.serversText == "a Redis Cluster")
    }
  }

  @Test("Buckets of different slots share no stock in one step")
  func apart() async throws {
    let cluster = try TestCluster(withReplicas: false)
    try await ServersSale.run(cluster.redisServers, buckets: 12, quantity: 20) { sale in
      let error = try await stockError { try await sale.client.rebalance(sale.sku, buckets: [0, 1], weights: nil) }
      #expect(error.code == .bucketsApart)
      #expect(error.message.contains("bucket X/1 is not in its slot"))
    }
  }

  @Test("A bucket moves to another master while its buyers buy: no outcome is lost, no unit sold twice")
  func migrates() async throws {
    let cluster = try TestCluster(withReplicas: false)
    try await ServersSale.run(cluster.redisServers, buckets: 3, quantity: 100_000) { sale in
      let moved = sale.all[0]
      let (source, slot) = (try cluster.owner(of: moved), try cluster.slot(ofKey: "doorbuster:{X/0}"))
      let target = try #require(cluster.masters.first { $0 !== source })
      let isOver = Flag()
      let accepted = try await withThrowingTaskGroup(of: Int.self) { group in
        for task in 0..<16 {
          group.addTask(executorPreference: task % 2 == 0 ? sale.client.taskExecutor : nil) {
            var accepted = 0
            while !isOver.isSet {
              guard try await sale.buy("\(task).\(accepted)").isAccepted else { throw Unexpected() }
              accepted += 1
            }
            return accepted
          }
        }
        group.addTask {
          for (from, to) in [(source, target), (target, source)] {
            let before = try await sale.client.info(moved).sold
            while try await sale.client.info(moved).sold < before + 100 {}
            try cluster.beginMove(slot, from: from, to: to)
            while try await sale.client.info(moved).sold < before + 200 {}
            try cluster.moveKeys(slot, from: from, to: to)
            while try await sale.client.info(moved).sold < before + 300 {}
            try cluster.finishMove(slot, from: from, to: to)
            while try await sale.client.info(moved).sold < before + 400 {}
          }
          isOver.set()
          return 0
        }
        var sum = 0
        for try await count in group { sum += count }
        return sum
      }
      let infos = try await sale.infos()
      #expect(infos.reduce(0) { $0 + $1.sold } == Int64(accepted))
      #expect(infos.allSatisfy { $0.created == $0.available + $0.sold })
      #expect(try source.errors("ASK") + target.errors("ASK") > 0)
    }
  }

  @Test("A master is killed in the middle of a sale that waits for its replica: what was accepted is there afterwards")
  func killed() async throws {
    let cluster = try TestCluster()
    let options = StockClientOptions(replication: Replication(count: 1, timeout: .seconds(1)))
    try await ServersSale.run(cluster.redisServers, buckets: 6, quantity: 100_000, options: options) { sale in
      let victim = try cluster.owner(of: sale.all[0])
      let isOver = Flag()
      let accepted = try await withThrowingTaskGroup(of: [String].self) { group in
        for task in 0..<12 {
          group.addTask(executorPreference: sale.client.taskExecutor) {
            var names: [String] = []
            var number = 0
            while !isOver.isSet {
              number += 1
              let name = "\(task).\(number)"
              switch try await sale.buy(name) {
              case .accepted: names.append(name)
              // Short of replicas, or frozen by the promotion.
              case .unknown, .refused(.frozen, _): break
              case .refused, .cancelled: throw Unexpected()
              }
            }
            return names
          }
        }
        group.addTask {
          while try await sale.client.info(sale.all[0]).sold < 200 {}
          try victim.kill9()
          // The buckets of the dead master answer again.
          let before = try await sale.client.info(sale.all[0]).sold
          try await sale.thawAll()
          // Its new master has no replica, so that all of its outcomes are unknown until the old one is back.
          try victim.restart()
          try cluster.waitUntilWell()
          try await sale.thawAll()
          while try await sale.client.info(sale.all[0]).sold < before + 200 {}
          isOver.set()
          return []
        }
        var names: [String] = []
        for try await some in group { names += some }
        return names
      }
      #expect(accepted.count > 300)
      var missing = 0
      for name in accepted {
        let purchase = try sale.purchase(name)
        let home = BucketID(sku: sale.sku, index: purchase.user.homeBucket(among: 6))
        if try await sale.client.purchase(purchase.token, in: home)?.state != .sold { missing += 1 }
      }
      #expect(missing == 0)
      expect(try await sale.infos().allSatisfy { $0.created == $0.available + $0.sold }, is: true)
    }
  }

  @Test("Reads that may be out of date go to replicas, and verify asks the master")
  func replicaReads() async throws {
    let cluster = try TestCluster()
    try await ServersSale.run(cluster.redisServers, buckets: 3, quantity: 10) { sale in
      let reading = sale.client.readingFromReplicas
      let owner = try cluster.owner(of: sale.all[0])
      let replica = try cluster.replica(of: owner)
      try replica.waitForSync(with: owner)
      let deadline = ContinuousClock.now + .seconds(20)
      while try replica.calls("stock.info") == 0, ContinuousClock.now < deadline {
        expect(try await reading.info(sale.all[0]).created, is: 10)
        sale.client.router.cluster?.refresh()
      }
      let before = try replica.calls("stock.info")
      try await reading.verify(sale.all[0], buckets: 3)
      #expect(try replica.calls("stock.info") == before)
      _ = try await reading.log(
        sale.all[0],
        after: LogPosition(epoch: reading.info(sale.all[0]).epoch, sequence: 0),
        count: 5
      )
      #expect(try replica.calls("stock.log") == 1)
    }
  }

  @Test("An ACL user with the commands that the page of the architecture names is enough, also while a slot moves")
  func aclUser() async throws {
    let cluster = try TestCluster(withReplicas: false)
    let rights = [
      "~doorbuster:*", "-@all", "+stock.create", "+stock.deduct", "+stock.cancel", "+stock.info", "+multi", "+exec",
      "+cluster|slots", "+asking",
    ]
    for master in cluster.masters {
      #expect(try master.connect().call(["ACL", "SETUSER", "seller", "on", ">secret"] + rights) == .ok)
    }
    var seed = cluster.seeds[0]
    (seed.user, seed.password) = ("seller", "secret")
    try await ServersSale.run(.cluster(seeds: [seed]), buckets: 3, quantity: 100) { sale in
      let (bucket, slot) = (sale.all[0], try cluster.slot(ofKey: "doorbuster:{X/0}"))
      let source = try cluster.owner(of: bucket)
      let target = try #require(cluster.masters.first { $0 !== source })
      try cluster.beginMove(slot, from: source, to: target)
      try cluster.moveKeys(slot, from: source, to: target)
      for number in 0..<5 {
        let purchase = try sale.purchase("\(number)")
        expect(try await sale.client.deduct(purchase, from: bucket, before: .now + .seconds(60)).isAccepted, is: true)
      }
      try cluster.finishMove(slot, from: source, to: target)
      expect(try await sale.client.info(bucket).sold, is: 5)
      #expect(try source.errors("ASK") > 0)
    }
  }

  @Test("A cluster whose nodes lack the module, or some of them, is not connected to")
  func noModule() async throws {
    let cluster = try TestCluster(withReplicas: false, options: .init(module: .none))
    for master in cluster.masters.dropLast() {
      #expect(try master.call("MODULE", "LOAD", BuiltFiles.module()) == .ok)
    }
    let error = try await stockError {
      try await StockClient.connect(cluster.redisServers, configuration: .patient)
    }
    #expect(error.code == .noModule)
    #expect(error.message.contains("127.0.0.1:\(cluster.masters[2].port)"))
  }
}

struct Unexpected: Error {}
