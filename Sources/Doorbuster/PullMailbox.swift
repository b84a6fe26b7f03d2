import Stock
import Synchronization

/// A ``PullDesk`` that many tasks stand at.
final class PullMailbox: Sendable {
  private struct State {
    var desk: PullDesk
    var assigned: [PullDesk.BuyerID: PullDesk.Duty] = [:]
    var waiting: [PullDesk.BuyerID: CheckedContinuation<PullDesk.Duty, Never>] = [:]
  }

  private let state: Mutex<State>

  init(_ desk: PullDesk) { state = Mutex(State(desk: desk)) }

  func enter(
    quantity: Int64,
    home: Int,
    remaining: Int64,
    attempt: Int,
    deadline: ContinuousClock.Instant,
    now: ContinuousClock.Instant
  ) -> PullDesk.BuyerID {
    var buyer = 0
    _ = report { desk in
      let (id, assignments) = desk.enter(
        quantity: quantity,
        home: home,
        remaining: remaining,
        attempt: attempt,
        deadline: deadline,
        now: now
      )
      buyer = id
      return assignments
    }
    return buyer
  }

  /// Tells the desk something, and whoever it assigns a duty to. What is to be declared by then is for the caller to do.
  func report(_ tell: (inout PullDesk) -> [PullDesk.Assignment]) -> PullDesk.Declaration? {
    let (ready, declaration) = state.withLock { state in
      var ready: [(CheckedContinuation<PullDesk.Duty, Never>, PullDesk.Duty)] = []
      for assignment in tell(&state.desk) {
        if let buyer = state.waiting.removeValue(forKey: assignment.buyer) {
          ready.append((buyer, assignment.duty))
        } else {
          state.assigned[assignment.buyer] = assignment.duty
        }
      }
      return (ready, state.desk.takeDeclaration())
    }
    for (buyer, duty) in ready { buyer.resume(returning: duty) }
    return declaration
  }

  /// The buyer's next duty. Every buyer gets one: whoever leads is bounded in all that it does.
  nonisolated(nonsending) func duty(of buyer: PullDesk.BuyerID) async -> PullDesk.Duty {
    await withCheckedContinuation { continuation in
      let duty = state.withLock { state in
        let duty = state.assigned.removeValue(forKey: buyer)
        if duty == nil { state.waiting[buyer] = continuation }
        return duty
      }
      if let duty { continuation.resume(returning: duty) }
    }
  }
}
