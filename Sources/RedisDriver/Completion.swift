/// A waiting caller whose reply type has been forgotten, in three words that are copied without reference counting.
///
/// As sendable as the continuation in it, which the compiler can't see through the pointer.
struct Completion: @unchecked Sendable {
  typealias Outcome<Value: Sendable> = Result<Reply<Value>, RedisError>

  private let continuation: UnsafeRawPointer
  private let type: any RedisReply.Type

  /// - Precondition: `continuation` is given to one completion only, and that is completed once.
  init<Value: RedisReply>(_ continuation: UnsafeContinuation<Outcome<Value>, Never>) {
    // A continuation is one pointer to its task. The type that it is turned back to is kept beside it.
    self.continuation = unsafeBitCast(continuation, to: UnsafeRawPointer.self)
    type = Value.self
  }

  /// Decodes the reply on the tape and resumes the caller with it.
  func succeed(_ tape: ReplyTape, lostSendings: Int, server: @autoclosure () -> String) {
    type.resume(continuation, with: tape, lostSendings: lostSendings, server: server)
  }

  func fail(_ error: RedisError) { type.resume(continuation, throwing: error) }
}

extension RedisReply {
  fileprivate static func resume(
    _ continuation: UnsafeRawPointer,
    with tape: ReplyTape,
    lostSendings: Int,
    server: () -> String
  ) {
    var cursor = ReplyCursor(tape)
    let outcome: Completion.Outcome<Self>
    do throws(RedisError) {
      outcome = .success(Reply(value: try Self(decoding: &cursor), lostSendings: lostSendings))
    } catch {
      outcome = .failure(RedisError(error.code, error.message, server: server(), lostSendings: lostSendings))
    }
    restored(continuation).resume(returning: outcome)
  }

  fileprivate static func resume(_ continuation: UnsafeRawPointer, throwing error: RedisError) {
    restored(continuation).resume(returning: .failure(error))
  }

  private static func restored(
    _ continuation: UnsafeRawPointer
  ) -> UnsafeContinuation<Completion.Outcome<Self>, Never> {
    unsafeBitCast(continuation, to: UnsafeContinuation<Completion.Outcome<Self>, Never>.self)
  }
}
