/// Decides when a link connects, when it gives up, and how long it waits. It does no I/O and reads no clock.
struct LinkMachine {
  enum State: Equatable {
    case idle
    /// No attempt before that time.
    case backingOff(until: MonotonicTime)
    /// Resolving the name, connecting, and greeting must be over by that time.
    case connecting(until: MonotonicTime)
    case greeting(until: MonotonicTime)
    case ready
  }

  /// What the shell has to do.
  enum Action: Equatable {
    case none
    case connect
    /// The address that is being tried does not answer: on to the host's next one.
    case tryNextAddress
    /// The attempt has taken too long: give it up, and report it by ``failed(now:using:)``.
    case giveUp
  }

  private(set) var state = State.idle
  /// Attempts that failed, and connections that were lost without a single reply, in a row.
  private(set) var failures = 0
  /// When the address that is being tried has had its share of the time.
  private var addressDue = MonotonicTime.distantFuture
  let backOff: BackOff
  /// Nanoseconds.
  let connectTimeout: Int64

  init(backOff: BackOff, connectTimeout: Int64) {
    self.backOff = backOff
    self.connectTimeout = connectTimeout
  }

  /// Called whenever time has passed or a command has come.
  mutating func tick(commandsWait: Bool, now: MonotonicTime) -> Action {
    switch state {
    case .idle:
      return commandsWait ? connect(now) : .none
    case .backingOff(let until):
      guard until <= now else { return .none }
      state = .idle
      return commandsWait ? connect(now) : .none
    case .connecting(let until):
      if until <= now { return .giveUp }
      return addressDue <= now ? .tryNextAddress : .none
    case .greeting(let until):
      return until <= now ? .giveUp : .none
    case .ready:
      return .none
    }
  }

  private mutating func connect(_ now: MonotonicTime) -> Action {
    state = .connecting(until: now.advanced(by: connectTimeout))
    addressDue = .distantFuture
    return .connect
  }

  /// One of so many addresses that are left, it included, is being tried: they share what is left of the time, so that one
  /// that swallows all it is sent does not keep the others from being reached.
  mutating func tries(addressesLeft: Int, now: MonotonicTime) {
    guard case .connecting(let until) = state else { return }
    addressDue = now.advanced(by: (until.nanoseconds - now.nanoseconds) / Int64(max(addressesLeft, 1)))
  }

  /// In which order this attempt tries a host's addresses: each attempt begins with another, as one may take a connection
  /// and then say nothing.
  func order<Address>(_ addresses: [Address]) -> [Address] {
    guard !addresses.isEmpty else { return [] }
    let first = failures % addresses.count
    return Array(addresses[first...] + addresses[..<first])
  }

  mutating func connected() {
    guard case .connecting(let until) = state else { return }
    state = .greeting(until: until)
  }

  mutating func greeted() { state = .ready }

  /// A command has had its reply: the server is well, so the next loss begins with the shortest wait.
  mutating func answered() { failures = 0 }

  /// The attempt has failed, or the connection was lost.
  mutating func failed(now: MonotonicTime, using generator: inout some RandomNumberGenerator) {
    failures += 1
    state = .backingOff(until: now.advanced(by: backOff.delay(failures: failures, using: &generator)))
  }

  /// When to call ``tick(commandsWait:now:)`` at the latest.
  func wakeUp(commandsWait: Bool) -> MonotonicTime? {
    switch state {
    case .idle, .ready: nil
    case .backingOff(let until): commandsWait ? until : nil
    case .connecting(let until): min(until, addressDue)
    case .greeting(let until): until
    }
  }
}
