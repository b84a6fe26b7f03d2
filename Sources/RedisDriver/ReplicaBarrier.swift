import Synchronization

/// How many replicas must have a change before it counts, and how long that may take.
public struct Replication: Sendable, Hashable {
  /// At least 1.
  public var count: Int
  public var timeout: Duration

  public init(count: Int, timeout: Duration) {
    self.count = count
    self.timeout = timeout
  }

  /// `WAIT` takes 0 for ever.
  fileprivate var milliseconds: Int { Int(max(timeout.wholeNanoseconds / 1_000_000, 1)) }
}

/// Joins those who wait for a server's replicas: one `WAIT` is on its way at a time, for all who had come before it.
final class ReplicaBarrier: Sendable {
  private enum Turn {
    case answered(Reply<Int>?)
    /// It is for this caller to send the next `WAIT`.
    case leads
  }

  private struct Waiter {
    let replicas: Replication
    let continuation: UnsafeContinuation<Turn, Never>
  }

  private struct State {
    var isBusy = false
    var waiters: [Waiter] = []
  }

  private let state = Mutex(State())

  /// How many replicas had all when the server answered; nil where it gave no answer.
  nonisolated(nonsending) func wait(_ replicas: Replication, on client: RedisClient) async -> Reply<Int>? {
    let turn = await withUnsafeContinuation { (continuation: UnsafeContinuation<Turn, Never>) in
      let leads = state.withLock { state in
        guard state.isBusy else {
          state.isBusy = true
          return true
        }
        state.waiters.append(Waiter(replicas: replicas, continuation: continuation))
        return false
      }
      if leads { continuation.resume(returning: .leads) }
    }
    switch turn {
    case .answered(let answer): return answer
    case .leads: return await lead(replicas, on: client)
    }
  }

  private nonisolated(nonsending) func lead(_ replicas: Replication, on client: RedisClient) async -> Reply<Int>? {
    let followers = state.withLock { state in
      defer { state.waiters = [] }
      return state.waiters
    }
    let count = followers.reduce(replicas.count) { max($0, $1.replicas.count) }
    let milliseconds = followers.reduce(replicas.milliseconds) { max($0, $1.replicas.milliseconds) }
    let options = CallOptions(
      whenUnreachable: .fail,
      whenCancelled: .awaitReply,
      timeout: .milliseconds(milliseconds) + client.configuration.timeout
    )
    let answer: Reply<Int>?
    do throws(RedisError) {
      answer = try await client.call("WAIT", as: Int.self, options: options) { writer in
        writer.argument(count)
        writer.argument(milliseconds)
      }
    } catch {
      // The others have not given up because this caller has.
      if error.code == .cancelled, error.lostSendings == 0 {
        passOn(followers)?.resume(returning: .leads)
        return nil
      }
      answer = nil
    }
    passOn([])?.resume(returning: .leads)
    for follower in followers { follower.continuation.resume(returning: .answered(answer)) }
    return answer
  }

  /// The first of those who wait then, who sends the next `WAIT`.
  private func passOn(_ followers: [Waiter]) -> UnsafeContinuation<Turn, Never>? {
    state.withLock { state in
      state.waiters = followers + state.waiters
      guard let next = state.waiters.first else {
        state.isBusy = false
        return nil
      }
      state.waiters.removeFirst()
      return next.continuation
    }
  }
}
