/// What is wrong with a URL, in words that name the part and repeat nothing that may be a password.
package struct URLFault: Error {
  package let message: String

  init(_ message: String) { self.message = message }
}

/// What URLs of servers have in common, whatever their scheme.
package enum URLText {
  /// Splits `user:password@rest` at the last `@`, as a password may hold one that was not encoded. User and password are
  /// as they stand in the text; a part that is missing is nil.
  package static func credentials(
    _ authority: Substring
  ) -> (user: Substring?, password: Substring?, rest: Substring) {
    guard let at = authority.lastIndex(of: "@") else { return (nil, nil, authority) }
    let rest = authority[authority.index(after: at)...]
    let pair = authority[..<at]
    guard let colon = pair.firstIndex(of: ":") else { return (pair, nil, rest) }
    return (pair[..<colon], pair[pair.index(after: colon)...], rest)
  }

  /// `host`, `host:port` or `[IPv6]:port`; the port, 1 to 65535, is nil where there is none.
  /// - Parameters:
  ///   - name: what faults call the host.
  ///   - missing: what is said where there is none.
  package static func hostAndPort(
    _ location: Substring,
    called name: String,
    missing: String
  ) throws(URLFault) -> (host: String, port: Int?) {
    var host = location
    var portText: Substring?
    if location.hasPrefix("[") {
      guard let bracket = location.firstIndex(of: "]") else { throw URLFault("host: \"[\" without \"]\"") }
      host = location[location.index(after: location.startIndex)..<bracket]
      let tail = location[location.index(after: bracket)...]
      guard tail.isEmpty || tail.hasPrefix(":") else { throw URLFault("host: unexpected text after \"]\"") }
      portText = tail.isEmpty ? nil : tail.dropFirst()
    } else if let colon = location.firstIndex(of: ":") {
      host = location[..<colon]
      portText = location[location.index(after: colon)...]
    }
    guard !host.isEmpty else { throw URLFault(missing) }
    guard host.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
      throw URLFault("\(name) holds a blank or a control character")
    }
    guard let portText else { return (String(host), nil) }
    guard let port = decimal(portText), (1...65_535).contains(port) else {
      throw URLFault("port \"\(shown(portText))\"; expected a number from 1 to 65535")
    }
    return (String(host), port)
  }

  /// A host with its port as it stands in a URL.
  package static func server(host: String, port: Int) -> String {
    host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  /// A number of digits alone; nil where it is none, or too large.
  package static func decimal(_ text: Substring) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return Int(text)
  }

  /// A mistyped URL may hold a password anywhere, so only harmless text is repeated.
  package static func shown(_ text: some StringProtocol) -> String {
    text.count <= 16 && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }
      ? String(text) : "…"
  }

  /// Undoes percent-encoding.
  /// - Parameters:
  ///   - part: what a fault calls it.
  ///   - mayHoldZero: whether a zero byte is allowed: not where C reads it as the end.
  package static func decoded(_ text: Substring, of part: String, mayHoldZero: Bool) throws(URLFault) -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else {
        throw URLFault("\(part): \"%\" must be followed by two hexadecimal digits")
      }
      bytes.append(high << 4 | low)
    }
    guard let text = String(validating: bytes, as: UTF8.self), mayHoldZero || !bytes.contains(0) else {
      throw URLFault("\(part) is not UTF-8" + (mayHoldZero ? "" : ", or holds a zero byte"))
    }
    return text
  }

  private static func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
