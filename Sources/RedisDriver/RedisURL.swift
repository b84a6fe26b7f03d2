import ServerURL

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
    default: throw Self.invalid("scheme \"\(URLText.shown(scheme))\"; expected redis or unix")
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
    case .tcp(let host, let port): URLText.server(host: host, port: port)
    case .unix(let path): path
    }
  }
}

extension RedisURL {
  private static func invalid(_ message: String) -> RedisError { RedisError(.invalidURL, "URL: \(message)") }

  private static func credentials(
    _ authority: Substring
  ) throws(RedisError) -> (user: String?, password: String?, rest: Substring) {
    let (userText, passwordText, rest) = URLText.credentials(authority)
    guard let userText else { return (nil, nil, rest) }
    let user = try decoded(userText, of: "user")
    guard let passwordText else {
      // A user without a password may be one that ACL calls `nopass`: it takes any password, so an empty one.
      return user.isEmpty ? (nil, nil, rest) : (user, "", rest)
    }
    let password = try decoded(passwordText, of: "password")
    if user.isEmpty { return (nil, password.isEmpty ? nil : password, rest) }
    return (user, password, rest)
  }

  private static func hostAndPort(_ location: Substring) throws(RedisError) -> (String, Int) {
    do throws(URLFault) {
      let missing = "host is missing: redis://host:port/db"
      let (host, port) = try URLText.hostAndPort(location, called: "host", missing: missing)
      return (host, port ?? defaultPort)
    } catch {
      throw invalid(error.message)
    }
  }

  private static func databaseIndex(_ text: Substring) throws(RedisError) -> Int {
    guard let index = URLText.decimal(text), index <= Int(Int32.max) else {
      throw invalid("database index \"\(URLText.shown(text))\"; expected a number from 0 up")
    }
    return index
  }

  private static func decoded(_ text: Substring, of part: String) throws(RedisError) -> String {
    do throws(URLFault) {
      return try URLText.decoded(text, of: part, mayHoldZero: true)
    } catch {
      throw invalid(error.message)
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
