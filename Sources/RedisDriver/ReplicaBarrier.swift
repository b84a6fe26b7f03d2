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

/// What replicas must have before a reply counts.
public enum ReplicaNeed: Sendable, Hashable {
  /// Nothing: the reply tells of no change.
  case nothing
  /// What the command itself has changed.
  case ownChange
  /// What had been changed before the command came, maybe over another connection.
  ///
  /// `WAIT` alone proves nothing of that: since Redis 7.2 it asks for no more than this connection's last command that
  /// was replicated. So a small write of the connection's own goes before it, to ``KeyPlace/replicationMark``.
  case earlierChange
}

/// Whether replicas have a change.
public enum ReplicaVerdict: Sendable {
  case replicated
  /// Fewer had it when the time was up.
  case tooFew
  /// That could not be learnt.
  case untold(RedisError)

  public var isReplicated: Bool {
    switch self {
    case .replicated: true
    case .tooFew, .untold: false
    }
  }
}

/// Joins those who wait for a server's replicas: one `WAIT` is on its way at a time, for all who had come before it.
final class ReplicaBarrier: Sendable {
  struct Answer {
    /// How many replicas had all when the server answered.
    let count: Reply<Int>
    /// Why the server refused the write that goes before for those who ask for an earlier change.
    var markError: RedisError?
  }

  private enum Turn {
    case answered(Result<Answer, RedisError>)
    /// It is for this caller to send the next `WAIT`.
    case leads
  }

  private struct Waiter {
    let replicas: Replication
    let mark: String?
    let continuation: UnsafeContinuation<Turn, Never>
  }

  private struct State {
    var isBusy = false
    var waiters: [Waiter] = []
  }

  private let state = Mutex(State())

  /// - Parameter mark: the key to write to before, where an earlier change is asked for.
  nonisolated(nonsending) func wait(
    _ replicas: Replication,
    mark: String?,
    on client: RedisClient
  ) async -> Result<Answer, RedisError> {
    let turn = await withUnsafeContinuation { (continuation: UnsafeContinuation<Turn, Never>) in
      let leads = state.withLock { state in
        guard state.isBusy else {
          state.isBusy = true
          return true
        }
        state.waiters.append(Waiter(replicas: replicas, mark: mark, continuation: continuation))
        return false
      }
      if leads { continuation.resume(returning: .leads) }
    }
    switch turn {
    case .answered(let answer): return answer
    case .leads: return await lead(replicas, mark, on: client)
    }
  }

  private nonisolated(nonsending) func lead(
    _ replicas: Replication,
    _ mark: String?,
    on client: RedisClient
  ) async -> Result<Answer, RedisError> {
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
    let answer: Result<Answer, RedisError>
    do throws(RedisError) {
      // Any key of this server serves all who ask.
      if let mark = mark ?? followers.lazy.compactMap(\.mark).first {
        answer = .success(try await client.markAndWait(mark, count, milliseconds, options))
      } else {
        let reply = try await client.call("WAIT", as: Int.self, options: options) { writer in
          writer.argument(count)
          writer.argument(milliseconds)
        }
        answer = .success(Answer(count: reply))
      }
    } catch {
      // The others have not given up because this caller has.
      if error.code == .cancelled, error.lostSendings == 0 {
        passOn(followers)?.resume(returning: .leads)
        return .failure(error)
      }
      answer = .failure(error)
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

extension RedisClient {
  /// How long the key of a mark stays.
  private static let markMs = 1000

  /// The write moves what `WAIT` asks for beyond all that the server had done before. Both go out in one piece.
  fileprivate nonisolated(nonsending) func markAndWait(
    _ mark: String,
    _ count: Int,
    _ milliseconds: Int,
    _ options: CallOptions
  ) async throws(RedisError) -> ReplicaBarrier.Answer {
    let commands: [RedisCommand] = [
      ["SET", .init(mark), "", "PX", .init(Self.markMs)], ["WAIT", .init(count), .init(milliseconds)],
    ]
    let replies = try await pipeline(commands, options: options)
    if case .error(let text)? = replies.value.last { throw RedisError(.serverError, text, server: url.server) }
    guard replies.value.count == commands.count, let number = replies.value.last?.integer else {
      throw RedisError(.unexpectedReply, "unexpected reply: WAIT answered no number", server: url.server)
    }
    let reply = Reply(value: number, lostSendings: replies.lostSendings, connection: replies.connection)
    guard case .error(let text)? = replies.value.first else { return ReplicaBarrier.Answer(count: reply) }
    return ReplicaBarrier.Answer(count: reply, markError: RedisError(.serverError, text, server: url.server))
  }
}
