import Foundation

/// Lines on a terminal that are written over in place, without clearing it, so that nothing flickers. Where standard output is
/// no terminal, each picture follows the one before.
struct LiveView {
  private var linesShown = 0
  private let isTerminal = Output.columns != nil

  mutating func show(_ lines: [String]) {
    guard isTerminal else {
      for line in lines { Output.line(line) }
      return
    }
    // What is higher than the terminal would scroll, and could not be written over.
    let visible = lines.prefix(max(1, (Output.height ?? 24) - 1))
    var text = linesShown == 0 ? "\u{1B}[?25l" : "\u{1B}[\(linesShown)A"
    for line in visible { text += "\r\(line)\u{1B}[K\n" }
    text += "\u{1B}[J"
    Output.raw(text)
    linesShown = visible.count
  }

  /// Leaves the last picture where it is, and the terminal as it was.
  func end() {
    if isTerminal { Output.raw("\u{1B}[?25h") }
  }
}
