/// A question for the map of a cluster, whose answer goes to the cluster instead of to a waiting task.
final class SlotsInquiry: Sendable {
  private let finished: @Sendable (Result<SlotsReply, RedisError>) -> Void

  /// `finished` is called once, on the I/O thread.
  init(_ finished: @escaping @Sendable (Result<SlotsReply, RedisError>) -> Void) { self.finished = finished }

  fileprivate func finish(_ result: Result<SlotsReply, RedisError>) { finished(result) }
}

extension Completion {
  /// Holds on to the inquiry until it is answered.
  init(_ inquiry: SlotsInquiry) {
    self.init(opaque: UnsafeRawPointer(Unmanaged.passRetained(inquiry).toOpaque()), InquiredSlots.self)
  }
}

/// The same reply, with another way to deliver it.
private struct InquiredSlots: RedisReply {
  init(decoding reply: inout ReplyCursor) throws(RedisError) { _ = try SlotsReply(decoding: &reply) }

  static func _resume(
    _ inquiry: UnsafeRawPointer,
    with reply: consuming ReplyCursor,
    lostSendings: Int,
    connection: UInt64,
    server: String
  ) {
    let result: Result<SlotsReply, RedisError>
    do throws(RedisError) { result = .success(try SlotsReply(decoding: &reply)) } catch { result = .failure(error) }
    Unmanaged<SlotsInquiry>.fromOpaque(inquiry).takeRetainedValue().finish(result)
  }

  static func _resume(_ inquiry: UnsafeRawPointer, throwing error: RedisError) {
    Unmanaged<SlotsInquiry>.fromOpaque(inquiry).takeRetainedValue().finish(.failure(error))
  }
}
