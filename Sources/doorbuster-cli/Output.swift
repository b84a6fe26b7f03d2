import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// What commands print: text for people or, with `--json`, one JSON object on standard output.
enum Output {
  static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    StandardOutput.write(try encoder.encode(value) + Data("\n".utf8))
  }

  static func line(_ text: String) { raw("\(text)\n") }

  /// On standard error. Where that can't be written there is nobody left to tell.
  static func note(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data("\(text)\n".utf8)) }

  /// Rows of a label and a value, the values aligned.
  static func table(_ rows: [(String, String)]) {
    for row in self.rows(rows) { line(row) }
  }

  static func rows(_ rows: [(String, String)]) -> [String] {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { "  " + $0.0.padding(toLength: width, withPad: " ", startingAt: 0) + "  " + $0.1 }
  }

  /// The width of the terminal that standard output is; nil where it is none.
  static var columns: Int? { size.map { Int($0.ws_col) } }

  /// The height of that terminal.
  static var height: Int? { size.map { Int($0.ws_row) } }

  private static var size: winsize? {
    var size = winsize()
    guard isatty(STDOUT_FILENO) == 1, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
      return nil
    }
    return size
  }

  /// As it is, at once.
  static func raw(_ text: String) { StandardOutput.write(Data(text.utf8)) }
}
