import Messaging
import Orders
import Stock

extension Doorbuster {
  /// Buys several products, all or nothing, wherever their buckets are: a hold on each, one message whose commit is the
  /// decision, and a confirmation of each. It never leaves one product bought and another not.
  ///
  /// Sent again with the same token, a cart that was accepted hears so and takes nothing. A cart that was refused after
  /// its first line is over, and needs a new token; so does one whose token bought some of its lines and others not. A cart
  /// that is a part of what its token has bought hears `accepted` as a repeat, as all its lines are. The products must be
  /// on sale on the paths `redis-mq` or `combined`, as the decision is a message's.
  /// - Parameter isFirstAttempt: whether the caller knows that this token was never sent before; then a product that is
  ///   known to be sold out is answered in process.
  public nonisolated(nonsending) func purchase(cart: Cart, isFirstAttempt: Bool = false) async -> CartOutcome {
    if isFirstAttempt, let line = cart.purchases.first(where: { isSoldOut($0) }) {
      return .refused(.soldOut, line, remaining: 0)
    }
    var sales: [KnownSale] = []
    for line in cart.purchases {
      do throws(DoorbusterError) {
        sales.append(try await saleTakingCarts(line.sku))
      } catch {
        return .failed(error, line)
      }
    }
    let attempt = CartAttempt(
      cart: cart,
      sales: sales,
      deadline: clock.now.advanced(by: configuration.purchaseDeadline)
    )
    do throws(InvalidInput) {
      let buckets = attempt.homes.map(\.index)
      let message = try CartMessage(cart, buckets: buckets, createdAtMs: clock.wallMs)
      return await run(attempt, message.message(topic: configuration.topic))
    } catch {
      return .failed(DoorbusterError(error), nil)
    }
  }

  /// - Throws: ``DoorbusterError`` `unknownSale`, `pathWithoutCarts`, `orders`.
  private nonisolated(nonsending) func saleTakingCarts(_ sku: SKU) async throws(DoorbusterError) -> KnownSale {
    let sale = try await lookUp(sku)
    guard sale.path.courier == .messages else {
      throw DoorbusterError(
        .pathWithoutCarts,
        "\(sku) is sold on the path \(sale.path.rawValue), which takes no carts; a cart's products must be on redis-mq or combined"
      )
    }
    return sale
  }

  private nonisolated(nonsending) func run(_ attempt: CartAttempt, _ message: Message) async -> CartOutcome {
    var machine = CartMachine(attempt.cart)
    var action = machine.start()
    while true {
      switch action {
      case .verify, .hold, .lookUp, .fence, .confirm, .giveBack: action = await ask(action, attempt, &machine)
      case .sendHalf:
        do {
          action = machine.halfSent(try await broker.sendHalf(message))
        } catch {
          action = machine.halfFailed(error)
        }
      case .commit(let half):
        do {
          action = machine.committed(try await broker.commit(half))
        } catch {
          action = machine.commitFailed(error)
        }
      case .sendPlain:
        do {
          try await broker.send(message)
          action = machine.plainSent()
        } catch {
          action = machine.plainFailed(error)
        }
      case .answer(let outcome, let half):
        if let half { await rollBackSoon(half) }
        return outcome
      }
    }
  }

  /// What is asked of a line's bucket.
  private nonisolated(nonsending) func ask(
    _ action: CartMachine.Action,
    _ attempt: CartAttempt,
    _ machine: inout CartMachine
  ) async -> CartMachine.Action {
    let (lines, homes) = (attempt.cart.purchases, attempt.homes)
    switch action {
    case .verify:
      for (line, sale) in attempt.sales.enumerated() {
        do {
          try await stock.verify(homes[line], buckets: sale.buckets)
        } catch {
          return machine.verifyFailed(error, line: line)
        }
      }
      return machine.verified()
    case .hold(let line):
      do {
        return machine.held(
          try await deduct(
            lines[line],
            of: attempt.sales[line],
            holdMs: configuration.cartHold.wholeMs,
            before: attempt.deadline
          )
        )
      } catch {
        return machine.holdFailed(error)
      }
    case .lookUp(let line):
      do {
        return machine.found(try await stock.purchase(lines[line].token, in: homes[line]))
      } catch {
        return machine.lookUpFailed(error)
      }
    case .confirm(let line):
      do {
        return machine.confirmed(try await stock.confirm(lines[line].token, in: homes[line]))
      } catch {
        return machine.confirmFailed(error)
      }
    case .fence(let line):
      do {
        return machine.fenced(try await stock.fence(lines[line].token, in: homes[line]))
      } catch {
        return machine.fenceFailed(error)
      }
    case .giveBack(let line):
      do {
        return machine.gaveBack(
          try await stock.cancel(lines[line].token, in: homes[line], fence: true, offSale: false)
        )
      } catch {
        return machine.giveBackFailed(error)
      }
    case .sendHalf, .commit, .sendPlain, .answer: return action
    }
  }
}

/// What one attempt at a cart is about.
private struct CartAttempt {
  let cart: Cart
  /// Of each line.
  let sales: [KnownSale]
  let homes: [BucketID]
  let deadline: ContinuousClock.Instant

  init(cart: Cart, sales: [KnownSale], deadline: ContinuousClock.Instant) {
    self.cart = cart
    self.sales = sales
    self.deadline = deadline
    homes = sales.map { $0.home(of: cart.user) }
  }
}
