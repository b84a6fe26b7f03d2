import Foundation

/// What commands print: text for people or, with `--json`, one JSON object on standard output.
enum Output {
  static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    write(try encoder.encode(value) + Data("\n".utf8), to: .standardOutput)
  }

  static func line(_ text: String) { write(Data("\(text)\n".utf8), to: .standardOutput) }

  static func note(_ text: String) { write(Data("\(text)\n".utf8), to: .standardError) }

  /// Rows of a label and a value, the values aligned.
  static func table(_ rows: [(String, String)]) {
    let width = rows.map(\.0.count).max() ?? 0
    for (label, value) in rows {
      line("  " + label.padding(toLength: width, withPad: " ", startingAt: 0) + "  " + value)
    }
  }

  /// A reader that went away (`| head`) is no failure of ours.
  private static func write(_ data: Data, to handle: FileHandle) { try? handle.write(contentsOf: data) }
}
