import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// A picture that gnuplot is to draw.
struct Gnuplot {
  private let file: String
  private let kind: String
  private let program: String

  /// - Throws: ``CommandFailure`` for a file of another kind or one that can't be written, or where there is no gnuplot.
  ///   Known before anything is measured.
  init(file: String) throws {
    switch (file as NSString).pathExtension.lowercased() {
    case "png": kind = "pngcairo"
    case "svg": kind = "svg background 'white'"
    default: throw CommandFailure("--plot is '\(file)'; it must end in .png or .svg")
    }
    try Self.expectWritable(file)
    guard let program = LocalProcess.executable("gnuplot") else {
      throw CommandFailure("there is no gnuplot on the PATH; install it (apt-get install gnuplot-nox) or leave --plot")
    }
    self.file = file
    self.program = program
  }

  /// Leaves the file as it was, and none where there was none.
  private static func expectWritable(_ file: String) throws {
    let isThere = FileManager.default.fileExists(atPath: file)
    let descriptor = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw CommandFailure("--plot is '\(file)', which can't be written: \(String(cString: strerror(errno)))")
    }
    close(descriptor)
    if !isThere { unlink(file) }
  }

  /// - Parameter script: all that follows the choice of the file and its size.
  func draw(width: Int, height: Int, _ script: String) throws {
    let process = Process()
    let input = Pipe()
    process.executableURL = URL(fileURLWithPath: program)
    process.standardInput = input
    // Where gnuplot can't write to its file it draws on its standard output, which is no place for a picture.
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    let head = """
      set terminal \(kind) size \(width),\(height)
      set output '\(file.replacingOccurrences(of: "'", with: "''"))'
      """
    try input.fileHandleForWriting.write(contentsOf: Data("\(head)\n\(script)\n".utf8))
    try input.fileHandleForWriting.close()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw CommandFailure("gnuplot could not draw \(file)") }
  }
}
