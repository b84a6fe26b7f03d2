import ArgumentParser
import Doorbuster
import Foundation
import Messaging
import Stock

typealias MessageKind = SetAsideMessage.Kind

struct MessagesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "messages",
    abstract: "Look at messages that need a hand, and send them on.",
    discussion: """
      Parked: half messages whose checks ended without a decision, because a bucket could not be asked. Dead: messages \
      that could not be recorded for their own sake. None of them is ever dropped.

      A parked message is sent on with `resume`, once its bucket can be asked again; a dead one with `replay`, once its \
      cause is mended.
      """,
    subcommands: [List.self, Resume.self, Replay.self]
  )

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List parked and dead messages, oldest first.")

    @Option(help: "Only these: parked or dead.", transform: Parse.kind) var kind: MessageKind?
    @OptionGroup var output: OutputOptions
    @OptionGroup var servers: ServerOptions

    func run() async throws {
      let views = try await Deployment.with(servers.choice) { deployment in
        var views: [MessageView] = []
        for kind in MessageKind.allCases where self.kind ?? kind == kind {
          try await deployment.eachSetAside(kind) { views.append(MessageView($0)) }
        }
        return views
      }
      if output.json { return try Output.json(["messages": views]) }
      for view in views {
        Output.line(
          "\(view.kind) \(view.id)  \(view.product)  token \(view.token)  \(view.attempts) tries: \(view.reason)"
        )
      }
      if views.isEmpty { Output.line("no message needs a hand") }
    }
  }

  struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Check a parked message again, or all of them.")

    @OptionGroup var choice: MessageChoice
    @OptionGroup var output: OutputOptions
    @OptionGroup var servers: ServerOptions

    func run() async throws { try await choice.sendOn(.parked, servers, output) }
  }

  struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Deliver a dead message again, or all of them.")

    @OptionGroup var choice: MessageChoice
    @OptionGroup var output: OutputOptions
    @OptionGroup var servers: ServerOptions

    func run() async throws { try await choice.sendOn(.dead, servers, output) }
  }
}

struct MessageChoice: ParsableArguments {
  @Argument(help: "The message's id, as `messages list` shows it.") var id: String?
  @Flag(help: "All of them.") var all = false

  func validate() throws {
    guard (id == nil) == all else { throw ValidationError("name one message, or give --all") }
  }

  private struct Answer: Encodable { var sentOn: Int }

  func sendOn(_ kind: MessageKind, _ servers: ServerOptions, _ output: OutputOptions) async throws {
    let count = try await Deployment.with(servers.choice) { deployment in
      if let id {
        guard try await deployment.doorbuster.resume(kind, id: id) else {
          throw CommandFailure("there is no \(kind.rawValue) message \(id); `messages list` shows them")
        }
        return 1
      }
      // Listed first: a message that comes back meanwhile is left for the next time.
      var ids: [String] = []
      try await deployment.eachSetAside(kind) { ids.append($0.id) }
      var count = 0
      for id in ids where try await deployment.doorbuster.resume(kind, id: id) { count += 1 }
      return count
    }
    StandardOutput.note(done: "\(count) \(count == 1 ? "message was" : "messages were") sent on")
    if output.json {
      try Output.json(Answer(sentOn: count))
    } else {
      Output.line("\(count) \(count == 1 ? "message" : "messages") sent on")
    }
  }
}

struct MessageView: Encodable {
  var id: String
  var kind: String
  /// Absent where the body can't be read.
  var sku: String?
  var user: String?
  var quantity: Int64?
  var bucket: Int?
  /// Of a cart, in the place of SKU, quantity and bucket: its lines, as `SKU=QTY`.
  var items: [String]?
  var token: String
  var reason: String
  var attempts: Int
  /// ms since 1970.
  var setAsideAt: Int64

  /// What it is about, for people.
  var product: String { sku ?? items?.joined(separator: " ") ?? "-" }

  init(_ message: SetAsideMessage) {
    id = message.id
    kind = message.kind.rawValue
    token = (try? Token(bytes: message.message.key))?.description ?? "?"
    switch try? OrderMessage(decoding: message.message.body) {
    case .purchase(let purchase):
      sku = purchase.purchase.sku.text
      user = purchase.purchase.user.description
      quantity = purchase.purchase.quantity
      bucket = purchase.bucket
      token = purchase.purchase.token.description
    case .cart(let message):
      user = message.cart.user.description
      items = message.cart.purchases.map { "\($0.sku)=\($0.quantity)" }
      token = message.cart.token.description
    case nil: break
    }
    reason = message.reason
    attempts = message.attempts
    setAsideAt = message.setAsideAtMs
  }
}

extension Deployment {
  /// All messages of a kind, page by page.
  func eachSetAside(_ kind: MessageKind, _ body: (SetAsideMessage) -> Void) async throws {
    var last: String?
    while true {
      let page = try await doorbuster.setAside(kind, after: last, count: 1000)
      for message in page { body(message) }
      guard page.count == 1000 else { return }
      last = page.last?.id
    }
  }
}
