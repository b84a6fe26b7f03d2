/// The shell of one command's ``RedirectMachine``.
@usableFromInline
struct RoutedCall {
  @usableFromInline
  struct Attempt {
    @usableFromInline let client: RedisClient
    @usableFromInline let isAsking: Bool

    @usableFromInline
    init(client: RedisClient, isAsking: Bool) {
      self.client = client
      self.isAsking = isAsking
    }
  }

  /// Of each sending: what comes after a failure is decided here, not by the node's link.
  @usableFromInline private(set) var options: CallOptions
  private let core: ClusterCore
  private let slot: HashSlot
  private var machine: RedirectMachine
  private var action = RedirectMachine.Action.send(.owner)

  @usableFromInline
  init(_ core: ClusterCore, _ slot: HashSlot, _ options: CallOptions, _ patience: Duration) {
    self.core = core
    self.slot = slot
    let deadline = options.deadline ?? .now + patience
    machine = RedirectMachine(retry: options.retry, whenUnreachable: options.whenUnreachable, deadline: deadline)
    self.options = options
    self.options.retry = .ifUnsent
    self.options.whenUnreachable = .fail
    self.options.deadline = deadline
  }

  @usableFromInline var lostSendings: Int { machine.lostSendings }

  /// Where the command is sent next, after what wait there has to be.
  @usableFromInline
  nonisolated(nonsending) mutating func next() async throws(RedisError) -> Attempt {
    while true {
      switch action {
      case .send(.owner):
        if let client = core.master(of: slot) { return Attempt(client: client, isAsking: false) }
        if core.isClosed { throw RedisError(.closed, "the client is closed", lostSendings: lostSendings) }
        var generator = SystemRandomNumberGenerator()
        take(machine.homeless(now: .now, using: &generator))
      case .send(.node(let node, let asking)):
        guard let client = core.client(of: node) else {
          throw RedisError(.closed, "the client is closed", lostSendings: lostSendings)
        }
        return Attempt(client: client, isAsking: asking)
      case .wait(let nanoseconds):
        do {
          try await Task.sleep(nanoseconds: UInt64(nanoseconds))
        } catch {
          throw machine.cancelled()
        }
        action = .send(.owner)
      case .fail(let error): throw error
      }
    }
  }

  /// The attempt has failed. Throws where there will be no other.
  @usableFromInline
  mutating func failed(_ error: RedisError, _ attempt: Attempt) throws(RedisError) {
    guard let node = attempt.client.url.endpoint.node else { throw error }
    var generator = SystemRandomNumberGenerator()
    take(machine.failed(error, from: node, now: .now, using: &generator))
    if case .fail(let error) = action { throw error }
  }

  private mutating func take(_ step: RedirectMachine.Step) {
    switch step.news {
    case .none: break
    case .stale: core.want()
    case .moved(let slot, let node): core.moved(slot, to: node)
    }
    action = step.action
  }
}

/// One attempt to read from a replica.
@usableFromInline
struct ReplicaAttempt {
  @usableFromInline let client: RedisClient
  @usableFromInline private(set) var options: CallOptions
  private let node: NodeAddress
  private let core: ClusterCore

  /// A replica that does not answer in this time is passed over: its master may.
  private static let timeout = Duration.seconds(1)

  init?(_ core: ClusterCore, _ slot: HashSlot, _ options: CallOptions) {
    let now = MonotonicTime.now
    guard let (node, client) = core.reader(of: slot, now: now) else { return nil }
    self.core = core
    self.node = node
    self.client = client
    self.options = options
    self.options.retry = .ifUnsent
    self.options.whenUnreachable = .fail
    self.options.timeout = min(options.timeout ?? Self.timeout, Self.timeout)
    self.options.deadline = min(options.deadline ?? .distantFuture, now + Self.timeout)
  }

  private static let passingErrors: Set<String> = [
    "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY",
  ]

  /// Throws what the master would not answer otherwise.
  @usableFromInline
  func failed(_ error: RedisError) throws(RedisError) {
    if error.code == .cancelled { throw error }
    if error.code == .serverError, !Self.passingErrors.contains(error.serverErrorPrefix ?? "") { throw error }
    core.spare(node, now: .now)
    core.want()
  }
}
