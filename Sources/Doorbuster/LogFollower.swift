import Logging
import Orders
import Stock

/// Follows one bucket's log as long as it is this worker's: a thin shell around ``FollowMachine``.
///
/// While the database stores one portion, the next is read, and what the database has by then is trimmed.
struct LogFollower: Sendable {
  let bucket: BucketID
  let stock: any StockService
  let orders: any OrderStore
  let clock: any SaleClock
  let settings: FollowMachine.Settings
  /// Events that stay in the bucket's log behind the database's position.
  let kept: Int64
  let tally: WorkerTally
  let logger: Logger

  /// How long a log that can't be followed is left alone before it is tried again.
  static let haltMs: Int64 = 2000

  /// - Parameter isOurs: asked between any two steps.
  func run(while isOurs: () -> Bool) async {
    var run = Run(self)
    await run.run(while: isOurs)
  }
}

extension LogFollower {
  fileprivate struct Run {
    let follower: LogFollower
    private let settler: Settler
    private let reliever: Reliever
    private var machine: FollowMachine
    private var reader: LogReader
    private var trimmer: LogTrimmer
    /// Why the log could not be followed, until it is again.
    private var halted: String?

    init(_ follower: LogFollower) {
      self.follower = follower
      settler = Settler(stock: follower.stock)
      reliever = Reliever(stock: follower.stock, orders: follower.orders, logger: follower.logger)
      machine = FollowMachine(follower.bucket, settings: follower.settings)
      reader = LogReader(bucket: follower.bucket, stock: follower.stock, eventsMax: follower.settings.batchMax)
      trimmer = LogTrimmer(
        bucket: follower.bucket,
        stock: follower.stock,
        keeping: follower.kept,
        logger: follower.logger
      )
    }

    mutating func run(while isOurs: () -> Bool) async {
      var action = machine.start()
      while !Task.isCancelled, isOurs() {
        switch action {
        case .wait(let ms):
          await trimmer.trim()
          guard await follower.clock.wait(ms: ms.jittered) else { continue }
          action = machine.woke()
        case .halt(let reason):
          halt(reason)
          reader.forget()
          guard await follower.clock.wait(ms: LogFollower.haltMs) else { continue }
          action = machine.start()
        case .report(let text):
          follower.logger.error("\(text)")
          action = machine.passed()
        case .loadPosition, .readEpoch, .read, .lookUp, .record, .relieve, .settle, .follow:
          action = await perform(action)
        }
      }
      if halted != nil { follower.tally.add { $0.haltedBuckets -= 1 } }
    }

    private mutating func halt(_ reason: String) {
      if halted == nil { follower.tally.add { $0.haltedBuckets += 1 } }
      if halted != reason { follower.logger.error("the log of \(follower.bucket) can't be followed: \(reason)") }
      halted = reason
    }

    private mutating func perform(_ action: FollowMachine.Action) async -> FollowMachine.Action {
      do {
        return try await ask(action)
      } catch let error as StockError {
        follower.logger.debug("following \(follower.bucket): \(error.message)")
        return machine.stockFailed(error)
      } catch let error as OrderStoreError {
        follower.logger.debug("following \(follower.bucket): \(error.message)")
        return machine.ordersFailed(error)
      } catch {
        return machine.start()
      }
    }

    private mutating func ask(_ action: FollowMachine.Action) async throws -> FollowMachine.Action {
      let follower = follower
      switch action {
      case .loadPosition: return machine.positioned(try await follower.orders.position(of: follower.bucket))
      case .readEpoch: return machine.epoch(try await follower.stock.info(follower.bucket).epoch)
      case .read(let position):
        trimmer.database(at: position)
        return machine.read(try await reader.read(after: position), nowMs: follower.clock.wallMs)
      case .lookUp(let tokens):
        return machine.found(try await reader.lookUp(tokens), nowMs: follower.clock.wallMs)
      case .record(let batch, let state):
        return machine.recorded(try await follower.orders.record(batch, as: state, rejecting: false))
      case .relieve(let shortage): return machine.relieved(await reliever.relieve(shortage))
      case .settle(let settlements):
        follower.tally.add(settlements)
        for settlement in settlements {
          follower.logger.warning("\(follower.bucket): \(settlement.reason)")
        }
        return machine.settled(await settler.settle(settlements))
      case .follow(let batch): return machine.followed(try await store(batch))
      case .wait, .halt, .report: return action
      }
    }

    private mutating func store(_ batch: LogBatch) async throws -> LogBatchOutcome {
      let follower = follower
      async let ahead = reader.readingAhead()
      async let behind = trimmer.trimming()
      let stored: Result<LogBatchOutcome, OrderStoreError>
      do throws(OrderStoreError) {
        stored = .success(try await follower.orders.follow(batch))
      } catch {
        stored = .failure(error)
      }
      (reader, trimmer) = (await ahead, await behind)
      let outcome = try stored.get()
      if outcome.applied {
        follower.tally.add { counters in
          counters.logEvents += max(0, outcome.position.sequence - batch.from.sequence)
          counters.fromLog += Int64(outcome.stored)
        }
        trimmer.database(at: outcome.position)
      }
      if halted != nil {
        halted = nil
        follower.tally.add { $0.haltedBuckets -= 1 }
        follower.logger.notice("the log of \(follower.bucket) is followed again")
      }
      return outcome
    }
  }
}
