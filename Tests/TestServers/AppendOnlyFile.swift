import Foundation

/// The commands in a server's append-only file, read from the disk by its manifest.
public enum AppendOnlyFile {
  /// The commands of the incremental files in order, and before them those of the base file where that is not an RDB.
  ///
  /// `SELECT` is left out. What is not flushed yet by the server is not seen.
  public static func commands(of server: RedisServer) throws -> [[RESP]] {
    try files(of: server).filter { !$0.hasSuffix(".rdb") }.flatMap(read)
  }

  /// How many bytes the newest incremental file has.
  public static func bytes(of server: RedisServer) throws -> Int {
    guard let file = try files(of: server).last else { return 0 }
    let attributes = try FileManager.default.attributesOfItem(atPath: file)
    return (attributes[.size] as? Int) ?? 0
  }

  /// Cuts the newest incremental file of a server that is down to so many bytes, as the loss of the machine does with
  /// what was not flushed to its disk.
  public static func cut(_ server: RedisServer, to bytes: Int) throws {
    guard let file = try files(of: server).last, let handle = FileHandle(forWritingAtPath: file) else {
      throw TestServerError.launch("the server in \(server.directory.path) has no append-only file")
    }
    try handle.truncate(atOffset: UInt64(bytes))
    try handle.close()
  }

  /// Writes other commands into the newest incremental file of a server that is down, in place of what it has.
  public static func replace(of server: RedisServer, by commands: [[[UInt8]]]) throws {
    guard let file = try files(of: server).last else {
      throw TestServerError.launch("the server in \(server.directory.path) has no append-only file")
    }
    try Data(commands.flatMap { RawRedis.encode($0) }).write(to: URL(fileURLWithPath: file))
  }

  /// Base and incremental files, in their order.
  private static func files(of server: RedisServer) throws -> [String] {
    let directory = server.directory.file("appendonlydir")
    let manifest = try String(contentsOfFile: directory + "/appendonly.aof.manifest", encoding: .utf8)
    return manifest.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      return words.count == 6 ? directory + "/" + words[1] : nil
    }
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
