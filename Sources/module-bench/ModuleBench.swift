import ArgumentParser
import Foundation
import TestServers

/// The module beside what it replaces, each on a server of its own, in one go.
@main
struct ModuleBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "module-bench",
    abstract: "Measures STOCK.DEDUCT beside Lua, a Redis function, WATCH/MULTI/EXEC, HSET and DECRBY.",
    discussion:
      "Needs build/doorbuster.so, redis-server, and for --plot gnuplot, for --instructions valgrind. The servers run on the first processor: `taskset -c 1-` keeps this program off it."
  )

  @Option(help: "Requests a run.")
  var requests = 300_000

  @Option(help: "Rounds, the contenders in turn in each; the best of each figure counts.")
  var rounds = 3

  @Option(help: "Connections at once.")
  var connections = 50

  @Option(help: "Purchases of the bucket whose slow commands are counted; 0 leaves that out.")
  var purchases = 5_000_000

  @Flag(help: "Pipeline 64 without AOF alone.")
  var quick = false

  @Option(parsing: .upToNextOption, help: "Only these contenders, such as deduct deductSoldOut decrby.")
  var only: [Contender] = []

  @Flag(help: "Count instructions too, under callgrind.")
  var instructions = false

  @Option(help: "Where the report goes as JSON.")
  var json: String?

  @Option(help: "Where a picture of it goes: .svg or .png.")
  var plot: String?

  @Flag(help: "End with status 1 where a bound is missed.")
  var check = false

  func validate() throws {
    guard requests >= 1_000 else { throw ValidationError("--requests is \(requests); it must be at least 1000") }
    guard rounds >= 1 else { throw ValidationError("--rounds is \(rounds); it must be at least 1") }
    guard (1...1_000).contains(connections) else {
      throw ValidationError("--connections is \(connections); it must be from 1 to 1000")
    }
    guard purchases == 0 || purchases >= 10_000 else {
      throw ValidationError("--purchases is \(purchases); it must be 0 or at least 10000")
    }
    if let plot, ![".svg", ".png"].contains(where: plot.hasSuffix) {
      throw ValidationError("--plot is '\(plot)'; it must end in .svg or .png")
    }
  }

  func run() throws {
    var report = Report(
      machine: try Machine(Stage(appendOnly: false)),
      requests: requests,
      rounds: rounds,
      connections: connections,
      samples: try samples(),
      instructions: []
    )
    if only.isEmpty { report.trimming = try Trimming.measure(purchases: max(requests, 100_000)) }
    if purchases > 0 { report.latency = try Latency.best(of: rounds, purchases: purchases) }
    if instructions {
      report.instructions = try contenders.filter { $0 != .watch }.map(Instructions.measure)
    }
    print(report.text)
    if let json { try report.json.write(to: URL(fileURLWithPath: json)) }
    if let plot { try Plot(report: report).write(to: plot) }
    let bounds = Bound.all(of: report)
    print("\n" + bounds.map(\.line).joined(separator: "\n"))
    if check, bounds.contains(where: { !$0.isMet }) { throw ExitCode(1) }
  }

  private var contenders: [Contender] { only.isEmpty ? Contender.allCases : only }

  private func samples() throws -> [Sample] {
    var all: [Sample] = []
    for round in 1...rounds {
      for appendOnly in quick ? [false] : [false, true] {
        for pipeline in quick ? [64] : [1, 16, 64] {
          for contender in contenders where contender.canPipeline(pipeline) {
            let measurement = Measurement(
              contender: contender,
              pipeline: pipeline,
              appendOnly: appendOnly,
              requests: pipeline == 1 ? requests / 4 : requests,
              connections: connections
            )
            all.append(try measurement.run())
          }
        }
      }
      FileHandle.standardError.write(Data("round \(round) of \(rounds)\n".utf8))
    }
    return all
  }
}

extension Contender: ExpressibleByArgument {}
