import Stock

/// What an error reply means: the one table from the first word that a server answers to the seam's codes.
enum ServerError {
  struct Meaning {
    var code: StockError.Code
    /// What to do about it, where the server's own text does not say it.
    var advice: String?

    init(_ code: StockError.Code, _ advice: String? = nil) {
      self.code = code
      self.advice = advice
    }
  }

  /// The module's own errors, then those of Redis and Valkey.
  static let meanings: [String: Meaning] = [
    "NOBUCKET": Meaning(.noBucket),
    "BUCKETEXISTS": Meaning(.bucketExists),
    "WRONGTYPE": Meaning(.wrongType, "another program's value is at this key"),
    "TOKENMISMATCH": Meaning(.tokenMismatch),
    "TRANSFERMISMATCH": Meaning(.transferMismatch),
    "EPOCHMISMATCH": Meaning(.epochMismatch),
    "AHEAD": Meaning(.logAhead),
    "TRIMMED": Meaning(.logTrimmed),
    "OVERFLOW": Meaning(.overflow),
    "EVICTABLE": Meaning(.evictable, "set maxmemory-policy to noeviction"),
    "FROZEN": Meaning(.frozen),
    "FROZENBYOPERATOR": Meaning(.frozenByOperator, "an operator's freeze is ended by THAW without EPOCH"),

    "READONLY": Meaning(.readOnly, "this is a read-only replica; give its master's address"),
    "OOM": Meaning(.outOfMemory, "give the server more memory (maxmemory)"),
    "MISCONF": Meaning(.refused, "the server can't write to its disk and takes no changes until it can"),
    "NOAUTH": Meaning(.notAuthorized, "the server wants a password; give it in the URL"),
    "WRONGPASS": Meaning(.notAuthorized, "check the user and the password in the URL"),
    "NOPERM": Meaning(.notAuthorized, "the ACL user needs the STOCK commands and the keys doorbuster:*"),
    "MOVED": Meaning(.refused, "the server is a node of a Redis Cluster; give it as redis-cluster://"),
    "ASK": Meaning(.refused, "the server is a node of a Redis Cluster; give it as redis-cluster://"),
    "CROSSSLOT": Meaning(.bucketsApart),

    "LOADING": Meaning(.unavailable, "the server is still reading its data"),
    "BUSY": Meaning(.unavailable, "the server is busy with a script or a function"),
    "MASTERDOWN": Meaning(.unavailable, "this is a replica that has lost its master"),
    "NOREPLICAS": Meaning(.unavailable, "the server has fewer replicas than it needs for writing"),
    "CLUSTERDOWN": Meaning(.unavailable),
    "TRYAGAIN": Meaning(.unavailable),
  ]

  static let noModule = Meaning(
    .noModule,
    "the server has not loaded the module; load it with `redis-server --loadmodule /path/to/doorbuster.so` or "
      + "`MODULE LOAD /path/to/doorbuster.so`"
  )

  /// - Parameters:
  ///   - text: The whole error reply, as the server sent it.
  ///   - isHandshake: Whether it answered the driver's own `AUTH` or `SELECT`.
  static func meaning(of text: String, isHandshake: Bool) -> Meaning {
    if let meaning = meanings[String(text.prefix { $0 != " " })] { return meaning }
    if isUnknownCommand(text) { return noModule }
    if isHandshake, text.contains("AUTH") {
      // Redis without any password answers a plain ERR to AUTH.
      return Meaning(.notAuthorized, "the server has no password set; leave it out of the URL")
    }
    return Meaning(.refused)
  }

  /// The server's text without what it repeats of the arguments, which may be a buyer's name, and without control
  /// characters.
  static func shown(_ text: String) -> String {
    let kept = isUnknownCommand(text) ? text.firstRange(of: ", with args").map { text[..<$0.lowerBound] } : nil
    var shown = ""
    for scalar in (kept ?? text[...]).unicodeScalars.prefix(textMax) {
      shown.unicodeScalars.append(scalar.properties.generalCategory == .control ? "?" : scalar)
    }
    return shown
  }

  private static let textMax = 300

  private static func isUnknownCommand(_ text: String) -> Bool {
    let lowercased = text.prefix(40).lowercased()
    return lowercased.hasPrefix("err unknown command") && lowercased.contains("stock.")
  }
}
