import Messaging
import Orders
import Stock

@testable import Doorbuster

extension World {
  /// Serves check-backs in a process, as long as it lives.
  func serveChecks(in process: Process) {
    let life = process.life
    for half in broker.takeChecks(nowMs: nowMs) { check(half, in: process) }
    after(500) { [self] in if process.life == life { serveChecks(in: process) } }
  }

  private func check(_ half: HalfMessage, in process: Process) {
    let machine = CheckMachine(half)
    func perform(_ action: CheckMachine.Action) {
      switch action {
      case .fence(let token, let id):
        stock(process) { world throws(StockError) in
          try world.stock.with(id) { bucket throws(StockError) in try bucket.fence(token, nowMs: world.nowMs) }
        } _: {
          switch $0 {
          case .success(let outcome): perform(machine.fenced(outcome))
          case .failure(let error): perform(machine.stockFailed(error))
          }
        }
      case .lookUp(let token, let id):
        stock(process) { world throws(StockError) in
          try world.stock.with(id) { bucket throws(StockError) in bucket.record(of: token) }
        } _: {
          switch $0 {
          case .success(let record): perform(machine.found(record))
          case .failure(let error): perform(machine.stockFailed(error))
          }
        }
      case .decide(let decision):
        broker(process) {
          $0.broker.decide(half, decision, nowMs: $0.nowMs)
        } _: { _ in
        }
      }
    }
    perform(machine.start())
  }

  /// Consumes messages in a process, as long as it lives.
  func consume(in process: Process, batchMax: Int = 4) {
    let life = process.life
    func again(_ ms: Int64) {
      after(ms) { [self] in if process.life == life { consume(in: process, batchMax: batchMax) } }
    }
    broker(process) {
      $0.broker.take(max: batchMax, nowMs: $0.nowMs, using: &$0.random)
    } _: { [self] in
      switch $0 {
      case .success(let deliveries) where !deliveries.isEmpty:
        handle(deliveries, in: process) { again(5) }
      case .success, .failure: again(50)
      }
    }
  }

  private func handle(_ deliveries: [Delivery], in process: Process, _ done: @escaping () -> Void) {
    var machine = RecordingMachine(deliveries)
    func perform(_ action: RecordingMachine.Action) {
      switch action {
      case .record(let batch):
        orders(process) { world throws(OrderStoreError) in
          try world.orders.record(batch)
        } _: {
          switch $0 {
          case .success(let outcomes): perform(machine.recorded(outcomes))
          case .failure(let error): perform(machine.recordFailed(error))
          }
        }
      case .settle(let settlements):
        settle(settlements, in: process) { perform(machine.settled($0)) }
      case .finish(let dispositions):
        for (delivery, disposition) in zip(deliveries, dispositions) {
          broker(process) {
            $0.broker.settle(delivery, disposition, nowMs: $0.nowMs)
          } _: { _ in
          }
        }
        done()
      }
    }
    perform(machine.start())
  }

  private func settle(
    _ settlements: [SettlementMachine],
    in process: Process,
    _ done: @escaping ([Disposition]) -> Void
  ) {
    var dispositions: [Disposition] = []
    func next() {
      guard dispositions.count < settlements.count else { return done(dispositions) }
      let machine = settlements[dispositions.count]
      func cancel(_ token: Token, _ id: BucketID, fence: Bool, offSale: Bool) {
        stock(process) { world throws(StockError) in
          try world.stock.with(id) { bucket throws(StockError) in
            try bucket.cancel(token, fence: fence, offSale: offSale, nowMs: world.nowMs)
          }
        } _: {
          switch $0 {
          case .success(let outcome): perform(machine.cancelled(outcome))
          case .failure(let error): perform(machine.stockFailed(error))
          }
        }
      }
      func perform(_ action: SettlementMachine.Action) {
        switch action {
        case .cancelOffSale(let token, let id): cancel(token, id, fence: true, offSale: true)
        case .giveBack(let token, let id): cancel(token, id, fence: false, offSale: false)
        case .lookUp(let token, let id):
          stock(process) { world throws(StockError) in
            try world.stock.with(id) { bucket throws(StockError) in bucket.record(of: token) }
          } _: {
            switch $0 {
            case .success(let record): perform(machine.found(record))
            case .failure(let error): perform(machine.stockFailed(error))
            }
          }
        case .done(let disposition):
          dispositions.append(disposition)
          next()
        }
      }
      perform(machine.start())
    }
    next()
  }

  /// Follows a bucket's log in a process, as long as it lives.
  func follow(_ id: BucketID, in process: Process) {
    var machine = FollowMachine(id, settings: settings)
    let life = process.life
    func wait(_ ms: Int64, _ next: @escaping () -> FollowMachine.Action) {
      after(ms) { if process.life == life { perform(next()) } }
    }
    func database<R>(
      _ apply: @escaping (World) throws(OrderStoreError) -> R,
      _ next: @escaping (R) -> FollowMachine.Action
    ) {
      orders(process, apply) {
        switch $0 {
        case .success(let value): perform(next(value))
        case .failure(let error): perform(machine.ordersFailed(error))
        }
      }
    }
    func bucket<R>(
      _ apply: @escaping (World) throws(StockError) -> R,
      _ next: @escaping (R) -> FollowMachine.Action
    ) {
      stock(process, apply) {
        switch $0 {
        case .success(let value): perform(next(value))
        case .failure(let error): perform(machine.stockFailed(error))
        }
      }
    }
    func perform(_ action: FollowMachine.Action) {
      switch action {
      case .loadPosition:
        database {
          $0.orders.positions[id]
        } _: {
          machine.positioned($0)
        }
      case .readEpoch:
        bucket { world throws(StockError) in
          try world.stock.with(id) { bucket throws(StockError) in bucket.epoch }
        } _: {
          machine.epoch($0)
        }
      case .read(let position):
        bucket { [settings] world throws(StockError) in
          try world.stock.with(id) { bucket throws(StockError) in
            try bucket.events(after: position, count: settings.batchMax)
          }
        } _: { [self] in
          machine.read($0, nowMs: nowMs)
        }
      case .record(let overdue):
        database { world throws(OrderStoreError) in
          try world.orders.record(overdue)
        } _: {
          machine.recorded($0)
        }
      case .settle(let settlements): settle(settlements, in: process) { perform(machine.settled($0)) }
      case .follow(let batch):
        database {
          $0.orders.follow(batch)
        } _: {
          machine.followed($0)
        }
      case .wait(let ms): wait(ms) { machine.woke() }
      case .halt: wait(LogFollower.haltMs) { machine.start() }
      }
    }
    perform(machine.start())
  }

  /// A worker with its check-backs: what a process of a deployment runs.
  func work(in process: Process) {
    serveChecks(in: process)
    consume(in: process)
    for id in orders.sales.values.flatMap(\.buckets).sorted(by: { $0.index < $1.index }) {
      follow(id, in: process)
    }
  }
}
