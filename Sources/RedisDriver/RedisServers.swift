/// The servers that hold the keys: one, a list of independent ones, or a cluster.
///
/// Forms:
/// - one server, as ``RedisURL`` has it: `redis://…` or `unix://…`;
/// - a list: `redis://a:6379,b:6379,c:6379`, or whole URLs with commas between them. A server without a scheme takes user,
///   password and database from the one before it. A comma in a password is written `%2C`;
/// - a cluster, by some of its nodes: `redis-cluster://[user[:password]@]host[:port][,host[:port]…]`.
public enum RedisServers: Sendable, Hashable {
  case one(RedisURL)
  /// At least two, all different. Their order tells where a key is.
  case list([RedisURL])
  /// At least one node, with user and password of all.
  case cluster(seeds: [RedisURL])

  private static let clusterScheme = "redis-cluster://"

  /// - Throws: `RedisError` with the code `invalidURL`, whose message names the part that is wrong, and the server where
  ///   there are several.
  public init(_ text: String) throws(RedisError) {
    let isCluster = text.lowercased().hasPrefix(Self.clusterScheme)
    let rest = isCluster ? "redis://" + text.dropFirst(Self.clusterScheme.count) : text
    let parts = Self.split(rest)
    guard isCluster || parts.count > 1 else {
      self = .one(try RedisURL(text))
      return
    }
    var urls: [RedisURL] = []
    for (index, part) in parts.enumerated() {
      urls.append(try Self.url(part, after: urls.last, index, of: parts.count, hidesText: text.contains("@")))
    }
    if isCluster {
      try Self.checkCluster(urls)
      self = .cluster(seeds: urls)
    } else {
      try Self.checkList(urls)
      self = .list(urls)
    }
  }

  /// What decides where a key is, without user and password: the same for all who would find it there.
  ///
  /// The addresses of one server and of a cluster don't decide it, so they are not part of it.
  public var canonicalText: String {
    switch self {
    case .one: "one server"
    case .cluster: "a Redis Cluster"
    case .list(let urls): urls.map(Self.canonical).joined(separator: ",")
    }
  }

  private static func canonical(_ url: RedisURL) -> String {
    var url = url
    if case .tcp(let host, let port) = url.endpoint { url.endpoint = .tcp(host: host.lowercased(), port: port) }
    return url.description
  }
}

extension RedisServers {
  /// At every comma, but within the path of a socket only where a scheme follows.
  private static func split(_ text: String) -> [Substring] {
    var parts: [Substring] = []
    for piece in text.split(separator: ",", omittingEmptySubsequences: false) {
      if let last = parts.last, last.lowercased().hasPrefix("unix://"), !piece.contains("://") {
        parts[parts.count - 1] = text[last.startIndex..<piece.endIndex]
      } else {
        parts.append(piece)
      }
    }
    return parts
  }

  private static func url(
    _ text: Substring,
    after previous: RedisURL?,
    _ index: Int,
    of count: Int,
    hidesText: Bool
  ) throws(RedisError) -> RedisURL {
    do throws(RedisError) {
      guard !text.isEmpty else { throw RedisError(.invalidURL, "URL: nothing between two commas") }
      if text.contains("://") { return try RedisURL(String(text)) }
      var url = try RedisURL("redis://" + text)
      guard let previous else { return url }
      guard url.database == 0 || url.database == previous.database else {
        throw RedisError(
          .invalidURL,
          "URL: database \(url.database) of one server alone; write each as redis://host:port/db"
        )
      }
      if url.user == nil, url.password == nil {
        url.user = previous.user
        url.password = previous.password
      }
      url.database = previous.database
      return url
    } catch {
      guard count > 1 else { throw error }
      // A password with a comma in it falls to pieces here, which must not be repeated.
      let why = hidesText ? "URL: not a server; a comma in a password is written %2C" : error.message
      throw RedisError(.invalidURL, "server \(index + 1) of \(count): \(why)")
    }
  }

  private static func checkList(_ urls: [RedisURL]) throws(RedisError) {
    var seen: [String: Int] = [:]
    for (index, url) in urls.enumerated() {
      if let first = seen.updateValue(index, forKey: canonical(url)) {
        throw RedisError(.invalidURL, "servers \(first + 1) and \(index + 1) of the list are the same: \(url)")
      }
    }
  }

  private static func checkCluster(_ urls: [RedisURL]) throws(RedisError) {
    for url in urls {
      guard case .tcp = url.endpoint else {
        throw RedisError(.invalidURL, "URL: a node of a cluster has a host and a port, not a socket's path")
      }
      guard url.database == 0 else {
        throw RedisError(.invalidURL, "URL: database \(url.database); a cluster has database 0 only")
      }
    }
  }
}

extension RedisServers: CustomStringConvertible {
  /// The addresses, without user and password.
  public var description: String {
    switch self {
    case .one(let url): url.description
    case .list(let urls): urls.map(\.description).joined(separator: ",")
    case .cluster(let seeds): Self.clusterScheme + seeds.map(\.server).joined(separator: ",")
    }
  }
}
