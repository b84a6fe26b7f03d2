import Glibc
import Stock
import TestServers
import Testing

extension SpreadSales {
  /// Whoever moves units dies, or is held up, between any two steps of a transfer.
  @Suite("A transfer whose mover", .serialized, .timeLimit(.minutes(5)))
  struct KilledMoversTests {
    private static let stock: Int64 = 240_000

    private static let pullSteps = [
      "withdraw/before/1", "withdraw/after/1", "deductDepositing/before/1", "deductDepositing/after/1",
      "settle/after/1", "settle/after/2", "settle/after/3",
    ]

    /// On a cluster and on a list at the same time: most of it is waiting.
    private func onEach(_ test: @Sendable @escaping (SpreadShop.Kind) async throws -> Void) async throws {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for kind in SpreadShop.Kind.allCases { group.addTask { try await test(kind) } }
        try await group.waitForAll()
      }
    }

    /// A buyer in a process of its own.
    private struct Puller {
      /// With which it asks again.
      let words: [String]
      let process: Subprocess
    }

    /// Wants more than its home and any other bucket have together, so that it has to pull from several, unless the
    /// rebalancer has brought enough to one of them meanwhile. A fuse ends or stops it.
    private func puller(_ shop: SpreadShop, _ seed: Int, home: Int, _ fuse: String) throws -> Puller {
      let audit = try BooksAudit(shop)
      try audit.even("even-\(seed)")
      let available = try audit.buckets().map(\.available)
      let quantity = available[home] + (available.max() ?? 0) + 1
      let words = ["seed=\(seed)", "clicks=1", "home=\(home)", "quantity=\(quantity)"]
      return Puller(words: words, process: try shop.probe(stock: Self.stock, words + [fuse]))
    }

    /// Buyers one after the other, until one has come to its fuse. With which words they ask again.
    private func pull(
      _ shop: SpreadShop,
      home: Int,
      _ fuse: String,
      _ hasBlown: (Subprocess) async throws -> Bool
    ) async throws -> [[String]] {
      var words: [[String]] = []
      for attempt in 0..<10 {
        let puller = try puller(shop, home * 10 + attempt, home: home, fuse)
        words.append(puller.words)
        if try await hasBlown(puller.process) { return words }
      }
      throw TestServerError.launch("ten buyers, and none came to \(fuse)")
    }

    @Test(
      "is a buyer who is killed between any two steps is finished by others; asking again, the buyer hears one outcome"
    )
    func killedPullers() async throws { try await onEach(killedPullers) }

    private func killedPullers(_ kind: SpreadShop.Kind) async throws {
      let shop = try SpreadShop.on(kind)
      let tally = try await Counter.open(shop, stock: Self.stock) { counter in
        let audit = try BooksAudit(shop)
        var opened = 0
        var pullers: [[String]] = []
        for (number, step) in Self.pullSteps.enumerated() {
          pullers += try await pull(shop, home: number, "crash=\(step)") { try await $0.hasDied() }
          if try audit.isAnythingOpen() { opened += 1 }
          try await audit.waitForTransfers()
          try audit.expectConserved("on a \(kind), \(step)")
        }
        // What was killed after a withdrawal has left something to be finished.
        #expect(opened >= 4)
        try audit.repeatTransfers()
        return try await finish(shop, counter, askingAgain: pullers)
      }
      #expect(tally.others.isEmpty, "\(tally.others.prefix(3))")
    }

    @Test(
      "is a buyer who is held up until others have finished it, and whose late commands come then, changes nothing any more"
    )
    func latePullers() async throws { try await onEach(latePullers) }

    private func latePullers(_ kind: SpreadShop.Kind) async throws {
      let shop = try SpreadShop.on(kind)
      let tally = try await Counter.open(shop, stock: Self.stock) { counter in
        let audit = try BooksAudit(shop)
        var pullers: [[String]] = []
        for (number, step) in ["deductDepositing/before/1", "settle/before/1", "settle/after/2"].enumerated() {
          pullers += try await pull(shop, home: number, "stop=\(step)") { process in
            guard try await process.hasStopped() else { return false }
            let isOpen = try audit.isAnythingOpen()
            if isOpen { try await audit.waitForTransfers() }
            process.signal(SIGCONT)
            try await process.endedWell(timeout: Subprocess.endMax)
            return isOpen
          }
          try await audit.waitForTransfers()
          try audit.expectConserved("on a \(kind), \(step)")
        }
        return try await finish(shop, counter, askingAgain: pullers)
      }
      #expect(tally.others.isEmpty, "\(tally.others.prefix(3))")
    }

    /// The interrupted buyers ask again, each twice, and others buy what is left; then all is held against each other.
    private func finish(
      _ shop: SpreadShop,
      _ counter: Counter,
      askingAgain pullers: [[String]]
    ) async throws -> Counter.Tally {
      var promised: [Set<String>] = []
      for words in pullers + pullers {
        let again = try shop.probe(stock: Self.stock, words)
        try await again.endedWell(timeout: Subprocess.endMax)
        promised.append(Set(again.wholeLines))
      }
      // Who has bought hears so again, and who has not finds no more units than before.
      #expect(promised.prefix(pullers.count) == promised.suffix(pullers.count))
      #expect(promised.contains { !$0.isEmpty })
      let left = try BooksAudit(shop).unitsLeft()
      if left > 20 { try await counter.buy(UserID("most"), "most", quantity: left - 20) }
      try await counter.crowd(30, atATime: 16) { counter, number in
        try await counter.buy(UserID("rest-\(number)"), "rest-\(number)")
      }
      try await counter.settle()
      let audit = try BooksAudit(shop)
      try await audit.waitForTransfers()
      let rest = try audit.run(stock: Self.stock, promised: Set(promised.joined()).union(counter.counts.bought.keys))
      #expect(rest == 0)
      try audit.repeatTransfers()
      return counter.counts
    }

    @Test(
      "is the rebalancer, killed between any two steps, is finished by the next one"
    )
    func killedRebalancers() async throws { try await onEach(killedRebalancers) }

    private func killedRebalancers(_ kind: SpreadShop.Kind) async throws {
      let shop = try SpreadShop.on(kind)
      let stock: Int64 = 120_000
      let steps = [
        "withdraw/before/1", "withdraw/after/1", "deposit/before/1", "deposit/after/1", "settle/before/1",
        "settle/after/1", "settle/after/2",
      ]
      let tally = try await Counter.open(shop, stock: stock, .buyersOnly) { counter in
        let audit = try BooksAudit(shop)
        for (home, step) in steps.enumerated() {
          // At this rate the bucket where all buy now will soon be empty.
          let quantity = max(1, try audit.unitsLeft() / 2000)
          try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<4 {
              group.addTask {
                let user = try SpreadShop.user("hot-\(lane)", home: home)
                var number = 0
                while !Task.isCancelled {
                  number += 1
                  try await counter.buy(user, "hot-\(home)-\(lane)-\(number)", quantity: quantity)
                }
              }
            }
            try await shop.probe(stock: stock, "work=always", "crash=\(step)")
              .diedOfCrash(timeout: Subprocess.endMax)
            group.cancelAll()
          }
          try audit.expectConserved("on a \(kind), \(step)")
          // A dead one's lease ends by itself; the test is not to wait for it.
          try shop.owner(of: 0).call("DEL", SpreadShop.key(0) + ":rebalance")
        }
        return counter.counts
      }
      let last = try await Counter.open(shop, stock: stock) { counter in
        let audit = try BooksAudit(shop)
        try await audit.waitForTransfers()
        let left = try audit.unitsLeft()
        #expect(left > 0)
        try await counter.buy(UserID("last"), "last", quantity: left)
        try await counter.settle()
        return counter.counts
      }
      #expect(tally.others.isEmpty && last.others.isEmpty, "\(tally.others.prefix(3)) \(last.others)")
      #expect(last.bought.count == 1)
      let promised = Set(tally.bought.keys).union(last.bought.keys)
      let audit = try BooksAudit(shop)
      #expect(try audit.run(stock: stock, promised: promised) == 0)
      try audit.repeatTransfers()
    }
  }
}
