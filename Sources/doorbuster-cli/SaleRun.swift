import Doorbuster
import Foundation
import Stock

/// A request of a crowd.
struct Click: Sendable {
  var purchase: Purchase
  /// Whether its token was surely never sent before, in this run or another.
  var isFirstAttempt: Bool
  /// Where it stands in its file, from 1; nil where it is of none.
  var line: Int?
}

/// A crowd buying through a deployment whose worker and check-back run beside it, until the last purchase is an order.
struct SaleRun: Sendable {
  struct Outcome: Sendable {
    var tally: RunTally
    /// From the first request to the last answer.
    var buyingSeconds: Double
    /// From the first request until every accepted purchase was an order; nil where that did not come about in time.
    var recordedSeconds: Double?
    /// How long each request waited for its answer, in microseconds, from the shortest on; empty unless asked for.
    var waits: [Int32]
  }

  /// Requests under way at a time, unless told.
  static let buyersUnlessTold = 512
  /// How long the servers may answer nothing, or the database stand still, before the run gives up waiting for them.
  static let stallLimit = Duration.seconds(60)

  let deployment: Deployment
  let skus: [SKU]
  let needs: ServerNeeds
  let stop: StopSignal
  let progress: ProgressLine
  let faults: FaultReport
  /// Requests under way at a time.
  var buyers = Self.buyersUnlessTold
  var measuresWaits = false
  /// Called with each request whose units were taken for it, from many tasks.
  var accepted: @Sendable (Click) -> Void = { _ in }

  /// - Parameter next: the next request; nil after the last. Called from many tasks.
  func run(expecting requests: Int, _ next: @escaping @Sendable () throws -> Click?) async throws -> Outcome {
    let worker = deployment.doorbuster.worker()
    let checkBack = deployment.doorbuster.checkBack()
    return try await withThrowingTaskGroup(of: Outcome?.self) { group in
      group.addTask {
        try await worker.run()
        return nil
      }
      group.addTask {
        try await checkBack.run()
        return nil
      }
      group.addTask {
        try await deployment.doorbuster.run()
        return nil
      }
      group.addTask {
        let start = ContinuousClock.now
        let (tally, waits) = try await buy(expecting: requests, since: start, next)
        let bought = ContinuousClock.now
        let isRecorded = try await waitUntilRecorded()
        let recorded = ContinuousClock.now
        try await waitUntilSettled()
        return Outcome(
          tally: tally,
          buyingSeconds: start.duration(to: bought) / .seconds(1),
          recordedSeconds: isRecorded ? start.duration(to: recorded) / .seconds(1) : nil,
          waits: waits.sorted()
        )
      }
      defer { group.cancelAll() }
      while let outcome = try await group.next() {
        if let outcome { return outcome }
        throw CommandFailure("a service of the run ended before the run did")
      }
      throw CommandFailure("the run ended without an outcome")
    }
  }

  private func buy(
    expecting requests: Int,
    since start: ContinuousClock.Instant,
    _ next: @escaping @Sendable () throws -> Click?
  ) async throws -> (RunTally, waits: [Int32]) {
    let total = SharedTally()
    let executor = needs.contains(.stock) ? deployment.stock.taskExecutor : nil
    let waits = try await withThrowingTaskGroup(of: [Int32].self) { group in
      for _ in 0..<buyers {
        group.addTask(executorPreference: executor) {
          var waits: [Int32] = []
          while !stop.isStopping, !Task.isCancelled, let click = try next() {
            let asked = measuresWaits ? ContinuousClock.now : start
            let outcome = await deployment.doorbuster.purchase(
              click.purchase,
              isFirstAttempt: click.isFirstAttempt
            )
            if measuresWaits {
              waits.append(Int32(clamping: Int64(asked.duration(to: .now) / .microseconds(1))))
            }
            let (tally, silence) = total.count(outcome)
            if outcome.isTaking { accepted(click) }
            // What ends the run is told once, and not by each purchase that it ends with it.
            if let fault = outcome.fault, !Task.isCancelled {
              faults.report(click, fault)
              if silence > Self.stallLimit {
                throw CommandFailure("no purchase was answered for \(Self.stallLimit.components.seconds) s: \(fault)")
              }
            }
            if tally.requests % 1024 == 0 { progress.show(Self.line(tally, of: requests, since: start)) }
          }
          return waits
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    faults.end()
    return (total.value, waits)
  }

  /// Until the orders add up to what the buckets have sold; false where the database stood still for too long.
  private func waitUntilRecorded() async throws -> Bool {
    try await wait { () async throws -> (isDone: Bool, mark: Int64) in
      var sold: Int64 = 0
      var recorded: Int64 = 0
      for sku in skus {
        let status = try await deployment.doorbuster.status(sku)
        sold += status.unitsSold
        recorded += status.unitsRecorded
      }
      progress.show("recording: \(recorded) of \(sold) units are in the database")
      return (recorded == sold, recorded)
    }
  }

  /// Until nothing is on its way, so that the books can be held against each other.
  private func waitUntilSettled() async throws {
    _ = try await wait { () async throws -> (isDone: Bool, mark: Int64) in
      var followed: Int64 = 0
      var isSettled = true
      for sku in skus {
        let status = try await deployment.doorbuster.status(sku)
        isSettled = isSettled && status.isSettled
        followed += status.buckets.reduce(0) { $0 + ($1.followed?.sequence ?? 0) }
      }
      progress.show("settling: the database has followed \(followed) events of the log")
      return (isSettled, followed)
    }
  }

  /// Looks again and again until it is done; false where its mark stood still for ``stallLimit``.
  private func wait(for look: () async throws -> (isDone: Bool, mark: Int64)) async throws -> Bool {
    var last: Int64?
    var lastMoved = ContinuousClock.now
    while true {
      let (isDone, mark) = try await look()
      if isDone { return true }
      if mark != last {
        last = mark
        lastMoved = .now
      } else if lastMoved.duration(to: .now) > Self.stallLimit {
        return false
      }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  private static func line(_ tally: RunTally, of requests: Int, since start: ContinuousClock.Instant) -> String {
    let seconds = max(start.duration(to: .now) / .seconds(1), 0.001)
    let share = requests > 0 ? min(100, tally.requests * 100 / requests) : 100
    return
      "\(share) %  \(tally.requests) of \(requests) requests, \(tally.accepted) accepted, \(tally.soldOut) sold out, "
      + "\(Int(Double(tally.requests) / seconds)) a second"
  }
}

extension SaleStatus {
  /// Units held and sold, in the buckets; without any, in the database.
  fileprivate var unitsSold: Int64 {
    buckets.isEmpty ? unitsRecorded : buckets.reduce(0) { $0 + ($1.info.map { $0.held + $0.sold } ?? 0) }
  }

  /// Units of held and sold orders.
  fileprivate var unitsRecorded: Int64 { (totals.units[.held] ?? 0) + (totals.units[.sold] ?? 0) }
}
