import Foundation

/// What `bench patterns` found.
struct PatternsReport: Encodable {
  var database: String
  var processors: Int
  var requests: Int
  var stock: Int64
  var buckets: Int
  var runs: [PatternRun.Figures]

  func print() {
    Output.line(
      "\(requests) requests for \(stock) units, \(buckets) buckets where there are several, \(processors) cores, \(database)"
    )
    let head = [
      "buyers", "path", "answers/s", "accepted/s", "orders/s", "median ms", "p99 ms", "max ms", "redis us", "db us",
      "client us", "oversold", "lost",
    ]
    let rows = [head] + runs.map(cells)
    let widths = head.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    for row in rows {
      let line = zip(row, widths).enumerated().map { column, cell in
        let padding = String(repeating: " ", count: cell.1 - cell.0.count)
        return column == 1 ? cell.0 + padding : padding + cell.0
      }
      Output.line("  " + line.joined(separator: "  "))
    }
    Output.line("us: of a processor, for each request; SQLite's are the client's")
    let isBalanced = runs.allSatisfy(\.balanced)
    Output.line(isBalanced ? "The books balance in every run." : "THE BOOKS DO NOT BALANCE.")
  }

  private func cells(_ run: PatternRun.Figures) -> [String] {
    func whole(_ number: Double) -> String { String(Int(number.rounded())) }
    func fine(_ number: Double?) -> String { number.map { String(format: "%.1f", $0) } ?? "-" }
    return [
      String(run.buyers), run.name, whole(run.answersPerSecond), whole(run.purchasesPerSecond),
      whole(run.ordersPerSecond), String(format: "%.2f", run.medianMs), fine(run.slowestPercentMs),
      fine(run.longestMs), fine(run.redisMicroseconds), fine(run.databaseMicroseconds), fine(run.clientMicroseconds),
      String(run.oversold), String(run.lost),
    ]
  }
}

/// Draws a ``PatternsReport``: for each path, by load, orders a second, and how long one in a hundred waited.
struct PatternsPlot {
  private let gnuplot: Gnuplot

  /// - Throws: as ``Gnuplot/init(file:)``.
  init(file: String) throws { gnuplot = try Gnuplot(file: file) }

  func draw(_ report: PatternsReport) throws {
    let loads = unique(report.runs.map(\.buyers))
    let names = unique(report.runs.map(\.name))
    let lines = names.map { name in
      let cells = loads.flatMap { load in
        let run = report.runs.first { $0.name == name && $0.buyers == load }
        return [run?.ordersPerSecond ?? 0, run?.slowestPercentMs ?? 0].map { $0 > 0 ? String($0) : "NaN" }
      }
      return "'\(name.replacingOccurrences(of: ", ", with: "\\n"))' \(cells.joined(separator: " "))"
    }
    func plot(_ offset: Int) -> String {
      loads.enumerated().map { place, load in
        "$runs using \(2 * place + offset):xtic(1) title '\(load) buyers'"
      }.joined(separator: ", ")
    }
    try gnuplot.draw(
      width: 1300,
      height: 520,
      """
      $runs << END
      \(lines.map { $0.replacingOccurrences(of: "'", with: "\"") }.joined(separator: "\n"))
      END
      set style data histogram
      set style fill solid 0.7
      set logscale y
      set grid ytics
      set key top left
      set bmargin 4
      set multiplot layout 1,2
      set title 'orders a second until recorded'
      plot \(plot(2))
      set title 'ms that one request in a hundred waited longer than'
      plot \(plot(3))
      unset multiplot
      """
    )
  }

  private func unique<Value: Hashable>(_ values: [Value]) -> [Value] {
    values.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }
}
