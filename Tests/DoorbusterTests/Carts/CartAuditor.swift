import Orders
import Stock

@testable import Doorbuster

/// Checks what became of carts, from outside: it knows what their buyers asked and heard, and reads the servers' books.
final class CartAuditor {
  private(set) var heard: [Cart: [CartOutcome]] = [:]
  private var unanswered: [Cart: Int] = [:]
  private var linesGivenBack: Set<Token> = []
  /// Tokens that were used for other purchases too.
  private(set) var misused: Set<Token> = []
  private(set) var findings: [String] = []

  func asked(_ cart: Cart) { unanswered[cart, default: 0] += 1 }

  func heard(_ outcome: CartOutcome, of cart: Cart) {
    unanswered[cart, default: 0] -= 1
    heard[cart, default: []].append(outcome)
  }

  /// A buyer asked for one line's cancellation.
  func cancelAsked(_ token: Token) { linesGivenBack.insert(token) }

  func misused(_ token: Token) { misused.insert(token) }

  func accepted(_ cart: Cart) -> Bool {
    heard[cart, default: []].contains {
      if case .accepted = $0 { true } else { false }
    }
  }

  func audit(_ world: World) {
    for cart in unanswered.keys where !misused.contains(cart.token) { audit(cart, world) }
  }

  private func audit(_ cart: Cart, _ world: World) {
    let rows = cart.purchases.map { world.orders.orders[.init(sku: $0.sku, token: $0.token)] }
    let states = rows.map { $0?.state }
    let sold = states.count { $0 == .sold }
    let text = "\(cart.token): \(states), heard \(heard[cart, default: []])"
    if states.contains(.held) { find(world, "a cart is held for good: \(text)") }
    // Before the cart was recorded, a line that is given back ends it as a whole.
    let isRecorded = world.orders.carts[.init(sku: cart.purchases[0].sku, token: cart.token)]?.state == .sold
    let mayBeSplit = isRecorded && linesGivenBack.contains(cart.token)
    if sold != 0, sold != states.count, !mayBeSplit { find(world, "a cart is sold by half: \(text)") }
    for purchase in cart.purchases {
      let id = world.home(of: purchase)
      let live = world.stock.buckets[id]?.entries[cart.token].map { $0.state != .cancelled } ?? false
      let isSold = world.orders.orders[.init(sku: purchase.sku, token: cart.token)]?.state == .sold
      if live != isSold { find(world, "\(id) has a line \(live ? "live" : "dead"), and its order is not so: \(text)") }
    }
    let isRejected = states.contains(.rejected)
    if accepted(cart), sold != states.count, !linesGivenBack.contains(cart.token), !isRejected {
      find(world, "a cart was accepted, and is not sold: \(text)")
    }
    let tookNothing = heard[cart, default: []].allSatisfy {
      switch $0 {
      case .accepted, .unknown: false
      case .refused, .cancelled, .failed: true
      }
    }
    // A line that was given back between commit and confirmation is told as cancelled.
    if tookNothing, unanswered[cart, default: 0] == 0, sold != 0, !mayBeSplit {
      find(world, "a cart was refused to all its attempts, and is sold: \(text)")
    }
  }

  private func find(_ world: World, _ finding: String) {
    guard findings.count < 5 else { return }
    findings.append("seed \(world.seed), event \(world.events), \(world.nowMs) ms: \(finding)")
  }
}
