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
    if case .cart(let message) = try? OrderMessage(decoding: half.message.body) {
      return check(half, of: message, in: process)
    }
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
      case .record(let batch, let state):
        orders(process) { world throws(OrderStoreError) in
          try world.orders.record(batch, as: state, rejecting: false)
        } _: {
          switch $0 {
          case .success(let outcomes): perform(machine.recorded(outcomes))
          case .failure(let error): perform(machine.recordFailed(error))
          }
        }
      case .relieve(let shortages):
        var outcomes: [[RecordOutcome]] = []
        func next() {
          guard outcomes.count < shortages.count else { return perform(machine.relieved(shortages, outcomes)) }
          relieve(shortages[outcomes.count], in: process) {
            outcomes.append($0)
            next()
          }
        }
        next()
      case .settle(let settlements):
        settle(settlements, in: process) { perform(machine.settled($0)) }
      case .handleCarts(let carts):
        handle(carts, in: process) { perform(machine.cartsHandled($0)) }
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

  private func relieve(
    _ shortage: ShortageMachine,
    in process: Process,
    _ done: @escaping ([RecordOutcome]) -> Void
  ) {
    relieve(shortage, in: process, orders: done, cart: { _ in })
  }

  func relieve(
    _ shortage: ShortageMachine,
    in process: Process,
    orders done: @escaping ([RecordOutcome]) -> Void,
    cart doneCart: @escaping (CartRecordOutcome) -> Void
  ) {
    var machine = shortage
    func database<R>(
      _ apply: @escaping (World) throws(OrderStoreError) -> R,
      _ next: @escaping (R) -> ShortageMachine.Action
    ) {
      orders(process, apply) {
        switch $0 {
        case .success(let value): perform(next(value))
        case .failure: perform(machine.failed())
        }
      }
    }
    func perform(_ action: ShortageMachine.Action) {
      switch action {
      case .load(let sku):
        database {
          let positions = $0.orders.positions.filter { $0.key.sku == sku }
          return ($0.orders.sales[sku]?.terms.buckets, positions)
        } _: { buckets, positions in
          machine.loaded(
            buckets: buckets,
            Dictionary(uniqueKeysWithValues: positions.map { ($0.key.index, $0.value) })
          )
        }
      case .locate(let id):
        stock(process) { world throws(StockError) in
          world.stock.buckets[id].map { LogPosition(epoch: $0.epoch, sequence: $0.info.logFirst - 1) }
        } _: {
          switch $0 {
          case .success(let position): perform(machine.located(position))
          case .failure: perform(machine.failed())
          }
        }
      case .read(let id, let position):
        stock(process) { world throws(StockError) in
          try world.stock.with(id) { bucket throws(StockError) in
            try bucket.events(after: position, count: Reliever.readMax)
          }
        } _: {
          switch $0 {
          case .success(let events): perform(machine.read(events))
          case .failure: perform(machine.failed())
          }
        }
      case .find(let sku, let tokens):
        database { world in
          tokens.compactMap { world.orders.orders[.init(sku: sku, token: $0)] }
        } _: {
          machine.found($0)
        }
      case .repair(let repairs):
        database { world in
          repairs.map { world.orders.repair($0) }
        } _: {
          machine.repaired($0)
        }
      case .record(let batch, let state, let rejecting):
        database { world throws(OrderStoreError) in
          try world.orders.record(batch, as: state, rejecting: rejecting)
        } _: {
          machine.recorded($0)
        }
      case .recordCart(let recording):
        database {
          $0.orders.record(recording)
        } _: {
          machine.recordedCart($0)
        }
      case .finish(let outcomes): done(outcomes)
      case .finishCart(let outcome): doneCart(outcome)
      }
    }
    perform(machine.start())
  }

  func settle(
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

  /// Follows a bucket's log in a process, as long as it lives, and trims it behind the database's position.
  func follow(_ id: BucketID, in process: Process) {
    var machine = FollowMachine(id, settings: settings)
    var followed: LogPosition?
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
        followed = position
        bucket { [settings] world throws(StockError) in
          try world.stock.with(id) { bucket throws(StockError) in
            try bucket.events(after: position, count: settings.batchMax)
          }
        } _: { [self] in
          machine.read($0, nowMs: nowMs)
        }
      case .lookUp(let tokens):
        bucket { world throws(StockError) in
          try world.stock.with(id) { bucket throws(StockError) in
            tokens.reduce(into: [:]) { $0[$1] = bucket.record(of: $1) }
          }
        } _: { [self] in
          machine.found($0, nowMs: nowMs)
        }
      case .record(let batch, let state):
        database { world throws(OrderStoreError) in
          try world.orders.record(batch, as: state, rejecting: false)
        } _: {
          machine.recorded($0)
        }
      case .relieve(let shortage): relieve(shortage, in: process) { perform(machine.relieved($0)) }
      case .settle(let settlements): settle(settlements, in: process) { perform(machine.settled($0)) }
      case .report: perform(machine.passed())
      case .follow(let batch):
        database { world throws(OrderStoreError) in
          try world.orders.follow(batch)
        } _: {
          machine.followed($0)
        }
      case .wait(let ms):
        if var followed {
          followed.sequence = max(0, followed.sequence - keptEvents)
          trim(id, upTo: followed, in: process)
        }
        wait(ms) { machine.woke() }
      case .halt: wait(LogFollower.haltMs) { machine.start() }
      }
    }
    perform(machine.start())
  }

  private func trim(_ id: BucketID, upTo position: LogPosition, in process: Process) {
    stock(process) { world throws(StockError) in
      try world.stock.with(id) { bucket throws(StockError) in try bucket.trim(upTo: position) }
    } _: { _ in
    }
  }

  /// The servers' own timer: holds that are due go back on sale.
  func expireHolds() {
    after(1_000) { [self] in
      for id in stock.buckets.keys { stock.buckets[id]?.expire(nowMs) }
      expireHolds()
    }
  }

  /// A worker with its check-backs: what a process of a deployment runs.
  func work(in process: Process) {
    serveChecks(in: process)
    consume(in: process)
    let buckets = orders.sales.values.flatMap(\.buckets)
    for id in buckets.sorted(by: { ($0.sku.text, $0.index) < ($1.sku.text, $1.index) }) {
      follow(id, in: process)
    }
  }
}
