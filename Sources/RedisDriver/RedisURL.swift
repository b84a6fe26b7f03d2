/// Where a server is, and as whom to talk to it.
///
/// Forms, with everything in brackets optional and user and password percent-encoded:
/// - `redis://[user[:password]@]host[:port][/db]`, also `redis://:password@host`; an IPv6 address stands in `[ ]`;
/// - `unix://[user[:password]@]/path/to.sock[?db=N]`.
///
/// The password is never part of a description, a dump or an error.
public struct RedisURL: Sendable, Hashable {
  public enum Endpoint: Sendable, Hashable {
    /// A name or an address, without the brackets of IPv6.
    case tcp(host: String, port: Int)
    case unix(path: String)
  }

  public var endpoint: Endpoint
  /// The ACL user; nil for the default user.
  public var user: String?
  public var password: String?
  /// 0 unless told.
  public var database: Int

  public static let defaultPort = 6379
  /// What fits into a `sockaddr_un` on Linux, without the closing zero.
  static let socketPathBytesMax = 107

  public init(endpoint: Endpoint, user: String? = nil, password: String? = nil, database: Int = 0) {
    self.endpoint = endpoint
    self.user = user
    self.password = password
    self.database = database
  }

  /// - Throws: `RedisError` with the code `invalidURL`, whose message names the part that is wrong.
  public init(_ text: String) throws(RedisError) {
    guard let colon = text.firstRange(of: "://") else {
      throw Self.invalid("expected redis://host or unix:///path")
    }
    let scheme = text[..<colon.lowerBound].lowercased()
    let rest = text[colon.upperBound...]
    switch scheme {
    case "redis": try self.init(tcp: rest)
    case "unix": try self.init(unix: rest)
    case "rediss": throw Self.invalid("scheme rediss (TLS) is not supported; expected redis or unix")
    case "redis-cluster": throw Self.invalid("scheme redis-cluster names several servers; one is expected here")
    default: throw Self.invalid("scheme \"\(Self.shown(scheme))\"; expected redis or unix")
    }
  }

  private init(tcp text: Substring) throws(RedisError) {
    let authorityEnd = text.firstIndex { "/?#".contains($0) } ?? text.endIndex
    let (user, password, location) = try Self.credentials(text[..<authorityEnd])
    let (host, port) = try Self.hostAndPort(location)
    let tail = text[authorityEnd...]
    var database = 0
    if let mark = tail.first(where: { "?#".contains($0) }) {
      throw Self.invalid("redis:// takes no \"\(mark)\" part; expected redis://host:port/db")
    }
    if tail.count > 1 {
      database = try Self.databaseIndex(tail.dropFirst())
    }
    self.init(endpoint: .tcp(host: host, port: port), user: user, password: password, database: database)
  }

  private init(unix text: Substring) throws(RedisError) {
    let pathStart = text.firstIndex(of: "/") ?? text.endIndex
    let authority = text[..<pathStart]
    guard authority.isEmpty || authority.hasSuffix("@") else {
      throw Self.invalid("the socket's path must start with \"/\": unix:///path")
    }
    let (user, password, _) = try Self.credentials(authority)
    let tail = text[pathStart...]
    let queryStart = tail.firstIndex(of: "?") ?? tail.endIndex
    let path = try Self.decoded(tail[..<queryStart], of: "socket path")
    guard !path.isEmpty else { throw Self.invalid("socket path is missing: unix:///path") }
    guard path.utf8.count <= Self.socketPathBytesMax, !path.utf8.contains(0) else {
      throw Self.invalid("socket path has \(path.utf8.count) bytes; at most \(Self.socketPathBytesMax), none of them 0")
    }
    var database = 0
    let query = tail[queryStart...].dropFirst()
    if !query.isEmpty {
      guard query.hasPrefix("db=") else { throw Self.invalid("the only query of unix:// is ?db=N") }
      database = try Self.databaseIndex(query.dropFirst(3))
    }
    self.init(endpoint: .unix(path: path), user: user, password: password, database: database)
  }

  /// `host:port`, or the socket's path: what errors and logs call the server.
  public var server: String {
    switch endpoint {
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): path
    }
  }
}

extension RedisURL {
  private static func invalid(_ message: String) -> RedisError { RedisError(.invalidURL, "URL: \(message)") }

  /// A mistyped URL may hold a password anywhere, so only harmless text is repeated.
  private static func shown(_ text: some StringProtocol) -> String {
    text.count <= 16 && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }
      ? String(text) : "…"
  }

  /// Splits at the last `@`, as a password may hold one that was not encoded.
  private static func credentials(
    _ authority: Substring
  ) throws(RedisError) -> (user: String?, password: String?, rest: Substring) {
    guard let at = authority.lastIndex(of: "@") else { return (nil, nil, authority) }
    let rest = authority[authority.index(after: at)...]
    let pair = authority[..<at]
    guard let colon = pair.firstIndex(of: ":") else {
      let user = try decoded(pair, of: "user")
      // A user without a password may be one that ACL calls `nopass`: it takes any password, so an empty one.
      return user.isEmpty ? (nil, nil, rest) : (user, "", rest)
    }
    let user = try decoded(pair[..<colon], of: "user")
    let password = try decoded(pair[pair.index(after: colon)...], of: "password")
    if user.isEmpty { return (nil, password.isEmpty ? nil : password, rest) }
    return (user, password, rest)
  }

  private static func hostAndPort(_ location: Substring) throws(RedisError) -> (String, Int) {
    var host = location
    var portText: Substring?
    if location.hasPrefix("[") {
      guard let bracket = location.firstIndex(of: "]") else { throw invalid("host: \"[\" without \"]\"") }
      host = location[location.index(after: location.startIndex)..<bracket]
      let tail = location[location.index(after: bracket)...]
      guard tail.isEmpty || tail.hasPrefix(":") else { throw invalid("host: unexpected text after \"]\"") }
      portText = tail.isEmpty ? nil : tail.dropFirst()
    } else if let colon = location.firstIndex(of: ":") {
      host = location[..<colon]
      portText = location[location.index(after: colon)...]
    }
    guard !host.isEmpty else { throw invalid("host is missing: redis://host:port/db") }
    guard host.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
      throw invalid("host holds a blank or a control character")
    }
    guard let portText else { return (String(host), defaultPort) }
    guard let port = decimal(portText), (1...65535).contains(port) else {
      throw invalid("port \"\(shown(portText))\"; expected a number from 1 to 65535")
    }
    return (String(host), port)
  }

  private static func databaseIndex(_ text: Substring) throws(RedisError) -> Int {
    guard let index = decimal(text), index <= Int(Int32.max) else {
      throw invalid("database index \"\(shown(text))\"; expected a number from 0 up")
    }
    return index
  }

  private static func decimal(_ text: Substring) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return Int(text)
  }

  private static func decoded(_ text: Substring, of part: String) throws(RedisError) -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else {
        throw invalid("\(part): \"%\" must be followed by two hexadecimal digits")
      }
      bytes.append(high << 4 | low)
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw invalid("\(part) is not UTF-8") }
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

extension RedisURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// The URL without user and password.
  public var description: String {
    switch endpoint {
    case .tcp: database == 0 ? "redis://\(server)" : "redis://\(server)/\(database)"
    case .unix(let path): database == 0 ? "unix://\(path)" : "unix://\(path)?db=\(database)"
    }
  }

  public var debugDescription: String { description }

  /// `dump` and the debugger see no more than the description.
  public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
