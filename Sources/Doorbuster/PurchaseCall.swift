import Messaging
import Stock

/// The shell of one ``PurchaseMachine``: does what it asks for and tells it what happened.
///
/// Hundreds of purchases wait for a server at a time, so each step is kept out of its caller's frame: while a step waits,
/// the memory of the others is not there, and all that wait fit into the processor's cache.
struct PurchaseCall {
  private let doorbuster: Doorbuster
  private let sale: KnownSale
  private let holdMs: Int64?
  private let deadline: ContinuousClock.Instant
  private var message: PurchaseMessage
  private var machine: PurchaseMachine

  init(_ purchase: Purchase, of sale: KnownSale, holdMs: Int64?, _ courier: Courier, at doorbuster: Doorbuster) {
    self.doorbuster = doorbuster
    self.sale = sale
    self.holdMs = holdMs
    deadline = doorbuster.clock.now.advanced(by: doorbuster.configuration.purchaseDeadline)
    let nowMs = doorbuster.clock.wallMs
    message = PurchaseMessage(
      purchase: purchase,
      bucket: sale.home(of: purchase.user).index,
      createdAtMs: nowMs,
      isHeld: holdMs != nil
    )
    machine = PurchaseMachine(courier: courier, holdEndsMs: holdMs.map { nowMs.addingClamped($0) })
  }

  nonisolated(nonsending) mutating func run() async -> PurchaseOutcome {
    var action = machine.start()
    while true {
      switch action {
      case .verify: action = await verify()
      case .sendHalf: action = await sendHalf()
      case .deduct: action = await deduct()
      case .lookUp: action = await lookUp()
      case .commit(let half): action = await commit(half)
      case .sendPlain(let isHeld): action = await sendPlain(isHeld: isHeld)
      case .answer(let outcome, let half):
        if let half { await doorbuster.rollBackSoon(half) }
        return outcome
      }
    }
  }

  @inline(never)
  private nonisolated(nonsending) mutating func verify() async -> PurchaseMachine.Action {
    do throws(StockError) {
      try await doorbuster.stock.verify(message.bucketID, buckets: sale.buckets)
      return machine.verified()
    } catch {
      return machine.verifyFailed(error)
    }
  }

  @inline(never)
  private nonisolated(nonsending) mutating func sendHalf() async -> PurchaseMachine.Action {
    do throws(MessagingError) {
      return machine.halfSent(try await doorbuster.broker.sendHalf(message.message(topic: topic)))
    } catch {
      return machine.halfFailed(error)
    }
  }

  @inline(never)
  private nonisolated(nonsending) mutating func deduct() async -> PurchaseMachine.Action {
    do throws(StockError) {
      let outcome = try await doorbuster.deduct(message.purchase, of: sale, holdMs: holdMs, before: deadline)
      return machine.deducted(outcome)
    } catch {
      return machine.deductFailed(error)
    }
  }

  @inline(never)
  private nonisolated(nonsending) mutating func lookUp() async -> PurchaseMachine.Action {
    do throws(StockError) {
      return machine.found(try await doorbuster.stock.purchase(message.purchase.token, in: message.bucketID))
    } catch {
      return machine.lookUpFailed(error)
    }
  }

  @inline(never)
  private nonisolated(nonsending) mutating func commit(_ half: HalfMessage) async -> PurchaseMachine.Action {
    do throws(MessagingError) {
      return machine.committed(try await doorbuster.broker.commit(half))
    } catch {
      return machine.commitFailed(error)
    }
  }

  @inline(never)
  private nonisolated(nonsending) mutating func sendPlain(isHeld: Bool) async -> PurchaseMachine.Action {
    message.isHeld = isHeld
    do throws(MessagingError) {
      try await doorbuster.broker.send(message.message(topic: topic))
      return machine.plainSent()
    } catch {
      return machine.plainFailed(error)
    }
  }

  private var topic: Topic { doorbuster.configuration.topic }
}
