/// What a link's connection is for.
enum LinkRole {
  case commands
  /// Reads from a replica of a cluster.
  case replicaReads
  case subscription(Subscription)
}

/// What is said first on a new connection, and what the answers mean.
struct Greeting {
  enum Step: Equatable {
    case authenticate, selectDatabase, ping
    /// Lets a replica answer reads, which may be out of date.
    case readOnly
    /// A command whose answer a subscriber wants to know, whatever it is.
    case inquire
    case subscribe(channel: String)
  }

  enum Verdict: Equatable {
    case ok
    /// The server may come round: it is loading, busy or not linked to its master.
    case notNow(String)
    /// Trying again will not help.
    case refused(String)
  }

  let steps: [Step]

  private let inquiry: RedisCommand?

  init(_ url: RedisURL, _ role: LinkRole = .commands) {
    var steps: [Step] = []
    if url.password != nil || url.user != nil { steps.append(.authenticate) }
    if url.database != 0 { steps.append(.selectDatabase) }
    // `AUTH` and `SELECT` work while a server loads its data; `PING` tells whether commands do.
    steps.append(.ping)
    switch role {
    case .commands: inquiry = nil
    case .replicaReads:
      inquiry = nil
      steps.append(.readOnly)
    case .subscription(let subscription):
      inquiry = subscription.inquiry
      if inquiry != nil { steps.append(.inquire) }
      steps += subscription.channels.map { .subscribe(channel: $0) }
    }
    self.steps = steps
  }

  func write(_ url: RedisURL, to writer: inout CommandWriter) {
    for step in steps {
      let command: RedisCommand =
        switch step {
        case .authenticate:
          RedisCommand("AUTH", (url.user.map { [.init($0)] } ?? []) + [.init(url.password ?? "")])
        case .selectDatabase: RedisCommand("SELECT", .init(url.database))
        case .ping: RedisCommand("PING")
        case .readOnly: RedisCommand("READONLY")
        case .inquire: inquiry ?? RedisCommand("PING")
        case .subscribe(let channel): RedisCommand("SUBSCRIBE", .init(channel))
        }
      _ = writer.command(command)
    }
  }

  private static let passingErrors: Set<Substring> = ["LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN"]

  /// - Parameter error: the text of an error reply; nil for any other reply.
  func judge(_ step: Step, error: String?) -> Verdict {
    guard let message = error else { return .ok }
    let word = message.prefix { $0 != " " }
    if Self.passingErrors.contains(word) { return .notNow(message) }
    // A full server says so instead of an answer, and closes.
    if message.contains("max number of clients") { return .notNow(message) }
    switch step {
    case .ping:
      // A user who may not `PING` may still do what it came for.
      return word == "NOPERM" ? .ok : .refused(message)
    case .inquire: return .ok
    case .authenticate, .selectDatabase, .readOnly, .subscribe: return .refused(message)
    }
  }
}
