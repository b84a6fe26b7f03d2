import Foundation
import TestServers
import Testing

/// docs/commands.md, held against what the module tells of its commands.
@Suite struct DocumentationTests {
  private static func page(_ name: String) throws -> String {
    try String(contentsOfFile: BuiltFiles.root + "/" + name, encoding: .utf8)
  }

  private static func commands(_ stock: Stage) throws -> [String] {
    let reply = try stock.redis.call("COMMAND", "LIST", "FILTERBY", "MODULE", "doorbuster")
    return (reply.elements ?? []).compactMap { $0.text?.uppercased() }.sorted()
  }

  @Test("The table of docs/commands.md has each command of the module, with its flags, and no other")
  func table() throws {
    let stock = try Stage()
    let rows = try Self.page("docs/commands.md").split(separator: "\n").filter { $0.hasPrefix("| [`STOCK.") }
    var documented: [String: Set<String>] = [:]
    for row in rows {
      let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      let name = cells[0].prefix { $0 != "]" }.filter { !"[`".contains($0) }
      documented[name] = Set(cells[2].split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) })
    }
    let commands = try Self.commands(stock)
    #expect(documented.keys.sorted() == commands)
    for command in commands {
      let flags = try stock.redis.call("COMMAND", "INFO", command)[0]?[2]?.elements?.compactMap(\.text) ?? []
      let told = Set(flags.map { $0 == "denyoom" ? "deny-oom" : $0 }).intersection([
        "write", "readonly", "fast", "deny-oom", "admin",
      ])
      #expect(documented[command] == told, "\(command)")
    }
  }

  @Test("Each command has its section, whose syntax names every word that COMMAND DOCS names")
  func sections() throws {
    let stock = try Stage()
    let page = try Self.page("docs/commands.md")
    let sections = page.components(separatedBy: "\n## ").dropFirst()
    for command in try Self.commands(stock) {
      let section = try #require(
        sections.first { $0.split(separator: "\n")[0].split(separator: " ").contains(Substring(command)) },
        "\(command) has no section"
      )
      let syntax = section.split(separator: "\n").filter { $0.hasPrefix("    \(command) ") }.joined(separator: "\n")
      #expect(!syntax.isEmpty, "\(command) has no syntax")
      let words = Set(syntax.split { !$0.isLetter && $0 != "." }.map(String.init))
      let docs = try stock.redis.call("COMMAND", "DOCS", command)[1]
      for token in Self.tokens(of: docs?["arguments"]) { #expect(words.contains(token), "\(command): \(token)") }
    }
  }

  private static func tokens(of arguments: RESP?) -> [String] {
    (arguments?.elements ?? []).flatMap { argument in
      (argument["token"]?.text.map { [$0] } ?? []) + tokens(of: argument["arguments"])
    }
  }

  @Test("Each status that INFO doorbuster counts, each action and each state is in docs/commands.md")
  func words() throws {
    let stock = try Stage()
    let page = try Self.page("docs/commands.md")
    let info = try #require(stock.redis.call("INFO", "doorbuster").text)
    let statuses = info.split(whereSeparator: \.isNewline).compactMap { line -> Substring? in
      guard let start = line.range(of: "status_") else { return nil }
      return line[start.upperBound...].prefix { $0 != ":" }
    }
    #expect(statuses.count == 10)
    let actions = [
      "create", "add", "deduct", "hold", "confirm", "cancel", "expire", "fence", "withdraw", "deposit", "rebalance",
      "record",
      "schedule", "freeze", "thaw",
    ]
    let states = [
      "held", "sold", "cancelled", "operator", "promotion", "load", "stock.soldout", "stock.onsale",
      "doorbuster.freeze",
    ]
    for word in statuses.map(String.init) + actions + states { #expect(page.contains("`\(word)`"), "\(word)") }
  }

  @Test("Each error that the commands document is in docs/errors.md")
  func errors() throws {
    let page = try Self.page("docs/errors.md")
    for code in [
      "NOBUCKET", "BUCKETEXISTS", "EVICTABLE", "TOKENMISMATCH", "TRANSFERMISMATCH", "FROZENBYOPERATOR", "OVERFLOW",
      "AHEAD",
      "TRIMMED", "EPOCHMISMATCH", "OUTOFSTEP", "DAMAGED", "VERSION", "FROZEN",
    ] { #expect(page.contains("`\(code)`"), "\(code)") }
  }
}
