import Foundation

/// The commands in a server's append-only file, read from the disk by its manifest.
public enum AppendOnlyFile {
  /// The commands of the incremental files in order, and before them those of the base file where that is not an RDB.
  ///
  /// `SELECT` is left out. What is not flushed yet by the server is not seen.
  public static func commands(of server: RedisServer) throws -> [[RESP]] {
    let directory = server.directory.file("appendonlydir")
    let manifest = try String(contentsOfFile: directory + "/appendonly.aof.manifest", encoding: .utf8)
    var commands: [[RESP]] = []
    for line in manifest.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 6, !words[1].hasSuffix(".rdb") else { continue }
      commands += try read(directory + "/" + words[1])
    }
    return commands
  }

  private static func read(_ path: String) throws -> [[RESP]] {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    var parser = RESPParser()
    data.withUnsafeBytes { parser.append($0) }
    var commands: [[RESP]] = []
    while let words = try parser.next()?.elements {
      if words.first?.text?.uppercased() != "SELECT" { commands.append(words) }
    }
    return commands
  }
}
