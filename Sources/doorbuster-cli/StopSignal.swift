import Foundation
import Synchronization
import UnixSignals

/// SIGINT and SIGTERM as a wish to stop, once; a second one ends the process on the spot.
final class StopSignal: Sendable {
  private let received = Mutex<UnixSignal?>(nil)

  /// The first signal that came, nil before.
  var first: UnixSignal? { received.withLock { $0 } }

  var isStopping: Bool { first != nil }

  /// 128 and the signal's number, as shells count it.
  var exitStatus: Int32? {
    switch first {
    case .sigint: 130
    case .sigterm: 143
    default: nil
    }
  }

  /// Runs something with signals as wishes. Outside it they end the process on the spot.
  func watching<Result>(_ body: () async throws -> Result) async throws -> Result {
    async let _ = watch()
    return try await body()
  }

  /// Until the task is cancelled.
  private func watch() async {
    for await signal in await UnixSignalsSequence(trapping: .sigint, .sigterm) {
      let isFirst = received.withLock { received in
        guard received == nil else { return false }
        received = signal
        return true
      }
      guard isFirst else { exit(signal == .sigint ? 130 : 143) }
    }
  }
}
