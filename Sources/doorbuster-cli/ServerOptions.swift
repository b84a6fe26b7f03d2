import ArgumentParser
import Foundation
import Orders

/// Where the parts run: a flag, else the environment, else the embedded default.
struct ServerOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The Redis servers with the module: redis://[user:password@]host:port[/db] or unix:///path.",
      discussion: """
        Several with commas between them are a list, whose order says which bucket is where; redis-cluster://host:port,… \
        names nodes of a Redis Cluster. Else $DOORBUSTER_REDIS, else redis://127.0.0.1:6379.
        """,
      valueName: "url"
    )
  )
  var redis: String?

  @Option(
    help: ArgumentHelp(
      "The message broker: redis-streams://[user:password@]host:port[/db] or redis-streams+unix:///path.",
      discussion: """
        Else $DOORBUSTER_BROKER, else streams on the Redis server of the stock; of a list, on its first. A cluster keeps no \
        messages, so with one it has to be given where messages are needed.
        """,
      valueName: "url"
    )
  )
  var broker: String?

  @Option(
    help: ArgumentHelp(
      "The database: sqlite:PATH or mysql://user:password@host:port/database.",
      discussion: """
        A mysql URL may go on with ?socket=PATH (and no host), tls=required or tls=verify, and ca=PATH, joined by &. \
        Else $DOORBUSTER_DATABASE, else sqlite:doorbuster.sqlite.
        """,
      valueName: "url"
    )
  )
  var database: String?

  /// What the user chose, nil where nothing was.
  var choice: ServerChoice {
    get throws {
      let environment = ProcessInfo.processInfo.environment
      func setting(_ value: String?, _ flag: String, _ variable: String) -> ServerSetting? {
        if let value { return ServerSetting(value, of: flag) }
        return environment[variable].flatMap { $0.isEmpty ? nil : ServerSetting($0, of: "$" + variable) }
      }
      return try ServerChoice(
        redis: setting(redis, "--redis", "DOORBUSTER_REDIS"),
        broker: setting(broker, "--broker", "DOORBUSTER_BROKER"),
        database: setting(database, "--database", "DOORBUSTER_DATABASE")
      )
    }
  }
}

/// The URL of a server, and where the user wrote it, so that a wrong one is looked for there.
struct ServerSetting {
  let url: String
  /// A flag or, behind a `$`, a variable of the environment.
  let name: String

  init(_ url: String, of name: String) {
    self.url = url
    self.name = name
  }
}

/// The servers that a user named, as URLs that this program can use.
struct ServerChoice: Equatable {
  var redisURL: String?
  /// Where ``redisURL`` and ``brokerURL`` were written.
  private(set) var redisSetting = "--redis"
  private(set) var brokerSetting = "--broker"
  /// The URL of the broker's Redis server; nil for the server of the stock, or the first of them.
  var brokerURL: String?
  var database: DatabaseChoice?
  /// How the database treats a product's hot row.
  var strategy = HotRowStrategy.groupCommit

  /// Whether opening the database makes no new one.
  var isDatabaseThere: Bool {
    switch database ?? .sqlite(path: Deployment.defaultDatabasePath) {
    case .sqlite(let path): FileManager.default.fileExists(atPath: path)
    case .mysql: true
    }
  }

  /// - Throws: ``CommandFailure`` for a kind of server that this program does not know. URLs are not repeated in its
  ///   text beyond their scheme: they may hold a password.
  init(redis: ServerSetting? = nil, broker: ServerSetting? = nil, database: ServerSetting? = nil) throws {
    if let redis {
      _ = try redis.scheme(known: ["redis", "unix", "redis-cluster"])
      redisURL = redis.url
      redisSetting = redis.name
    }
    if let broker {
      let scheme = try broker.scheme(known: ["redis-streams", "redis-streams+unix"])
      brokerURL = (scheme == "redis-streams" ? "redis" : "unix") + broker.url.dropFirst(scheme.count)
      brokerSetting = broker.name
    }
    self.database = try database.map { try DatabaseChoice($0) }
  }
}

extension ServerSetting {
  /// What stands before the first colon.
  /// - Throws: ``CommandFailure`` where it is none of those that are known.
  func scheme(known: [String]) throws -> String {
    let scheme = url.prefix { $0 != ":" }
    if scheme.endIndex < url.endIndex, known.contains(String(scheme)) { return String(scheme) }
    // What else stands before the colon may be a password, with its `@host` behind it.
    let isScheme = scheme.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }
    let fault =
      isScheme && !scheme.isEmpty && url[scheme.endIndex...].hasPrefix(":")
      ? "is of the kind '\(scheme.prefix(40)):', which this version does not know" : "has no scheme"
    throw CommandFailure("\(name) \(fault); it must begin with " + known.map { "\($0):" }.joined(separator: " or "))
  }
}
