import Foundation
import TestServers

/// The keys of the well-known recipe: stock in a string, and a hash of tokens per user, in one slot.
enum Recipe {
  static let stock = "{drop}"
  static let tokensOfUser = "{drop}:" + RequestTemplate.userPlace
}

/// A way to sell a unit, or a part of one to compare with.
enum Contender: String, CaseIterable, Codable {
  case deduct, deductLimited, deductSoldOut, deductDuplicate
  case lua, luaSoldOut, luaDuplicate
  case function
  case watch
  case hset, decrby

  /// More than any bench sells.
  static let ample = 100_000_000

  var title: String {
    switch self {
    case .deduct: "STOCK.DEDUCT accepted"
    case .deductLimited: "STOCK.DEDUCT accepted, with a limit"
    case .deductSoldOut: "STOCK.DEDUCT sold out"
    case .deductDuplicate: "STOCK.DEDUCT duplicate"
    case .lua: "Lua script, accepted"
    case .luaSoldOut: "Lua script, sold out"
    case .luaDuplicate: "Lua script, duplicate"
    case .function: "Redis function, accepted"
    case .watch: "WATCH, MULTI, EXEC"
    case .hset: "HSET, a token"
    case .decrby: "DECRBY"
    }
  }

  /// Whether each request leaves a purchase behind, so that memory a purchase means something.
  var sells: Bool {
    switch self {
    case .deduct, .deductLimited, .lua, .function, .watch, .hset: true
    case .deductSoldOut, .deductDuplicate, .luaSoldOut, .luaDuplicate, .decrby: false
    }
  }

  /// Pipelines that make sense: an optimistic transaction has to hear what it read before it writes.
  func canPipeline(_ pipeline: Int) -> Bool { self != .watch || pipeline == 1 }

  /// The commands whose time in `INFO commandstats` is the server's work for a request.
  var commands: [String] {
    switch self {
    case .deduct, .deductLimited, .deductSoldOut, .deductDuplicate: ["stock.deduct"]
    case .lua, .luaSoldOut, .luaDuplicate: ["evalsha"]
    case .function: ["fcall"]
    // What EXEC runs is in its own time.
    case .watch: ["watch", "get", "hexists", "multi", "exec"]
    case .hset: ["hset"]
    case .decrby: ["decrby"]
    }
  }

  /// The accepted form that makes the tokens which this one repeats.
  var repeated: Contender? {
    switch self {
    case .deductDuplicate: .deduct
    case .luaDuplicate: .lua
    case .deduct, .deductLimited, .deductSoldOut, .lua, .luaSoldOut, .function, .watch, .hset, .decrby: nil
    }
  }

  func prepare(_ redis: RawRedis) throws {
    let stock = self == .deductSoldOut || self == .luaSoldOut ? 0 : Self.ample
    let limit = self == .deductLimited ? ["LIMIT", "3"] : []
    let commands: [[String]] = [
      ["STOCK.CREATE", "drop", "\(stock)"] + limit, ["SET", Recipe.stock, "\(stock)"],
      ["SCRIPT", "LOAD", try Scripts.recipe()], ["FUNCTION", "LOAD", try Scripts.function()],
    ]
    for words in commands {
      let reply = try redis.call(words)
      guard reply.errorCode == nil else { throw BenchError.unexpectedReply("\(words[0]): \(reply)") }
    }
  }

  /// The request, and what its reply begins with.
  func request(_ redis: RawRedis) throws -> (RequestTemplate, reply: String) {
    let (token, user) = (RequestTemplate.tokenPlace, RequestTemplate.userPlace)
    func recipe(_ call: [String], _ reply: String) -> (RequestTemplate, reply: String) {
      (RequestTemplate(call + ["2", Recipe.stock, Recipe.tokensOfUser, "1", token]), reply)
    }
    func deduct(_ reply: String) -> (RequestTemplate, reply: String) {
      (RequestTemplate(["STOCK.DEDUCT", "drop", user, token, 1]), "*3\r\n+" + reply)
    }
    func sha() throws -> String {
      guard let text = try redis.call("SCRIPT", "LOAD", Scripts.recipe()).text else {
        throw BenchError.missing("the script")
      }
      return text
    }
    switch self {
    case .deduct, .deductLimited: return deduct("OK")
    case .deductSoldOut: return deduct("SOLDOUT")
    case .deductDuplicate: return deduct("DUPLICATE")
    case .lua: return recipe(["EVALSHA", try sha()], ":")
    case .luaSoldOut: return recipe(["EVALSHA", try sha()], "-ERR SOLDOUT")
    case .luaDuplicate: return recipe(["EVALSHA", try sha()], "-ERR DUPLICATE")
    case .function: return recipe(["FCALL", "recipe_deduct"], ":")
    case .watch: throw BenchError.missing("a single request of a transaction")
    case .hset: return (RequestTemplate(["HSET", Recipe.tokensOfUser, token, "1"]), ":1")
    case .decrby: return (RequestTemplate(["DECRBY", Recipe.stock, "1"]), ":")
    }
  }
}

/// The recipe in Lua, as a script and as a function.
enum Scripts {
  static func recipe() throws -> String { try text("scripts/lua/deduct.lua") }
  static func function() throws -> String { try text("scripts/lua/deduct_function.lua") }

  private static func text(_ path: String) throws -> String {
    try String(contentsOfFile: BuiltFiles.root + "/" + path, encoding: .utf8)
  }
}
