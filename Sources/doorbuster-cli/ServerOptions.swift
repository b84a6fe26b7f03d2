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
      func setting(_ flag: String?, _ variable: String) -> String? {
        flag ?? environment[variable].flatMap { $0.isEmpty ? nil : $0 }
      }
      return try ServerChoice(
        redis: setting(redis, "DOORBUSTER_REDIS"),
        broker: setting(broker, "DOORBUSTER_BROKER"),
        database: setting(database, "DOORBUSTER_DATABASE")
      )
    }
  }
}

/// The servers that a user named, as URLs that this program can use.
struct ServerChoice: Equatable {
  var redisURL: String?
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
  init(redis: String? = nil, broker: String? = nil, database: String? = nil) throws {
    if let redis {
      redisURL = try Self.scheme(of: redis, setting: "--redis", known: ["redis", "unix", "redis-cluster"]).text
    }
    if let broker {
      let scheme = try Self.scheme(of: broker, setting: "--broker", known: ["redis-streams", "redis-streams+unix"])
      let rest = scheme.text.dropFirst(scheme.name.count)
      brokerURL = (scheme.name == "redis-streams" ? "redis" : "unix") + rest
    }
    self.database = try database.map { try DatabaseChoice($0) }
  }

  static func scheme(
    of url: String,
    setting: String,
    known: [String]
  ) throws -> (name: String, text: String) {
    let name = url.prefix { $0 != ":" }
    if name.endIndex < url.endIndex, known.contains(String(name)) { return (String(name), url) }
    // What else stands before the colon may be a password, with its `@host` behind it.
    let isScheme = name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }
    let fault =
      isScheme && !name.isEmpty && url[name.endIndex...].hasPrefix(":")
      ? "is of the kind '\(name.prefix(40)):', which this version does not know" : "has no scheme"
    throw CommandFailure("\(setting) \(fault); it must begin with " + known.map { "\($0):" }.joined(separator: " or "))
  }
}
