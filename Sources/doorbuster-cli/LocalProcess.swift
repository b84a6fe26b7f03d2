import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// A server of our own, on a directory that the caller owns. It ends with this process, however that ends; where that was
/// sudden, its directory goes too.
final class LocalProcess: Sendable {
  private let process: Process
  private let lifeline: Pipe
  private let end: AsyncStream<Never>

  /// - Parameter words: the program's path and its arguments.
  init(_ words: [String], directory: URL) throws {
    process = Process()
    lifeline = Pipe()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    // The shell waits for a line from us or for our death, which closes the pipe, and ends the server: outright, as its
    // directory goes with it, and as it may have inherited SIGTERM blocked. Only after our death it removes the
    // directory, which otherwise is ours. It can't use `wait`, which hangs where SIGCHLD was inherited blocked. The
    // server is in a session of its own, so that Ctrl-C reaches us alone and it outlives our last purchases.
    process.arguments =
      [
        "-c",
        """
        directory=$1; shift; trap '' INT TERM; setsid "$@" </dev/null & child=$!
        read -r _; alive=$?; while kill -9 $child 2>/dev/null; do sleep 0.01; done
        [ $alive = 0 ] || rm -rf "$directory"
        """,
        "sh", directory.path,
      ] + words
    // Our end must be ours alone, or it would never close.
    _ = fcntl(lifeline.fileHandleForWriting.fileDescriptor, F_SETFD, FD_CLOEXEC)
    process.standardInput = lifeline
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    let (end, ended) = AsyncStream.makeStream(of: Never.self)
    self.end = end
    process.terminationHandler = { _ in ended.finish() }
    try process.run()
  }

  var isRunning: Bool { process.isRunning }

  /// Ends the server and waits for it.
  func stop() async {
    if process.isRunning { try? lifeline.fileHandleForWriting.write(contentsOf: Data("\n".utf8)) }
    try? lifeline.fileHandleForWriting.close()
    for await _ in end {}
  }

  /// The path of a program on the PATH; nil where there is none.
  static func executable(_ name: String) -> String? {
    (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
      .map { "\($0)/\(name)" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }
}
