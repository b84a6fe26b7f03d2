import Logging
import Orders
import Stock

/// Follows one bucket's log until its task is cancelled: a thin shell around ``FollowMachine``.
struct LogFollower: Sendable {
  let bucket: BucketID
  let stock: any StockService
  let orders: any OrderStore
  let settler: Settler
  let clock: any SaleClock
  let settings: FollowMachine.Settings
  let tally: WorkerTally
  let logger: Logger

  /// How long a log that can't be followed is left alone before it is tried again.
  static let haltMs: Int64 = 10_000

  func run() async {
    var machine = FollowMachine(bucket, settings: settings)
    var action = machine.start()
    var halted: String?
    while !Task.isCancelled {
      switch action {
      case .wait(let ms):
        guard await clock.wait(ms: ms.jittered) else { return }
        action = machine.woke()
      case .halt(let reason):
        if halted == nil { tally.add { $0.haltedBuckets += 1 } }
        if halted != reason { logger.error("the log of \(bucket) can't be followed: \(reason)") }
        halted = reason
        guard await clock.wait(ms: Self.haltMs) else { break }
        action = machine.start()
      case .loadPosition, .readEpoch, .read, .record, .settle, .follow:
        let step = action
        action = await perform(step, &machine)
        if case .follow = step, halted != nil {
          halted = nil
          tally.add { $0.haltedBuckets -= 1 }
          logger.notice("the log of \(bucket) is followed again")
        }
      }
    }
    if halted != nil { tally.add { $0.haltedBuckets -= 1 } }
  }

  private func perform(_ action: FollowMachine.Action, _ machine: inout FollowMachine) async -> FollowMachine.Action {
    do {
      return try await ask(action, &machine)
    } catch let error as StockError {
      logger.debug("following \(bucket): \(error.message)")
      return machine.stockFailed(error)
    } catch let error as OrderStoreError {
      logger.debug("following \(bucket): \(error.message)")
      return machine.ordersFailed(error)
    } catch {
      return machine.start()
    }
  }

  private func ask(_ action: FollowMachine.Action, _ machine: inout FollowMachine) async throws -> FollowMachine.Action
  {
    switch action {
    case .loadPosition: return machine.positioned(try await orders.position(of: bucket))
    case .readEpoch: return machine.epoch(try await stock.info(bucket).epoch)
    case .read(let position):
      let events = try await stock.log(bucket, after: position, count: settings.batchMax)
      return machine.read(events, nowMs: clock.wallMs)
    case .record(let overdue):
      let outcomes = try await orders.record(overdue)
      tally.add { $0.fromLog += Int64(overdue.count) }
      return machine.recorded(outcomes)
    case .settle(let settlements):
      tally.add(settlements)
      for settlement in settlements {
        logger.warning("\(bucket) token \(settlement.order.purchase.token): \(settlement.outcome)")
      }
      return machine.settled(await settler.settle(settlements))
    case .follow(let batch):
      let outcome = try await orders.follow(batch)
      if outcome.applied {
        tally.add { $0.logEvents += max(0, outcome.position.sequence - batch.from.sequence) }
      }
      return machine.followed(outcome)
    case .wait, .halt: return action
    }
  }
}
