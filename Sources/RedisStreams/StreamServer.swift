import Messaging
import RedisDriver

/// The broker's way to one server: commands and scripts, with the seam's errors.
struct StreamServer: Sendable {
  let client: RedisClient

  /// For producers: waits for a connection, sends nothing twice, and learns the outcome though the task is cancelled.
  static let producing = CallOptions(retry: .ifUnsent, whenUnreachable: .wait, whenCancelled: .awaitReply)
  /// For loops, which have their own way to wait: fails while there is no connection.
  static let serving = CallOptions(retry: .ifUnsent, whenUnreachable: .fail, whenCancelled: .awaitReply)

  /// - Throws: ``MessagingError``; for its codes see ``MessagingError/init(_:)-(RedisError)``.
  nonisolated(nonsending) func call<Value: RedisReply>(
    _ name: StaticString,
    as type: Value.Type = Value.self,
    options: CallOptions = serving,
    _ encode: (inout CommandWriter) -> Void
  ) async throws(MessagingError) -> Value {
    do {
      return try await client.call(name, as: type, options: options, encode).value
    } catch {
      throw MessagingError(error)
    }
  }

  /// Runs a script by its hash, and with its text where the server does not know it.
  ///
  /// The driver's own way to run one takes its arguments as values; this one writes them straight into the
  /// connection's buffer, which matters for a commit.
  nonisolated(nonsending) func run<Value: RedisReply>(
    _ script: RedisScript,
    as type: Value.Type = Value.self,
    keys: [[UInt8]],
    options: CallOptions = serving,
    _ encode: (inout CommandWriter) -> Void
  ) async throws(MessagingError) -> Value {
    do {
      return try await client.call("EVALSHA", as: type, options: options) { writer in
        Self.write(script.sha1, keys, to: &writer)
        encode(&writer)
      }.value
    } catch {
      guard error.serverErrorPrefix == "NOSCRIPT" else { throw MessagingError(error) }
    }
    return try await call("EVAL", as: type, options: options) { writer in
      Self.write(script.source, keys, to: &writer)
      encode(&writer)
    }
  }

  private static func write(_ script: String, _ keys: [[UInt8]], to writer: inout CommandWriter) {
    writer.argument(script)
    writer.argument(keys.count)
    for key in keys { writer.argument(key) }
  }
}

extension MessagingError.Code {
  /// The group or its topic is gone, as after `FLUSHALL`. Not for callers: the loops make them again.
  static let noGroup = MessagingError.Code("no-group")
}

extension MessagingError {
  /// What a driver's error means for a message.
  init(_ error: RedisError) {
    let advice = Self.isDenied(error) ? " (the user lacks a right that the broker's scripts need)" : ""
    self.init(Self.code(of: error), "\(error)\(advice)")
  }

  /// Of a command in a script the server says in another way than `NOPERM` that the user may not send it.
  private static func isDenied(_ error: RedisError) -> Bool {
    error.code == .serverError && error.message.contains("The user executing the script can't")
  }

  private static func code(of error: RedisError) -> Code {
    // Whatever ended the wait: a sending without a reply may have been carried out.
    if error.lostSendings > 0 { return .replyLost }
    switch error.code {
    case .refused: return refusal(error.serverErrorPrefix)
    case .serverError where isDenied(error): return .notAuthorized
    case .serverError: return answer(error.serverErrorPrefix)
    case .replyLost, .timedOut: return .replyLost
    case .unexpectedReply, .protocolViolation: return .protocolViolation
    case .invalidURL, .invalidCommand: return .refused
    // Not connected, not sent, cancelled before it was, closed, no thread: nothing was stored.
    default: return .unavailable
    }
  }

  /// What the server said to the greeting.
  private static func refusal(_ prefix: String?) -> Code {
    let code = answer(prefix)
    // AUTH without a password set on the server, or SELECT beyond its databases: `ERR …`.
    return code == .refused || code == .noGroup ? .notAuthorized : code
  }

  /// What the server said to a command. Nothing was done.
  private static func answer(_ prefix: String?) -> Code {
    switch prefix {
    case "NOAUTH", "WRONGPASS", "NOPERM": .notAuthorized
    // MISCONF: the last write to disk failed.
    case "OOM", "MISCONF": .full
    case "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "READONLY", "NOREPLICAS": .unavailable
    case "NOGROUP", "UNBLOCKED": .noGroup
    default: .refused
    }
  }
}
