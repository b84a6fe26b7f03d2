import Foundation
import TestServers

/// Instructions that a request takes inside its command's function, counted by callgrind: they repeat from run to run to
/// within a percent, on any machine that takes the same paths through libc.
struct Instructions: Codable {
  var contender: Contender
  var perRequest: Double

  static let requests = 8_000
  private static let warmUp = 12_000

  /// The functions of redis-server whose instructions count; a module's commands come through its dispatcher.
  private static func function(of contender: Contender) -> String {
    switch contender {
    case .deduct, .deductLimited, .deductSoldOut, .deductDuplicate: "RedisModuleCommandDispatcher"
    case .lua, .luaSoldOut, .luaDuplicate: "evalShaCommand"
    case .function: "fcallCommand"
    case .watch: "execCommand"
    case .hset: "hsetCommand"
    case .decrby: "decrbyCommand"
    }
  }

  static func measure(_ contender: Contender) throws -> Instructions {
    let files = try TemporaryDirectory()
    let profile = files.file("callgrind.out")
    let module = files.file("doorbuster.so")
    // valgrind gives up on the debug information that Swift writes.
    _ = try run("strip", ["--strip-debug", "-o", module, try BuiltFiles.module()])
    let program = [
      "valgrind", "--tool=callgrind", "--callgrind-out-file=\(profile)", "--collect-atstart=no",
      "--toggle-collect=\(function(of: contender))", "redis-server",
    ]
    let stage = try Stage(appendOnly: false, program: program, module: .path(module))
    let redis = stage.redis
    let load = LoadGenerator(socketPath: stage.server.socketPath, connections: 1)
    try contender.prepare(redis)
    let (template, reply) = try contender.request(redis)
    // Tables have grown then, and a duplicate has been sold.
    let (first, firstReply) = try (contender.repeated ?? contender).request(redis)
    var warming = Repetition(first, numbers: 0..<warmUp, pipeline: 64, reply: firstReply)
    _ = try load.play(&warming)
    _ = try run("callgrind_control", ["--zero", "\(stage.server.pid ?? 0)"])
    let start = contender.repeated == nil ? warmUp : 0
    var counted = Repetition(template, numbers: start..<start + requests, pipeline: 64, reply: reply)
    _ = try load.play(&counted)
    try stage.server.stop()
    let text = try String(contentsOfFile: profile, encoding: .utf8)
    let totals = text.split(separator: "\n").last { $0.hasPrefix("totals:") || $0.hasPrefix("summary:") }
    guard let count = totals?.split(separator: " ").last.flatMap({ Double($0) }) else {
      throw BenchError.missing("the sum in callgrind's file")
    }
    return Instructions(contender: contender, perRequest: count / Double(requests))
  }

  private static func run(_ program: String, _ arguments: [String]) throws -> Subprocess.Outcome {
    let outcome = try Subprocess.run(program, arguments)
    guard outcome.status == .exited(0) else { throw TestServerError.launch("\(program): \(outcome.stderr)") }
    return outcome
  }
}
