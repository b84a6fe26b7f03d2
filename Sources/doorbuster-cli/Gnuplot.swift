import Foundation

/// A picture that gnuplot is to draw.
struct Gnuplot {
  private let file: String
  private let kind: String
  private let program: String

  /// - Throws: ``CommandFailure`` for a file of another kind, or where there is no gnuplot. Known before anything is
  ///   measured.
  init(file: String) throws {
    switch (file as NSString).pathExtension.lowercased() {
    case "png": kind = "pngcairo"
    case "svg": kind = "svg background 'white'"
    default: throw CommandFailure("--plot is '\(file)'; it must end in .png or .svg")
    }
    guard let program = LocalProcess.executable("gnuplot") else {
      throw CommandFailure("there is no gnuplot on the PATH; install it (apt-get install gnuplot-nox) or leave --plot")
    }
    self.file = file
    self.program = program
  }

  /// - Parameter script: all that follows the choice of the file and its size.
  func draw(width: Int, height: Int, _ script: String) throws {
    let process = Process()
    let input = Pipe()
    process.executableURL = URL(fileURLWithPath: program)
    process.standardInput = input
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
