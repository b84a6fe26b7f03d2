import Orders
import Stock

/// Orders against their purchases, and purchases against their orders.
extension Reconciler {
  // MARK: Sums

  /// Where the database has followed each bucket to, and the sums up to there.
  mutating func takeCuts() async throws(DoorbusterError) {
    var beyondAll: Int64 = 0
    for bucket in access.sale.buckets {
      let (sum, beyond) = try await access.cut(bucket.index)
      sums[bucket.index] = sum
      beyondAll += beyond
    }
    report.eventsOnTheirWay = beyondAll
  }

  /// Units whose orders are missing and whose tokens are no longer listed. Counted twice, since an order that somebody
  /// writes between the two halves of a count is in neither.
  mutating func checkSums() async throws(DoorbusterError) {
    guard try await !rests().isEmpty else { return }
    let access = access
    try await access.wait(access.settings.settle)
    try await takeCuts()
    try await access.eachOrderPage { looked throws(DoorbusterError) in count(looked) }
    for (index, cut) in sums.mapValues(\.cut) {
      try await access.eachOrphanPage(index, upTo: cut) { _, orphans throws(DoorbusterError) in
        for orphan in orphans { sums[index]?.count(orphan.record) }
      }
    }
    for (index, rest) in try await rests() {
      switch rest {
      case .nothing: break
      case .missing(let units): add(.ordersMissing(bucket: index, units: units), .byHand, leftByHand)
      case .open(let units): report.unitsOpen += units
      }
    }
  }

  private var leftByHand: BooksFinding.Outcome {
    repairs ? .left("nobody knows the tokens but their buyers: who asks again with a token gets its order") : .reported
  }

  private func rests() async throws(DoorbusterError) -> [(Int, BucketSums.Rest)] {
    var rests: [(Int, BucketSums.Rest)] = []
    for (index, sum) in sums.sorted(by: { $0.key < $1.key }) {
      let rest = sum.rest(try await access.info(index))
      if rest != .nothing { rests.append((index, rest)) }
    }
    return rests
  }

  // MARK: Orders

  mutating func compareOrders() async throws(DoorbusterError) {
    let access = access
    let total = try await access.totals().orders.values.reduce(0, +)
    try await access.eachOrderPage { looked throws(DoorbusterError) in
      count(looked)
      report.orders += Int64(looked.count)
      for differing in try await access.persistent(looked.filter { !$0.agrees }) {
        let outcome = repairs ? try await repair(differing) : .reported
        add(differing.subject, differing.repair, outcome)
      }
      show("orders compared", report.orders, of: total)
    }
  }

  private mutating func count(_ looked: [ComparedOrder]) {
    for compared in looked {
      if let record = compared.record { sums[compared.bucket]?.count(record) }
    }
  }

  // MARK: Logs

  mutating func compareLogs() async throws(DoorbusterError) {
    let access = access
    for (index, cut) in sums.mapValues(\.cut).sorted(by: { $0.key < $1.key }) {
      try await access.eachOrphanPage(index, upTo: cut) { events, orphans throws(DoorbusterError) in
        for orphan in orphans { sums[index]?.count(orphan.record) }
        report.events += Int64(events.count)
        let left = try await access.persistent(orphans, in: index, youngerThan: overdue)
        for orphan in left where !orphan.record.isCartHold(lastingMs: cartHold.wholeMs) {
          let outcome = repairs ? try await repair(orphan, in: index) : .reported
          add(orphan.subject(in: index), orphan.repair, outcome)
        }
        show("events of \(access.bucket(index)) compared", events.last?.sequence ?? 0, of: cut)
      }
    }
  }
}
