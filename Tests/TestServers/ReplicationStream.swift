/// What a master sends to its replicas, word by word: a replica that takes everything and applies nothing.
public final class ReplicationStream {
  private let link: RawRedis
  private let control: RawRedis
  private var marks = 0

  /// Attaches to `server`. Only what is written from now on is seen.
  public init(_ server: RedisServer) throws {
    link = try server.connect()
    control = try server.connect()
    try link.send(["SYNC"])
    var line = ""
    while line.isEmpty { line = try link.receiveLine() }
    guard line.hasPrefix("$"), let size = Int(line.dropFirst()) else {
      throw TestServerError.malformed("an answer to SYNC that starts with \(line)")
    }
    try link.skip(size)
  }

  /// The commands that were propagated since the last call, each as its words; without `PING`, `SELECT` and our marks.
  public func commands() throws -> [[RESP]] {
    marks += 1
    let mark = "test:mark:\(marks)"
    guard try control.call("PUBLISH", mark, "") == 0 else { throw TestServerError.malformed("PUBLISH failed") }
    var seen: [[RESP]] = []
    while true {
      guard let words = try link.receive().elements, let name = words.first?.text else {
        throw TestServerError.malformed("a propagated command without words")
      }
      if name == "PUBLISH", words[1].text == mark { return seen }
      if !["PING", "SELECT"].contains(name.uppercased()) { seen.append(words) }
    }
  }
}
