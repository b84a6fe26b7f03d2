import Messaging
import Orders
import Stock

@testable import Doorbuster

extension World {
  /// Runs one attempt at a cart in a process. Where the process dies, nobody hears an answer.
  func attempt(_ cart: Cart, in process: Process, _ heard: @escaping (CartOutcome) -> Void) {
    guard let run = CartRun(self, process, cart, heard) else { return }
    run.perform(run.machine.start())
  }

  /// Checks a cart's half message.
  func check(_ half: HalfMessage, of message: CartMessage, in process: Process) {
    var machine = CartCheckMachine(message)
    func ask<R>(
      _ id: BucketID,
      _ apply: @escaping (inout ModelBucket, Int64) throws(StockError) -> R,
      _ next: @escaping (R) -> CartCheckMachine.Action
    ) {
      bucket(id, from: process, apply) {
        switch $0 {
        case .success(let answer): perform(next(answer))
        case .failure(let error): perform(machine.stockFailed(error))
        }
      }
    }
    func perform(_ action: CartCheckMachine.Action) {
      switch action {
      case .fence(let token, let id):
        ask(id) { bucket, nowMs throws(StockError) in
          try bucket.fence(token, nowMs: nowMs)
        } _: {
          machine.fenced($0)
        }
      case .lookUp(let token, let id):
        ask(id) { bucket, _ throws(StockError) in
          bucket.record(of: token)
        } _: {
          machine.found($0)
        }
      case .giveBack(let token, let id):
        ask(id) { bucket, nowMs throws(StockError) in
          try bucket.cancel(token, fence: true, offSale: false, nowMs: nowMs)
        } _: {
          machine.gaveBack($0)
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

  /// Handles a batch's carts one after the other.
  func handle(_ carts: [CartDeliveryMachine], in process: Process, _ done: @escaping ([Disposition]) -> Void) {
    var dispositions: [Disposition] = []
    func next() {
      guard dispositions.count < carts.count else { return done(dispositions) }
      handle(carts[dispositions.count], in: process) {
        dispositions.append($0)
        next()
      }
    }
    next()
  }

  private func handle(_ cart: CartDeliveryMachine, in process: Process, _ done: @escaping (Disposition) -> Void) {
    var machine = cart
    func perform(_ action: CartDeliveryMachine.Action) {
      switch action {
      case .confirm(let token, let id):
        bucket(id, from: process) { bucket, nowMs throws(StockError) in
          try bucket.confirm(token, nowMs: nowMs)
        } _: {
          switch $0 {
          case .success(let outcome): perform(machine.confirmed(outcome))
          case .failure(let error): perform(machine.confirmFailed(error))
          }
        }
      case .cancel(let token, let id, let offSale):
        bucket(id, from: process) { bucket, nowMs throws(StockError) in
          try bucket.cancel(token, fence: true, offSale: offSale, nowMs: nowMs)
        } _: {
          switch $0 {
          case .success(let outcome): perform(machine.cancelled(outcome))
          case .failure(let error): perform(machine.cancelFailed(error))
          }
        }
      case .record(let recording):
        orders(process) {
          $0.orders.record(recording)
        } _: {
          switch $0 {
          case .success(let outcome): perform(machine.recorded(outcome))
          case .failure(let error): perform(machine.recordFailed(error))
          }
        }
      case .relieve(let shortage):
        relieve(shortage, in: process, orders: { _ in }, cart: { perform(machine.recorded($0)) })
      case .settle(let settlement):
        settle([settlement], in: process) { perform(machine.settled($0[0])) }
      case .done(let disposition): done(disposition)
      }
    }
    perform(machine.start())
  }

  func bucket<R>(
    _ id: BucketID,
    from process: Process,
    _ apply: @escaping (inout ModelBucket, Int64) throws(StockError) -> R,
    _ reply: @escaping (Result<R, StockError>) -> Void
  ) {
    stock(process) { world throws(StockError) in
      try world.stock.with(id) { bucket throws(StockError) in try apply(&bucket, world.nowMs) }
    } _: {
      reply($0)
    }
  }
}

/// Performs a ``CartMachine``'s actions as requests of the simulated world.
private final class CartRun {
  var machine: CartMachine
  private let world: World
  private let process: Process
  private let cart: Cart
  private let homes: [BucketID]
  private let message: Message
  private let deadlineMs: Int64
  private let heard: (CartOutcome) -> Void

  init?(_ world: World, _ process: Process, _ cart: Cart, _ heard: @escaping (CartOutcome) -> Void) {
    self.world = world
    self.process = process
    self.cart = cart
    self.heard = heard
    homes = cart.purchases.map { world.home(of: $0) }
    guard let message = try? CartMessage(cart, buckets: homes.map(\.index), createdAtMs: world.nowMs) else {
      return nil
    }
    self.message = message.message(topic: Sample.topic)
    machine = CartMachine(cart)
    deadlineMs = world.nowMs + World.purchaseDeadlineMs
  }

  func perform(_ action: CartMachine.Action) {
    switch action {
    // The driver asks once a connection; here it has done so.
    case .verify: perform(machine.verified())
    case .sendHalf:
      broker { [message] in
        $0.broker.sendHalf(message, nowMs: $0.nowMs)
      } _: { [self] in
        machine.halfSent($0)
      } failed: { [self] in
        machine.halfFailed($0)
      }
    case .hold(let line): hold(line)
    case .lookUp(let line):
      ask(line) { bucket, _, token throws(StockError) in
        bucket.record(of: token)
      } _: { [self] in
        machine.found($0)
      } failed: { [self] in
        machine.lookUpFailed($0)
      }
    case .commit(let half):
      broker {
        $0.broker.commit(half)
      } _: { [self] in
        machine.committed($0)
      } failed: { [self] in
        machine.commitFailed($0)
      }
    case .sendPlain:
      broker { [message] in
        $0.broker.send(message)
      } _: { [self] in
        machine.plainSent()
      } failed: { [self] in
        machine.plainFailed($0)
      }
    case .confirm(let line):
      ask(line) { bucket, nowMs, token throws(StockError) in
        try bucket.confirm(token, nowMs: nowMs)
      } _: { [self] in
        machine.confirmed($0)
      } failed: { [self] in
        machine.confirmFailed($0)
      }
    case .fence(let line):
      ask(line) { bucket, nowMs, token throws(StockError) in
        try bucket.fence(token, nowMs: nowMs)
      } _: { [self] in
        machine.fenced($0)
      } failed: { [self] in
        machine.fenceFailed($0)
      }
    case .giveBack(let line):
      ask(line) { bucket, nowMs, token throws(StockError) in
        try bucket.cancel(token, fence: true, offSale: false, nowMs: nowMs)
      } _: { [self] in
        machine.gaveBack($0)
      } failed: { [self] in
        machine.giveBackFailed($0)
      }
    case .answer(let outcome, let half):
      heard(outcome)
      guard let half else { return }
      world.broker(process) {
        $0.broker.rollBack(half)
      } _: { _ in
      }
    }
  }

  private func hold(_ line: Int) {
    let body = PurchaseMessage(purchase: cart.purchases[line], bucket: homes[line].index, createdAtMs: 0)
    SimulatedDriver(world, process, body, world.settings.cartHoldMs, deadlineMs).deduct { [self] in
      switch $0 {
      case .success(let outcome): perform(machine.held(outcome))
      case .failure(let error): perform(machine.holdFailed(error))
      }
    }
  }

  private func ask<R>(
    _ line: Int,
    _ apply: @escaping (inout ModelBucket, Int64, Token) throws(StockError) -> R,
    _ next: @escaping (R) -> CartMachine.Action,
    failed: @escaping (StockError) -> CartMachine.Action
  ) {
    world.bucket(homes[line], from: process) { [cart] bucket, nowMs throws(StockError) in
      try apply(&bucket, nowMs, cart.token)
    } _: { [self] in
      switch $0 {
      case .success(let answer): perform(next(answer))
      case .failure(let error): perform(failed(error))
      }
    }
  }

  private func broker<R>(
    _ apply: @escaping (World) -> R,
    _ next: @escaping (R) -> CartMachine.Action,
    failed: @escaping (MessagingError) -> CartMachine.Action
  ) {
    world.broker(process, apply) { [self] in
      switch $0 {
      case .success(let answer): perform(next(answer))
      case .failure(let error): perform(failed(error))
      }
    }
  }
}
