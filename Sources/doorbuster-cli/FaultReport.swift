import Stock
import Synchronization

/// Tells standard error which requests failed: one by one as far as a crash or two of a server can make them fail, the
/// rest as a number, so that an outage in a long run does not bury its cause.
final class FaultReport: Sendable {
  static let linesMax = 4 * SaleRun.buyersUnlessTold

  private let command: String
  private let progress: ProgressLine
  private let count = Mutex(0)

  init(command: String, progress: ProgressLine) {
    self.command = command
    self.progress = progress
  }

  func report(_ click: Click, _ fault: String) {
    let number = count.withLock { count in
      count += 1
      return count
    }
    guard number <= Self.linesMax else { return }
    progress.clear()
    let place = click.line.map { "line \($0): " } ?? ""
    Output.note("\(command): token \(click.purchase.token): \(place)\(fault)")
  }

  /// To be called once, after the last request.
  func end() {
    let rest = count.withLock { $0 } - Self.linesMax
    guard rest > 0 else { return }
    progress.clear()
    Output.note("\(command): \(rest) more requests failed")
  }
}
