import Stock

/// What follows each thing that happens to one deduction: resending and the `FENCE` rule, apart from clock and network.
///
/// The rule: if any sending of the `DEDUCT` had no reply, it may be carried out at any time, even after a later one
/// was refused. So a refusal is final only while every sending before it was answered. Otherwise `FENCE` decides: it
/// either finds the token live, or marks it cancelled, so that a sending still on its way is refused.
///
/// A live token need not be this purchase's: another buyer may have spent it since the refusal. So `GET` tells whose it
/// is. (The `DEDUCT` would tell too, but not on a server that is out of memory.)
///
/// Nor does a `DUPLICATE` after a loss tell whether the lost sending took the units or an earlier call of the same token,
/// which may have held them only. Both are told as a repeat; not as one only what a sending was answered `OK`.
struct DeductMachine {
  enum Event: Hashable, Sendable {
    /// The look-up that was asked for was answered.
    case found(Owner)
    /// The command last asked for was answered. `afterLoss`: an earlier sending of the same command had no reply.
    case answered(StockReply, afterLoss: Bool)
    /// The command last asked for was carried out, and may be lost with its server.
    case unreplicated(StockError)
    /// The command last asked for was not carried out: the server answered an error, or nothing was sent.
    case failed(StockError, afterLoss: Bool)
    /// The command last asked for was sent and had no reply, or one that can't be read.
    case lost(StockError)
    /// Nothing more may be sent: the deadline has passed, or the caller or the client has given up.
    case stopped(StockError, afterLoss: Bool)
  }

  enum Action: Hashable, Sendable {
    /// Send the command; `attempt` is 0 for the first, and tells how long to wait before.
    case deduct(attempt: Int)
    case fence(attempt: Int)
    /// Ask whose the token is.
    case lookUp(attempt: Int)
    case finish(DeductOutcome)
    /// Nothing was done, and nothing will be.
    case fail(StockError)
  }

  /// Whose a token is, by the bucket's record of it.
  enum Owner: Hashable, Sendable {
    /// Live, with this purchase's user and quantity.
    case thisPurchase
    /// Another user's, or of another quantity.
    case another
    /// Cancelled meanwhile.
    case nobody
    /// The record does not say.
    case unsaid
  }

  /// What a later sending was told, which `FENCE` makes final or not.
  private enum Verdict {
    case refused(Refusal, remaining: Int64)
    case failed(StockError)
  }

  private var hasLoss = false
  private var attempts = 0
  private var verdict: Verdict?
  /// What `FENCE` said of a token that it found live.
  private var live: StockReply?

  var start: Action { .deduct(attempt: 0) }

  /// What the first sending's answer decides by itself; nil where something is to follow.
  static func outcome(of reply: StockReply) -> DeductOutcome? {
    var machine = DeductMachine()
    guard case .finish(let outcome) = machine.answered(reply) else { return nil }
    return outcome
  }

  mutating func handle(_ event: Event) -> Action {
    if let live { return lookingUp(event, live) }
    if let verdict { return fencing(event, verdict) }
    switch event {
    case .found: return .finish(.unknown("a look-up was answered that was not asked for"))
    case .answered(let reply, let afterLoss):
      hasLoss = hasLoss || afterLoss
      return answered(reply)
    case .failed(let error, let afterLoss):
      hasLoss = hasLoss || afterLoss
      return failed(error)
    case .lost(let error):
      hasLoss = true
      return error.code == .replyLost ? again() : .finish(.unknown(error.message))
    case .unreplicated(let error): return .finish(.unknown(error.message))
    case .stopped(let error, let afterLoss):
      return hasLoss || afterLoss ? .finish(.unknown(error.message)) : .fail(error)
    }
  }

  private mutating func answered(_ reply: StockReply) -> Action {
    switch reply.status {
    case .ok:
      return .finish(.accepted(remaining: reply.remaining, sequence: reply.sequence, isRepeat: false))
    case .duplicate:
      return .finish(.accepted(remaining: reply.remaining, sequence: reply.sequence, isRepeat: true))
    case .cancelled: return .finish(.cancelled)
    case .soldOut: return refused(.soldOut, reply)
    case .limit: return refused(.limit, reply)
    case .early: return refused(.early, reply)
    case .closed: return refused(.closed, reply)
    case .frozen: return refused(.frozen, reply)
    case .live, .unknown: return .finish(.unknown("DEDUCT was answered \(reply.status.rawValue)"))
    }
  }

  private mutating func refused(_ refusal: Refusal, _ reply: StockReply) -> Action {
    guard hasLoss else { return .finish(.refused(refusal, remaining: reply.remaining)) }
    return fence(for: .refused(refusal, remaining: reply.remaining))
  }

  private mutating func failed(_ error: StockError) -> Action {
    if error.isTransient { return again() }
    // A token that another purchase has taken can't have been taken by an earlier sending of this one.
    guard hasLoss, error.code != .tokenMismatch else { return .fail(error) }
    return fence(for: .failed(error))
  }

  private mutating func again() -> Action {
    attempts += 1
    return .deduct(attempt: attempts)
  }

  private mutating func fence(for verdict: Verdict) -> Action {
    self.verdict = verdict
    attempts = 0
    return .fence(attempt: 0)
  }

  /// `FENCE` may be sent as often as needed: what it has decided stays decided.
  private mutating func fencing(_ event: Event, _ verdict: Verdict) -> Action {
    switch event {
    case .found: return .finish(.unknown("a look-up was answered that was not asked for"))
    case .answered(let reply, _): return fenced(reply, verdict)
    case .failed(let error, _) where error.isTransient, .lost(let error) where error.code == .replyLost:
      attempts += 1
      return .fence(attempt: attempts)
    case .failed(let error, _), .lost(let error), .unreplicated(let error), .stopped(let error, _):
      return .finish(.unknown(error.message))
    }
  }

  private mutating func fenced(_ reply: StockReply, _ verdict: Verdict) -> Action {
    switch (reply.status, verdict) {
    case (.ok, .refused(let refusal, let remaining)), (.duplicate, .refused(let refusal, let remaining)):
      return .finish(.refused(refusal, remaining: remaining))
    case (.ok, .failed(let error)), (.duplicate, .failed(let error)):
      return .fail(error)
    case (.live, _):
      live = reply
      attempts = 0
      return .lookUp(attempt: 0)
    case (.frozen, _):
      return .finish(.unknown("a sending had no reply, and FENCE can't decide while the bucket is frozen"))
    case (.soldOut, _), (.limit, _), (.cancelled, _), (.early, _), (.closed, _), (.unknown, _):
      return .finish(.unknown("FENCE was answered \(reply.status.rawValue)"))
    }
  }

  private mutating func lookingUp(_ event: Event, _ live: StockReply) -> Action {
    switch event {
    case .found(.thisPurchase):
      return .finish(.accepted(remaining: live.remaining, sequence: live.sequence, isRepeat: true))
    case .found(.another):
      return .fail(StockError(.tokenMismatch, "the token was first sent with another user or quantity"))
    case .found(.nobody): return .finish(.cancelled)
    case .found(.unsaid): return .finish(.unknown("the token is live, and the bucket does not say whose it is"))
    case .failed(let error, _) where error.isTransient:
      attempts += 1
      return .lookUp(attempt: attempts)
    case .answered(let reply, _): return .finish(.unknown("GET was answered \(reply.status.rawValue)"))
    case .failed(let error, _), .lost(let error), .unreplicated(let error), .stopped(let error, _):
      return .finish(.unknown(error.message))
    }
  }
}
