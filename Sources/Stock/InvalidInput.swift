/// An argument outside its bounds. Nothing was changed.
public struct InvalidInput: Error, Hashable, Sendable, CustomStringConvertible {
  /// The argument's name, as the caller knows it.
  public let argument: String
  /// What it was, shortened to 80 bytes, with unprintable bytes as `\xNN`.
  public let value: String
  /// What it must be.
  public let requirement: String

  public init(argument: String, value: some Sequence<UInt8>, requirement: String) {
    self.argument = argument
    self.value = Self.shown(value)
    self.requirement = requirement
  }

  public var description: String { "\(argument) is '\(value)'; it must be \(requirement)" }

  static func shown(_ bytes: some Sequence<UInt8>) -> String {
    var text = ""
    for (count, byte) in bytes.enumerated() {
      if count == 80 { return text + "…" }
      switch byte {
      case 0x5C: text += "\\\\"
      case 0x20...0x7E: text.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        text += "\\x" + (digits.utf8.count == 1 ? "0" : "") + digits
      }
    }
    return text
  }
}
