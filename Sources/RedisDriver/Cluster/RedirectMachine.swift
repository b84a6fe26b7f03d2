/// What follows each failure of one command in a cluster: where it is sent next, after what wait, or how it ends. It does
/// no I/O and reads no clock.
///
/// A sending that had no reply counts, whichever node it went to: the command may have run there.
struct RedirectMachine {
  enum Target: Equatable {
    /// The node that has the slot, by the map of the moment.
    case owner
    /// A node that another one named; with `asking`, for this one sending.
    case node(NodeAddress, asking: Bool)
  }

  enum Action: Equatable {
    case send(Target)
    /// Send it to the slot's owner after that many nanoseconds.
    case wait(Int64)
    case fail(RedisError)
  }

  /// What a failure says about the cluster.
  enum News: Equatable {
    case none
    case moved(HashSlot, to: NodeAddress)
    /// The map may be out of date.
    case stale
  }

  struct Step: Equatable {
    var action: Action
    var news: News
  }

  private let retry: CallOptions.Retry
  private let whenUnreachable: CallOptions.WhenUnreachable
  private let deadline: MonotonicTime
  private let backOff: BackOff
  private(set) var lostSendings = 0
  private var redirections = 0
  private var waits = 0

  /// Beyond it the nodes contradict each other for good.
  static let redirectionsMax = 16
  /// So many are followed at once; later ones come after a wait, in which the nodes may come to agree.
  private static let promptRedirectionsMax = 5

  init(
    retry: CallOptions.Retry,
    whenUnreachable: CallOptions.WhenUnreachable,
    deadline: MonotonicTime,
    backOff: BackOff = BackOff(first: .milliseconds(2), longest: .milliseconds(100))
  ) {
    self.retry = retry
    self.whenUnreachable = whenUnreachable
    self.deadline = deadline
    self.backOff = backOff
  }

  /// - Parameter node: which node the command was sent to.
  mutating func failed(
    _ error: RedisError,
    from node: NodeAddress,
    now: MonotonicTime,
    using generator: inout some RandomNumberGenerator
  ) -> Step {
    lostSendings += error.lostSendings
    switch error.code {
    case .serverError:
      return answered(error, from: node, now: now, using: &generator)
    case .cannotConnect, .systemFailure:
      if whenUnreachable == .fail { return Step(action: .fail(total(error)), news: .stale) }
      return wait(error, .stale, now: now, using: &generator)
    case .replyLost, .timedOut:
      if error.lostSendings > 0, retry == .ifUnsent { return Step(action: .fail(total(error)), news: .stale) }
      return wait(error, .stale, now: now, using: &generator)
    case .notSent:
      // Its deadline has passed.
      return Step(action: .fail(total(error)), news: .stale)
    default:
      // Refused, cancelled, closed, or an answer that can't be read: nothing that another node would mend.
      return Step(action: .fail(total(error)), news: .none)
    }
  }

  /// No node has the slot, as far as is known.
  mutating func homeless(now: MonotonicTime, using generator: inout some RandomNumberGenerator) -> Step {
    let error = RedisError(.cannotConnect, "no node of the cluster has the key's slot, or the cluster can't be reached")
    return wait(error, .stale, now: now, using: &generator)
  }

  /// The caller has gone while the command waited to be sent again.
  func cancelled() -> RedisError { total(RedisError(.cancelled, "the task was cancelled")) }

  private mutating func answered(
    _ error: RedisError,
    from node: NodeAddress,
    now: MonotonicTime,
    using generator: inout some RandomNumberGenerator
  ) -> Step {
    switch error.serverErrorPrefix {
    case "MOVED", "ASK":
      guard let (slot, target) = Self.redirection(error.message, from: node) else {
        return Step(action: .fail(total(error)), news: .none)
      }
      let isAsk = error.serverErrorPrefix == "ASK"
      let news: News = isAsk ? .none : .moved(slot, to: target)
      redirections += 1
      if redirections > Self.redirectionsMax {
        let message = "redirected \(redirections) times, last by \(error.message.prefix(80))"
        return Step(action: .fail(total(RedisError(.redirectedTooOften, message, server: error.server))), news: news)
      }
      if redirections > Self.promptRedirectionsMax { return wait(error, news, now: now, using: &generator) }
      return Step(action: .send(.node(target, asking: isAsk)), news: news)
    case "TRYAGAIN":
      // Some of the keys have moved and some have not.
      return wait(error, .none, now: now, using: &generator)
    case "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY":
      return wait(error, .stale, now: now, using: &generator)
    default:
      return Step(action: .fail(total(error)), news: .none)
    }
  }

  /// Fails instead where the wait would end beyond the deadline.
  private mutating func wait(
    _ error: RedisError,
    _ news: News,
    now: MonotonicTime,
    using generator: inout some RandomNumberGenerator
  ) -> Step {
    waits += 1
    let delay = backOff.delay(failures: waits, using: &generator)
    guard now.advanced(by: delay) < deadline else { return Step(action: .fail(total(error)), news: news) }
    return Step(action: .wait(delay), news: news)
  }

  /// The error of the last sending, with what became of all of them.
  private func total(_ error: RedisError) -> RedisError {
    let neverSent = [.cannotConnect, .notSent, .systemFailure].contains(error.code)
    let code = neverSent && lostSendings > 0 ? .replyLost : error.code
    return RedisError(code, error.message, server: error.server, lostSendings: lostSendings)
  }

  /// `MOVED 3999 127.0.0.1:6381` or `ASK …`.
  private static func redirection(_ text: String, from node: NodeAddress) -> (HashSlot, NodeAddress)? {
    let words = text.split(separator: " ")
    guard words.count >= 3, let slot = Int(words[1]), (0..<HashSlot.count).contains(slot),
      let target = NodeAddress(redirection: words[2], from: node)
    else { return nil }
    return (HashSlot(number: slot), target)
  }
}
