import TestServers

/// One run of one contender.
struct Sample: Codable {
  var contender: Contender
  var pipeline: Int
  var appendOnly: Bool
  var perSecond: Double
  /// The server's work for a request, as `INFO commandstats` has it: without reading, writing and propagating.
  var callMicroseconds: Double
  /// Processor time of the whole server for a request.
  var processMicroseconds: Double
  /// Bytes of data that a request left behind.
  var dataBytes: Double
  /// Bytes that a request added to the replication stream.
  var propagatedBytes: Double
  /// Transactions that had to be tried again, for a purchase.
  var conflicts: Double
}

struct Measurement {
  var contender: Contender
  var pipeline: Int
  var appendOnly: Bool
  var requests: Int
  var connections: Int

  /// Runs the contender on a server of its own.
  func run() throws -> Sample {
    let stage = try Stage(appendOnly: appendOnly)
    try contender.prepare(stage.redis)
    if let first = contender.repeated {
      let (template, reply) = try first.request(stage.redis)
      var dialogue = Repetition(template, numbers: 0..<requests, pipeline: 64, reply: reply)
      _ = try load(stage).play(&dialogue)
    }
    let bytes = try stage.dataBytes()
    let offset = try stage.number("replication", "master_repl_offset")
    try stage.redis.call("CONFIG", "RESETSTAT")
    let processor = try stage.processMicroseconds()
    let (seconds, conflicts) = try play(stage)
    let each = Double(requests)
    return Sample(
      contender: contender,
      pipeline: pipeline,
      appendOnly: appendOnly,
      perSecond: each / seconds,
      callMicroseconds: try stage.microseconds(of: contender.commands) / each,
      processMicroseconds: (try stage.processMicroseconds() - processor) / each,
      dataBytes: (try stage.dataBytes() - bytes) / each,
      propagatedBytes: (try stage.number("replication", "master_repl_offset") - offset) / each,
      conflicts: Double(conflicts) / each
    )
  }

  private func load(_ stage: Stage) -> LoadGenerator {
    LoadGenerator(socketPath: stage.server.socketPath, connections: connections)
  }

  private func play(_ stage: Stage) throws -> (seconds: Double, conflicts: Int) {
    if contender == .watch {
      var dialogue = WatchedPurchases(numbers: 0..<requests, connections: connections)
      let seconds = try load(stage).play(&dialogue)
      return (seconds, dialogue.conflicts)
    }
    let (template, reply) = try contender.request(stage.redis)
    var dialogue = Repetition(template, numbers: 0..<requests, pipeline: pipeline, reply: reply)
    return (try load(stage).play(&dialogue), 0)
  }
}

extension [Sample] {
  /// The best of the rounds: what disturbs a run only ever makes it worse.
  func best(_ contender: Contender, pipeline: Int, appendOnly: Bool) -> Sample? {
    let runs = filter { $0.contender == contender && $0.pipeline == pipeline && $0.appendOnly == appendOnly }
    guard var best = runs.first else { return nil }
    for run in runs {
      best.perSecond = Swift.max(best.perSecond, run.perSecond)
      best.callMicroseconds = Swift.min(best.callMicroseconds, run.callMicroseconds)
      best.processMicroseconds = Swift.min(best.processMicroseconds, run.processMicroseconds)
      best.conflicts = Swift.min(best.conflicts, run.conflicts)
    }
    return best
  }
}
