/// A waiting caller whose reply type has been forgotten, in three words that are copied without reference counting.
///
/// As sendable as the continuation in it, which the compiler can't see through the pointer.
@usableFromInline
struct Completion: @unchecked Sendable {
  @usableFromInline let continuation: UnsafeRawPointer
  @usableFromInline let type: any RedisReply.Type

  /// - Precondition: `continuation` is given to one completion only, and that is completed once.
  @inlinable
  init<Value: RedisReply>(_ continuation: UnsafeContinuation<Result<Reply<Value>, RedisError>, Never>) {
    // A continuation is one pointer to its task. The type that it is turned back to is kept beside it.
    self.continuation = unsafeBitCast(continuation, to: UnsafeRawPointer.self)
    type = Value.self
  }

  /// For a reply type that is not delivered to a continuation.
  init(opaque receiver: UnsafeRawPointer, _ type: any RedisReply.Type) {
    continuation = receiver
    self.type = type
  }

  /// Decodes the reply on the tape and resumes the caller with it.
  func succeed(_ tape: ReplyTape, lostSendings: Int, connection: UInt64, server: String) {
    type._resume(
      continuation,
      with: ReplyCursor(tape),
      lostSendings: lostSendings,
      connection: connection,
      server: server
    )
  }

  func fail(_ error: RedisError) { type._resume(continuation, throwing: error) }
}

/// These are requirements, with one implementation for all, so that the compiler makes a version of it for each type.
extension RedisReply {
  @inlinable
  public static func _resume(
    _ continuation: UnsafeRawPointer,
    with reply: consuming ReplyCursor,
    lostSendings: Int,
    connection: UInt64,
    server: String
  ) {
    do throws(RedisError) {
      let value = try Self(decoding: &reply)
      let whole = Reply(value: value, lostSendings: lostSendings, connection: connection)
      _restored(continuation).resume(returning: .success(whole))
    } catch {
      let located = RedisError(error.code, error.message, server: server, lostSendings: lostSendings)
      _restored(continuation).resume(returning: .failure(located))
    }
  }

  @inlinable
  public static func _resume(_ continuation: UnsafeRawPointer, throwing error: RedisError) {
    _restored(continuation).resume(returning: .failure(error))
  }

  @inlinable
  static func _restored(
    _ continuation: UnsafeRawPointer
  ) -> UnsafeContinuation<Result<Reply<Self>, RedisError>, Never> {
    unsafeBitCast(continuation, to: UnsafeContinuation<Result<Reply<Self>, RedisError>, Never>.self)
  }
}
