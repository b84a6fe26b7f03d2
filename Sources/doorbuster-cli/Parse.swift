import ArgumentParser
import Orders
import Stock

/// Arguments, checked by the module's own rules before any server is asked.
enum Parse {
  @Sendable static func sku(_ text: String) throws -> SKU { try refusing { () throws(InvalidInput) in try SKU(text) } }
  @Sendable static func token(_ text: String) throws -> Token {
    try refuseRepaired(text, argument: "token")
    return try refusing { () throws(InvalidInput) in try Token(text) }
  }
  /// A token by its bytes, two hexadecimal digits each.
  @Sendable static func hexToken(_ text: String) throws -> Token {
    let digits = text.map { $0.isASCII ? $0.hexDigitValue : nil }
    guard digits.count % 2 == 0, !digits.contains(nil) else {
      throw ValidationError("--token-hex is '\(text.prefix(80))'; it must be two hexadecimal digits for each byte")
    }
    var bytes: [UInt8] = []
    for first in stride(from: 0, to: digits.count, by: 2) {
      bytes.append(UInt8(16 * (digits[first] ?? 0) + (digits[first + 1] ?? 0)))
    }
    return try refusing { () throws(InvalidInput) in try Token(bytes: bytes) }
  }
  @Sendable static func user(_ text: String) throws -> UserID {
    try refuseRepaired(text, argument: "user")
    return try refusing { () throws(InvalidInput) in try UserID(text) }
  }

  /// `SKU=QTY`. A SKU has no `=`.
  @Sendable static func cartLine(_ text: String) throws -> CartLine {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else {
      throw ValidationError("--item is '\(text)'; it must be SKU=QTY, such as tee=2")
    }
    let quantity = try number("the quantity of --item \(text)", 1...StockLimits.quantityMax)(String(parts[1]))
    return try refusing { () throws(InvalidInput) in
      try CartLine(sku: try SKU(String(parts[0])), quantity: quantity)
    }
  }

  static func number(_ argument: String, _ bounds: ClosedRange<Int64>) -> @Sendable (String) throws -> Int64 {
    { text in
      try refusing { () throws(InvalidInput) in
        try DecimalNumber.parse(text.utf8, argument: argument, in: bounds)
      }
    }
  }

  @Sendable static func restockQuantity(_ text: String) throws -> Int64 {
    let quantity = try number("--quantity", -StockLimits.quantityMax...StockLimits.quantityMax)(text)
    guard quantity != 0 else { throw ValidationError("--quantity is '0'; it must not be 0") }
    return quantity
  }

  @Sendable static func path(_ text: String) throws -> SalePath {
    guard let path = SalePath(rawValue: text) else {
      let known = SalePath.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("--path is '\(text)'; it must be one of \(known)")
    }
    return path
  }

  /// Numbers with commas between.
  static func numbers(_ argument: String, _ bounds: ClosedRange<Int64>) -> @Sendable (String) throws -> [Int] {
    { text in try words(text).map { Int(try number(argument, bounds)($0)) } }
  }

  @Sendable static func paths(_ text: String) throws -> [SalePath] { try choices(text, "--paths") }

  @Sendable static func strategies(_ text: String) throws -> [HotRowStrategy] { try choices(text, "--strategies") }

  private static func choices<Choice: RawRepresentable<String> & CaseIterable>(
    _ text: String,
    _ argument: String
  ) throws -> [Choice] {
    try words(text).map { word in
      guard let choice = Choice(rawValue: word) else {
        let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("\(argument) has '\(word)'; each must be one of \(known)")
      }
      return choice
    }
  }

  private static func words(_ text: String) -> [String] {
    text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }

  @Sendable static func kind(_ text: String) throws -> MessageKind {
    guard let kind = MessageKind(rawValue: text) else {
      throw ValidationError("the kind is '\(text)'; it must be parked or dead")
    }
    return kind
  }

  /// Arguments arrive as text in which every byte that is not UTF-8 was replaced by U+FFFD, so that different tokens
  /// would become the same one. Such a character counts only where all arguments were UTF-8 as they came.
  private static func refuseRepaired(_ text: String, argument: String) throws {
    guard text.unicodeScalars.contains("\u{FFFD}") else { return }
    for case let raw? in UnsafeBufferPointer(start: CommandLine.unsafeArgv, count: Int(CommandLine.argc))
    where String(validatingCString: raw) == nil {
      throw ValidationError("\(argument) is '\(text)'; it must be UTF-8 on the command line")
    }
  }

  private static func refusing<Value>(_ parse: () throws(InvalidInput) -> Value) throws -> Value {
    do {
      return try parse()
    } catch {
      throw ValidationError(error.description)
    }
  }
}
