import RedisDriver
import Stock

/// What is being asked, for the words of an error, which are built only when there is one.
struct Request {
  enum Effect {
    /// A lost reply leaves nothing unclear.
    case reads
    /// A lost reply leaves open whether the command was carried out.
    case changes
  }

  var command: StaticString
  /// Nil where no bucket is concerned.
  var key: BucketID?
  var effect: Effect

  private var subject: String { key.map { "\(command) \($0.key)" } ?? "\(command)" }

  /// Translates a failure of the driver.
  ///
  /// Where an earlier sending of a change had no reply, even a clear error leaves open whether that one was, or will
  /// be, carried out: the code is `replyLost` then, and the message says what was heard.
  func error(_ failure: RedisError) -> StockError {
    let plain = plainError(failure)
    guard effect == .changes, failure.lostSendings > 0 else { return plain }
    return StockError(.replyLost, plain.message)
  }

  /// As ``error(_:)``, but about the last sending alone.
  func plainError(_ failure: RedisError) -> StockError {
    switch failure.code {
    case .serverError, .refused:
      let isHandshake = failure.code == .refused
      let meaning = ServerError.meaning(of: failure.message, isHandshake: isHandshake)
      // What the handshake is refused for has to be put right by hand, also where the word is none of the table's.
      return worded(meaning.code, failure, ServerError.shown(failure.message), advice: meaning.advice)
    case .notSent, .cannotConnect, .systemFailure, .redirectedTooOften:
      return worded(.unavailable, failure, failure.message)
    case .replyLost, .timedOut:
      return worded(effect == .changes ? .replyLost : .unavailable, failure, failure.message)
    case .unexpectedReply, .protocolViolation:
      return worded(.protocolViolation, failure, failure.message)
    case .cancelled: return worded(.cancelled, failure, failure.message)
    case .closed: return worded(.closed, failure, failure.message)
    default: return worded(.refused, failure, failure.message)
    }
  }

  /// An answer that a sending without reply could still make false: it arrives late, and finds another bucket.
  func requireFinal(_ reply: Reply<StockReply>) throws(StockError) {
    guard reply.lostSendings == 0 else {
      throw error(.replyLost, "answered \(reply.value.status.rawValue), but an earlier sending had no reply")
    }
  }

  func frozen(_ reply: Reply<StockReply>) -> StockError {
    error(reply.lostSendings == 0 ? .frozen : .replyLost, "the bucket is frozen and does not know the token")
  }

  func unexpected(_ reply: Reply<StockReply>) -> StockError {
    error(.protocolViolation, "answered \(reply.value.status.rawValue)")
  }

  func error(_ code: StockError.Code, _ text: String) -> StockError {
    StockError(code, "\(subject): \(text)")
  }

  private func worded(
    _ code: StockError.Code,
    _ failure: RedisError,
    _ text: String,
    advice: String? = nil
  ) -> StockError {
    var message = "\(subject)"
    if let server = failure.server { message += " at \(server)" }
    message += ": \(text)"
    if let advice { message += " (\(advice))" }
    if failure.lostSendings > 0, effect == .changes { message += "; an earlier sending had no reply" }
    return StockError(code, message)
  }
}

extension StockError.Code {
  /// The calling task was cancelled. A change that had been sent is `replyLost` instead.
  public static let cancelled = StockError.Code("cancelled")
  /// The client was closed.
  public static let closed = StockError.Code("closed")
}
