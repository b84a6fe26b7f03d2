import Foundation

/// Draws a ``DatabaseReport`` with gnuplot: orders a second over buyers, both logarithmic.
struct DatabasePlot {
  private let file: String
  private let terminal: String
  private let gnuplot: String

  /// - Throws: ``CommandFailure`` for a file of another kind, or where there is no gnuplot. Known before anything is
  ///   measured.
  init(file: String) throws {
    switch (file as NSString).pathExtension.lowercased() {
    case "png": terminal = "pngcairo size 900,540"
    case "svg": terminal = "svg size 900,540 background 'white'"
    default: throw CommandFailure("--plot is '\(file)'; it must end in .png or .svg")
    }
    guard let gnuplot = LocalProcess.executable("gnuplot") else {
      throw CommandFailure("there is no gnuplot on the PATH; install it (apt-get install gnuplot-nox) or leave --plot")
    }
    self.file = file
    self.gnuplot = gnuplot
  }

  func write(_ report: DatabaseReport) async throws {
    let blocks = report.strategies.map { strategy in
      let points = report.points.filter { $0.strategy == strategy }
      return "$\(strategy) << END\n" + points.map { "\($0.buyers) \($0.ordersPerSecond)\n" }.joined() + "END"
    }
    let lines = report.strategies.map { "$\($0) using 1:2 with linespoints linewidth 2 title '\($0)'" }
    let script = """
      set terminal \(terminal)
      set output '\(file.replacingOccurrences(of: "'", with: "''"))'
      set logscale xy
      set xlabel 'buyers at a time'
      set ylabel 'orders a second, durable'
      set xtics (\(Set(report.points.map(\.buyers)).sorted().map(String.init).joined(separator: ", ")))
      set key left top
      set grid
      \(blocks.joined(separator: "\n"))
      plot \(lines.joined(separator: ", "))
      """
    let process = Process()
    let input = Pipe()
    process.executableURL = URL(fileURLWithPath: gnuplot)
    process.standardInput = input
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: Data((script + "\n").utf8))
    try input.fileHandleForWriting.close()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw CommandFailure("gnuplot could not draw \(file)") }
  }
}
