import Foundation
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// One line on a terminal's standard error that is written over as work goes on; nothing where it is not a terminal.
final class ProgressLine: Sendable {
  private let isShown: Bool
  private let lastShown = Mutex<ContinuousClock.Instant?>(nil)

  init() { isShown = isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb" }

  /// At most ten times a second.
  func show(_ text: @autoclosure () -> String) {
    guard isShown else { return }
    let isDue = lastShown.withLock { last in
      let now = ContinuousClock.now
      if let last, now - last < .milliseconds(100) { return false }
      last = now
      return true
    }
    if isDue { announce(text()) }
  }

  /// At once: what is shown until the next step.
  func announce(_ text: String) {
    guard isShown else { return }
    // A line that wraps can't be written over.
    FileHandle.standardError.write(Data("\r\u{1B}[K\(text.prefix(Self.columns - 1))".utf8))
  }

  private static var columns: Int {
    var size = winsize()
    return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 1 ? Int(size.ws_col) : 80
  }

  func clear() {
    if isShown { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
  }
}
