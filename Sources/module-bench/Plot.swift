import Foundation
import TestServers

/// The report as a picture, by gnuplot: throughput by pipeline above, the server's work for a request below.
struct Plot {
  var report: Report

  /// - Parameter path: its end, `.svg` or `.png`, chooses the format.
  func write(to path: String) throws {
    let files = try TemporaryDirectory()
    let absolute = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    try data.write(toFile: files.file("data"), atomically: true, encoding: .utf8)
    try commands(data: files.file("data"), output: absolute)
      .write(toFile: files.file("commands"), atomically: true, encoding: .utf8)
    let outcome = try Subprocess.run("gnuplot", [files.file("commands")])
    guard outcome.status == .exited(0) else { throw TestServerError.launch("gnuplot: \(outcome.stderr)") }
  }

  /// A line a contender: title, rates by pipeline without AOF and with it, microseconds a call, microseconds of CPU.
  private var data: String {
    Contender.allCases.compactMap { contender -> String? in
      let rows = [false, true].flatMap { appendOnly in
        report.pipelines.map { report.samples.best(contender, pipeline: $0, appendOnly: appendOnly) }
      }
      guard let last = rows.prefix(report.pipelines.count).compactMap({ $0 }).last else { return nil }
      let rates = rows.map { $0.map { String(format: "%.0f", $0.perSecond) } ?? "nan" }
      let work = [last.callMicroseconds, last.processMicroseconds].map { String(format: "%.3f", $0) }
      return (["\"\(contender.title)\""] + rates + work).joined(separator: " ")
    }
    .joined(separator: "\n") + "\n"
  }

  private func commands(data: String, output: String) -> String {
    let count = report.pipelines.count
    let terminal =
      output.hasSuffix(".png") ? "pngcairo size 1200,900 font ',11'" : "svg size 1200,900 dynamic font ',13'"
    let rates = report.pipelines.enumerated().map { index, pipeline in
      "'\(data)' using \(index + 2):xtic(1) title 'pipeline \(pipeline)'"
    }
    let hasAof = report.samples.contains(where: \.appendOnly)
    let aof =
      hasAof
      ? ["'\(data)' using \(2 * count + 1):xtic(1) title 'pipeline \(report.pipelines.last ?? 1), AOF everysec'"] : []
    return """
      set terminal \(terminal)
      set output '\(output)'
      set style data histogram
      set style fill solid 0.8 border -1
      set style histogram clustered gap 1
      set key outside top
      set xtics rotate by -25
      set grid y
      set logscale y
      set multiplot layout 2,1 title "\(report.machine.processor), \(report.machine.cores) cores, \(report.machine.server)"
      set title 'requests a second'
      plot \((rates + aof).joined(separator: ", "))
      set title 'microseconds of the server for a request'
      plot '\(data)' using \(2 * count + 2):xtic(1) title 'in the command (commandstats)', '' using \(2 * count + 3) title 'whole process'
      unset multiplot

      """
  }
}
