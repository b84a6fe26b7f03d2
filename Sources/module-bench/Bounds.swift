import Foundation

/// What the figures must reach, each with what was found.
struct Bound {
  var text: String
  var isMet: Bool

  var line: String { Report.left(text, 88) + (isMet ? "met" : "MISSED") }

  /// The bounds that a report can tell of.
  static func all(of report: Report) -> [Bound] {
    speed(report) + memory(report) + latency(report) + instructions(report)
  }

  private static func atMost(_ name: String, _ value: Double, _ most: Double, _ digits: Int = 2) -> Bound {
    Bound(text: String(format: "%@: %.\(digits)f (at most %g)", name, value, most), isMet: value <= most)
  }

  private static func atLeast(_ name: String, _ value: Double, _ least: Double) -> Bound {
    Bound(text: String(format: "%@: %.2f (at least %g)", name, value, least), isMet: value >= least)
  }

  /// Taken at pipeline 64 without AOF, where the server is the limit.
  private static func speed(_ report: Report) -> [Bound] {
    func best(_ contender: Contender) -> Sample? { report.samples.best(contender, pipeline: 64, appendOnly: false) }
    var bounds: [Bound] = []
    if let deduct = best(.deduct), let lua = best(.lua) {
      bounds.append(
        atLeast("server CPU of Lua's over an accepted DEDUCT's", lua.callMicroseconds / deduct.callMicroseconds, 10)
      )
      bounds.append(atLeast("throughput of DEDUCT over Lua's, pipeline 64", deduct.perSecond / lua.perSecond, 6))
      bounds.append(atLeast("bytes of Lua's over DEDUCT's, a purchase", lua.dataBytes / deduct.dataBytes, 3))
      bounds.append(atMost("bytes a purchase with its event", deduct.dataBytes, 128))
      bounds.append(atMost("propagated bytes an accepted purchase", deduct.propagatedBytes, 200))
    }
    for contender in [Contender.deductSoldOut, .deductDuplicate] {
      guard let refusal = best(contender), let decrby = best(.decrby) else { continue }
      let ratio = refusal.callMicroseconds / decrby.callMicroseconds
      bounds.append(atMost("server CPU of \(contender.title) over DECRBY's", ratio, 4))
      bounds.append(atMost("propagated bytes of \(contender.title)", refusal.propagatedBytes, 0))
    }
    return bounds
  }

  private static func memory(_ report: Report) -> [Bound] {
    report.trimming.map { [atMost("bytes a purchase after TRIM", $0.bytesAfter, 48)] } ?? []
  }

  private static func latency(_ report: Report) -> [Bound] {
    guard let latency = report.latency else { return [] }
    let name = "commands over 1 ms, sold, trimmed and deleted, of the control's"
    return [atMost(name, Double(latency.bucketSlow), Double(latency.hashSlow), 0)]
  }

  private static func instructions(_ report: Report) -> [Bound] {
    func count(_ contender: Contender) -> Double? {
      report.instructions.first { $0.contender == contender }?.perRequest
    }
    guard let deduct = count(.deduct), let lua = count(.lua) else { return [] }
    var bounds = [
      atLeast("instructions of Lua's over an accepted DEDUCT's", lua / deduct, 10),
      atMost("instructions of an accepted DEDUCT", deduct, 7_500, 0),
    ]
    if let soldOut = count(.deductSoldOut) {
      bounds.append(atMost("instructions of a sold-out DEDUCT", soldOut, 3_000, 0))
    }
    if let duplicate = count(.deductDuplicate) {
      bounds.append(atMost("instructions of a duplicate DEDUCT", duplicate, 4_000, 0))
    }
    return bounds
  }
}
