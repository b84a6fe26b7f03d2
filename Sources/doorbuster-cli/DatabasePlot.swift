/// Draws a ``DatabaseReport``: orders a second over buyers, both logarithmic.
struct DatabasePlot {
  private let gnuplot: Gnuplot

  /// - Throws: as ``Gnuplot/init(file:)``.
  init(file: String) throws { gnuplot = try Gnuplot(file: file) }

  func write(_ report: DatabaseReport) throws {
    let blocks = report.strategies.map { strategy in
      let points = report.points.filter { $0.strategy == strategy }
      return "$\(strategy) << END\n" + points.map { "\($0.buyers) \($0.ordersPerSecond)\n" }.joined() + "END"
    }
    let lines = report.strategies.map { "$\($0) using 1:2 with linespoints linewidth 2 title '\($0)'" }
    try gnuplot.draw(
      width: 900,
      height: 540,
      """
      set logscale xy
      set xlabel 'buyers at a time'
      set ylabel 'orders a second, durable'
      set xtics (\(Set(report.points.map(\.buyers)).sorted().map(String.init).joined(separator: ", ")))
      set key left top
      set grid
      \(blocks.joined(separator: "\n"))
      plot \(lines.joined(separator: ", "))
      """
    )
  }
}
