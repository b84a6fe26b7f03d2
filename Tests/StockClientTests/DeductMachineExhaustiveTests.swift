import Stock
import Testing

@testable import StockClient

/// Plays every short history of a bucket, a network that loses requests, replies and delays sendings, and the machine.
@Suite struct DeductMachineExhaustiveTests {
  /// One token and one unit's worth of stock, with the module's order of precedence.
  private struct Bucket: Equatable {
    var stock: Int
    var state: State = .unknown
    /// Before: an earlier call of the same purchase has held the units. Foreign: another buyer has spent the token.
    enum State { case unknown, live, before, foreign, cancelled }

    var isTheBuyers: Bool { state == .live || state == .before }

    /// Nil for a token mismatch.
    mutating func deduct() -> StockReply? {
      switch state {
      case .foreign: return nil
      case .live, .before: return StockReply(.duplicate, remaining: Int64(stock), sequence: 1)
      case .cancelled: return StockReply(.cancelled, remaining: Int64(stock), sequence: 0)
      case .unknown:
        guard stock > 0 else { return StockReply(.soldOut, remaining: 0, sequence: 0) }
        stock -= 1
        state = .live
        return StockReply(.ok, remaining: Int64(stock), sequence: 1)
      }
    }

    mutating func fence() -> StockReply {
      switch state {
      case .live, .before, .foreign: return StockReply(.live, remaining: Int64(stock), sequence: 1)
      case .cancelled: return StockReply(.duplicate, remaining: Int64(stock), sequence: 0)
      case .unknown:
        state = .cancelled
        return StockReply(.ok, remaining: Int64(stock), sequence: 2)
      }
    }

    var owner: DeductMachine.Owner {
      switch state {
      case .unknown: .unsaid
      case .live, .before: .thisPurchase
      case .foreign: .another
      case .cancelled: .nobody
      }
    }

    mutating func spendElsewhere(as spent: State) {
      guard state == .unknown, stock > 0 else { return }
      stock -= 1
      state = spent
    }
  }

  /// What the world does with one sending.
  private enum Fate: CaseIterable {
    case delivered, requestLost, replyLost
    /// The sending hangs in a dead connection's buffer, and is carried out later.
    case delayed
    case deadline
  }

  private struct World {
    var bucket: Bucket
    var machine = DeductMachine()
    var action: DeductMachine.Action
    var delayed = 0
    var history: [Moment] = []
  }

  private struct Moment {
    let elsewhere: Elsewhere
    let sent: DeductMachine.Action
    let fate: Fate
  }

  /// What happens before the next sending.
  private enum Elsewhere: CaseIterable {
    case nothing, returnsAUnit, takesAUnit, fencesTheToken, holdsTheToken, spendsTheToken, delayedArrives
  }

  @Test("No history makes a final answer false, and none ends without an answer")
  func everyHistory() {
    var histories = 0
    var unknowns = 0
    var falsehoods: [String] = []
    let buckets = [Bucket(stock: 0), Bucket(stock: 1), Bucket(stock: 0, state: .before)]
    for bucket in buckets {
      let machine = DeductMachine()
      let world = World(bucket: bucket, machine: machine, action: machine.start)
      explore(world, sendingsLeft: 4) { outcome, world in
        histories += 1
        if case .finish(.unknown) = outcome { unknowns += 1 }
        if !isTrue(outcome, world) { falsehoods.append("\(outcome) is false in the end: \(world.history)") }
      }
    }
    let falsehoodCount = falsehoods.count
    #expect(falsehoodCount == 0, "of \(histories), such as \(falsehoods.first ?? "")")
    #expect(histories > 10_000)
    #expect(unknowns > 0 && unknowns < histories)
  }

  private func explore(_ world: World, sendingsLeft: Int, _ report: (DeductMachine.Action, World) -> Void) {
    switch world.action {
    case .finish, .fail:
      report(world.action, world)
    case .deduct, .fence, .lookUp:
      for fate in Fate.allCases {
        for deed in Elsewhere.allCases {
          guard let now = after(deed, world) else { continue }
          // The last sending always meets its deadline, as every real call does in the end.
          let next = step(now, sendingsLeft == 0 ? .deadline : fate, deed)
          explore(next, sendingsLeft: sendingsLeft - 1, report)
          if sendingsLeft == 0 { return }
        }
      }
    }
  }

  /// Nil for a deed that changes nothing.
  private func after(_ deed: Elsewhere, _ before: World) -> World? {
    var world = before
    switch deed {
    case .nothing: return world
    case .returnsAUnit: world.bucket.stock += 1
    case .takesAUnit: world.bucket.stock = max(0, world.bucket.stock - 1)
    case .fencesTheToken: _ = world.bucket.fence()
    case .holdsTheToken: world.bucket.spendElsewhere(as: .before)
    case .spendsTheToken: world.bucket.spendElsewhere(as: .foreign)
    case .delayedArrives:
      for _ in 0..<world.delayed { _ = world.bucket.deduct() }
      world.delayed = 0
    }
    return world.bucket == before.bucket && world.delayed == before.delayed ? nil : world
  }

  private func step(_ before: World, _ fate: Fate, _ deed: Elsewhere) -> World {
    var world = before
    world.history.append(Moment(elsewhere: deed, sent: world.action, fate: fate))
    if case .lookUp = world.action, fate == .delivered {
      world.action = world.machine.handle(.found(world.bucket.owner))
      return world
    }
    let isFence = if case .fence = world.action { true } else { false }
    let isLookUp = if case .lookUp = world.action { true } else { false }
    // A look-up changes nothing, so its loss is a failure that may be tried again.
    let lost =
      isLookUp
      ? DeductMachine.Event.failed(StockError(.unavailable, "lost"), afterLoss: false)
      : DeductMachine.Event.lost(StockError(.replyLost, "lost"))
    let event: DeductMachine.Event
    switch fate {
    case .delivered:
      if let reply = isFence ? world.bucket.fence() : world.bucket.deduct() {
        event = .answered(reply, afterLoss: false)
      } else {
        event = .failed(StockError(.tokenMismatch, "spent by another"), afterLoss: false)
      }
    case .requestLost: event = lost
    case .replyLost:
      if !isLookUp { _ = isFence ? world.bucket.fence() : world.bucket.deduct() }
      event = lost
    case .delayed:
      if !isFence && !isLookUp { world.delayed += 1 }
      event = lost
    case .deadline:
      event = .stopped(StockError(.unavailable, "late"), afterLoss: false)
    }
    world.action = world.machine.handle(event)
    return world
  }

  /// After the call has ended, whatever hangs in the network arrives, with ample stock: the answer must still be true.
  private func isTrue(_ outcome: DeductMachine.Action, _ world: World) -> Bool {
    var bucket = world.bucket
    bucket.stock += 1
    for _ in 0..<world.delayed { _ = bucket.deduct() }
    return switch outcome {
    case .finish(.accepted(_, _, isRepeat: true)): bucket.isTheBuyers
    // Only what this call itself has taken is in the state that it asked for.
    case .finish(.accepted(_, _, isRepeat: false)): bucket.state == .live
    case .finish(.refused), .finish(.cancelled): !bucket.isTheBuyers
    case .fail: bucket.state != .live
    case .finish(.unknown): true
    case .deduct, .fence, .lookUp: false
    }
  }
}
