import Foundation

/// All that a bench found, as it is printed, kept as JSON and drawn.
struct Report: Codable {
  var machine: Machine
  var requests: Int
  var rounds: Int
  var connections: Int
  var samples: [Sample]
  var trimming: Trimming?
  var latency: Latency?
  var instructions: [Instructions]

  var pipelines: [Int] { Set(samples.map(\.pipeline)).sorted() }

  var json: Data {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
      return try encoder.encode(self)
    }
  }

  var text: String {
    var lines = ["machine: \(machine.line)"]
    lines.append(
      "\(requests) requests a run (a quarter of them for pipeline 1), best of \(rounds) rounds, a server of its own each, "
        + "\(connections) connections by unix socket, 36-byte tokens, a user each, replication backlog on"
    )
    for appendOnly in Set(samples.map(\.appendOnly)).sorted(by: { !$0 && $1 }) { lines += table(appendOnly) }
    if let trimming { lines += describe(trimming) }
    if let latency { lines += describe(latency) }
    if !instructions.isEmpty {
      lines += ["", "instructions a request, in the command's function (callgrind)"]
      lines += instructions.map {
        Self.left($0.contender.title, 36) + Self.right(String(format: "%.0f", $0.perRequest), 10)
      }
    }
    return lines.joined(separator: "\n")
  }

  private func table(_ appendOnly: Bool) -> [String] {
    var head = Self.left(appendOnly ? "AOF everysec" : "AOF off", 36)
    for pipeline in pipelines { head += Self.right("P=\(pipeline) /s", 11) }
    head += Self.right("us/call", 9) + Self.right("us CPU", 8) + Self.right("bytes", 7) + Self.right("propagated", 12)
    var lines = ["", head]
    for contender in Contender.allCases {
      let row = pipelines.map { samples.best(contender, pipeline: $0, appendOnly: appendOnly) }
      guard let last = row.compactMap({ $0 }).last else { continue }
      var line = Self.left(contender.title, 36)
      for sample in row { line += Self.right(sample.map { String(format: "%.0f", $0.perSecond) } ?? "-", 11) }
      line += Self.right(String(format: "%.2f", last.callMicroseconds), 9)
      line += Self.right(String(format: "%.2f", last.processMicroseconds), 8)
      line += Self.right(contender.sells ? String(format: "%.0f", last.dataBytes) : "-", 7)
      line += Self.right(String(format: "%.1f", last.propagatedBytes), 12)
      if last.conflicts > 0 { line += String(format: "  %.1f conflicts each", last.conflicts) }
      lines.append(line)
    }
    return lines
  }

  private func describe(_ trimming: Trimming) -> [String] {
    let format = "%d purchases: %.1f bytes each, %.1f after TRIM; a TRIM of %d events takes %.0f us"
    return [
      "",
      String(
        format: format,
        trimming.purchases,
        trimming.bytesBefore,
        trimming.bytesAfter,
        Trimming.portion,
        trimming.portionMicroseconds
      ),
    ]
  }

  private func describe(_ latency: Latency) -> [String] {
    [
      "",
      "commands over 1 ms: \(latency.bucketSlow) while one bucket takes \(latency.purchases) purchases, is trimmed and is deleted "
        + "(longest: \(latency.bucketLongest)); \(latency.hashSlow) of as many HSET (longest: \(latency.hashLongest)); "
        + String(format: "plain DEL of such a bucket, half trimmed: %.1f ms", latency.deleteMicroseconds / 1000),
    ]
  }

  static func left(_ text: String, _ width: Int) -> String {
    text.padding(toLength: max(width, text.count), withPad: " ", startingAt: 0)
  }

  static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
