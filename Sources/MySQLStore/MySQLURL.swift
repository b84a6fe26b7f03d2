import Orders
import ServerURL

/// Where a MySQL or MariaDB server and its database are, and as whom to talk to it.
///
/// `mysql://user[:password]@host[:port]/database[?…]`, user and password percent-encoded, an IPv6 address in `[ ]`. With
/// `socket` the host may be missing: `mysql://user@/database?socket=/run/mysqld/mysqld.sock`. Further parts, joined by `&`:
/// - `socket=/path`: the server's unix socket, in place of host and port;
/// - `tls=off` (unless told), `tls=required` (encrypted; the certificate is checked where `ca` is given), `tls=verify`
///   (its issuer and host are checked, by `ca` or the system's authorities);
/// - `ca=/path`, `cert=/path`, `key=/path`: PEM files of the authority, and of the client's own certificate.
///
/// The password is never part of a description, a dump or an error.
public struct MySQLURL: Sendable, Hashable {
  public enum Endpoint: Sendable, Hashable {
    /// A name or an address, without the brackets of IPv6.
    case tcp(host: String, port: Int)
    case unix(path: String)
  }

  public enum TLS: String, Sendable, Hashable, CaseIterable {
    case off, required, verify
  }

  public var endpoint: Endpoint
  public var user: String
  public var password: String?
  public var database: String
  public var tls: TLS
  /// PEM files.
  public var authority: String?
  public var certificate: String?
  public var key: String?

  public static let defaultPort = 3306
  /// What fits into a `sockaddr_un` on Linux, without the closing zero.
  static let socketPathBytesMax = 107

  public init(
    endpoint: Endpoint,
    user: String,
    password: String? = nil,
    database: String,
    tls: TLS = .off,
    authority: String? = nil,
    certificate: String? = nil,
    key: String? = nil
  ) {
    self.endpoint = endpoint
    self.user = user
    self.password = password
    self.database = database
    self.tls = tls
    self.authority = authority
    self.certificate = certificate
    self.key = key
  }

  /// - Throws: ``OrderStoreError`` `refused`, whose message names the part that is wrong.
  public init(_ text: String) throws(OrderStoreError) {
    let form = "mysql://user:password@host:port/database"
    guard let colon = text.firstRange(of: "://") else { throw Self.invalid("expected \(form)") }
    guard text[..<colon.lowerBound].lowercased() == "mysql" else { throw Self.invalid("the scheme must be mysql") }
    let rest = text[colon.upperBound...]
    let authorityEnd = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
    let (user, password, location) = try Self.credentials(rest[..<authorityEnd])
    guard !user.isEmpty else { throw Self.invalid("the user is missing: \(form)") }
    let tail = rest[authorityEnd...]
    guard !tail.contains("#") else { throw Self.invalid("it takes no \"#\" part; encode it as %23") }
    let queryStart = tail.firstIndex(of: "?") ?? tail.endIndex
    let database = try Self.decoded(tail[..<queryStart].dropFirst(), of: "database")
    guard (1...64).contains(database.count), !database.contains("/") else {
      throw Self.invalid("the database is missing or no name of 1 to 64 characters: \(form)")
    }
    let query = try Self.query(tail[queryStart...].dropFirst())
    let endpoint: Endpoint =
      if let path = query["socket"] {
        .unix(path: try Self.socketPath(path, beside: location))
      } else {
        try Self.hostAndPort(location)
      }
    try self.init(endpoint: endpoint, user: user, password: password, database: database, query: query)
  }

  private init(
    endpoint: Endpoint,
    user: String,
    password: String?,
    database: String,
    query: [String: String]
  ) throws(OrderStoreError) {
    var tls = TLS.off
    if let word = query["tls"] {
      guard let known = TLS(rawValue: word) else {
        throw Self.invalid("tls is \"\(URLText.shown(word))\"; expected off, required or verify")
      }
      tls = known
    }
    for name in ["ca", "cert", "key"] where query[name] != nil && tls == .off {
      throw Self.invalid("\(name) needs tls=required or tls=verify")
    }
    guard (query["cert"] == nil) == (query["key"] == nil) else {
      throw Self.invalid("cert and key must be given together")
    }
    self.init(
      endpoint: endpoint,
      user: user,
      password: password,
      database: database,
      tls: tls,
      authority: query["ca"],
      certificate: query["cert"],
      key: query["key"]
    )
  }

  /// `host:port`, or the socket's path: what errors and logs call the server.
  public var server: String {
    switch endpoint {
    case .tcp(let host, let port): URLText.server(host: host, port: port)
    case .unix(let path): path
    }
  }
}

extension MySQLURL {
  private static func invalid(_ message: String) -> OrderStoreError { OrderStoreError(.refused, "URL: \(message)") }

  private static func credentials(
    _ authority: Substring
  ) throws(OrderStoreError) -> (user: String, password: String?, rest: Substring) {
    let (user, passwordText, rest) = URLText.credentials(authority)
    var password: String?
    if let passwordText { password = try decoded(passwordText, of: "password") }
    return (try decoded(user ?? "", of: "user"), password, rest)
  }

  private static func hostAndPort(_ location: Substring) throws(OrderStoreError) -> Endpoint {
    do throws(URLFault) {
      let missing = "the host is missing, and there is no socket=/path"
      let (host, port) = try URLText.hostAndPort(location, called: "the host", missing: missing)
      return .tcp(host: host, port: port ?? defaultPort)
    } catch {
      throw invalid(error.message)
    }
  }

  private static func socketPath(_ path: String, beside location: Substring) throws(OrderStoreError) -> String {
    guard location.isEmpty || location == "localhost" else {
      throw invalid("it names both a host and a socket; with socket=/path the host is left out")
    }
    guard path.hasPrefix("/"), path.utf8.count <= socketPathBytesMax, !path.utf8.contains(0) else {
      throw invalid("socket must be an absolute path of at most \(socketPathBytesMax) bytes")
    }
    return path
  }

  private static func query(_ text: Substring) throws(OrderStoreError) -> [String: String] {
    var values: [String: String] = [:]
    for part in text.split(separator: "&") {
      let name = String(part.prefix { $0 != "=" })
      guard ["socket", "tls", "ca", "cert", "key"].contains(name) else {
        throw invalid("unknown part \"\(URLText.shown(name))\"; it takes socket, tls, ca, cert and key")
      }
      let value = try decoded(part.dropFirst(name.count + 1), of: name)
      guard !value.isEmpty, values[name] == nil else { throw invalid("\(name) is empty or given twice") }
      values[name] = value
    }
    return values
  }

  private static func decoded(_ text: Substring, of part: String) throws(OrderStoreError) -> String {
    do throws(URLFault) {
      return try URLText.decoded(text, of: part, mayHoldZero: false)
    } catch {
      throw invalid(error.message)
    }
  }
}

extension MySQLURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// The URL without user and password.
  public var description: String {
    switch endpoint {
    case .tcp: "mysql://\(server)/\(database)"
    case .unix(let path): "mysql:///\(database)?socket=\(path)"
    }
  }

  public var debugDescription: String { description }

  /// `dump` and the debugger see no more than the description.
  public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
